"""Resample lesion masks to grids of any spacing and direction while keeping every lesion's volume and centre.

A lesion of a few voxels cannot keep its volume within 1 % in a mask of coarser voxels. Therefore the share of each
voxel that a lesion fills is resampled. Every voxel of the mask is divided into equal points, and every point is
distributed to the eight grid voxels around it with the weights of linear interpolation. These sum to one, and their
centre is the point itself: the volume of every lesion and its centre of gravity in the world are the same on every
grid, up to rounding of floating point numbers. Only `mask` returns whole voxels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .labelling import label_lesions
from .volumes import Volume

CUTS_PER_VOXEL = 2  # points of a source voxel per edge of a target voxel: shares come out smooth
MAX_CUTS = 8
SWAPS, CANDIDATES = 500, 200  # exchanges at most, per lesion, to bring the centre back, and voxels looked at for each
FAR_OFF_MM = 20  # summed over the lesion: from here on only exchanges from behind to ahead
MANY, TILTS, BISECTIONS, MAX_TILT = 500, 3, 10, 0.02  # voxels of a lesion that is tilted first; share per mm
CLOSE_MM = 0.02  # mean over the lesion: no need to come closer


@dataclass(frozen=True)
class PartialVolumes:
    """Share of each voxel that each lesion fills; a pair of lesion and voxel occurs once.

    Attributes:
        shape: voxels along each axis of the grid.
        affine: 4x4 of the grid, voxel -> world mm, RAS+.
        lesion: (n,) number of a lesion, from 1.
        voxel: (n,) flat index in C order.
        share: (n,) volume of the lesion in the voxel, in voxels, float64.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    lesion: np.ndarray
    voxel: np.ndarray
    share: np.ndarray

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel in mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def volumes(self) -> np.ndarray:
        """Volume of each lesion in mm3, (n,); 0 if none of it lies on the grid."""
        return np.bincount(self.lesion, self.share)[1:] * self.voxel_volume

    def centres(self) -> np.ndarray:
        """Centre of gravity of each lesion in world mm (RAS), (n, 3); NaN if none of it lies on the grid."""
        return self._centres_in_voxels() @ self.affine[:3, :3].T + self.affine[:3, 3]

    def _centres_in_voxels(self) -> np.ndarray:
        indices = np.unravel_index(self.voxel, self.shape)
        total = np.bincount(self.lesion, self.share)[1:]
        sums = np.stack([np.bincount(self.lesion, self.share * axis)[1:] for axis in indices], axis=1)
        with np.errstate(invalid="ignore"):
            return sums / total[:, None]

    def fractions(self) -> np.ndarray:
        """Share of each voxel that is lesional, float32 (I, J, K), 0 to about 1; its sum is the lesions' volume."""
        flat = np.bincount(self.voxel, self.share, minlength=int(np.prod(self.shape)))
        return flat.reshape(self.shape).astype(np.float32)

    def to(self, shape: tuple[int, int, int], affine: np.ndarray) -> PartialVolumes:
        """Resample the lesions to another grid.

        Args:
            shape: voxels along each axis.
            affine: 4x4, voxel -> world mm, RAS+.

        Returns:
            The lesions on that grid; parts outside of it are lost.
        """
        return _shared_out(self.shape, self.affine, self.lesion, self.voxel, self.share, shape, affine)

    def labels(self) -> np.ndarray:
        """Convert to whole voxels: int32 (I, J, K), 0 outside, the lesion's number inside.

        Each lesion gets as many voxels as its volume fills, rounded, at least one: those it fills most, exchanged until
        their centre of gravity is as near to the lesion's as whole voxels allow. Volumes are therefore kept to half a
        voxel, and exactly if the lesion comes from a mask on the same grid. A voxel goes to the lesion that fills more
        of it.
        """
        flat = np.zeros(int(np.prod(self.shape)), np.int32)
        order = np.argsort(self.lesion, kind="stable")
        lesion, voxel, share = self.lesion[order], self.voxel[order], self.share[order]
        if lesion.size == 0:
            return flat.reshape(self.shape)
        starts = np.searchsorted(lesion, np.arange(1, lesion[-1] + 2))
        centres, spacing = self._centres_in_voxels(), np.linalg.norm(self.affine[:3, :3], axis=0)
        for number in np.argsort(-np.diff(starts), kind="stable"):  # small lesions last: they lose no voxel to others
            part = slice(starts[number], starts[number + 1])
            if part.start == part.stop:
                continue
            free = flat[voxel[part]] == 0
            voxels, shares = voxel[part][free], share[part][free]
            count = min(max(round(float(share[part].sum())), 1), voxels.size)
            if count == 0:
                continue
            index = np.stack(np.unravel_index(voxels, self.shape), axis=1)
            chosen = _whole_voxels(index * spacing, shares, count, centres[number] * spacing)
            flat[voxels[chosen]] = number + 1
        return flat.reshape(self.shape)

    def mask(self) -> np.ndarray:
        """Whether a voxel is lesional, bool (I, J, K); see `labels`."""
        return self.labels() > 0


def partial_volumes(mask: Volume, shape: tuple[int, int, int], affine: np.ndarray) -> PartialVolumes:
    """Resample the lesions of a mask (26-neighbourhood, largest first).

    Args:
        mask: 0/1 lesion mask.
        shape: voxels of the target grid along each axis.
        affine: 4x4 of the target grid, voxel -> world mm, RAS+.

    Returns:
        Share of every lesion in every voxel of the target grid.
    """
    labels, _ = label_lesions(mask.data > 0.5, mask.voxel_volume)
    return partial_volumes_of_labels(labels, mask.affine, shape, affine)


def partial_volumes_of_labels(
    labels: np.ndarray, own_affine: np.ndarray, shape: tuple[int, int, int], affine: np.ndarray
) -> PartialVolumes:
    """Resample lesions that are already labelled.

    Args:
        labels: int (I, J, K), 0 outside.
        own_affine: 4x4 of the labels, voxel -> world mm, RAS+.
        shape: voxels of the target grid along each axis.
        affine: 4x4 of the target grid, voxel -> world mm, RAS+.

    Returns:
        Share of every lesion in every voxel of the target grid.
    """
    voxel = np.flatnonzero(labels)
    lesion = labels.ravel()[voxel].astype(np.int64)
    return _shared_out(labels.shape, own_affine, lesion, voxel, np.ones(voxel.size), shape, affine)


def lesion_mask_on_grid(mask: Volume, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """Resample a lesion mask to another grid in whole voxels.

    Args:
        mask: 0/1 lesion mask.
        shape: voxels of the target grid along each axis.
        affine: 4x4 of the target grid, voxel -> world mm, RAS+.

    Returns:
        bool (I, J, K); no lesion vanishes, and volumes are kept to half a voxel.
    """
    return partial_volumes(mask, shape, affine).mask()


def _shared_out(
    own_shape: tuple[int, ...],
    own_affine: np.ndarray,
    lesion: np.ndarray,
    voxel: np.ndarray,
    share: np.ndarray,
    shape: tuple[int, int, int],
    affine: np.ndarray,
) -> PartialVolumes:
    to_target = np.linalg.inv(affine) @ own_affine
    cuts = np.clip(np.ceil(CUTS_PER_VOXEL * np.linalg.norm(to_target[:3, :3], axis=0) - 1e-6), 1, MAX_CUTS).astype(int)
    position = np.stack(np.unravel_index(voxel, own_shape), axis=1).astype(float)
    weight = share * abs(np.linalg.det(to_target[:3, :3])) / cuts.prod()
    keys, shares = [], []
    for offset in np.ndindex(*cuts):
        point = position + (np.array(offset) + 0.5) / cuts - 0.5
        moved = point @ to_target[:3, :3].T + to_target[:3, 3]
        for key, part in _corners(moved, weight, lesion, shape):
            keys.append(key)
            shares.append(part)
    total = int(np.prod(shape))
    key, where = np.unique(np.concatenate(keys) if keys else np.zeros(0, np.int64), return_inverse=True)
    summed = np.bincount(where, np.concatenate(shares) if shares else None, minlength=key.size)
    return PartialVolumes(shape, np.asarray(affine, float), key // total, key % total, summed)


def _corners(
    points: np.ndarray, weight: np.ndarray, lesion: np.ndarray, shape: tuple[int, int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (lesion * voxels + voxel, share) of the eight voxels around each point, without those beyond the grid."""
    low = np.floor(points).astype(np.int64)
    far = points - low
    for corner in np.ndindex(2, 2, 2):
        index = low + corner
        part = weight * np.prod(np.where(corner, far, 1 - far), axis=1)
        kept = ((index >= 0) & (index < shape)).all(axis=1) & (part > 0)
        flat = np.ravel_multi_index(tuple(index[kept].T), shape)
        yield lesion[kept] * int(np.prod(shape)) + flat, part[kept]


def _whole_voxels(positions: np.ndarray, share: np.ndarray, count: int, centre: np.ndarray) -> np.ndarray:
    """Select `count` voxels: the fullest, then exchanged one by one until their centre fits, bool (n,).

    positions: (n, 3) in mm along the grid's axes. Every exchange is the one that leaves the smallest distance between
    the centres; among equal ones, the one that gives up the least share.
    """
    selected = _fullest(share + (positions - centre) @ _tilt(positions, share, count, centre), count)
    for _ in range(SWAPS):
        offset = count * centre - positions[selected].sum(axis=0)
        miss = float(np.linalg.norm(offset))
        if miss < CLOSE_MM * count or selected.all():
            break
        ahead = (positions - centre) @ offset if miss > FAR_OFF_MM else np.zeros(share.size)
        leaving, joining = _candidates(selected, share, ahead)
        if leaving.size == 0 or joining.size == 0:
            break
        step = positions[joining][None] - positions[leaving][:, None]
        left = np.linalg.norm(offset - step, axis=2)
        lost = share[leaving][:, None] - share[joining][None]
        best = np.unravel_index(np.argmin(np.round(left, 3) + 0.1 * lost), left.shape)
        if left[best] >= miss - 1e-6:
            break
        selected[leaving[best[0]]], selected[joining[best[1]]] = False, True
    return selected


def _fullest(share: np.ndarray, count: int) -> np.ndarray:
    taken = np.zeros(share.size, bool)
    taken[np.argsort(-share, kind="stable")[:count]] = True
    return taken


def _tilt(positions: np.ndarray, share: np.ndarray, count: int, centre: np.ndarray) -> np.ndarray:
    """Return the share per mm that, added along a direction, moves a large lesion's centre into place, by bisection."""
    tilt = np.zeros(3)
    for _ in range(TILTS if count > MANY else 0):
        off = centre - positions[_fullest(share + (positions - centre) @ tilt, count)].mean(axis=0)
        if np.linalg.norm(off) < CLOSE_MM:
            break
        direction, low, high = off / np.linalg.norm(off), 0.0, MAX_TILT
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            selected = _fullest(share + (positions - centre) @ (tilt + middle * direction), count)
            short = (centre - positions[selected].mean(axis=0)) @ direction > 0
            low, high = (middle, high) if short else (low, middle)
        tilt = tilt + low * direction
    return tilt


def _candidates(selected: np.ndarray, share: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the emptiest selected voxels behind the centre, and the fullest other voxels ahead of it."""
    inside, outside = np.flatnonzero(selected & (ahead <= 0)), np.flatnonzero(~selected & (ahead >= 0))
    emptiest = inside[np.argsort(share[inside], kind="stable")[:CANDIDATES]]
    return emptiest, outside[np.argsort(-share[outside], kind="stable")[:CANDIDATES]]
