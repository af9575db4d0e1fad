"""How often the intervals of `bids_app ... group` hold the true value, and how often it reports what is not there.

    python -m Testing.studies.coverage_of_group_statistics --tables 500 --people 60 --visits 2

Tables without images: every person has a true lesion DVR; its synthetic value correlates with it (--agreement), visits
differ by noise, `planted` correlates with the truth (--correlation), `unrelated` with nothing. The statistics are those
of the group level, with the same covariates.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from TrainingCore.study import associations
from TrainingCore.study.group import TESTED, statistics

VISIT_SD = 0.2  # of a measure from visit to visit, in SD between people (ours)
SHARED = {"lesion_dvr": 1.0, "lesion_to_nawm": 0.9, "demyelinated_share": -0.9}  # correlation with lesion_dvr (ours)
REPORTED = 0.05  # q below which a reader takes an association for found


def main() -> int:
    """Draw tables, run the statistics on each, and print how often they are right."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tables", type=int, default=500)
    options.add_argument("--people", type=int, default=60)
    options.add_argument("--visits", type=int, default=2)
    options.add_argument("--correlation", type=float, default=0.7)
    options.add_argument("--agreement", type=float, default=0.75)
    options.add_argument("--replicates", type=int, default=500, help="of the bootstrap (the group level has 2000)")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    associations.REPLICATES = chosen.replicates
    tables = []
    for number in range(chosen.tables):
        random = np.random.default_rng([chosen.seed, number])
        rows = draw(random, chosen.people, chosen.visits, chosen.correlation, chosen.agreement)
        tables.append(statistics(rows, ["planted", "unrelated"], ["age", "sex"], number)["associations"])
    for line in summary(tables, chosen.correlation * chosen.agreement, chosen.visits):
        print(line)
    return 0


def draw(random: np.random.Generator, people: int, visits: int, correlation: float, agreement: float) -> list[Any]:
    """Rows of a group table, one per visit."""
    truth, own, noise, unrelated = random.standard_normal((4, people))
    synthetic = agreement * truth + np.sqrt(1 - agreement**2) * own
    planted = correlation * truth + np.sqrt(1 - correlation**2) * noise
    measures = {name: random.standard_normal(people) for name in TESTED}
    for name, share in SHARED.items():
        measures[name] = share * synthetic + np.sqrt(1 - share**2) * measures[name]
    ages, sexes = random.uniform(20, 60, people), random.choice(["F", "M"], people)
    rows = []
    for person in range(people):
        about = {"participant_id": f"sub-{person}", "age": ages[person], "sex": sexes[person]}
        about |= {"planted": planted[person], "unrelated": unrelated[person]}
        for visit in range(visits):
            seen = {name: values[person] + VISIT_SD * random.standard_normal() for name, values in measures.items()}
            seen["change_dvr"] = seen["change_dvr"] if visit else None
            rows.append(about | seen)
    return rows


def true_rho(measure: str, outcome: str, correlation: float, visits: int) -> float:
    """Spearman correlation of the person means in the population (normal variables: Pearson 1907)."""
    pearson = correlation * SHARED.get(measure, 0.0) if outcome == "planted" else 0.0
    return float(6 / np.pi * np.arcsin(pearson / np.sqrt(1 + VISIT_SD**2 / visits) / 2))


def summary(tables: list[list[dict[str, Any]]], correlation: float, visits: int) -> list[str]:
    """Coverage, power, and false discoveries in sentences, each with its 95 % interval over tables."""
    rows = [row for table in tables for row in table]
    lines = []
    for outcome in ("planted", "unrelated"):
        for low, high in (("low", "high"), ("partial_low", "partial_high")):
            held = [
                row[low] <= true_rho(row["measure"], outcome, correlation, visits) <= row[high]
                for row in rows
                if row["outcome"] == outcome and row["measure"] == "lesion_dvr"
            ]
            lines.append(f"{outcome}, lesion_dvr: {low} to {high} holds the true value in {_share(held)}")
    there = [
        [row for row in table if true_rho(row["measure"], row["outcome"], correlation, visits)] for table in tables
    ]
    lesion = [row["q"] < REPORTED for table in there for row in table if row["measure"] == "lesion_dvr"]
    lines.append(f"planted, lesion_dvr: reported (q < {REPORTED}) in {_share(lesion)}")
    unrelated = [any(row["q"] < REPORTED for row in table if row["outcome"] == "unrelated") for table in tables]
    lines.append(f"anything of `unrelated` reported in {_share(unrelated)} of the tables")
    shares = []
    for table, real in zip(tables, there):
        reported = [row for row in table if row["q"] < REPORTED]
        shares.append(sum(row not in real for row in reported) / max(len(reported), 1))
    mean, half = np.mean(shares), 1.96 * np.std(shares) / np.sqrt(len(shares))
    lines.append(f"false discovery rate {mean:.1%} [{mean - half:.1%}, {mean + half:.1%}], aimed at {REPORTED:.0%}")
    return lines


def _share(happened: list[bool]) -> str:
    low, high = proportion_confint(sum(happened), len(happened), method="wilson")
    return f"{np.mean(happened):.1%} [{low:.1%}, {high:.1%}]"


if __name__ == "__main__":
    raise SystemExit(main())
