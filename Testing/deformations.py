"""What tests ask of a deformation."""

from __future__ import annotations

import numpy as np


def jacobian(displacement: np.ndarray, step: float) -> np.ndarray:
    """Determinant of the Jacobian of x -> x + displacement, displacement (3, n, n, n) in mm on a grid of `step` mm."""
    rows = np.stack([np.stack(np.gradient(part, step), axis=-1) for part in displacement], axis=-2)
    return np.linalg.det(rows + np.eye(3))
