"""Linear transforms between two images: small changes of them for an optimiser, and ITK transform files.

A matrix is 4x4 in RAS mm and maps a point of the fixed (output) image to the moving (input) image.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..runtime.errors import BadInput
from ..runtime.files import write_text
from .itk_paths import path_for_itk
from .volumes import matrix_of_sitk, sitk_transform

SERIES_REACH, SERIES_TERMS = 0.25, 12  # 0.25^13 / 13! is below the rounding of a double


def generators(centre: np.ndarray, radius: float, affine: bool = False) -> np.ndarray:
    """Return the directions in which a transform can change.

    Three shifts and three turns about the centre; or, for an affine transform, three shifts and the nine numbers of the
    linear part. `moved_along` applies them.

    Args:
        centre: (3,) RAS mm.
        radius: distance from the centre in mm at which one unit of each direction moves a point by one mm.
        affine: whether to return 12 directions instead of 6.

    Returns:
        (6 or 12, 4, 4).
    """
    directions = []
    for axis in range(3):
        shift = np.zeros((4, 4))
        shift[axis, 3] = 1.0
        directions.append(shift)
    if affine:
        linear_parts = [np.eye(3)[:, [i]] @ np.eye(3)[[j]] for i in range(3) for j in range(3)]
    else:
        linear_parts = [np.cross(np.eye(3), -axis) for axis in np.eye(3)]
    for linear in linear_parts:
        turn = np.zeros((4, 4))
        turn[:3, :3] = linear / radius
        turn[:3, 3] = -turn[:3, :3] @ centre
        directions.append(turn)
    return np.array(directions)


def moved_along(matrix: np.ndarray, directions: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Change a matrix along `generators`, in the world of the fixed image.

    Args:
        matrix: 4x4 RAS mm, fixed -> moving.
        directions: result of `generators`.
        amounts: mm, one per direction.

    Returns:
        4x4.
    """
    return matrix @ matrix_exponential(np.tensordot(amounts, directions, axes=1))


def matrix_exponential(change: np.ndarray) -> np.ndarray:
    """Compute the matrix exponential by scaling, a Taylor series and squaring.

    scipy's general function wakes every BLAS thread for these 16 numbers: half of a registration's CPU time.

    Args:
        change: 4x4 whose last row is 0.

    Returns:
        4x4.
    """
    squarings = max(math.ceil(math.log2(max(float(np.linalg.norm(change[:3, :3])), 1e-12) / SERIES_REACH)), 0)
    step = change / 2.0**squarings
    term, total = np.eye(4), np.eye(4)
    for power in range(1, SERIES_TERMS + 1):
        term = term @ step / power
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total


def turns_and_shifts(centre: np.ndarray, turns: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Create rigid transforms from all combinations of turns and shifts.

    Args:
        centre: (3,) centre of the turns, mm.
        turns: (n, 3) rotation vectors in radians.
        shifts: (m, 3) in mm, applied after the turn.

    Returns:
        (n * m, 4, 4).
    """
    from scipy.spatial.transform import Rotation

    rotations = Rotation.from_rotvec(np.atleast_2d(turns)).as_matrix()
    matrices = np.tile(np.eye(4), (len(rotations), len(shifts), 1, 1))
    matrices[..., :3, :3] = rotations[:, None]
    matrices[..., :3, 3] = (centre - rotations @ centre)[:, None] + np.asarray(shifts)[None]
    return matrices.reshape(-1, 4, 4)


def read_transform(path: Path | str, what: str = "transform") -> np.ndarray:
    """Read a linear ITK transform file as written by ANTs, Slicer, elastix and SimpleITK.

    Args:
        path: .tfm, .txt, .mat, .xfm or .h5; composites of linear transforms are supported.
        what: name of the file in messages.

    Returns:
        4x4, RAS mm.

    Raises:
        BadInput: the file is not a linear, invertible 3D transform.
    """
    import SimpleITK as sitk

    path = Path(path)
    if not path.is_file():
        raise BadInput(f"The {what} {path} does not exist. Give an ITK transform file (.tfm, .txt, .mat, .h5).")
    try:
        with path_for_itk(path) as readable:
            transform = sitk.ReadTransform(str(readable))
    except RuntimeError as error:
        raise BadInput(f"The {what} {path.name} is not an ITK transform file. Export it again, as .tfm.") from error
    if transform.GetDimension() != 3 or not transform.IsLinear():
        raise BadInput(f"The {what} {path.name} is not a linear 3D transform. Give a rigid or affine one.")
    matrix = matrix_of_sitk(transform)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-6:
        raise BadInput(f"The {what} {path.name} is singular. Give a rigid or affine one.")
    return matrix


def write_transform(path: Path | str, matrix: np.ndarray) -> None:
    """Write an ITK text transform (LPS mm) atomically; Slicer and ANTs read .tfm and .txt.

    Args:
        path: file to create or replace.
        matrix: 4x4, RAS mm.
    """
    lps = sitk_transform(matrix)
    numbers = " ".join(f"{value:.17g}" for value in lps.GetParameters())
    text = f"#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\nParameters: {numbers}\n"
    write_text(Path(path), text + "FixedParameters: 0 0 0\n")
