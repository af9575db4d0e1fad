"""What a lesion table knows of true myelin: simulated people go the way of a patient, with drawn and found lesions.

    python -m Testing.studies.true_myelin_of_patients --work WORK --sites ABRC --people 6 [--masks FOLDER]

`evaluate` has the true masks of the tissues and one grid. Here MRI of 1 mm is read, registered, corrected and segmented
as in `synthesize`. For each lesion of 50 mm3 or more, the true loss of myelin is compared with the mean DVR, its ratio
corrected for blur, the contrast in T1w alone, and the estimated loss. Found lesions are those of the lesion finder that
lie in drawn ones by at least half; their true loss is that of the part inside. WORK keeps the simulated people.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from Testing.studies.patients_way import MINIMUM_MM3, options, people_of
from TrainingCore.data.bundle import LESION_FINDER, Bundle
from TrainingCore.data.participants import SHAPES_OF
from TrainingCore.data.visit import Visit
from TrainingCore.evaluation.statistics import clusters, correlation_with_interval
from TrainingCore.imaging.labelling import at_least, mean_by_label
from TrainingCore.imaging.reading import read_named
from TrainingCore.imaging.volumes import Volume, resample
from TrainingCore.patient.clock import Clock
from TrainingCore.patient.inputs import read_patient
from TrainingCore.patient.lesion_finding import finder_of
from TrainingCore.patient.pipeline import prepare_patient
from TrainingCore.patient.synthesis import synthesize_prepared
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.runtime.cli import Progress

LEAST_OVERLAP = 0.5  # share of a found lesion in drawn ones (ours)
SIGNS = {"mean_dvr": -1, "corrected_ratio": -1, "t1w_contrast": -1, "estimated_loss": 1}


def main() -> int:
    """Simulate, synthesize, compare, print."""
    parser = options(__doc__, "ABRC", 6, 20261208)
    parser.add_argument("--masks", type=Path, help="real lesion masks in MNI space for their lesions")
    chosen = parser.parse_args()
    model = TrainedModel.load(Bundle.open(chosen.model), "cpu")
    print("| site, outlines, lesions | " + " | ".join(SIGNS) + " |", "|---" * 5 + "|", sep="\n")
    for site in chosen.sites:
        visits = list(people_of(site, chosen, ("t1w", "flair", "lesions", "myelin_loss"), chosen.masks))
        for found in (False, True):
            rows = [row for visit in visits for row in lesions_of(visit, model, found)]
            print(line(f"{site}, {'found' if found else 'drawn'}", rows), flush=True)
    return 0


def lesions_of(visit: Visit, model: TrainedModel, found: bool) -> list[dict[str, Any]]:
    """The lesion table of one person, with `true_loss` and `person`, without what is no lesion or too small."""
    given = ("t1w", "flair") if found else ("t1w", "flair", "lesions")
    patient = read_patient({name: visit.files[name] for name in given}, model.bundle)
    clock = Clock(Progress("none"))
    finder = finder_of(Bundle.open(LESION_FINDER), "cpu") if found else None
    with threadpool_limits(limits=1):
        result = synthesize_prepared(prepare_patient(patient, clock, find_lesions=finder), model, clock)
    grid = result.prepared.reference
    drawn, loss = (on_grid_of(visit, name, grid) for name in ("lesions", "myelin_loss"))
    inside = drawn > 0.5
    share = mean_by_label(result.labels, inside.astype(float))
    true = mean_by_label(np.where(inside, result.labels, 0), loss, len(share) - 1)
    return [
        row | {"person": visit.person, SHAPES_OF: visit.info.get(SHAPES_OF), "true_loss": float(true[row["id"]])}
        for row in result.rows
        if at_least(row["volume_mm3"], MINIMUM_MM3) and share[row["id"]] >= LEAST_OVERLAP
    ]


def on_grid_of(visit: Visit, name: str, grid: Volume) -> np.ndarray:
    """A truth of the visit on the grid of the T1w."""
    return resample(read_named(visit.files[name], name), grid.data.shape, grid.affine)


def line(title: str, rows: list[dict[str, Any]]) -> str:
    """One line of the table: r of the true loss with each column on the same lesions, interval by person or mask."""
    cells = []
    known = [row for row in rows if np.isfinite(row["true_loss"]) and None not in map(row.get, SIGNS)]
    for name, sign in SIGNS.items():
        truth, values = (np.array([row[key] for row in known], float) for key in ("true_loss", name))
        r = correlation_with_interval(truth, sign * values, clusters(known))
        ends = "" if r["r_low"] is None else f" [{r['r_low']:.2f}, {r['r_high']:.2f}]"
        cells.append("-" if r["r"] is None else f"{r['r']:.2f}{ends}")
    return f"| {title}, {len(known)} | {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
