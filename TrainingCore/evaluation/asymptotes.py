"""Asymptote of a learning curve: a + b n^-c against training subjects, n (Cortes et al. 1994), with its interval.

Few sizes and noisy trainings give curves of every shape. A curve that gets worse with more people, or that shows no
sign of levelling off within the sizes tried (its fit ends at the best possible value, such as an error of 0), has no
asymptote that can be estimated from these numbers, and none is reported; if it bends, the value at twice the people
still is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

EXPONENTS = np.linspace(0.1, 2.0, 96)  # the lowest still falls at a quarter of its speed after a million people
REPLICATES = 1000
MIN_SIZES = 3  # fewer points cannot determine three parameters
MIN_PEOPLE = 3
MAX_UNUSABLE = 0.2  # share of resampled cohorts without an asymptote above which the curve has none either (ours)
FARTHER = 2.0  # the paper asks what twice the people would bring (Bone et al. 2021)


@dataclass(frozen=True)
class Asymptote:
    """Fit of a learning curve; None for values that cannot be estimated.

    Attributes:
        people: measured at every size.
        why: reason if there is no asymptote.
        a: asymptote.
        b: amplitude.
        c: exponent.
        low: lower end of the 95 % interval of a.
        high: upper end of the 95 % interval of a.
        farther: fit at twice the largest number of people, for every curve that improves and bends.
        farther_low: lower end of its 95 % interval.
        farther_high: upper end of its 95 % interval.
        usable: share of resampled cohorts whose curve has an asymptote.
    """

    people: int
    why: str = ""
    a: float | None = None
    b: float | None = None
    c: float | None = None
    low: float | None = None
    high: float | None = None
    farther: float | None = None
    farther_low: float | None = None
    farther_high: float | None = None
    usable: float | None = None

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def fit_power_laws(sizes: np.ndarray, values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Fit a + b n^-c to many curves by least squares, with a within `limit`.

    For every exponent of a fine grid the other two are a linear problem; the best exponent is used. A curve that lies
    on both sides of the limit is fitted without it.

    Args:
        sizes: (k,) people.
        values: (m, k) means.
        limit: best possible value, or None.

    Returns:
        (m, 3): a, b, c.
    """
    best, result = np.full(len(values), np.inf), np.full((len(values), 3), np.nan)
    for exponent in EXPONENTS:
        power = sizes.astype(float) ** -exponent
        design = np.stack([np.ones(len(sizes)), power], axis=1)
        a, b = np.linalg.lstsq(design, values.T, rcond=None)[0]
        if limit is not None:
            beyond = (values.mean(axis=1) - limit) * (a - limit) < 0
            a = np.where(beyond, limit, a)
            b = np.where(beyond, (values - limit) @ power / (power @ power), b)
        error = ((a[:, None] + b[:, None] * power - values) ** 2).sum(axis=1)
        better = error < best
        best[better] = error[better]
        result[better] = np.stack([a, b, np.full(len(a), exponent)], axis=1)[better]
    return result


def asymptote(
    sizes: np.ndarray, values: np.ndarray, better: str, limit: float | None = None, seed: int = 0
) -> Asymptote:
    """Estimate the asymptote of the mean curve, with an interval that resamples people (bootstrap).

    The interval covers the choice of the people measured, not that of the people trained on, so it is rather too
    narrow.

    Args:
        sizes: (k,) training subjects.
        values: (people measured, k).
        better: `lower` or `higher`.
        limit: best possible value (0 for an error), if there is one.
        seed: random seed.

    Returns:
        The fit.
    """
    people = len(values)
    if len(set(sizes.tolist())) < MIN_SIZES or people < MIN_PEOPLE:
        why = f"fewer than {MIN_SIZES} sizes" if people >= MIN_PEOPLE else f"fewer than {MIN_PEOPLE} people"
        return Asymptote(people, why)
    drawn = np.random.default_rng([seed, 1994]).integers(people, size=(REPLICATES, people))
    curves = np.concatenate([values.mean(axis=0)[None], values[drawn].mean(axis=1)])
    fits = fit_power_laws(sizes, curves, limit)
    improves = fits[:, 1] > 0 if better == "lower" else fits[:, 1] < 0
    bends = fits[:, 2] > EXPONENTS[0]
    levels_off = bends if limit is None else bends & (fits[:, 0] != limit)
    usable, foreseen = improves & levels_off, improves & bends
    share = float(usable[1:].mean())
    ahead = fits[:, 0] + fits[:, 1] * (FARTHER * sizes.max()) ** -fits[:, 2]
    farther: dict[str, float] = {}
    if foreseen[0] and foreseen[1:].mean() >= 1 - MAX_UNUSABLE:
        numbers = (ahead[0], *np.percentile(ahead[1:][foreseen[1:]], [2.5, 97.5]))
        farther = dict(zip(("farther", "farther_low", "farther_high"), map(float, numbers)))
    why = _why(improves[0], levels_off[0], share)
    if why:
        return Asymptote(people, why, usable=share, **farther)
    low, high = np.percentile(fits[1:][usable[1:], 0], [2.5, 97.5])
    a, b, c = fits[0]
    return Asymptote(people, "", float(a), float(b), float(c), float(low), float(high), usable=share, **farther)


def _why(improves: bool, levels_off: bool, share: float) -> str:
    """Return why there is no asymptote; empty if there is one."""
    if not improves:
        return "it does not get better with more people"
    if not levels_off:
        return "it shows no sign of levelling off within these sizes"
    if share < 1 - MAX_UNUSABLE:
        return f"with other people measured, only {100 * share:.0f} % of the curves get better and level off"
    return ""
