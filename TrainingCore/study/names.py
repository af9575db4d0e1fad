"""File names of a visit in the derivatives of `bids_app`.

PET names follow PET-BIDS, with `desc-synthetic` to distinguish synthetic from measured maps.
"""

from __future__ import annotations

from pathlib import Path

from ..data import result
from ..data.case import label_of

RESULTS = "results"  # folder of the complete Result folders, which Slicer opens
CHANGES = "change"  # folder of the comparisons of sessions
# File of a Result -> folder and name below sub-*/ses-*
BIDS_NAMES = {
    result.DVR: ("pet", "space-T1w_trc-PiB_desc-synthetic_stat-dvr_mimap.nii.gz"),
    result.UNCERTAINTY: ("pet", "space-T1w_trc-PiB_desc-synthetic_stat-dvrsd_mimap.nii.gz"),
    result.BRAIN: ("anat", "space-T1w_desc-brain_mask.nii.gz"),
    result.NAWM: ("anat", "space-T1w_label-NAWM_mask.nii.gz"),
    result.LESION_LABELS: ("anat", "space-T1w_desc-lesions_dseg.nii.gz"),
    result.LESION_PROBABILITY: ("anat", "space-T1w_label-lesion_probseg.nii.gz"),
    result.TRANSFORM: ("anat", "from-FLAIR_to-T1w_mode-image_xfm.tfm"),
}
IMAGES = {name for name in BIDS_NAMES if name.endswith(".nii.gz")}
TABLE = ("anat", "space-T1w_desc-lesions_morph.tsv")  # lesions.csv as BIDS has it


def visit_folder(person: str, visit: str) -> Path:
    """Folder of a visit below the dataset.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; empty if there are no sessions.

    Returns:
        Relative path.
    """
    return Path(f"sub-{person}", f"ses-{visit}") if visit else Path(f"sub-{person}")


def bids_path(person: str, visit: str, location: tuple[str, str]) -> Path:
    """Path of a file of a visit below the dataset.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; empty if there are no sessions.
        location: folder (`anat`, `pet`) and end of the file name.

    Returns:
        Relative path.
    """
    folder, ending = location
    return visit_folder(person, visit) / folder / f"{label_of(person, visit)}_{ending}"


def result_path(person: str, visit: str) -> Path:
    """Complete Result folder of a visit below the dataset.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; empty if there are no sessions.

    Returns:
        Relative path.
    """
    return Path(RESULTS) / label_of(person, visit)


def result_record_path(person: str, visit: str) -> Path:
    """Record of a visit, which is written last: with it, the visit is complete.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; empty if there are no sessions.

    Returns:
        Relative path.
    """
    return bids_path(person, visit, ("anat", "desc-synthetic_record.json"))
