"""Write simulated patients as a BIDS dataset: raw MRI with sidecars, masks and PET as derivatives."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import RESEARCH_USE, SIMULATED, __version__
from ..data.case import Case
from ..runtime.files import atomic_path, read_json, write_json, write_text
from .noise_ceiling import MINIMUM_MM3
from .sidecars import sidecar

GENERATOR = "MyelinSynth digital patient"
SETTINGS_MARK = "Settings: "
DERIVATIVES = Path("derivatives") / "myelinsynth-phantom"
MASKS = {
    "brain": "desc-brain_mask",
    "lesions": "label-lesion_mask",
    "enhancing": "label-enhancing_mask",
    "white_matter": "label-WM_mask",
    "grey_matter": "label-GM_mask",
}
# Volume -> where it lies below OUT or below DERIVATIVES, and the end of its name
RAW = {"t1w": "T1w", "flair": "FLAIR", "t2w": "T2w", "t1ce_low": "ce-lowdose_T1w", "t1ce": "ce-gadolinium_T1w"}
DERIVED = {
    "mtr": ("anat", "space-T1w_MTRmap"),
    "fa": ("dwi", "space-T1w_model-DTI_param-FA_dwimap"),
    "rd": ("dwi", "space-T1w_model-DTI_param-RD_dwimap"),
    "ad": ("dwi", "space-T1w_model-DTI_param-AD_dwimap"),
    "adc": ("dwi", "space-T1w_param-ADC_dwimap"),
}
TUMOUR = "space-T1w_desc-tumour_dseg"
MAPS = {"dvr": "trc-PiB_stat-dvr_desc-measured_mimap", "dvr_clean": "trc-PiB_stat-dvr_desc-noisefree_mimap"}
TRUTH = "space-T1w_desc-truth_param-myelinloss_map"
LESION_TRUTH = "space-T1w_desc-truth_lesions"
# Columns of its table; class: see lesion_classes.py; losses, water and cavity: means over the lesion, 0 to 1
TRUTH_COLUMNS = (
    *("id", "volume_mm3", "x_mm", "y_mm", "z_mm", "class", "myelin_loss", "axonal_loss", "water", "cavity"),
    *("dvr_noisefree", "dvr_measured"),
)
README = f"""{SIMULATED}. {RESEARCH_USE}

Digital people made by MyelinSynth {__version__}: nobody in this dataset exists. T1w, FLAIR, T2w and T1w after
gadolinium (ce-lowdose: a quarter of the dose) are raw images in arbitrary units without skull, on one grid.
derivatives/myelinsynth-phantom holds masks (label-lesion: MS lesions, white matter hyperintensities, or a whole
tumour), maps (MTR in percent; FA; RD, AD and ADC in um2/ms), the [11C]PiB distribution volume ratio as the digital
scanner measured it (desc-measured) and without noise (desc-noisefree), the share of myelin that each lesional voxel
has lost (param-myelinloss, 0 to 1), a table of the true state of every lesion (desc-truth_lesions), and the cohort's
noise and information ceilings, each where it was asked for. Masks are drawn as by a rater, a little off the truth.
label-enhancing is the part of a tumour that enhances. Anatomy: ICBM152 2009a template (Fonov et al. 2009), deformed
per person.
"""


def description(name: str, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Content of dataset_description.json of a simulated dataset; kind: raw or derivative."""
    return {
        "Name": name,
        "BIDSVersion": "1.9.0",
        "DatasetType": kind,
        "License": "CC0",
        "Authors": ["MyelinSynth"],
        "GeneratedBy": [
            {
                "Name": GENERATOR,
                "Version": __version__,
                "Description": f"{SIMULATED}. {RESEARCH_USE} {SETTINGS_MARK}{json.dumps(settings)}",
            }
        ],
    }


def statistics_path(out: Path, label: str, visit: int, settings: dict[str, Any]) -> Path:
    """Path of the file that is written last for a visit: settings of the simulation, and lesion means."""
    folder, tracer = ("pet", "trc-PiB_") if "dvr" in settings["contrasts"] else ("anat", "")
    name = f"sub-{label}_ses-{visit}_space-T1w_{tracer}desc-lesions_stats.json"
    return out / DERIVATIVES / f"sub-{label}" / f"ses-{visit}" / folder / name


def read_finished(out: Path, label: str, visit: int, settings: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Lesion means of a visit that an earlier run with the same settings finished, else None."""
    path = statistics_path(out, label, visit, settings)
    if not path.is_file():
        return None
    content = read_json(path)
    return content["lesions"] if content.get("settings") == settings else None


def write_bids_visit(
    out: Path, case: Case, settings: dict[str, Any], truth: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Write one visit, every file whole or not at all.

    Args:
        truth: rows of `evaluation.lesion_truth`, one per lesion.

    Returns:
        Its lesions of 50 mm3 or more (none without a DVR).
    """
    session = Path(f"sub-{case.person}") / f"ses-{case.visit}"
    derived = out / DERIVATIVES / session
    finished = statistics_path(out, case.person, int(case.visit), settings)
    finished.unlink(missing_ok=True)
    for name, ending in RAW.items():
        _write_image(out / session / "anat" / f"{case.label}_{ending}", case, name)
    for name, (folder, ending) in DERIVED.items():
        _write_image(derived / folder / f"{case.label}_{ending}", case, name)
    for name, ending in MASKS.items():
        if name in case.volumes:  # a tumour alone has a part that enhances
            path = derived / "anat" / f"{case.label}_space-T1w_{ending}.nii.gz"
            write_nifti(path, case.volumes[name].astype(np.uint8), case.affine)
    if "tumour" in case.volumes:
        write_nifti(derived / "anat" / f"{case.label}_{TUMOUR}.nii.gz", case.volumes["tumour"], case.affine)
    for name, ending in MAPS.items():
        _write_image(derived / "pet" / f"{case.label}_space-T1w_{ending}", case, name)
    _write_image(derived / "anat" / f"{case.label}_{TRUTH}", case, "myelin_loss")
    rows: list[dict[str, Any]] = []
    if "dvr" in case.volumes:
        _write_truth(derived / "anat" / f"{case.label}_{LESION_TRUTH}.tsv", truth)
        hidden = {*TRUTH_COLUMNS} - {"id", "volume_mm3", "class", "myelin_loss"}
        large = [row for row in truth if row["volume_mm3"] >= MINIMUM_MM3]
        rows = [
            {"person": case.person, "visit": case.visit} | {k: v for k, v in row.items() if k not in hidden}
            for row in large
        ]
    write_json(finished, {"settings": settings, "lesions": rows})
    return rows


def _write_truth(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    lines = ["\t".join(TRUTH_COLUMNS), *("\t".join(str(row[name]) for name in TRUTH_COLUMNS) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def _write_image(stem: Path, case: Case, name: str) -> None:
    """Image and sidecar of a volume, where the case has it."""
    if name in case.volumes:
        write_nifti(stem.with_suffix(".nii.gz"), case.volumes[name], case.affine)
        write_json(stem.with_suffix(".json"), sidecar(case, name))


def write_nifti(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write .nii.gz atomically and without a date, so that the same data give identical files. Units: mm.

    Args:
        data: (I, J, K).
        affine: 4x4, voxel -> world.
    """
    import nibabel

    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    content = gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
