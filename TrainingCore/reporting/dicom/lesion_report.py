"""The lesion table as a structured report (TID 1500): a measurement group for each segment, with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .codes import (
    BRAIN,
    COMMENT,
    DEVICE,
    IMAGING_PROCEDURE,
    LESION,
    OWN_SCHEME,
    QUANTITIES,
    REGION,
    Concept,
)
from .objects import code, common, equipment, stamp_object
from .origin import MANUFACTURER, Origin
from .reference import Reference

OF_THE_MAP = ("mean_dvr", "sd_dvr", "min_dvr")


def lesion_report(
    rows: Sequence[Mapping[str, Any]], dvr_map: Any, segments: Any, reference: Reference, origin: Origin
) -> Any:
    """The lesion table as a pydicom data set.

    Args:
        rows: the lesion table; lesions that have no segment are left out.
        dvr_map: the parametric map that they were measured in.
        segments: the segmentation whose segments they are.
        reference: the T1w series.
        origin: how the result was made.
    """
    from highdicom.sr import ComprehensiveSR, MeasurementReport, RelationshipTypeValues, TextContentItem

    by_label = {segment.SegmentLabel: segment for segment in segments.SegmentSequence}
    groups = [
        _group(row, by_label[label], dvr_map, segments, origin)
        for row in rows
        if (label := f"Lesion {int(row['id'])}") in by_label
    ]
    content = MeasurementReport(
        observation_context=_observer(origin),
        procedure_reported=code(IMAGING_PROCEDURE),
        imaging_measurements=groups,
    )
    content[0].ContentSequence.append(
        TextContentItem(code(COMMENT), origin.derivation, relationship_type=RelationshipTypeValues.CONTAINS)
    )
    data = ComprehensiveSR(
        evidence=[*reference.headers, dvr_map, segments],
        content=content[0],
        **common(reference, origin, "report", 3),
        is_complete=False,
        is_final=False,
        is_verified=False,
        contributing_equipment=equipment(origin),
        series_description="Lesion table, SYNTHETIC PiB DVR, RESEARCH USE ONLY",
    )
    stamp_object(data, reference, origin.uid("report", "dimensions"))
    return data


def _observer(origin: Origin) -> Any:
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext

    name, version = origin.algorithm
    device = DeviceObserverIdentifyingAttributes(
        uid=origin.uid("device"), name=name, manufacturer_name=MANUFACTURER, model_name=version
    )
    return ObservationContext(observer_device_context=ObserverContext(code(DEVICE), device))


def _group(row: Mapping[str, Any], segment: Any, dvr_map: Any, segments: Any, origin: Origin) -> Any:
    from highdicom.sr import (
        FindingSite,
        QualitativeEvaluation,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    region = row.get("region")
    region_item = [QualitativeEvaluation(code(REGION), code(_region_concept(str(region))))] if region else []
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segment.TrackingUID, segment.TrackingID),
        referenced_segment=ReferencedSegment(
            segments.SOPClassUID,
            segments.SOPInstanceUID,
            segment.SegmentNumber,
            source_series=SourceSeriesForSegmentation(segments.ReferencedSeriesSequence[0].SeriesInstanceUID),
        ),
        finding_type=code(LESION),
        finding_sites=[FindingSite(code(BRAIN))],
        measurements=[
            _measurement(column, float(row[column]), dvr_map, origin)
            for column in QUANTITIES
            if row.get(column) is not None
        ],
        qualitative_evaluations=region_item,
    )


def _measurement(column: str, value: float, dvr_map: Any, origin: Origin) -> Any:
    from highdicom.sr import AlgorithmIdentification, Measurement, SourceImageForMeasurement

    quantity = QUANTITIES[column]
    from_map = column in OF_THE_MAP
    return Measurement(
        name=code(quantity.name),
        value=value,
        unit=code(quantity.unit),
        derivation=None if quantity.derivation is None else code(quantity.derivation),
        algorithm_id=AlgorithmIdentification(*origin.algorithm) if from_map else None,
        referenced_images=[SourceImageForMeasurement.from_source_image(dvr_map)] if from_map else None,
    )


def _region_concept(region: str) -> Concept:
    """Name of a region as a code of our own scheme."""
    return Concept(region.upper().replace(" ", "_")[:16], OWN_SCHEME, region)
