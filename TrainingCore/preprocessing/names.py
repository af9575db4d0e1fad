"""File names of a prepared visit: BIDS derivatives that the cohort reader recognises."""

from __future__ import annotations

from pathlib import Path

from ..data.case import label_of

FOLDERS = {"dvr": "pet", "dvr_clean": "pet", "fa": "dwi", "rd": "dwi", "ad": "dwi", "adc": "dwi"}
ENDINGS = {
    "t1w": "desc-preproc_T1w",
    "flair": "desc-preproc_FLAIR",
    "t2w": "desc-preproc_T2w",
    "t1ce": "ce-gadolinium_space-{space}_desc-preproc_T1w",
    "t1ce_low": "ce-lowdose_space-{space}_desc-preproc_T1w",
    "mtr": "desc-preproc_MTRmap",
    "fa": "param-fa_desc-preproc_dwimap",
    "rd": "param-rd_desc-preproc_dwimap",
    "ad": "param-ad_desc-preproc_dwimap",
    "adc": "param-adc_desc-preproc_dwimap",
    "dvr": "stat-dvr_desc-measured_mimap",
    "dvr_clean": "stat-dvr_desc-noisefree_mimap",
    "brain": "desc-brain_mask",
    "lesions": "label-lesion_mask",
    "lesion_shares": "label-lesion_probseg",
    "white_matter": "label-WM_mask",
    "grey_matter": "label-GM_mask",
    "csf": "label-CSF_mask",
    "nawm": "label-NAWM_mask",
}
RECORD_ENDING = "desc-preproc_record.json"
FIGURES = "figures"


def folder(person: str, visit: str) -> Path:
    """Return the folder of a visit, relative to the dataset.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; may be empty.
    """
    return Path(f"sub-{person}", f"ses-{visit}") if visit else Path(f"sub-{person}")


def volume_path(person: str, visit: str, name: str, space: str) -> Path:
    """Return the path of a volume, relative to the dataset.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; may be empty.
        name: volume name, a key of ENDINGS.
        space: `T1w`, `PET` or the BIDS name of another reference image.
    """
    ending = ENDINGS[name] if "{space}" in ENDINGS[name] else "space-{space}_" + ENDINGS[name]
    file = f"{label_of(person, visit)}_{ending.format(space=space)}.nii.gz"
    return folder(person, visit) / FOLDERS.get(name, "anat") / file


def transform_path(person: str, visit: str, name: str, space: str) -> Path:
    """Return the path of the transform that resamples an image into `space`, relative to the dataset.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; may be empty.
        name: volume name of the image.
        space: output space; as in ITK, the transform maps points of `space` to points of the image.
    """
    source = {"t1w": "T1w", "flair": "FLAIR", "t2w": "T2w", "dvr": "PET"}.get(name, name.replace("_", "").upper())
    stem = label_of(person, visit)
    return folder(person, visit) / "anat" / f"{stem}_from-{source}_to-{space}_mode-image_xfm.tfm"


def lesion_table_path(person: str, visit: str, space: str) -> Path:
    """Return the path of the table of lesion volumes and centres, relative to the dataset.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; may be empty.
        space: output space.
    """
    return folder(person, visit) / "anat" / f"{label_of(person, visit)}_space-{space}_label-lesion_morph.tsv"


def record_path(person: str, visit: str) -> Path:
    """Return the path of a visit's record, relative to the dataset; it is written last and marks the visit as complete.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; may be empty.
    """
    return folder(person, visit) / "anat" / f"{label_of(person, visit)}_{RECORD_ENDING}"


def figure_path(person: str, visit: str) -> Path:
    """Return the path of a visit's picture on the quality-control page, relative to the dataset.

    Args:
        person: label without `sub-`.
        visit: label without `ses-`; may be empty.
    """
    return Path(FIGURES) / f"{label_of(person, visit)}.jpg"
