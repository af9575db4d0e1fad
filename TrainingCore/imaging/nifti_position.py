"""World position of a NIfTI file: qform, sform, units, and which to use if they disagree.

Volumes and thicknesses need scanner millimetres. Therefore a sform that scales or shears (an affine to MNI, code 4)
never replaces a scanner's qform, and a form that lost the spacing is replaced by the one that kept it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FORMS_TOLERANCE_MM = 1.0  # sform and qform further apart than this are reported (ours)
SPACING_TOLERANCE = 0.01  # relative difference of voxel edges that counts as another size (ours)
SHEAR_TOLERANCE = 1e-3  # cosine between two axes; 0.06 degrees (ours)
UNIT_TOLERANCE = 1e-3  # of a voxel edge of exactly 1
QUATERNION_TOLERANCE = 0.01  # how far float32 and old converters leave the unit sphere (ours)
HEAD_FIELD_MM = (140.0, 400.0)  # longest edge of a head MRI's field of view (ours)
NORMALISED = (3, 4, 5)  # sform codes: Talairach, MNI, another template
AXES = ("left and right", "front and back", "top and bottom")


@dataclass(frozen=True)
class Forms:
    """The two matrices of a NIfTI header, 4x4 voxel -> world mm RAS (None if absent), and their codes."""

    qform: np.ndarray | None
    qform_code: int
    sform: np.ndarray | None
    sform_code: int


@dataclass(frozen=True)
class Choice:
    """Selected form of a header.

    Attributes:
        affine: 4x4 voxel -> world in the file's unit.
        other: valid form that was not selected, or None.
        notes: sentences without their subject.
        kept: whether outputs may have the same two forms.
    """

    affine: np.ndarray
    other: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    kept: bool = True


def forms_of(header: Any) -> Forms:
    """Read the forms of a NIfTI header; a slightly too long quaternion is normalised.

    Args:
        header: nibabel NIfTI-1 or NIfTI-2 header.

    Returns:
        qform and sform with their codes; None and 0 if absent or invalid.
    """
    q_code, s_code = int(header["qform_code"]), int(header["sform_code"])
    qform = _qform(header) if q_code > 0 else None
    sform = np.asarray(header.get_sform(), float) if s_code > 0 else None
    if sform is not None and not _usable(sform):
        sform = None
    return Forms(qform, q_code if qform is not None else 0, sform, s_code if sform is not None else 0)


def choose_form(
    forms: Forms, spacing: np.ndarray, shape: tuple[int, ...], base: np.ndarray, codes: tuple[int, int]
) -> Choice:
    """Decide between qform and sform.

    Args:
        forms: result of `forms_of`.
        spacing: voxel edges in the header's pixdim.
        shape: voxels along each axis.
        base: 4x4 for files without an orientation.
        codes: qform and sform code as stored, even if a matrix is invalid.

    Returns:
        The selected form, with notes.
    """
    q, s = forms.qform, forms.sform
    if q is None and s is None:
        if any(codes):
            return Choice(np.full((4, 4), np.nan))
        return Choice(base, notes=("says nothing about its orientation; left and right may be swapped",))
    if s is None:
        notes = ("has a broken sform; the qform was used",) if codes[1] else ()
        return Choice(np.asarray(q), notes=notes, kept=not notes)
    if q is None:
        return _sform_alone(s, spacing, shape)
    edges, q_edges = np.linalg.norm(s[:3, :3], axis=0), np.linalg.norm(q[:3, :3], axis=0)
    scaled = np.abs(edges / q_edges - 1).max() > SPACING_TOLERANCE
    sheared = _shear(s) > SHEAR_TOLERANCE
    if scaled and not sheared and _same_directions(q, s):
        return _choose_if_spacing_is_lost(q, s, shape)
    if scaled or (sheared and forms.sform_code in NORMALISED):
        factor = abs(np.linalg.det(s[:3, :3]) / np.linalg.det(q[:3, :3]))
        note = (
            f"has a sform that is an affine to a template (volumes {factor:.2f} times those of the scanner); the qform "
            "was used, so that volumes are in scanner mm"
        )
        return Choice(q, s, (note,))
    return Choice(s, q, _disagreement(q, s, shape))


def _sform_alone(sform: np.ndarray, spacing: np.ndarray, shape: tuple[int, ...]) -> Choice:
    edges = np.linalg.norm(sform[:3, :3], axis=0)
    lost = _unit_edges(edges) and not _unit_edges(spacing) and _shear(sform) <= SHEAR_TOLERANCE
    if lost and _head(spacing, shape) and not _head(edges, shape):
        fixed = sform.copy()
        fixed[:3, :3] *= spacing
        return Choice(fixed, notes=(_lost("sform", edges, spacing),), kept=False)
    return Choice(sform)


def _choose_if_spacing_is_lost(q: np.ndarray, s: np.ndarray, shape: tuple[int, ...]) -> Choice:
    """Choose between forms of one direction and different voxel sizes.

    The one with which a head fits is believed, else the scanner's qform.
    """
    edges, q_edges = np.linalg.norm(s[:3, :3], axis=0), np.linalg.norm(q[:3, :3], axis=0)
    by_head = _head(edges, shape), _head(q_edges, shape)
    trust_sform = by_head[0] if by_head[0] != by_head[1] else _unit_edges(q_edges) and not _unit_edges(edges)
    if trust_sform:
        return Choice(s, notes=(_lost("qform", q_edges, edges),), kept=False)
    return Choice(q, notes=(_lost("sform", edges, q_edges),), kept=False)


def _lost(which: str, edges: np.ndarray, used: np.ndarray) -> str:
    return (
        f"has a {which} with voxels of {_edges(edges)} mm where the rest of its header says {_edges(used)} mm; the "
        "latter was used"
    )


def _disagreement(q: np.ndarray, s: np.ndarray, shape: tuple[int, ...]) -> tuple[str, ...]:
    axes = opposite_axes(q, s)
    ends = np.array([[i, j, k, 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    ends[:, :3] *= np.array(shape[:3]) - 1
    gap = float(np.linalg.norm((ends @ (q - s).T)[:, :3], axis=1).max())
    if axes:
        names = " and ".join(axes)
        return (
            f"has a qform and a sform that differ by up to {gap:.0f} mm and disagree about {names}; the sform was used."
            " Check the side of a finding you know",
        )
    if gap > FORMS_TOLERANCE_MM and _shear(s) <= SHEAR_TOLERANCE:
        return (f"has a qform and a sform that differ by up to {gap:.0f} mm; the sform was used",)
    return ()


def opposite_axes(first: np.ndarray, second: np.ndarray) -> list[str]:
    """List the world axes along which two affines of one array run in opposite directions.

    Args:
        first: 4x4.
        second: 4x4.

    Returns:
        Names from AXES.
    """
    first_axes, second_axes = (
        np.asarray(m)[:3, :3] / np.linalg.norm(np.asarray(m)[:3, :3], axis=0) for m in (first, second)
    )
    names = []
    for world in range(3):
        axis = int(np.abs(second_axes[world]).argmax())
        if first_axes[world, axis] * second_axes[world, axis] < 0 and abs(first_axes[world, axis]) > 0.5:
            names.append(AXES[world])
    return names


def unit_scale(affine: np.ndarray, shape: tuple[int, ...], declared: float, unit: str) -> tuple[float, tuple[str, ...]]:
    """Determine millimetres per unit of an affine.

    Args:
        affine: 4x4 in the file's unit.
        shape: voxels along each axis.
        declared: mm per unit according to the header.
        unit: name of the unit, for the note.

    Returns:
        Millimetres per unit, and a note if the declared unit cannot be right for a head.
    """
    field = float((np.linalg.norm(affine[:3, :3], axis=0) * np.array(shape[:3])).max())
    low, high = HEAD_FIELD_MM[0] / 2, HEAD_FIELD_MM[1] * 2
    if low <= field * declared <= high:
        return declared, ()
    for scale, name in ((1.0, "mm"), (1000.0, "metres"), (0.001, "micrometres")):
        if scale != declared and low <= field * scale <= high:
            note = f"says that its unit is {unit}, a head of {field * declared:.3g} mm; it was read as {name}"
            return scale, (note,)
    return declared, ()


def _qform(header: Any) -> np.ndarray | None:
    """4x4 of the qform fields, or None if they are broken."""
    from nibabel.quaternions import quat2mat

    bcd = np.array([float(header[f"quatern_{name}"]) for name in "bcd"])
    offset = np.array([float(header[f"qoffset_{name}"]) for name in "xyz"])
    spacing = np.abs(np.asarray(header["pixdim"], float)[1:4])
    length = float(bcd @ bcd)
    if not np.isfinite([*bcd, *offset, *spacing]).all() or length > 1 + QUATERNION_TOLERANCE or not spacing.all():
        return None
    bcd = bcd / np.sqrt(length) if length > 1 else bcd
    quaternion = np.array([np.sqrt(max(1 - float(bcd @ bcd), 0.0)), *bcd])
    spacing = spacing * [1, 1, -1 if float(header["pixdim"][0]) == -1 else 1]
    matrix = np.eye(4)
    matrix[:3, :3] = quat2mat(quaternion) * spacing
    matrix[:3, 3] = offset
    return matrix if _usable(matrix) else None


def _usable(matrix: np.ndarray) -> bool:
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) >= 1e-20)


def _shear(affine: np.ndarray) -> float:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def _same_directions(first: np.ndarray, second: np.ndarray) -> bool:
    first_axes, second_axes = (m[:3, :3] / np.linalg.norm(m[:3, :3], axis=0) for m in (first, second))
    return bool(np.abs(first_axes - second_axes).max() < 10 * SHEAR_TOLERANCE)


def _unit_edges(edges: np.ndarray) -> bool:
    return bool(np.abs(np.asarray(edges) - 1).max() < UNIT_TOLERANCE)


def _head(edges: np.ndarray, shape: tuple[int, ...]) -> bool:
    longest = float((np.asarray(edges) * np.array(shape[:3])).max())
    return HEAD_FIELD_MM[0] <= longest <= HEAD_FIELD_MM[1]


def _edges(edges: np.ndarray) -> str:
    return " x ".join(f"{edge:.3g}" for edge in edges)
