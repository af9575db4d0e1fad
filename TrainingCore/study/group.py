"""The group level of `bids_app`: table, data dictionary, statistics and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.result import Result
from ..evaluation.plausibility import Finding
from ..runtime.errors import BadInput
from ..runtime.files import write_json, write_text
from .associations import associate, cell_number, compare_groups, is_numeric, with_false_discovery
from .left_out import left_out
from .names import RESULTS
from .table import MEASURES, NAMES, as_tsv, dictionary, read_rows

TESTED = ("lesion_dvr", "lesion_to_nawm", "nawm_dvr", "demyelinated_share", "lesion_load_ml", "change_dvr")
PAGE = "group.html"
TITLES = {measure.name: measure.title for measure in MEASURES}


def analyse(data: Path, out: Path, outcomes: Sequence[str], covariates: Sequence[str], seed: int) -> Path:
    """Write group.tsv, group.json, group_statistics.json and group.html.

    Args:
        data: BIDS dataset with participants.tsv.
        out: derivatives dataset of the participant level.
        outcomes: columns to test the measures against.
        covariates: columns to adjust for.
        seed: seed of the bootstrap.

    Returns:
        The page.

    Raises:
        BadInput: no visit has a map yet, or a column does not exist.
    """
    from ..reporting.group_page import write_group_page

    rows = read_rows(data, out)
    if not rows:
        raise BadInput(f"{out} has no map yet. Run the participant level first.")
    twice = [name for name in outcomes if name in covariates or name in NAMES]
    if twice:
        other = "a measure of the map" if twice[0] in NAMES else "a covariate as well"
        raise BadInput(f"The outcome {twice[0]!r} is {other}. Choose another --outcome.")
    for column in [*outcomes, *covariates]:
        if is_numeric(rows, column):
            _empty_marks(rows, column)
    tables = statistics(rows, outcomes, covariates, seed)
    write_text(out / "group.tsv", as_tsv(rows))
    write_json(out / "group.json", dictionary())
    write_json(out / "group_statistics.json", tables)
    failed = [{"visit": label, "reason": reason} for label, reason in left_out(data, out).items()]
    write_group_page(
        out / PAGE, rows, failed, tables, covariates, out / RESULTS, TITLES, _findings(rows, out / RESULTS)
    )
    return out / PAGE


def _findings(rows: Sequence[dict[str, Any]], results: Path) -> dict[str, list[Finding]]:
    """Plausibility of each map by label of the visit, as it was checked when the map was made."""
    from ..reporting.group_page import visit_of

    findings = {}
    for row in rows:
        label = visit_of(row)
        summary = Result.open(results / label).provenance["summary"]
        findings[label] = [Finding(**check) for check in summary.get("plausibility", [])]
    return findings


def _empty_marks(rows: Sequence[dict[str, Any]], column: str) -> None:
    """Empty the cells of a numeric column that hold no number (`-`, `?`): they count as missing."""
    for row in rows:
        if not np.isfinite(cell_number(row.get(column))):
            row[column] = None


def statistics(
    rows: Sequence[dict[str, Any]], outcomes: Sequence[str], covariates: Sequence[str], seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Test every measure against every outcome.

    Args:
        rows: rows of the study table, one per visit.
        outcomes: numeric columns and text columns.
        covariates: columns to adjust for, used for numeric outcomes.
        seed: seed of the bootstrap.

    Returns:
        {associations, groups}: one row per measure and outcome; q corrects for all rows of one kind.

    Raises:
        BadInput: a column cannot be used.
    """
    tested = [name for name in TESTED if any(row[name] is not None for row in rows)]
    numeric = [name for name in outcomes if is_numeric(rows, name)]
    associations = [associate(rows, measure, name, covariates, seed) for name in numeric for measure in tested]
    groups = [
        row
        for name in outcomes
        if name not in numeric
        for measure_name in tested
        for row in compare_groups(rows, measure_name, name, seed)
    ]
    assert set(tested) <= set(NAMES)
    return {
        "associations": with_false_discovery(associations) if associations else [],
        "groups": with_false_discovery(groups) if groups else [],
    }
