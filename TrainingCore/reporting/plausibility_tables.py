"""Tables of published findings that a map should reproduce: of one map, and of all maps of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..evaluation.plausibility import Finding, pooled
from ..runtime.numerals import format_number

Row = dict[str, Any]
FAILING_SHOWN = 10  # maps listed by name for a finding
KIND_TITLES = {"synthetic": "synthetic maps", "measured": "measured PET", "clean": "noise-free truth"}
CAPTION = (
    "Findings on which published studies of myelin PET and MRI agree (see TrainingCore.evaluation.plausibility). A "
    "map that fails a check is implausible in this respect; passing all checks does not show that it is accurate. "
    "The check of lesions is strict: white matter at its border is blurred with other tissue, and the true DVR of "
    "simulated patients often fails it, too."
)


def plausibility_rows(findings: Sequence[Finding]) -> list[Row]:
    """Make the table of one map.

    Args:
        findings: result of `evaluation.plausibility`.

    Returns:
        One row per finding.
    """
    return [
        {
            "finding": finding.check,
            "measure": finding.unit,
            "expected": finding.expected,
            "this map": None if finding.value is None else _shown(finding.value),
            "holds": {True: "yes", False: "NO", None: "–"}[finding.holds],
        }
        for finding in findings
    ]


def compared_plausibility_rows(findings: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Make the table of the synthetic maps of a cohort beside its measured maps.

    Args:
        findings: result of `evaluation.plausibility.beside`.

    Returns:
        One row per finding; a kind of map without any value has no column. Empty without any value at all.
    """
    kinds = {kind: title for kind, title in KIND_TITLES.items() if any(row[kind]["maps"] for row in findings)}
    if not kinds:
        return []
    return [
        {"finding": row["check"], "measure": row["unit"], "expected": row["expected"]}
        | {title: _held(row[kind]) for kind, title in kinds.items()}
        for row in findings
    ]


def _held(found: Mapping[str, Any]) -> str | None:
    if found["mean"] is None:
        return None
    return f"{_shown(found['mean'])}, in {found['holds']} of {found['maps']}"


def _shown(value: float) -> str:
    """The value with two decimals, or with as many as it takes not to be shown as one of the limits (0, 0.8 and 1)."""
    texts = [format_number(value, f"{{:.{digits}f}}") for digits in range(2, 7)]
    apart = (text for text in texts if float(text) == value or float(text) not in (0.0, 0.8, 1.0))
    return next(apart, texts[-1])


def pooled_plausibility_rows(findings: Mapping[str, Sequence[Finding]]) -> list[Row]:
    """Make the table of several maps.

    Args:
        findings: results of `evaluation.plausibility`, by name of the visit.

    Returns:
        One row per finding, with the visits whose maps fail it.
    """
    rows = []
    for row in pooled(list(findings.values())):
        failing = [
            visit
            for visit, checks in findings.items()
            if any(check.check == row["check"] and check.holds is False for check in checks)
        ]
        more = len(failing) - FAILING_SHOWN
        rows.append(
            {
                "finding": row["check"],
                "measure": row["unit"],
                "expected": row["expected"],
                "mean": None if row["mean"] is None else _shown(row["mean"]),
                "holds in": f"{row['holds']} of {row['maps']}",
                "fails in": ", ".join(failing[:FAILING_SHOWN]) + (f" and {more} more" if more > 0 else ""),
            }
        )
    return rows
