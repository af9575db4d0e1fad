"""Does the synthetic map show what changed between two visits? Digital people, whose true change is known.

    python -m Testing.studies.change_on_digital_people --work WORK --people 16 --out DIR

Per cohort (site A, site B, first visit on A's scanner and second on B's): correlation of the true change of lesion DVR
with that of the synthetic maps, and the share of changed lesions detected at 5 % false alarms, beside what regressions
make of the changes of T1w and FLAIR alone (each person predicted from the others). Writes change.json and change.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from Testing.studies.two_visits import MRI, Cohort, measured, options, prepared
from TrainingCore.data.bundle import Bundle
from TrainingCore.evaluation.information import cross_validated
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.runtime.files import write_json, write_text
from TrainingCore.study.lesion_matching import GONE, NEW
from TrainingCore.study.repeatability import Repeatability

MINIMUM_MM3 = 50.0  # Soulier et al. 2024 leave out smaller lesions
CHANGED, UNCHANGED = 0.10, 0.02  # DVR: a lesion that truly changed, one that did not; between them neither (ours)
ALARMS = 0.05
DRAWS = 1000
WHERE = {
    "site A": ("A", ""),
    "site B": ("B", ""),
    "scanner A, then B": ("A", "AB"),
}


def main() -> int:
    """Measure every cohort and write the tables."""
    parser = options(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for change.json and change.md")
    parser.add_argument("--rescanned", type=int, default=6, help="people of each cohort scanned twice without a change")
    chosen = parser.parse_args()
    model = TrainedModel.load(Bundle.open(chosen.model), "cpu")
    known = model.bundle.description.get("repeatability")
    found: dict[str, Any] = {}
    for title, (site, scanners) in WHERE.items():
        rows = _lesions(Cohort(site, scanners, True, chosen.people, chosen.seed + 1), chosen.work, model)
        still = _lesions(Cohort(site, scanners, False, chosen.rescanned, chosen.seed), chosen.work, model)
        found[title] = _judge(rows, still, Repeatability.from_json(known) if known else None)
        print(title, found[title], flush=True)
    chosen.out.mkdir(parents=True, exist_ok=True)
    write_json(chosen.out / "change.json", {"model": model.bundle.sha256, "cohorts": found})
    write_text(chosen.out / "change.md", _table(found))
    print(_table(found))
    return 0


def _lesions(cohort: Cohort, work: Path, model: TrainedModel) -> list[dict[str, Any]]:
    rows = [row for kept in prepared(cohort, work) for row in measured(kept, model)[0]]
    return [row for row in rows if row["volume_mm3"] >= MINIMUM_MM3 and np.isfinite(row["true_before"])]


def _judge(
    rows: list[dict[str, Any]], still: list[dict[str, Any]], repeatability: Repeatability | None
) -> dict[str, Any]:
    """Measures of one cohort: what was seen, and each way of judging a change."""
    people = sorted({row["person"] for row in rows})
    owner = np.array([people.index(row["person"]) for row in rows])
    true = np.array([row["true_after"] - row["true_before"] for row in rows])
    ways = {"synthetic maps": np.array([row["difference"] for row in rows])}
    features = np.array([_mri(row) for row in rows])
    for name in ("linear", "boosting"):
        ways[f"T1w and FLAIR, {name}"] = cross_validated(features, true, owner, name)
    facts: dict[str, Any] = {
        "people": len(people),
        "lesions": len(rows),
        "new_or_gone": sum(row["kind"] in (NEW, GONE) for row in rows),
        "changed": int((np.abs(true) >= CHANGED).sum()),
        "unchanged": int((np.abs(true) < UNCHANGED).sum()),
        "without_a_change": {
            "lesions": len(still),
            "sd": float(np.sqrt(np.mean([row["difference"] ** 2 for row in still]))),
            "mean": float(np.mean([row["difference"] for row in still])),
        },
        "ways": {name: _measures(true, guess, owner) for name, guess in ways.items()},
    }
    if repeatability is not None:
        judged = [abs(row["difference"]) > 1.96 * repeatability.of(row["volume_mm3"]) for row in still]
        facts["without_a_change"]["judged_changed"] = float(np.mean(judged))
    return facts


def _mri(row: dict[str, Any]) -> list[float]:
    """What MRI alone says of a lesion: T1w and FLAIR before and after and their differences, and its volume."""
    values = [np.log(row["volume_mm3"])]
    for name in MRI:
        before, after = row[f"{name}_before"], row[f"{name}_after"]
        values += [before, after, after - before]
    return values


def _measures(true: np.ndarray, guess: np.ndarray, owner: np.ndarray) -> dict[str, Any]:
    """Correlation, and sensitivity at 5 % false alarms in the right direction, with intervals by person."""
    random = np.random.default_rng(0)
    people = owner.max() + 1
    members = [np.flatnonzero(owner == person) for person in range(people)]
    drawn = []
    for _ in range(DRAWS):
        index = np.concatenate([members[person] for person in random.integers(people, size=people)])
        drawn.append((_r(true[index], guess[index]), _sensitivity(true[index], guess[index])))
    ends = np.nanpercentile(np.array(drawn, float), [2.5, 97.5], axis=0)
    named = {"r": _r(true, guess), "sensitivity": _sensitivity(true, guess)}
    return {
        name: {"value": value, "low": float(ends[0, place]), "high": float(ends[1, place])}
        for place, (name, value) in enumerate(named.items())
    }


def _r(true: np.ndarray, guess: np.ndarray) -> float:
    return float(np.corrcoef(true, guess)[0, 1])


def _sensitivity(true: np.ndarray, guess: np.ndarray) -> float:
    changed, still = np.abs(true) >= CHANGED, np.abs(true) < UNCHANGED
    if not changed.any() or not still.any():
        return float("nan")
    limit = np.quantile(np.abs(guess[still]), 1 - ALARMS)
    return float(np.mean((np.abs(guess) > limit)[changed] & (np.sign(guess) == np.sign(true))[changed]))


def _table(found: dict[str, Any]) -> str:
    lines = [
        "| cohort | lesions (changed, unchanged) | judged by | r with the true change "
        "| sensitivity at 5 % false alarms |",
        "|---|---|---|---|---|",
    ]
    for title, facts in found.items():
        for way, measures in facts["ways"].items():
            r, seen = ("{value:.2f} ({low:.2f} to {high:.2f})".format(**measures[key]) for key in ("r", "sensitivity"))
            counts = f"{facts['lesions']} ({facts['changed']}, {facts['unchanged']})"
            lines.append(f"| {title} | {counts} | {way} | {r} | {seen} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
