"""Mutual information of two images over fixed sample points, with its gradient for the optimiser.

After Mattes et al. 2003: cubic B-spline Parzen windows for the moving image, plain bins for the fixed one. Written in
torch without autograd: the gradient of every sample costs little more than its value.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

BINS = 32
PADDING = 2  # empty bins at either end, so that every Parzen window fits


def to_bins(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Convert intensities to positions in the histogram.

    Args:
        values: any shape and unit.
        low: intensity of the first bin; lower values are clipped.
        high: intensity of the last bin; higher values are clipped.

    Returns:
        float32 in [PADDING, BINS - 1 - PADDING].
    """
    scale = (BINS - 1 - 2 * PADDING) / max(high - low, 1e-12)
    return (PADDING + (np.clip(values, low, high) - low) * scale).astype(np.float32)


@dataclass(frozen=True)
class Similarity:
    """Mutual information at one matrix.

    Attributes:
        information: nats.
        covered: share of the samples inside the moving image.
        gradient: (3, 4) with respect to the upper 3x4 of the matrix, or None.
    """

    information: float
    covered: float
    gradient: np.ndarray | None


class MutualInformation:
    """Mutual information of two images as a function of the matrix between their worlds.

    Samples that leave the moving image fade out over half a voxel. float32, with sums in float64.

    Args:
        points: (n, 3) world of the fixed image, RAS mm.
        fixed: (n,) intensities from `to_bins`.
        moving: (I, J, K) intensities from `to_bins`.
        affine: 4x4 of the moving image, voxel -> world RAS mm.
        device: torch device.
    """

    def __init__(
        self, points: np.ndarray, fixed: np.ndarray, moving: np.ndarray, affine: np.ndarray, device: str = "cpu"
    ) -> None:
        import torch

        self.centre = points.mean(axis=0)
        local = np.ascontiguousarray((points - self.centre).T, dtype=np.float32)
        self.points = torch.from_numpy(local).to(device)
        self.rows = torch.from_numpy(np.round(fixed).astype(np.int64)).to(device)
        # one more layer at each upper end, so that the neighbour of the last voxel exists
        padded = np.pad(moving, [(0, 1)] * 3, mode="edge")
        self.shape, self.strides = moving.shape, (padded.shape[1] * padded.shape[2], padded.shape[2], 1)
        self.voxels = torch.from_numpy(np.ascontiguousarray(padded, dtype=np.float32).ravel()).to(device)
        self.to_voxel = np.linalg.inv(affine)

    def half(self, number: int) -> MutualInformation:
        """Restrict the samples to every second one.

        Args:
            number: 0 for the first, third, ... sample, 1 for the second, fourth, ...

        Returns:
            The same function over half of the samples.
        """
        other = copy.copy(self)
        other.points = self.points[:, number::2].contiguous()
        other.rows = self.rows[number::2].contiguous()
        return other

    def __call__(self, matrix: np.ndarray, gradient: bool = True) -> Similarity:
        """Evaluate at one 4x4 matrix in RAS mm, a point of the fixed image -> the point of the moving image."""
        import torch

        with torch.no_grad():
            coordinates, weight, edge = self._sample_coordinates(matrix)
            value, slopes = self._interpolated(coordinates)
            column, shares = _parzen_shares(value)
            histogram = _joint_histogram(self.rows, column, [weight * share for share in shares])
            total = float(histogram.sum())
            if total < 1.0:
                return Similarity(0.0, 0.0, np.zeros((3, 4)) if gradient else None)
            table = _log_ratio(histogram, total)
            information = float((histogram * table).sum()) / total
            covered = total / len(self.rows)
            if not gradient:
                return Similarity(information, covered, None)
            flat = table.to(value.dtype).ravel()
            terms = [flat.index_select(0, self.rows * BINS + column + k) for k in range(4)]
            by_value = sum(share * term for share, term in zip(_parzen_slopes(value), terms)) * weight
            pull = torch.stack([by_value * slope for slope in slopes])
            if edge is not None:
                at_samples = sum(share * term for share, term in zip(shares, terms)) - information
                pull += at_samples * edge
            linear = (pull.double() @ self.points.double().T).cpu().numpy() / total
            shift = pull.double().sum(dim=1).cpu().numpy() / total
        by_world = self.to_voxel[:3, :3].T @ np.column_stack([linear, shift])
        by_world[:, :3] += np.outer(by_world[:, 3], self.centre)  # the points are kept relative to their centre
        return Similarity(information, covered, by_world)

    def _sample_coordinates(self, matrix: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return voxel coordinates of the samples, (3, n), their weights, (n,), and the weights' slope, (3, n), or
        None.
        """
        import torch

        to_voxel = self.to_voxel @ matrix
        shift = to_voxel[:3, :3] @ self.centre + to_voxel[:3, 3]
        linear = torch.from_numpy(to_voxel[:3, :3].astype(np.float32)).to(self.points.device)
        coordinates = linear @ self.points + torch.from_numpy(shift.astype(np.float32)).to(self.points.device)[:, None]
        ends = torch.tensor(self.shape, dtype=coordinates.dtype, device=coordinates.device)[:, None] - 0.5
        room = torch.minimum(coordinates + 0.5, ends - coordinates)
        if float(room.min()) >= 1.0:
            return coordinates, torch.ones_like(coordinates[0]), None
        shares = room.clamp(0, 1)
        weight = shares.prod(dim=0)
        direction = torch.where(coordinates + 0.5 < ends - coordinates, 1.0, -1.0) * ((room > 0) & (room < 1))
        edge = direction * torch.where(shares > 0, weight / shares.clamp_min(1e-6), 0.0)
        return coordinates, weight, edge

    def _interpolated(self, coordinates: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Trilinear values, (n,), and their slopes along I, J, K, each (n,), per voxel."""
        import torch

        lower, share = [], []
        for axis, size in enumerate(self.shape):
            coordinate = coordinates[axis].clamp(0, size - 1)
            floor = coordinate.floor()
            lower.append(floor.long())
            share.append(coordinate - floor)
        base = lower[0] * self.strides[0] + lower[1] * self.strides[1] + lower[2]
        i, j, k = share
        ends = {}
        for di in (0, 1):
            for dj in (0, 1):
                offset = di * self.strides[0] + dj * self.strides[1]
                near = self.voxels[offset:].index_select(0, base)
                far = self.voxels[offset + 1 :].index_select(0, base)
                step = far - near
                ends[di, dj] = (torch.addcmul(near, step, k), step)
        (a, da), (b, db), (c, dc), (d, dd) = ends[0, 0], ends[0, 1], ends[1, 0], ends[1, 1]
        low, high = torch.lerp(a, b, j), torch.lerp(c, d, j)
        along_j = torch.lerp(b - a, d - c, i)
        along_k = torch.lerp(torch.lerp(da, db, j), torch.lerp(dc, dd, j), i)
        return torch.lerp(low, high, i), (high - low, along_j, along_k)


def _parzen_shares(value: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """First of the four bins that a value falls into, and its cubic B-spline share in each."""
    floor = value.floor()
    t = value - floor
    rest = 1 - t
    first, last = rest**3 / 6, t**3 / 6
    second = 2 / 3 - t * t * (1 - t / 2)
    return floor.long() - 1, [first, second, 1 - first - second - last, last]


def _parzen_slopes(value: torch.Tensor) -> list[torch.Tensor]:
    """Derivatives of the four shares with respect to the value."""
    t = value - value.floor()
    first, last = -((1 - t) ** 2) / 2, t * t / 2
    second = t * (1.5 * t - 2)
    return [first, second, -first - second - last, last]


def _joint_histogram(rows: torch.Tensor, column: torch.Tensor, shares: list[torch.Tensor]) -> torch.Tensor:
    """Compute the joint histogram (BINS, BINS), float64: sample n adds shares[k][n] to cell (rows[n], column[n] + k).

    The result is reproducible to the bit: on a GPU, scattered sums are added in the order in which its threads arrive,
    so there it is a matrix product.
    """
    if rows.device.type == "cpu":
        return histogram_by_counting(rows, column, shares)
    return histogram_by_product(rows, column, shares)


def histogram_by_counting(rows: torch.Tensor, column: torch.Tensor, shares: list[torch.Tensor]) -> torch.Tensor:
    """Compute the joint histogram by counting, for the CPU.

    Args:
        rows: (n,) bin of the fixed image, int64.
        column: (n,) first bin of the moving image, int64.
        shares: four (n,) weights, of bins column to column + 3.

    Returns:
        (BINS, BINS) float64.
    """
    import torch

    index = rows * BINS + column
    counts = torch.zeros(BINS * BINS, dtype=torch.float64, device=rows.device)
    for k, share in enumerate(shares):
        counts += torch.bincount(index + k, share.double(), BINS * BINS)
    return counts.view(BINS, BINS)


def histogram_by_product(rows: torch.Tensor, column: torch.Tensor, shares: list[torch.Tensor]) -> torch.Tensor:
    """Compute the joint histogram as a product of two matrices, for the GPU.

    Args:
        rows: (n,) bin of the fixed image, int64.
        column: (n,) first bin of the moving image, int64.
        shares: four (n,) weights, of bins column to column + 3.

    Returns:
        (BINS, BINS) float64.
    """
    import torch

    moving = torch.zeros((len(rows), BINS), dtype=torch.float64, device=rows.device)
    for k, share in enumerate(shares):
        moving.scatter_(1, (column + k)[:, None], share.double()[:, None])
    return torch.nn.functional.one_hot(rows, BINS).double().T @ moving


def _log_ratio(histogram: torch.Tensor, total: float) -> torch.Tensor:
    """log(p(f, m) / (p(f) p(m))) of a joint histogram, 0 if it is empty, (BINS, BINS) float64."""
    import torch

    expected = histogram.sum(dim=1, keepdim=True) * histogram.sum(dim=0, keepdim=True) / total
    filled = histogram > 1e-9
    return torch.where(filled, torch.log(torch.where(filled, histogram / expected.clamp_min(1e-30), 1.0)), 0.0)
