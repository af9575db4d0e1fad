"""Small made-up visits (a ball of a brain, white matter, lesions of known DVR): as arrays, as BIDS, and bundles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from TrainingCore.data.bundle import save_bundle
from TrainingCore.data.case import Case
from TrainingCore.imaging.volumes import write_volume

SIZE = 40
SPACING = 3.0


def made_up_case(
    person: str = "A01", visit: str = "1", lesions: int = 6, seed: int = 0, group: str = "patient"
) -> Case:
    """A visit on a 40^3 grid of 3 mm: noisy DVR, noise-free DVR, and MRI that shows part of the deficit."""
    generator = np.random.default_rng([seed, len(person), *map(ord, person + visit)])
    grid = np.stack(np.meshgrid(*[np.arange(SIZE) - SIZE / 2] * 3, indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0))
    brain, white = radius < 17, radius < 12
    lesion, truth = np.zeros(brain.shape, bool), np.where(brain, np.where(white, 1.22, 1.0), 0.0)
    level = generator.normal(0.2, 0.05)
    for centre in generator.uniform(-8, 8, (lesions, 3)):
        here = white & (((grid - centre[:, None, None, None]) ** 2).sum(axis=0) < generator.uniform(1.3, 2.5) ** 2)
        lesion |= here
        truth[here] = 1.22 - np.clip(generator.normal(level, 0.06), 0, 0.5)
    clean = gaussian_filter(truth, 0.4)
    noise = gaussian_filter(generator.standard_normal(brain.shape), 0.6) * 0.12
    mri = np.where(brain, 2 * (truth - 1.1) + 0.05 * generator.standard_normal(brain.shape), -1)
    volumes = {
        "t1w": mri.astype(np.float32),
        "flair": np.where(brain, -mri, -1).astype(np.float32),
        "dvr": np.where(brain, clean + noise, 0).astype(np.float32),
        "dvr_clean": np.where(brain, clean, 0).astype(np.float32),
        "lesions": lesion,
        "white_matter": white,
        "grey_matter": brain & ~white,
        "brain": brain,
    }
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = -SPACING * (SIZE - 1) / 2
    return Case(person, visit, volumes, affine, {"group": group, "simulated": "true"})


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    """The factory of made-up visits."""
    return made_up_case


DERIVED = {
    "dvr": "pet/{}_space-T1w_trc-PiB_stat-dvr_desc-measured_mimap",
    "dvr_clean": "pet/{}_space-T1w_trc-PiB_stat-dvr_desc-noisefree_mimap",
    "lesions": "anat/{}_space-T1w_label-lesion_mask",
    "white_matter": "anat/{}_space-T1w_label-WM_mask",
    "grey_matter": "anat/{}_space-T1w_label-GM_mask",
    "brain": "anat/{}_space-T1w_desc-brain_mask",
}


def write_bids(folder: Path, cases: list[Case], without: tuple[str, ...] = ()) -> Path:
    """Write made-up visits as a BIDS dataset with derivatives; MRI becomes positive, as scanners give it."""
    people = {case.person: case.info["group"] for case in cases}
    folder.mkdir(parents=True)
    rows = [f"sub-{person}\t{group}\ttrue\n" for person, group in people.items()]
    (folder / "participants.tsv").write_text("participant_id\tgroup\tsimulated\n" + "".join(rows))
    (folder / "dataset_description.json").write_text(json.dumps({"Name": "made up", "BIDSVersion": "1.9.0"}))
    for case in cases:
        visit = Path(f"sub-{case.person}") / f"ses-{case.visit}"
        for name, suffix in (("t1w", "T1w"), ("flair", "FLAIR")):
            raw = np.where(case.volumes["brain"], 400 + 200 * case.volumes[name], 0)
            write_volume(folder / visit / "anat" / f"{case.label}_{suffix}.nii.gz", raw, case.affine)
        for name, pattern in DERIVED.items():
            if name in case.volumes and name not in without:
                path = folder / "derivatives" / "made-up" / visit / f"{pattern.format(case.label)}.nii.gz"
                write_volume(path, case.volumes[name], case.affine)
    return folder


def write_bundle(folder: Path, system: str, weights: dict[str, Any], **changes: Any) -> Path:
    """Write a bundle for the made-up grid of 40^3 voxels of 3 mm."""
    description = {
        "name": f"made-up {system}",
        "system": system,
        "architecture": {"generator": {"width": 2, "levels": 2, "order": "gcr"}},
        "inputs": ["t1w", "flair"],
        "output": "dvr",
        "intensity": {"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True},
        "grid": {"shape": [SIZE] * 3, "spacing_mm": SPACING},
        "training_data": "nothing, made up for a test",
        "simulated_training_data": True,
        "performance": {},
        "licence": "Apache-2.0",
        "intended_use": "a test",
    }
    save_bundle(folder, description | changes, weights)
    return folder


@pytest.fixture(scope="session")
def bids() -> Callable[..., Path]:
    """Writes made-up visits as BIDS."""
    return write_bids


@pytest.fixture(scope="session")
def bundle() -> Callable[..., Path]:
    """Writes made-up bundles."""
    return write_bundle
