"""Association of measures of the map with columns of participants.tsv: effect sizes with intervals, and p values.

The unit of analysis is the person: Spearman correlations are of person means, bootstrapped by person; with several
visits a linear mixed model with a random intercept per person uses all of them. p values are corrected within one table
(Benjamini and Hochberg 1995).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.table_text import is_empty
from ..runtime.errors import BadInput, MyelinSynthError

REPLICATES = 2000
MIN_PEOPLE = 8  # (ours) below, no association is computed
MIN_GROUP = 5  # (ours) people per group; below, groups are not compared
EXACT = 1e-12  # relative; a smaller variation is that of rounding
CATEGORIES = 6  # (ours) a column with more distinct texts cannot be a group
MEANINGFUL = ("none", "nil")  # a dose of none is not an unknown one
DECIMAL_COMMA = re.compile(r"^\s*([-+]?\d+),(\d+)\s*$")
Row = dict[str, Any]


def cell_number(content: Any) -> float:
    """Convert a table cell to a number.

    Args:
        content: text (also with a decimal comma), number or None.

    Returns:
        The number; nan if it is not numeric.
    """
    try:
        return float(DECIMAL_COMMA.sub(r"\1.\2", content) if isinstance(content, str) else content)
    except (TypeError, ValueError):
        return float("nan")


def is_numeric(rows: Sequence[Row], column: str) -> bool:
    """Check whether all non-empty cells of a column are numeric; `-`, `?` or `#NV` among numbers count as empty.

    Args:
        rows: rows of the table.
        column: name of the column.

    Returns:
        True if all are finite numbers.

    Raises:
        BadInput: the column is missing or empty, or most cells are numeric and some are not.
    """
    cells = [row.get(column) for row in rows if row.get(column) is not None]
    if not cells:
        known = sorted({name for row in rows for name in row})
        raise BadInput(f"The column {column!r} of participants.tsv is missing or empty. Available: {', '.join(known)}.")
    texts = sorted({str(cell) for cell in cells if not np.isfinite(cell_number(cell))})
    words = [text for text in texts if not is_empty(text) or text.casefold() in MEANINGFUL]
    if not words and len(texts) < len({str(cell) for cell in cells}):
        return True
    texts = words or texts
    if texts and sum(str(cell) in texts for cell in cells) < len(cells) / 2:
        raise BadInput(f"The column {column!r} holds numbers and the text {texts[0]!r}. Write n/a where it is unknown.")
    return not texts


def design(rows: Sequence[Row], covariates: Sequence[str]) -> np.ndarray:
    """Code covariates as columns of numbers: text becomes an indicator for every level but the first.

    Args:
        rows: n rows of the table.
        covariates: names of columns.

    Returns:
        (n, k) float; nan if a cell is empty.

    Raises:
        BadInput: a covariate is missing or has more than CATEGORIES different texts.
    """
    columns: list[np.ndarray] = []
    for name in covariates:
        if is_numeric(rows, name):
            columns.append(np.array([cell_number(row.get(name)) for row in rows]))
            continue
        levels = sorted({row[name] for row in rows if row.get(name) is not None})
        if len(levels) > CATEGORIES:
            raise BadInput(
                f"The covariate {name!r} has {len(levels)} different text values. Use a numeric or categorical column."
            )
        for level in levels[1:]:
            columns.append(np.array([np.nan if row.get(name) is None else float(row[name] == level) for row in rows]))
    return np.column_stack(columns) if columns else np.zeros((len(rows), 0))


def person_means(people: Sequence[str], values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Average each column per person, over visits with a value.

    Args:
        people: label of the person of each visit, n in all.
        values: (n, k).

    Returns:
        Labels of the p people in alphabetical order; means, (p, k), nan without a value.
    """
    labels = sorted(set(people))
    means = np.full((len(labels), values.shape[1]), np.nan)
    for index, label in enumerate(labels):
        own = values[[person == label for person in people]]
        known = np.isfinite(own).any(axis=0)
        means[index, known] = np.nanmean(own[:, known], axis=0)
    return labels, means


def partial_spearman(x: np.ndarray, y: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Partial Spearman correlation: that of the ranks of x and y after regression on the ranks of the covariates.

    Args:
        x: (..., n), leading axes are samples of their own.
        y: (..., n).
        covariates: (..., n, k).

    Returns:
        (...,), nan where x or y is constant or explained by the covariates.
    """
    from scipy import stats

    people = x.shape[-1]
    ranks = [stats.rankdata(part, axis=-1) for part in (x, y)]
    basis = np.concatenate([np.ones((*x.shape, 1)), stats.rankdata(covariates, axis=-2)], axis=-1)
    vectors, sizes, _ = np.linalg.svd(basis, full_matrices=False)
    vectors = vectors * (sizes > 1e-9 * sizes[..., :1])[..., None, :]  # a covariate that is constant in a sample
    residuals = [part - np.einsum("...nk,...mk,...m->...n", vectors, vectors, part, optimize=True) for part in ranks]
    norms = [np.linalg.norm(residual, axis=-1) for residual in residuals]
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = (residuals[0] * residuals[1]).sum(-1) / (norms[0] * norms[1])
    return np.where(np.minimum(*norms) > 1e-9 * people, rho, np.nan)


def associate(rows: Sequence[Row], measure: str, outcome: str, covariates: Sequence[str], seed: int = 0) -> Row:
    """Estimate the association of a measure with a numeric outcome.

    Args:
        rows: rows of the study table, one per visit.
        measure: column of the measure.
        outcome: numeric column.
        covariates: columns to adjust for.
        seed: seed of the bootstrap.

    Returns:
        Row with measure, outcome, people, visits, missing (visits without a value); rho with its 95 % interval by
        person; the same adjusted for the covariates (partial_*); beta of the mixed model per SD of the outcome, in SD
        of the measure; p of the adjusted correlation. None: cannot be estimated.

    Raises:
        BadInput: a covariate cannot be used.
    """
    values = np.array([[cell_number(row.get(measure)), cell_number(row.get(outcome))] for row in rows])
    everything = np.column_stack([values, design(rows, covariates)])
    complete = np.isfinite(everything).all(axis=1)
    people = [row["participant_id"] for row, keep in zip(rows, complete) if keep]
    labels, means = person_means(people, everything[complete])
    result: Row = {"measure": measure, "outcome": outcome, "people": len(labels), "visits": len(people)}
    result["missing"] = int((~complete).sum())
    empty = dict.fromkeys(("rho", "low", "high", "partial_rho", "partial_low", "partial_high", "p", "beta", "beta_low",
                           "beta_high"))  # fmt: skip
    if len(labels) < MIN_PEOPLE + len(covariates):
        return result | empty
    rng = np.random.default_rng([seed, 1931])
    draws = np.array([rng.integers(len(labels), size=len(labels)) for _ in range(REPLICATES)])
    x, y, adjust = means[:, 0], means[:, 1], means[:, 2:]
    for name, extra in (("", adjust[:, :0]), ("partial_", adjust)):
        replicates = partial_spearman(x[draws], y[draws], extra[draws])
        replicates = replicates[np.isfinite(replicates)]
        rho = float(partial_spearman(x, y, extra))
        low, high = np.percentile(replicates, [2.5, 97.5]) if len(replicates) > REPLICATES / 2 else (np.nan, np.nan)
        result |= {f"{name}rho": _known(rho), f"{name}low": _known(low), f"{name}high": _known(high)}
    result["p"] = _p_of_correlation(result["partial_rho"], len(labels), adjust.shape[1])
    return result | _mixed_model(everything[complete], people)


def _p_of_correlation(r: float | None, n: int, covariates: int) -> float | None:
    """Two-sided p of a (partial) correlation from its t, n - 2 - covariates degrees of freedom."""
    from scipy import stats

    freedom = n - 2 - covariates
    if r is None or freedom < 1:
        return None
    rest = max(1 - r * r, 0.0)
    return float(2 * stats.t.sf(abs(r) * np.sqrt(freedom / rest), freedom)) if rest > EXACT else 0.0


def _mixed_model(values: np.ndarray, people: Sequence[str]) -> Row:
    """beta of outcome -> measure in SD, with a random intercept per person; ordinary regression with one visit each.

    Its interval is Student's t with the degrees of freedom of people, not visits: in 250 simulations without an effect,
    that of the normal distribution left out zero in 9.6 % with 8 people and two visits.

    Args:
        values: (n, 2 + k), measure, outcome, covariates.
    """
    import warnings

    from scipy import stats

    models = _statsmodels("statsmodels.api")
    unknown = {"beta": None, "beta_low": None, "beta_high": None}
    if (np.ptp(values[:, :2], axis=0) <= EXACT * np.abs(values[:, :2]).max(axis=0)).any():
        return unknown  # no variation
    scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)
    basis = np.column_stack([np.ones(len(scaled)), scaled[:, 1:]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance of 0 between people is an answer
        try:
            if len(set(people)) == len(people):
                fit = models.OLS(scaled[:, 0], basis).fit()
            else:
                fit = models.MixedLM(scaled[:, 0], basis, groups=np.array(people)).fit(reml=True)
        except (np.linalg.LinAlgError, ValueError):
            return unknown
    half = stats.t.ppf(0.975, len(set(people)) - basis.shape[1]) * fit.bse[1]
    beta = float(fit.params[1])
    return {"beta": _known(beta), "beta_low": _known(beta - half), "beta_high": _known(beta + half)}


def compare_groups(rows: Sequence[Row], measure: str, group: str, seed: int = 0) -> list[Row]:
    """Compare a measure between every pair of groups of a text column.

    People who are in several groups at different visits (before and after treatment) are left out: the test is for
    groups of different people.

    Args:
        rows: rows of the study table, one per visit.
        measure: column of the measure.
        group: text column with 2 to CATEGORIES levels.
        seed: seed of the bootstrap.

    Returns:
        One row per pair: difference of means, Hedges' g with its 95 % interval by person, p of Mann and Whitney's test;
        None in a group of fewer than MIN_GROUP people.

    Raises:
        BadInput: the column has one level only, or too many.
    """
    from scipy import stats

    levels = sorted({row[group] for row in rows if row.get(group) is not None})
    if len(levels) == 1:
        raise BadInput(f"The outcome {group!r} is {levels[0]!r} in all visits, so there are no groups. Leave it out.")
    if len(levels) > CATEGORIES:
        raise BadInput(
            f"The outcome {group!r} has {len(levels)} different text values. Use a numeric column, or one with at most "
            f"{CATEGORIES} groups."
        )
    values = np.array([[cell_number(row.get(measure))] for row in rows])
    both = people_of_several_levels(rows, group)
    comparisons = []
    for index, first in enumerate(levels):
        for second in levels[index + 1 :]:
            parts = []
            for level in (first, second):
                keep = [row.get(group) == level and row["participant_id"] not in both for row in rows]
                keep = np.array(keep) & np.isfinite(values[:, 0])
                people = [row["participant_id"] for row, own in zip(rows, keep) if own]
                parts.append(person_means(people, values[keep])[1][:, 0] if people else np.zeros(0))
            row: Row = {"measure": measure, "outcome": group, "groups": f"{first} - {second}"}
            row |= {"people": f"{len(parts[0])} / {len(parts[1])}", "p": None}
            row |= dict.fromkeys(("difference", "g", "g_low", "g_high"))
            if min(map(len, parts)) >= MIN_GROUP:
                rng = np.random.default_rng([seed, index])
                draws = [hedges_g(*(rng.choice(part, len(part)) for part in parts)) for _ in range(REPLICATES)]
                low, high = np.nanpercentile(draws, [2.5, 97.5])
                row |= {"difference": float(parts[0].mean() - parts[1].mean()), "g": _known(hedges_g(*parts))}
                row |= {"g_low": _known(low), "g_high": _known(high)}
                row["p"] = float(stats.mannwhitneyu(*parts).pvalue)
            comparisons.append(row)
    return comparisons


def people_of_several_levels(rows: Sequence[Row], column: str) -> set[str]:
    """Find the people whose level of a text column is not the same in all visits.

    Args:
        rows: rows of the study table, one per visit.
        column: text column; None is no level.

    Returns:
        participant_id of each.
    """
    levels: dict[str, set[str]] = {}
    for row in rows:
        if row.get(column) is not None:
            levels.setdefault(row["participant_id"], set()).add(row[column])
    return {person for person, own in levels.items() if len(own) > 1}


def hedges_g(first: np.ndarray, second: np.ndarray) -> float:
    """Difference of means in pooled SD, corrected for small samples (Hedges 1981).

    Args:
        first: values of one group, (n,).
        second: values of the other group, (m,).

    Returns:
        g, positive if the first mean is larger; nan without variation.
    """
    n, m = len(first), len(second)
    pooled = np.sqrt(((n - 1) * first.var(ddof=1) + (m - 1) * second.var(ddof=1)) / (n + m - 2))
    return float((first.mean() - second.mean()) / pooled * (1 - 3 / (4 * (n + m) - 9))) if pooled > 0 else float("nan")


def with_false_discovery(rows: list[Row]) -> list[Row]:
    """Add `q` to rows: p corrected for the number of rows that have one (Benjamini and Hochberg 1995).

    Args:
        rows: rows of one table, with `p`; they are changed.

    Returns:
        The same rows.
    """
    correct = _statsmodels("statsmodels.stats.multitest").multipletests
    known = [row for row in rows if row["p"] is not None]
    corrected = correct([row["p"] for row in known], method="fdr_bh")[1] if known else []
    for row in rows:
        row["q"] = None
    for row, q in zip(known, corrected):
        row["q"] = float(q)
    return rows


def _known(content: Any) -> float | None:
    return float(content) if np.isfinite(content) else None


def _statsmodels(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MyelinSynthError(
            "The group statistics need the package statsmodels. Install it with: pip install statsmodels."
        ) from error
