"""Writing digital patients as a BIDS dataset: raw MRI with sidecars, masks and PET as derivatives."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from .. import RESEARCH_USE, SIMULATED, __version__
from ..case import Case
from ..errors import BadInput
from ..files import PARTIAL_SUFFIX, atomic_path, read_json, write_json, write_text
from .noise_ceiling import lesion_means
from .patient import Person

GENERATOR = "MyelinSynth digital patient"
DERIVATIVES = Path("derivatives") / "myelinsynth-phantom"
SEQUENCE_NAMES = {
    "mprage": ("GR", "MPRAGE"),
    "spoiled": ("GR", "Spoiled gradient echo"),
    "spin_echo": ("SE", "Spin echo"),
    "flair": ("SE\\IR", "Inversion-recovery turbo spin echo"),
}
MASKS = {
    "brain": "desc-brain_mask",
    "lesions": "label-lesion_mask",
    "white_matter": "label-WM_mask",
    "grey_matter": "label-GM_mask",
}
MAPS = {"dvr": "trc-PiB_stat-dvr_desc-measured_mimap", "dvr_clean": "trc-PiB_stat-dvr_desc-noisefree_mimap"}
README = f"""{SIMULATED}. {RESEARCH_USE}

Digital patients made by MyelinSynth {__version__}: nobody in this dataset exists. T1w and FLAIR are raw images in
arbitrary units without skull; derivatives/myelinsynth-phantom holds masks, the [11C]PiB distribution volume ratio as
the digital scanner measured it (desc-measured) and without noise (desc-noisefree), and the cohort's noise ceiling.
Anatomy: ICBM152 2009a template (Fonov et al. 2009), deformed per person.
"""
COLUMNS = {
    "group": {
        "Description": "Digital patient with multiple sclerosis or healthy control",
        "Levels": {"patient": "multiple sclerosis", "control": "healthy"},
    },
    "site": {"Description": "Digital site: A, B, or R (every visit its own protocol)"},
    "age": {"Description": "Age at the first visit", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "simulated": {"Description": "Whether the person is simulated; always true here"},
}


def prepare_dataset(out: Path, settings: dict[str, Any], people: list[tuple[str, Person]], visits: int) -> None:
    """Write what describes the dataset, and clear what an earlier run with other settings or a killed run left.

    Raises BadInput where `out` cannot be written or holds something else.
    """
    description = out / "dataset_description.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        occupied = any(out.iterdir())
        with atomic_path(out / ".writable"):
            pass
        (out / ".writable").unlink()
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"Cannot write to {out}: {reason}. Choose another output folder.") from error
    if occupied:
        made = read_json(description).get("GeneratedBy", [{}]) if description.is_file() else [{}]
        if made[0].get("Name") != GENERATOR and not _only_partial(out):
            raise BadInput(f"{out} is not empty and holds no digital cohort. Choose an empty output folder.")
    raw = _description("Digital MS patients (simulated)", "raw", settings)
    same = description.is_file() and read_json(description) == raw
    _clear(out, {label: visits for label, _ in people} if same else {})
    write_json(description, raw)
    write_json(
        out / DERIVATIVES / "dataset_description.json",
        _description("Truth and PET of the digital MS patients (simulated)", "derivative", settings),
    )
    write_text(out / "README", README)
    _write_participants(out, people)


def _only_partial(out: Path) -> bool:
    """Whether a run that was killed at its very beginning left nothing but its temporary files."""
    return all(path.name == ".writable" or PARTIAL_SUFFIX in path.name for path in out.iterdir())


def _clear(out: Path, kept: dict[str, int]) -> None:
    """Remove what an earlier run left, but for the first `kept[label]` visits of each person named there."""
    for place in (out, out / DERIVATIVES):
        for session in place.glob("sub-*/ses-*"):
            if int(session.name[4:]) > kept.get(session.parent.name[4:], 0):
                shutil.rmtree(session)
        for person in place.glob("sub-*"):
            if not any(person.iterdir()):
                person.rmdir()
    for stray in out.rglob(f".*{PARTIAL_SUFFIX}*"):
        stray.unlink()
    (out / DERIVATIVES / "noise_ceiling.json").unlink(missing_ok=True)


def _description(name: str, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
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
                "Description": f"{SIMULATED}. {RESEARCH_USE} Settings: {json.dumps(settings)}",
            }
        ],
    }


def _write_participants(out: Path, people: list[tuple[str, Person]]) -> None:
    lines = ["\t".join(["participant_id", *COLUMNS])]
    for label, person in people:
        group = "patient" if person.patient else "control"
        lines.append(f"sub-{label}\t{group}\t{person.site}\t{person.age}\t{person.sex}\ttrue")
    write_text(out / "participants.tsv", "\n".join(lines) + "\n")
    write_json(out / "participants.json", COLUMNS)


def statistics_path(out: Path, label: str, visit: int) -> Path:
    """The file written last for a visit: it says with which settings the visit was made, and its lesions' means."""
    stem = f"sub-{label}_ses-{visit}"
    return (
        out
        / DERIVATIVES
        / f"sub-{label}"
        / f"ses-{visit}"
        / "pet"
        / f"{stem}_space-T1w_trc-PiB_desc-lesions_stats.json"
    )


def read_finished(out: Path, label: str, visit: int, settings: dict[str, Any]) -> list[dict[str, float]] | None:
    """Lesion means of a visit that an earlier run with the same settings finished, else None."""
    path = statistics_path(out, label, visit)
    if not path.is_file():
        return None
    found = read_json(path)
    return found["lesions"] if found.get("settings") == settings else None


def write_visit(out: Path, case: Case, settings: dict[str, Any]) -> list[dict[str, float]]:
    """Write one visit, every file whole or not at all; returns its lesion means."""
    session = Path(f"sub-{case.person}") / f"ses-{case.visit}"
    finished = statistics_path(out, case.person, int(case.visit))
    finished.unlink(missing_ok=True)
    for name, suffix in (("t1w", "T1w"), ("flair", "FLAIR")):
        stem = out / session / "anat" / f"{case.label}_{suffix}"
        write_nifti(stem.with_suffix(".nii.gz"), case.volumes[name], case.affine)
        write_json(stem.with_suffix(".json"), _mri_sidecar(case, name))
    for name, suffix in MASKS.items():
        path = out / DERIVATIVES / session / "anat" / f"{case.label}_space-T1w_{suffix}.nii.gz"
        write_nifti(path, case.volumes[name].astype(np.uint8), case.affine)
    for name, suffix in MAPS.items():
        stem = out / DERIVATIVES / session / "pet" / f"{case.label}_space-T1w_{suffix}"
        write_nifti(stem.with_suffix(".nii.gz"), case.volumes[name], case.affine)
        write_json(stem.with_suffix(".json"), _pet_sidecar(case, name))
    rows = lesion_means(case.volumes["lesions"], case.volumes["dvr"], case.volumes["dvr_clean"], case.voxel_volume)
    write_json(finished, {"settings": settings, "lesions": rows})
    return rows


def _mri_sidecar(case: Case, name: str) -> dict[str, Any]:
    protocol = case.info["protocol"]
    sequence = protocol[name]
    scanning, title = SEQUENCE_NAMES[sequence["kind"]]
    sidecar = {
        "Simulated": True,
        "Manufacturer": "MyelinSynth (simulated)",
        "MagneticFieldStrength": protocol["field_strength"],
        "ScanningSequence": scanning,
        "PulseSequenceDetails": title,
        "RepetitionTime": sequence["repetition"] / 1000.0,
        "EchoTime": sequence["echo"] / 1000.0,
        "FlipAngle": sequence["flip"],
        "SliceThickness": sequence["thickness"],
        "SliceAxis": "ijk"[sequence["slice_axis"]],
        "InPlaneResolution": sequence["in_plane"],
        "NoiseLevel": sequence["noise"],
        "BiasLevel": sequence["bias"],
        "SkullStripped": True,
    }
    if sequence["inversion"]:
        sidecar["InversionTime"] = sequence["inversion"] / 1000.0
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in sidecar.items()}


def _pet_sidecar(case: Case, name: str) -> dict[str, Any]:
    noisy = name == "dvr"
    return {
        "Simulated": True,
        "Tracer": "[11C]PiB",
        "Units": "unitless",
        "Measure": "distribution volume ratio",
        "ResolutionFWHM": case.info["pet"]["fwhm_mm"],
        "Noise": noisy,
        "SkullStripped": True,
    }


def write_nifti(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write .nii.gz atomically and without a date, so that the same data are the same bytes. Units: mm."""
    import nibabel

    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    content = gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
