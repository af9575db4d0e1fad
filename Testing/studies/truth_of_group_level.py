"""Does the group level find an association that is there, and none that is not? A digital cohort through bids_app.

    python -m Testing.studies.truth_of_group_level --work WORK --people 60 --size 64

People of digital site B with two visits. `planted` in participants.tsv rises with the true mean lesion DVR of the first
visit (correlation --correlation), `unrelated` is drawn at random, age and sex come from the cohort. Both levels of
bids_app then run as a user runs them. The synthetic maps know the truth in part only, so the association that they can
show is the planted one times their own correlation with the truth, which is printed too. Runs again where it stopped.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from TrainingCore.api import bids_app, simulate
from TrainingCore.evaluation.statistics import weighted_mean
from TrainingCore.phantom.bids import DERIVATIVES
from TrainingCore.runtime.files import read_json, write_text

MINIMUM_MM3 = 50.0


def main() -> int:
    """Simulate, plant, run both levels and say what was found."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", type=Path, required=True)
    options.add_argument("--people", type=int, default=60)
    options.add_argument("--size", type=int, default=64)
    options.add_argument("--seed", type=int, default=6021)
    options.add_argument("--correlation", type=float, default=0.7)
    options.add_argument("--model", default="demonstration")
    options.add_argument("--sessions", nargs="*", default=[], help="only these (default: both)")
    chosen = options.parse_args()
    data, out = chosen.work / "raw", chosen.work / "maps"
    simulate(data, patients=chosen.people, visits=2, site="B", size=chosen.size, seed=chosen.seed, progress="none")
    plant(data, chosen.correlation, chosen.seed)
    bids_app(data, out, "participant", session_label=chosen.sessions, model=chosen.model, n_procs=1, progress="none")
    outcomes, covariates = ["planted", "unrelated"], ["age", "sex"]
    bids_app(data, out, "group", outcome=outcomes, covariate=covariates, progress="none")
    for row in read_json(out / "group_statistics.json")["associations"]:
        numbers = [row[key] for key in ("partial_rho", "partial_low", "partial_high", "p", "q")]
        shown = " ".join("n/a" if number is None else f"{number:.3g}" for number in numbers)
        print(f"{row['measure']:20} {row['outcome']:10} partial rho, 95 %, p, q: {shown}  people {row['people']}")
    print(f"r of synthetic and true mean lesion DVR of people: {agreement(data, out):.2f}")
    return 0


def true_means(data: Path) -> dict[str, float]:
    """True mean lesion DVR (noise-free, by volume) of everybody's first visit."""
    means = {}
    for path in sorted((data / DERIVATIVES).glob("sub-*/ses-1/anat/*truth_lesions.tsv")):
        with open(path, encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        large = [row for row in rows if float(row["volume_mm3"]) >= MINIMUM_MM3] or rows
        volumes = [float(row["volume_mm3"]) for row in large]
        means[path.name.split("_")[0]] = float(weighted_mean([float(row["dvr_noisefree"]) for row in large], volumes))
    return means


def plant(data: Path, correlation: float, seed: int) -> None:
    """Add the columns `planted` and `unrelated` to participants.tsv."""
    random, means = np.random.default_rng(seed), true_means(data)
    truth = np.array(list(means.values()))
    noise, unrelated = random.standard_normal((2, len(truth)))
    planted = correlation * (truth - truth.mean()) / truth.std() + np.sqrt(1 - correlation**2) * noise
    values = dict(zip(means, zip(planted, unrelated)))
    head, *lines = (data / "participants.tsv").read_text(encoding="utf-8").splitlines()
    rows = [f"{head}\tplanted\tunrelated"]
    for line in lines:
        cells = values.get(line.split("\t")[0])
        rows.append(line + ("\tn/a\tn/a" if cells is None else f"\t{cells[0]:.4f}\t{cells[1]:.4f}"))
    write_text(data / "participants.tsv", "\n".join(rows) + "\n")


def agreement(data: Path, out: Path) -> float:
    """Correlation of the first visits' synthetic mean lesion DVR with the true one."""
    means = true_means(data)
    with open(out / "group.tsv", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["session_id"] == "ses-1"]
    pairs = [(means[row["participant_id"]], float(row["lesion_dvr"])) for row in rows if row["lesion_dvr"] != "n/a"]
    return float(np.corrcoef(np.array(pairs).T)[0, 1])


if __name__ == "__main__":
    raise SystemExit(main())
