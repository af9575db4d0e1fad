"""Parts that all DICOM objects of a result share: identity, equipment, series, and dates that depend on the input."""

from __future__ import annotations

from typing import Any

from ... import __version__
from .codes import ARTIFICIAL_INTELLIGENCE, OWN_SCHEME, OWN_SCHEME_NAME, PROCESSING_EQUIPMENT, Concept
from .identity import date_of
from .origin import MANUFACTURER, Origin
from .reference import Reference

FIRST_SERIES = 9000  # number of our series where the T1w has none (ours)
RUN_DATES = ("InstanceCreationDate", "InstanceCreationTime")


def code(concept: Concept) -> Any:
    """Convert a concept to the form that highdicom uses.

    Args:
        concept: value, scheme and meaning.

    Returns:
        highdicom's CodedConcept.
    """
    from highdicom.sr import CodedConcept

    return CodedConcept(concept.value, concept.scheme_designator, concept.meaning)


def common(reference: Reference, origin: Origin, role: str, number: int) -> dict[str, Any]:
    """Arguments that every object takes.

    Args:
        reference: the series it is derived from.
        origin: how the result was made.
        role: kind of the object, which makes its UIDs differ.
        number: which of our series it is, from 1; the T1w's own number comes before it.
    """
    own = reference.first.get("SeriesNumber")
    return {
        "series_instance_uid": origin.uid(role, "series"),
        "sop_instance_uid": origin.uid(role, "instance"),
        "series_number": (100 * int(own) if own else FIRST_SERIES) + number,
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": "MyelinSynth",
        "software_versions": __version__,
        "device_serial_number": origin.weights_sha256[:16],
        "coding_schemes": coding_schemes(),
    }


def equipment(origin: Origin) -> list[Any]:
    """Name the model and its version as contributing equipment.

    Args:
        origin: how the result was made.

    Returns:
        One highdicom ContributingEquipment.
    """
    from highdicom import ContributingEquipment

    name, version = origin.algorithm
    return [
        ContributingEquipment(
            MANUFACTURER,
            code(PROCESSING_EQUIPMENT),
            manufacturer_model_name=name,
            software_versions=version,
            contribution_description=origin.derivation,
        )
    ]


def lesion_algorithm(origin: Origin) -> Any:
    """Name the network that segmented the lesions.

    Args:
        origin: how the result was made.

    Returns:
        highdicom's AlgorithmIdentificationSequence.
    """
    from highdicom import AlgorithmIdentificationSequence

    name, version = origin.lesion_algorithm
    return AlgorithmIdentificationSequence(name, code(ARTIFICIAL_INTELLIGENCE), version, source=MANUFACTURER)


def coding_schemes() -> list[Any]:
    """What our private codes are."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return [CodingSchemeIdentificationItem(OWN_SCHEME, name=OWN_SCHEME_NAME, responsible_organization=MANUFACTURER)]


def stamp_object(data: Any, reference: Reference, uid: str) -> None:
    """Name the body part of images, and replace dates and UIDs that depend on the run; dates become those of the MRI.

    Args:
        data: DICOM object; it is changed.
        reference: the T1w series.
        uid: UID of the dimension organization.
    """
    if data.Modality != "SR":
        data.BodyPartExamined = "BRAIN"
        data.ContentCreatorName = data.get("ContentCreatorName") or ""
    for keyword in RUN_DATES:
        if keyword in data:
            del data[keyword]
    data.ContentDate, data.ContentTime = date_of(reference.first)
    known = {item.get("ContributionDateTime") for item in reference.first.get("ContributingEquipmentSequence") or []}
    for item in data.ContributingEquipmentSequence:
        if item.get("ContributionDateTime") not in known:
            item.ContributionDateTime = data.ContentDate + data.ContentTime
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in data.get(sequence) or []:
            item.DimensionOrganizationUID = uid
