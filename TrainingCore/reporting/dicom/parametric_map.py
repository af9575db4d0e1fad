"""The synthetic DVR as a DICOM Parametric Map: float voxels, so that no number is rounded."""

from __future__ import annotations

from typing import Any

import numpy as np

from .codes import BRAIN, DVR, RATIO_UNIT, SYNTHESIS
from .objects import code, common, equipment, stamp_object
from .origin import Origin
from .planes import Planes, plane_geometry
from .reference import Reference

WINDOW = (1.0, 0.8)  # centre and width, that of reports and viewer


def parametric_map(dvr: np.ndarray, planes: Planes, reference: Reference, origin: Origin) -> Any:
    """The DVR map as a pydicom data set.

    Args:
        dvr: (I, J, K), unitless, 0 outside the brain.
        planes: where its voxels lie.
        reference: the T1w series.
        origin: how it was made.
    """
    from highdicom import VOILUTTransformation
    from highdicom.pm import ParametricMap, RealWorldValueMapping

    values = planes.of(np.asarray(dvr, np.float32))
    mapping = RealWorldValueMapping(
        lut_label="DVR",
        lut_explanation="Synthetic distribution volume ratio",
        unit=code(RATIO_UNIT),
        value_range=(float(values.min()), float(values.max())),
        slope=1.0,
        intercept=0.0,
        quantity_definition=code(DVR),
    )
    data = ParametricMap(
        source_images=reference.headers,
        pixel_array=values,
        **common(reference, origin, "map", 1),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[
            VOILUTTransformation(window_center=WINDOW[0], window_width=WINDOW[1], voi_lut_function="LINEAR_EXACT")
        ],
        content_label="SYNTHETIC_DVR",
        content_description=origin.description,
        contributing_equipment=equipment(origin),
        derivation=code(SYNTHESIS),
        series_description="SYNTHETIC PiB DVR (not PET), RESEARCH USE ONLY",
        **plane_geometry(planes),
    )
    _add_anatomy(data)
    _order_frames(data)
    _describe_derivation(data, origin)
    stamp_object(data, reference, origin.uid("map", "dimensions"))
    return data


def _order_frames(data: Any) -> None:
    """Put the frames in the order of the slices, along row x column.

    highdicom writes them the other way round. Programs that do not look at each frame's position, such as dcmqi, with
    which 3D Slicer loads parametric maps, would show the head upside down.
    """
    frames = list(data.PerFrameFunctionalGroupsSequence)
    cosines = np.array(
        data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, float
    )
    positions = np.array([frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames], float)
    order = np.argsort(positions @ np.cross(cosines[:3], cosines[3:]), kind="stable")
    voxels = np.frombuffer(data.FloatPixelData, "<f4").reshape(len(frames), -1)
    data.FloatPixelData = voxels[order].tobytes()
    data.PerFrameFunctionalGroupsSequence = [frames[number] for number in order]
    for number, frame in enumerate(data.PerFrameFunctionalGroupsSequence, start=1):
        frame.FrameContentSequence[0].DimensionIndexValues = [number]


def _add_anatomy(data: Any) -> None:
    """Name the brain as the anatomy of every frame; dcmqi reads no map without it."""
    from pydicom.dataset import Dataset

    anatomy = Dataset()
    anatomy.AnatomicRegionSequence = [code(BRAIN)]
    anatomy.FrameLaterality = "U"
    data.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]


def _describe_derivation(data: Any, origin: Origin) -> None:
    """State beside every reference to a source that the frame is synthetic."""
    for frame in data.PerFrameFunctionalGroupsSequence:
        for item in frame.get("DerivationImageSequence") or []:
            item.DerivationDescription = origin.derivation
