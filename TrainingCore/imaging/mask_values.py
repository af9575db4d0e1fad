"""Interpret the values of a mask file: 0 and 1, 0 and 255, labels, probabilities, percent, or a resampled mask.

Every kind is thresholded at the middle of its scale, never at "above 0": a probability map whose maximum exceeds 1.0 by
rounding (SPM writes uint8 with a slope of 1/255) is still a probability map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..runtime.errors import BadInput

MAX_OVERSHOOT = 1.5  # spline interpolation of a 0/1 mask reaches -0.2 and 1.2, of single voxels -0.3 and 1.4 (ours)
WHOLE = 1e-3  # distance from a whole number that rounding of a slope leaves (ours)
SAME_NEIGHBOURS = 0.6  # share of neighbours with exactly one value: labels 0.96, smooth maps to 0.43 (measured)
PLATEAU_WIDTH, PLATEAU_SHARE = 0.02, 0.3  # of the value; of the voxels above a tenth of it (ours)
MIN_PERCENT = 10.0  # a map up to 5 is not read as percent (ours)
FULL_SCALES = ((100.0, MIN_PERCENT), (255.0, 105.0), (1000.0, 950.0), (32767.0, 31000.0), (65535.0, 62000.0))
WIDE_PLATEAU = 0.15  # of the value: after spline interpolation, which rings (ours)
MAX_DISTINCT = 2_000_000  # voxels that are looked at for distinct values (ours)
KINDS = ("empty", "binary", "labels", "probability", "percent", "scaled")


@dataclass(frozen=True)
class MaskValues:
    """Interpretation of a mask file.

    Attributes:
        kind: one of KINDS.
        background: value outside, in the file's unit.
        cut: lowest value inside, in the file's unit.
        note: sentence without its subject about the interpretation, or an empty string.
    """

    kind: str
    background: float = 0.0
    cut: float = 0.5
    note: str = ""


def binary_mask(data: np.ndarray, label: str) -> tuple[np.ndarray, str]:
    """Convert a mask to 0/1.

    Args:
        data: (I, J, K), finite, any unit.
        label: name of the file in messages, e.g. `The lesion mask les.nii.gz`.

    Returns:
        float32 (I, J, K), and a note about the interpretation of the values (empty if it is obvious).

    Raises:
        BadInput: the values cannot be interpreted as a mask, or never reach the middle of their scale.
    """
    values = understand(data, label)
    if values.kind == "empty":
        return np.zeros(data.shape, np.float32), ""
    inside = data >= values.cut
    if not inside.any():
        raise BadInput(
            f"{label} never reaches {_number(values.cut)}, half of its scale (its highest value is "
            f"{_number(data.max())}), so the mask would be empty. Give a mask, or a map that was not smoothed."
        )
    return inside.astype(np.float32), values.note


def understand(data: np.ndarray, label: str) -> MaskValues:
    """Determine the meaning of the values of a mask.

    Args:
        data: (I, J, K) as stored.
        label: name of the file in messages.

    Returns:
        Kind, background, threshold and note.

    Raises:
        BadInput: the values cannot be interpreted as a mask.
    """
    low, top = float(data.min()), float(data.max())
    if low == top == 0:
        return MaskValues("empty")
    if low == top:
        raise BadInput(f"{label} is {_number(top)} in every voxel, so it is no mask. Export it again from its source.")
    distinct = _distinct(data)
    if len(distinct) == 2:
        return _two_values(float(distinct[0]), float(distinct[1]), label)
    whole = bool(np.abs(distinct - np.round(distinct)).max() < WHOLE)
    if top > MAX_OVERSHOOT or low < -MAX_OVERSHOOT:
        if whole and low >= 0 and not _agreement(distinct) and (len(distinct) < 5 or _piecewise_constant(data, top)):
            count = len(distinct) - 1
            return MaskValues("labels", 0.0, 0.5, f"holds {count} labels, which count as one: touching ones are joined")
        return _scaled(data, low, top, label)
    return _probability(low, top)


def _agreement(distinct: np.ndarray) -> bool:
    """Check whether values are equal steps up to 100: percentages of two to ten raters who marked a voxel."""
    return bool(distinct[-1] == 100 and 3 <= len(distinct) <= 11 and np.ptp(np.diff(distinct)) <= 1)


def _two_values(low: float, high: float, label: str) -> MaskValues:
    if high <= 0 < -low:
        raise BadInput(
            f"{label} holds {_number(low)} and {_number(high)}, none above 0, so inside and outside are ambiguous."
        )
    usual = abs(low) < WHOLE and abs(high - 1) < WHOLE
    if not usual and low == 0 and high <= 1:
        return _probability(low, high)
    note = "" if usual else f"holds {_number(low)} and {_number(high)}; {_number(high)} counts as inside"
    return MaskValues("binary", low, (low + high) / 2, note)


def _probability(low: float, top: float) -> MaskValues:
    if low < -WHOLE or top > 1 + WHOLE:
        note = f"was resampled (values from {_number(low)} to {_number(top)}); it was cut at 0.5"
    else:
        note = "holds values between 0 and 1, as a probability map does; it was cut at 0.5"
    return MaskValues("probability", 0.0, 0.5, note)


def _scaled(data: np.ndarray, low: float, top: float, label: str) -> MaskValues:
    """Percent, 0 to 255 and other scales; the scale is a plateau of the values, or one of the usual ones."""
    rings = low < -WHOLE * top
    overshoot = MAX_OVERSHOOT if rings else 1.05
    usual = next((full for full, least in FULL_SCALES if least <= top <= overshoot * full), None)
    exact = next((full for full, _ in FULL_SCALES if abs(top / full - 1) < 0.005), None)
    scale = (
        exact or _plateau(data, top, PLATEAU_WIDTH) or usual or (_plateau(data, top, WIDE_PLATEAU) if rings else None)
    )
    if scale is None or low < (1 - MAX_OVERSHOOT) * scale:
        raise BadInput(
            f"{label} holds values from {_number(low)} to {_number(top)} that are neither a mask nor labels, "
            "probabilities or percentages. Give a mask of 0 and 1."
        )
    unit = "percent" if scale == 100 else f"a scale of 0 to {_number(scale)}"
    return MaskValues(
        "percent" if scale == 100 else "scaled", 0.0, scale / 2, f"is in {unit}; it was cut at {_number(scale / 2)}"
    )


def _plateau(data: np.ndarray, top: float, width: float) -> float | None:
    """Return the value of "inside" if many voxels share it within a relative width, as after resampling."""
    values = data[data > top / 10]
    upper = values[values > top / (2 * MAX_OVERSHOOT)]
    if upper.size == 0:
        return None
    middle = float(np.median(upper))
    counts, edges = np.histogram(upper, bins=100)
    best = int(counts.argmax())
    for candidate in (middle, float(edges[best] + edges[best + 1]) / 2, float(upper.max())):
        near = upper[np.abs(upper - candidate) <= width * candidate]
        if near.size >= PLATEAU_SHARE * values.size and top <= MAX_OVERSHOOT * candidate:
            value = float(np.median(near))
            return float(round(value)) if abs(value - round(value)) < width * value else value
    return None


def _piecewise_constant(data: np.ndarray, top: float) -> bool:
    """Whether neighbours inside nearly always hold one value. The highest value is left out: maps saturate there."""
    same = pairs = 0
    for axis in range(3):
        first = data[(slice(None),) * axis + (slice(None, -1),)]
        second = data[(slice(None),) * axis + (slice(1, None),)]
        both = (first != 0) & (second != 0) & ((first != top) | (second != top))
        pairs += int(np.count_nonzero(both))
        same += int(np.count_nonzero(both & (first == second)))
    return pairs == 0 or same > SAME_NEIGHBOURS * pairs


def _distinct(data: np.ndarray) -> np.ndarray:
    """Distinct values, rising; of every n-th filled voxel where there are very many."""
    filled = data[data != 0]
    step = max(filled.size // MAX_DISTINCT, 1)
    extra = [0.0] if filled.size < data.size else []
    return np.unique(np.concatenate([filled[::step], [filled.min(), filled.max()], extra]))


def _number(value: float) -> str:
    return f"{value:.5g}"
