"""Backward elimination of inputs: the least important input, and the certainty of this choice (Bone et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from .paired import mean_over_people, paired_gap
from .task import Measure, Row

ALL = "all"  # what the recipe with all inputs is called


def name_without(name: str) -> str:
    """Return the name of the recipe without an input.

    Args:
        name: volume name of the input.
    """
    return f"without_{name}"


def all_but(inputs: Sequence[str], name: str) -> list[str]:
    """List all inputs except one.

    Args:
        inputs: volume names.
        name: input to leave out.
    """
    return [kept for kept in inputs if kept != name]


def deciding(measures: Sequence[Measure], result: dict[str, list[Row]]) -> Measure:
    """Select the first measure that has a value for every recipe (Dice needs controls for its threshold).

    Args:
        measures: measures in order of priority.
        result: visits by recipe.

    Returns:
        The measure; the first one if none has values everywhere.
    """
    able = (measure for measure in measures if all(_mean(visits, measure) is not None for visits in result.values()))
    return next(able, measures[0])


def least_important(inputs: Sequence[str], result: dict[str, list[Row]], measure: Measure) -> str:
    """Select the input without which the measure stays best.

    Args:
        inputs: volume names.
        result: visits by recipe, see `name_without`.
        measure: measure to compare.
    """
    sign = 1.0 if measure.better == "lower" else -1.0
    return min(inputs, key=lambda name: sign * (_mean(result[name_without(name)], measure) or 0.0))


def _mean(visits: Sequence[Row], measure: Measure) -> float | None:
    return mean_over_people(visits, measure.key)["mean"]


def margin(row: Row, measure: Measure) -> Row:
    """Compare the dropped input with the runner-up: how much worse the measure would have been without the latter.

    Args:
        row: one round of the elimination: inputs, dropped, tried.
        measure: measure that decided.

    Returns:
        {dropped, measure, runner_up, difference, low, high, p, n}, paired by person.
    """
    others = all_but(row["inputs"], row["dropped"])
    runner_up = least_important(others, row["tried"], measure)
    result = paired_gap(row["tried"][name_without(row["dropped"])], row["tried"][name_without(runner_up)], measure)
    return {"dropped": row["dropped"], "measure": measure.key, "runner_up": runner_up, **result}


def elimination_steps(rounds: Sequence[Row]) -> list[Row]:
    """List the results with all inputs and after each round.

    Args:
        rounds: rounds of the elimination, in order.

    Returns:
        {inputs (joined by +), visits} of each step.
    """
    steps = [{"inputs": " + ".join(rounds[0]["inputs"]), "visits": rounds[0]["tried"][ALL]}]
    for row in rounds:
        left = " + ".join(all_but(row["inputs"], row["dropped"]))
        steps.append({"inputs": left, "visits": row["tried"][name_without(row["dropped"])]})
    return steps
