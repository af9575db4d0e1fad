"""DICOM series from which the T1w of each visit was converted, for the DICOM output of a cohort."""

from __future__ import annotations

from pathlib import Path

from .names import visit_folder

SOURCEDATA = "sourcedata"  # where BIDS keeps what a dataset was converted from


def dicom_of_visit(root: Path, person: str, visit: str) -> Path:
    """Find the DICOM folder of a visit.

    It may hold several series; synthesis selects the T1w and checks that it shows the same image as the visit's T1w.

    Args:
        root: folder with the DICOM of all visits.
        person: label without `sub-`.
        visit: label without `ses-`; empty if there are no sessions.

    Returns:
        `root`/sub-01/ses-1, or `root`/sub-01 if it has no session folders; it may not exist.
    """
    own = root / visit_folder(person, visit)
    whole = root / visit_folder(person, "")
    return whole if not own.is_dir() and whole.is_dir() and not any(whole.glob("ses-*")) else own


def no_dicom(folder: Path) -> str:
    """Explain why a visit has no DICOM output.

    Args:
        folder: DICOM folder of the visit.

    Returns:
        One sentence; empty if the folder exists.
    """
    if folder.is_dir():
        return ""
    return f"The DICOM series of the T1w is missing: there is no {'/'.join(folder.parts[-3:])}."
