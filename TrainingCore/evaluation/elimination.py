"""Backward elimination of inputs as numbers: which input mattered least, and how sure that is (Bone et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from .paired import mean_over_people, paired_gap
from .task import Measure, Row

ALL = "all"  # what the recipe with all inputs is called


def name_without(name: str) -> str:
    """What a recipe without an input is called."""
    return f"without_{name}"


def all_but(inputs: Sequence[str], name: str) -> list[str]:
    return [kept for kept in inputs if kept != name]


def deciding(measures: Sequence[Measure], result: dict[str, list[Row]]) -> Measure:
    """The first measure that everything tried has a value of (a Dice needs controls for its threshold)."""
    able = (measure for measure in measures if all(_mean(visits, measure) is not None for visits in result.values()))
    return next(able, measures[0])


def least_important(inputs: Sequence[str], result: dict[str, list[Row]], measure: Measure) -> str:
    """The input without which the measure stays best."""
    sign = 1.0 if measure.better == "lower" else -1.0
    return min(inputs, key=lambda name: sign * (_mean(result[name_without(name)], measure) or 0.0))


def _mean(visits: Sequence[Row], measure: Measure) -> float | None:
    return mean_over_people(visits, measure.key)["mean"]


def margin(row: Row, measure: Measure) -> Row:
    """How much worse it would have been to drop the runner-up, paired by person: {runner_up, difference, p, n}."""
    others = all_but(row["inputs"], row["dropped"])
    runner_up = least_important(others, row["tried"], measure)
    result = paired_gap(row["tried"][name_without(row["dropped"])], row["tried"][name_without(runner_up)], measure)
    return {"dropped": row["dropped"], "measure": measure.key, "runner_up": runner_up, **result}


def elimination_steps(rounds: Sequence[Row]) -> list[Row]:
    """{inputs (joined by +), visits} of all inputs and of what was left after each round."""
    steps = [{"inputs": " + ".join(rounds[0]["inputs"]), "visits": rounds[0]["tried"][ALL]}]
    for row in rounds:
        left = " + ".join(all_but(row["inputs"], row["dropped"]))
        steps.append({"inputs": left, "visits": row["tried"][name_without(row["dropped"])]})
    return steps
