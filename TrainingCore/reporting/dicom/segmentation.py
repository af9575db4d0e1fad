"""The lesions as a DICOM Segmentation: one binary segment for each, with an identifier to follow it by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .codes import ABNORMAL_STRUCTURE, BRAIN, LESION
from .objects import code, common, equipment, lesion_algorithm, stamp_object
from .origin import Origin, uid_of
from .planes import Planes, plane_geometry
from .reference import Reference

GIVEN = "Mask given by the user"


def lesion_numbers(labels: np.ndarray) -> list[int]:
    """List the lesions that have voxels; segments are numbered 1, 2, ... in this order.

    Args:
        labels: lesion label map, (I, J, K), 0: background.

    Returns:
        Labels, ascending.
    """
    return [int(number) for number in np.unique(labels) if number]


def tracking_uids(labels: np.ndarray, reference: Reference, earlier: Mapping[int, str] | None = None) -> dict[int, str]:
    """The UID that follows each lesion, by its number.

    It depends on the lesion's voxels and the series alone, so that another model's run keeps it.

    Args:
        labels: (I, J, K) lesion numbers.
        reference: the T1w series.
        earlier: UIDs of lesions that an earlier visit showed already, by their number now.
    """
    voxels = np.argsort(labels.ravel(), kind="stable")
    numbers = labels.ravel()[voxels]
    uids = {}
    for number in lesion_numbers(labels):
        own = voxels[slice(*np.searchsorted(numbers, [number, number + 1]))]
        outline = hashlib.sha256(np.sort(own).astype("<i8").tobytes()).hexdigest()
        uids[number] = (earlier or {}).get(number) or uid_of(*reference.uids, labels.shape, outline)
    return uids


def segmentation(
    labels: np.ndarray, planes: Planes, reference: Reference, origin: Origin, tracking: Mapping[int, str]
) -> Any:
    """The lesions as a pydicom data set.

    Args:
        labels: (I, J, K), number of the lesion in the table, 0 elsewhere; at least one lesion.
        planes: where the voxels lie.
        reference: the T1w series.
        origin: how the result was made.
        tracking: from `tracking_uids`.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues

    numbers = lesion_numbers(labels)
    stored = planes.of(np.searchsorted([0, *numbers], labels).astype(np.uint16))
    data = Segmentation(
        source_images=reference.headers,
        pixel_array=stored,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(segment, number, origin, tracking[number]) for segment, number in enumerate(numbers, start=1)
        ],
        **common(reference, origin, "lesions", 2),
        content_label="LESIONS",
        content_description="Lesions of a synthetic DVR map; not for diagnosis",
        contributing_equipment=equipment(origin),
        series_description="Lesions of SYNTHETIC PiB DVR, RESEARCH USE ONLY",
        **plane_geometry(planes),
    )
    stamp_object(data, reference, origin.uid("lesions", "dimensions"))
    return data


def _description(segment: int, number: int, origin: Origin, tracking_uid: str) -> Any:
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription

    automatic = origin.lesions != "given"
    kinds = SegmentAlgorithmTypeValues
    by_network = kinds.SEMIAUTOMATIC if origin.reviewed else kinds.AUTOMATIC
    description = SegmentDescription(
        segment_number=segment,
        segment_label=f"Lesion {number}",
        segmented_property_category=code(ABNORMAL_STRUCTURE),
        segmented_property_type=code(LESION),
        algorithm_type=by_network if automatic else kinds.MANUAL,
        algorithm_identification=lesion_algorithm(origin) if automatic else None,
        tracking_uid=tracking_uid,
        tracking_id=f"Lesion {number}",
        anatomic_regions=[code(BRAIN)],
    )
    checked = "reviewed by a person" if origin.reviewed else "not checked"
    description.SegmentDescription = f"Found by a network, {checked}" if automatic else GIVEN
    return description
