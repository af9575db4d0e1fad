"""One training of the study and its measurement.

Killed at any moment it continues from its last whole epoch. When it is done, `result.json` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from TrainingCore.data.bundle import Bundle
from TrainingCore.data.cohort import Cohort
from TrainingCore.data.run import Run
from TrainingCore.evaluation.lesion_geometry import GEOMETRY
from TrainingCore.experiments.evaluation import Candidate, common_task_of, measure_candidates
from TrainingCore.runtime.files import read_json, write_json
from TrainingCore.train import train

from .cohorts import TRAIN
from .protocol import BUNDLES, read_protocol

GAME = ("gradient_ratio", "weight_adversarial", "rate_D", "D_real", "D_fake")
COLUMNS = ("volume_mm3", "mean_dvr", "measured_mean_dvr", "clean_mean_dvr", "myelin_loss")
SHARES = ("lesion_share_lesion_patches", "lesion_share_random_patches")


def run_folder(study: Path, arm: str, seed: int) -> Path:
    """Where one training of a study lives."""
    return study / "runs" / arm / f"seed-{seed}"


def result_of(study: Path, arm: str, seed: int) -> dict[str, Any] | None:
    """What a finished training measured, None while it is not finished."""
    path = run_folder(study, arm, seed) / "result.json"
    if not path.is_file():
        return None
    result: dict[str, Any] = read_json(path)
    return result


def train_and_measure(study: Path, arm: str, seed: int, cohort: str) -> None:
    """Train one arm with one seed on site A, measure its last and best epoch on a cohort, and write result.json."""
    protocol, out = read_protocol(study), run_folder(study, arm, seed)
    recipe, changes = protocol.recipe(arm, seed)
    run = train(
        out,
        data=study / "cohorts" / TRAIN,
        recipe=recipe,
        changes=changes,
        resume=True,
        device="cpu",
        threads=1,
        progress="none",
    )
    bundles = {which: Bundle.open(run.bundle_path(which)) for which in BUNDLES}
    result = {
        "arm": arm,
        "seed": seed,
        "measured_on": cohort,
        "versions": run.facts["versions"],
        "epochs": {which: bundle.description["performance"].get("epoch") for which, bundle in bundles.items()},
        "weights_sha256": {which: bundle.sha256 for which, bundle in bundles.items()},
        "seconds": round(sum(entry["seconds"] for entry in run.log())),
        "game": _game(run),
        "lesions": _lesions(bundles, study / "cohorts" / cohort),
    }
    write_json(out / "result.json", result)


def _lesions(bundles: dict[str, Bundle], cohort: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of all lesions of the cohort, by bundle."""
    candidates = [Candidate(which, bundle) for which, bundle in bundles.items()]
    for candidate in candidates:
        candidate.load("cpu")
    measured = measure_candidates(candidates, common_task_of(candidates), Cohort.read(cohort), False, lambda *_: None)
    return {which: [_kept(row) for row in rows["lesions"]] for which, rows in measured.rows.items()}


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    """What the endpoints need of a lesion, a tenth of all its columns."""
    geometry = [name for name in row if name.startswith(GEOMETRY)]
    return {name: row[name] for name in ("person", "visit", "id", *COLUMNS, *geometry) if name in row}


def _game(run: Run) -> dict[str, Any]:
    """Means over the epochs of what the discriminator did, and the lesion shares of both kinds of patches."""
    log = run.log()
    means = {key: _mean(log, key) for key in (*GAME, *SHARES)}
    thirds = [part.tolist() for part in np.array_split(np.arange(len(log)), 3) if len(part)]
    ratios = [_mean([log[index] for index in part], "gradient_ratio") for part in thirds]
    return means | {"gradient_ratio_by_third": ratios}


def _mean(log: Sequence[dict[str, Any]], key: str) -> float | None:
    values = [entry[key] for entry in log if key in entry]
    return round(float(np.mean(values)), 5) if values else None
