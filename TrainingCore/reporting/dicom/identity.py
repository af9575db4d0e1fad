"""Identity of patient and study, copied from a series; attributes that DICOM requires are filled in if missing."""

from __future__ import annotations

import datetime
from typing import Any

from ...runtime.errors import BadInput
from .origin import uid_of

DEMANDED = {
    "StudyInstanceUID": "study", "SeriesInstanceUID": "series", "SOPInstanceUID": "instance", "SOPClassUID": "class",
}  # fmt: skip
MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
DATES = ("ContentDate", "AcquisitionDate", "SeriesDate", "StudyDate")
SEXES = ("M", "F", "O", "")


def complete_identity(headers: list[Any], label: str) -> tuple[str, ...]:
    """Fill in attributes that DICOM requires of every object and these headers lack.

    Args:
        headers: pydicom data sets of one series; they are changed.
        label: name of the series in messages.

    Returns:
        Sentences for the user.

    Raises:
        BadInput: a UID of study, series or instance is missing, or the headers belong to several series.
    """
    for header in headers:
        lacking = [word for keyword, word in DEMANDED.items() if not header.get(keyword)]
        if lacking:
            raise BadInput(f"{label} has no UID of its {lacking[0]}: nothing can refer to it. Export it again.")
        for keyword in MAY_BE_EMPTY:
            setattr(header, keyword, _valid(keyword, header.get(keyword)))
        _use_known_characters(header)
    _refuse_mixed(headers, label)
    frames = {str(header.get("FrameOfReferenceUID") or "") for header in headers}
    if len(frames) == 1 and frames != {""}:
        return ()
    for header in headers:
        header.FrameOfReferenceUID = uid_of(headers[0].SeriesInstanceUID, "frame of reference")
    return (f"{label} has no frame of reference; viewers may not lay the DICOM map over it by themselves.",)


def identity_of(header: Any) -> str:
    """Join the attributes that an object copies from the series; its UIDs are derived from this text.

    Args:
        header: pydicom data set of the series.

    Returns:
        One line per attribute.
    """
    return "\n".join(str(header.get(keyword)) for keyword in (*DEMANDED, *MAY_BE_EMPTY, "FrameOfReferenceUID"))


def _refuse_mixed(headers: list[Any], label: str) -> None:
    """Raise BadInput where slices share a UID that must be their own, or do not share one that they should."""
    if len({str(header.SOPInstanceUID) for header in headers}) < len(headers):
        raise BadInput(
            f"{label} has the same UID for several slices, so nothing can refer to one of them; an anonymiser may have "
            "done that. Export the series again."
        )
    series = len({str(header.SeriesInstanceUID) for header in headers})
    if series > 1:
        raise BadInput(
            f"The slices of {label} have {series} series UIDs, so DICOM cannot be derived from them as one "
            "series. Export it again as one series."
        )


def date_of(header: Any) -> tuple[str, str]:
    """Find date and time of the MRI.

    Args:
        header: pydicom data set of the series.

    Returns:
        (YYYYMMDD, HHMMSS); the current date if an anonymiser removed all dates.
    """
    for keyword in DATES:
        date = str(header.get(keyword) or "")
        if _is_date(date):
            time = str(header.get(keyword.replace("Date", "Time")) or "").split(".")[0]
            return date, time if len(time) == 6 and time.isdigit() else "000000"
    return datetime.date.today().strftime("%Y%m%d"), "000000"


def _use_known_characters(header: Any) -> None:
    """Keep the character set of the series, as its archive reads it; one that is not in the standard becomes UTF-8."""
    from highdicom.enum import SpecificCharacterSetValues

    declared = header.get("SpecificCharacterSet")
    if declared is None:
        return
    known = {value.value for value in SpecificCharacterSetValues}
    names = [declared] if isinstance(declared, str) else list(declared)
    if set(names) <= known:
        return
    for keyword in ("PatientName", "ReferringPhysicianName"):
        setattr(header, keyword, str(header.get(keyword) or ""))
    if set(names) <= {"", "ISO_IR 6"}:
        del header.SpecificCharacterSet
    else:
        header.SpecificCharacterSet = "ISO_IR 192"


def _valid(keyword: str, value: Any) -> Any:
    """A value as it is, or empty if it is missing or breaks the rules of DICOM."""
    if value is None:
        return ""
    text = str(value)
    if keyword.endswith("Date"):
        return text if _is_date(text) else ""
    if keyword.endswith("Time"):
        return text if text.replace(".", "").isdigit() else ""
    if keyword == "PatientSex":
        return text if text in SEXES else ""
    return value


def _is_date(text: str) -> bool:
    try:
        datetime.datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return len(text) == 8
