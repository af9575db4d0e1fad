"""DICOM series from which the T1w of each visit was converted, for the DICOM output of a cohort."""

from __future__ import annotations

from pathlib import Path

from .names import visit_folder

SOURCEDATA = "sourcedata"  # where BIDS keeps what a dataset was converted from


def dicom_of_visit(root: Path, person: str, visit: str) -> Path:
    """DICOM folder of a visit below `root`: sub-01/ses-1, or sub-01 if it has no session folders.

    It may hold several series; synthesis selects the T1w and checks that it shows the same image as the visit's T1w.
    """
    own = root / visit_folder(person, visit)
    whole = root / visit_folder(person, "")
    return whole if not own.is_dir() and whole.is_dir() and not any(whole.glob("ses-*")) else own


def no_dicom(folder: Path) -> str:
    """Reason why a visit has no DICOM output: `folder` does not exist. Empty if it does."""
    if folder.is_dir():
        return ""
    return f"The DICOM series of the T1w is missing: there is no {'/'.join(folder.parts[-3:])}."
