"""Median and spread of values with outliers."""

from __future__ import annotations

import numpy as np

MAD_TO_SD = 1.4826  # median absolute deviation of a normal distribution, in SD: 1 / 0.6745 (Rousseeuw & Croux 1993)


def median_and_sd(values: np.ndarray) -> tuple[float, float]:
    """Compute the median and a standard deviation that outliers do not change.

    Args:
        values: numbers of any shape, at least one; NaN makes both NaN.

    Returns:
        Median, and 1.4826 times the median absolute deviation from it, in the unit of the values.
    """
    middle = float(np.median(values))
    return middle, MAD_TO_SD * float(np.median(np.abs(values - middle)))
