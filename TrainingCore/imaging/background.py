"""Background of MRI files: NaN, padding, or air that is not 0. Networks and N4 expect air at 0.

Masks, maps with a unit (ADC, MTR, FA, DVR) and label maps are not shifted; only their NaN are treated.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

PADDING_SHARE = 0.002  # of all voxels: fewer extreme ones are noise or vessels (ours)
RINGING = 0.02  # of the brightness: values this far below 0 come from interpolation (ours)
LIFTED = 0.1  # of the brightness: air of a scanner comes closer to 0 than this somewhere (ours)
CONSTANT_SHARE = 0.2  # of all voxels hold one value, that of most of the six faces: the background was set (ours)
CONSTANT_FACES = 0.9  # of the voxels on the six faces hold one value: the background was set (ours)
BRIGHT_SHARE, CUT_SHARE = 0.2, 0.6  # of the brightness range; of the head's largest section (ours)
NEGATIVE_SHARE = 0.05  # of the filled voxels below the background: z-scores of a stripped brain (ours)


def without_nan(data: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Replace NaN and infinite voxels that reach the image's border by the background.

    SPM, PMOD and division by a mask write NaN around the brain. NaN enclosed by the image are kept, and so are those of
    a region that cuts straight through the head.

    Args:
        data: (I, J, K) float32; changed in place.

    Returns:
        The array, the number of voxels replaced, and the number of NaN or infinite voxels left inside.
    """
    broken = ~np.isfinite(data)
    if not broken.any() or broken.all():
        return data, 0, int(broken.sum())
    parts, _ = ndimage.label(broken, np.ones((3, 3, 3)))
    touching = np.unique(np.concatenate([np.take(parts, end, axis).ravel() for axis in range(3) for end in (0, -1)]))
    outside = np.isin(parts, touching[touching > 0])
    data[outside] = min(0.0, float(data[~broken].min()))
    if _cuts_through_the_head(data, broken):
        return data, 0, int(np.count_nonzero(broken))
    replaced = int(np.count_nonzero(outside))
    return data, replaced, int(np.count_nonzero(broken)) - replaced


def _cuts_through_the_head(data: np.ndarray, broken: np.ndarray) -> bool:
    """Whether the finite part ends, within the image, in a section through much of the head."""
    kept = data[~broken]
    bright = ~broken & (data > kept.min() + BRIGHT_SHARE * (np.percentile(kept, 99) - kept.min()))
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        finite, sections = np.flatnonzero((~broken).any(axis=others)), bright.sum(axis=others)
        ends = [end for end, border in ((finite[0], 0), (finite[-1], data.shape[axis] - 1)) if end != border]
        if any(sections[end] > CUT_SHARE * sections.max() for end in ends):
            return True
    return False


def air_at_zero(data: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Shift the background of an MRI to 0 if necessary, with a note.

    Padding far beyond all tissue (-32768, 65535 in the corners) becomes air; an image that was lowered as a whole
    (-1024) or scaled (-1 to 1, z-scores of the head) is raised; a brain in z-scores around a background of 0 is raised
    above its background. Values slightly below 0, which interpolation leaves, stay.

    Args:
        data: (I, J, K), finite, any unit.

    Returns:
        Data of the same shape (the same array if nothing is done) and notes, sentences without their subject.
    """
    data, notes = _without_padding(data)
    air, low = float(np.median(_faces(data))), float(data.min())
    bright = float(np.percentile(_centre(data), 99.5)) - air
    lifted = low > LIFTED * bright and air - low < LIFTED * bright
    if bright <= 0 or (low >= 0 and not lifted):
        return data, notes
    filled = data != air
    constant = np.count_nonzero(filled) < (1 - CONSTANT_SHARE) * data.size
    below = np.count_nonzero(data < air)
    if constant and below > NEGATIVE_SHARE * np.count_nonzero(filled) and low < air - RINGING * bright:
        inside = ndimage.binary_fill_holes(filled)
        floor = float(np.percentile(data[inside], 0.1))
        raised = np.where(inside, np.clip(data - floor, 0, None), 0).astype(np.float32)
        return raised, (*notes, f"holds values around {air:g} in the head (z-scores); they were raised above the air")
    if constant and air == 0:  # stripped: the few values below 0 are ringing at the brain's edge
        return data, notes
    if low < -RINGING * bright or lifted:
        floor = float(np.percentile(data, 0.01))
        floor = low if floor - low < RINGING * bright else floor
        if floor == 0:
            return data, notes
        raised = np.clip(data - floor, 0, None).astype(np.float32)
        return raised, (*notes, f"has its air at about {floor:.4g}; all values were shifted so that it is 0")
    return data, notes


def _without_padding(data: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    bottom, top = (float(value) for value in np.percentile(_centre(data), [1, 99]))
    span, bottom = top - bottom, min(bottom, 0.0)
    low, high = float(data.min()), float(data.max())
    if span <= 0 or (low >= bottom - span and high <= top + span):
        return data, ()
    padded = data < bottom - span
    corners = [data[i, j, k] for i in (0, -1) for j in (0, -1) for k in (0, -1)]
    if high > top + span and sum(value == high for value in corners) >= 4:
        padded |= data == high
    if np.count_nonzero(padded) < PADDING_SHARE * data.size:
        return data, ()
    values = sorted({float(data[padded].min()), float(data[padded].max())})
    rest = data[~padded]
    faces, outside = _faces(data), _faces(padded)
    air = float(np.percentile(faces[~outside] if (~outside).any() else rest, 10))
    range_text = " to ".join(f"{value:g}" for value in values)
    note = f"is padded with {range_text} in {100 * np.mean(padded):.0f} % of its voxels; they count as air"
    return np.where(padded, air, data).astype(np.float32), (note,)


def _faces(data: np.ndarray) -> np.ndarray:
    return np.concatenate([np.take(data, end, axis).ravel() for axis in range(3) for end in (0, -1)])


def _centre(data: np.ndarray) -> np.ndarray:
    return data[tuple(slice(n // 4, max(n - n // 4, n // 4 + 1)) for n in data.shape)]
