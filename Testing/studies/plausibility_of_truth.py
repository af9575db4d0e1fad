"""Would a perfect map pass the plausibility checks? Digital people, whose true DVR is known, go the way of a patient.

    python -m Testing.studies.plausibility_of_truth --work WORK --sites ABR --people 4

MRI of 1 mm is read, registered and segmented as in `synthesize`, with the true outlines. The five checks then judge the
synthetic map, the noise-free truth at the resolution of PET, and the noisy measured PET with the same tissue masks:
what the truth does not pass cannot be asked of a map. WORK keeps the simulated people.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from Testing.studies.patients_way import MINIMUM_MM3, options, people_of
from TrainingCore.data.bundle import Bundle
from TrainingCore.data.visit import Visit
from TrainingCore.evaluation.lesions import surrounding_nawm_mean
from TrainingCore.evaluation.plausibility import Finding, plausibility, pooled
from TrainingCore.imaging.labelling import mean_by_label
from TrainingCore.imaging.reading import read_named
from TrainingCore.imaging.volumes import resample
from TrainingCore.patient.clock import Clock
from TrainingCore.patient.inputs import read_patient
from TrainingCore.patient.pipeline import prepare_patient
from TrainingCore.patient.synthesis import Findings, synthesize_prepared
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.runtime.cli import Progress

MAPS = {"synthetic": "synthetic map", "dvr_clean": "noise-free truth", "dvr": "measured PET"}


def main() -> int:
    """Simulate, judge, print."""
    chosen = options(__doc__, "ABR", 4, 20261207).parse_args()
    model = TrainedModel.load(Bundle.open(chosen.model), "cpu")
    people: dict[str, list[list[Finding]]] = {name: [] for name in MAPS}
    gaps: list[dict[str, float]] = []
    for site in chosen.sites:
        for visit in people_of(site, chosen, ("t1w", "flair", "lesions", "dvr", "dvr_clean")):
            maps, found = _maps(visit, model)
            for name, image in maps.items():
                people[name].append(_checks(image, found))
            gaps += _gaps(maps, found)
            print(visit.label, {name: people[name][-1][1].value for name in MAPS}, flush=True)
    _print(people, gaps)
    return 0


def _maps(visit: Visit, model: TrainedModel) -> tuple[dict[str, np.ndarray], Findings]:
    """The synthetic map as `synthesize` makes it, and truth and PET on its grid."""
    patient = read_patient({name: visit.files[name] for name in ("t1w", "flair", "lesions")}, model.bundle)
    clock = Clock(Progress("none"))
    with threadpool_limits(limits=1):
        found = synthesize_prepared(prepare_patient(patient, clock), model, clock)
    grid = found.prepared.reference
    maps = {"synthetic": found.dvr}
    for name in ("dvr_clean", "dvr"):
        image = resample(read_named(visit.files[name], name), found.dvr.shape, grid.affine)
        maps[name] = np.where(found.brain.mask, image, 0)
    return maps, found


def _checks(image: np.ndarray, found: Findings) -> list[Finding]:
    grid, ventricles = found.prepared.reference, None if found.regions is None else found.regions.ventricles
    return plausibility(image, found.labels, found.tissues, grid.affine, grid.data, ventricles)


def _gaps(maps: dict[str, np.ndarray], found: Findings) -> list[dict[str, float]]:
    """Of every lesion that is large enough: mean DVR less that of the white matter around it, near and deep."""
    rows: list[dict[str, float]] = [{"volume_mm3": row["volume_mm3"]} for row in found.rows]
    affine = found.prepared.reference.affine
    for name, image in maps.items():
        means = mean_by_label(found.labels, image)
        for kind in ("white_matter", "nawm"):
            around = surrounding_nawm_mean(found.labels, found.tissues[kind], image, affine)
            for row, measured in zip(rows, found.rows):
                row[f"{name}_{kind}"] = float(means[measured["id"]] - around[measured["id"] - 1])
    return [row for row in rows if row["volume_mm3"] >= MINIMUM_MM3]


def _print(people: dict[str, list[list[Finding]]], gaps: list[dict[str, Any]]) -> None:
    for name, title in MAPS.items():
        print(f"\n{title}")
        for row in pooled(people[name]):
            mean = "-" if row["mean"] is None else f"{row['mean']:.3f}"
            print(f"  {row['check']}: holds in {row['holds']} of {row['maps']}; mean {mean} ({row['unit']})")
        for kind, around in (
            ("white_matter", "white matter up to its border"),
            ("nawm", "NAWM, 2 mm from other tissue"),
        ):
            own = np.array([gap[f"{name}_{kind}"] for gap in gaps])
            own = own[np.isfinite(own)]
            print(f"  {(own < 0).sum()} of {own.size} lesions of {MINIMUM_MM3:g} mm3 or more are below the {around}")


if __name__ == "__main__":
    raise SystemExit(main())
