"""How well real lesions go through a network's grid and back, in every orientation.

python -m Testing.benchmarks.grid --data $MYELINSYNTH_DATA/ms_lesion_masks_mni [--masks 29]

Every mask is taken as it is, and with an affine of another orientation or spacing: the same voxels, as another scanner
would have stored them. Per lesion: shift of the centre of gravity in world mm, and relative change of the volume.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from TrainingCore.imaging.grid import Grid, world_bounds
from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.imaging.partial_volumes import partial_volumes_of_labels
from TrainingCore.imaging.volumes import read_volume

GRIDS = {"128^3 at 1.5 mm": ((128, 128, 128), 1.5), "160x192x160 at 1 mm": ((160, 192, 160), 1.0)}


def turned(degrees: float) -> np.ndarray:
    """A turn about z, then about x."""
    angle = np.deg2rad(degrees)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return about_z @ about_z[np.ix_([2, 0, 1], [2, 0, 1])]


AFFINES = {
    "LAS (as stored)": np.diag([-1.0, 1, 1]),
    "RAS": np.diag([1.0, 1, 1]),
    "LPS": np.diag([-1.0, -1, 1]),
    "oblique": turned(17) @ np.diag([-1.0, 1, 1]),
    "anisotropic 0.9x0.9x1.3": np.diag([0.9, 0.9, 1.3]),
}


def grid_around(labels: np.ndarray, affine: np.ndarray, shape: tuple[int, int, int], spacing: float) -> Grid:
    """A network's grid centred on the lesions, at no special place between voxels."""
    low, high = world_bounds(labels > 0, affine)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = (low + high) / 2 + 0.217 - spacing * (np.array(shape) - 1) / 2
    return Grid(shape, matrix)


def main() -> None:
    """Print the worst lesion of all masks, per grid and orientation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--masks", type=int, default=29)
    options = parser.parse_args()
    masks = [read_volume(path, mask=True) for path in sorted(options.data.rglob("*.nii.gz"))[: options.masks]]
    numbered = [label_lesions(mask.data > 0.5, mask.voxel_volume)[0] for mask in masks]
    print(f"{len(masks)} masks, {sum(int(labels.max()) for labels in numbered)} lesions; largest shift mm / volume %")
    print(f"{'grid':22s}{'orientation':26s}{'shares there':>18s}{'shares back':>18s}{'voxels back':>18s}")
    for grid_name, (shape, spacing) in GRIDS.items():
        for orientation, axes in AFFINES.items():
            affine = np.eye(4)
            affine[:3, :3] = axes
            worst = np.zeros((3, 2))
            for labels in numbered:
                grid = grid_around(labels, affine, shape, spacing)
                truth = partial_volumes_of_labels(labels, affine, labels.shape, affine)
                there = partial_volumes_of_labels(labels, affine, grid.shape, grid.affine)
                back = there.to(labels.shape, affine)
                whole = partial_volumes_of_labels(back.labels(), affine, labels.shape, affine)
                for row, found in enumerate((there, back, whole)):
                    shift = np.linalg.norm(found.centres() - truth.centres(), axis=1).max()
                    change = 100 * np.abs(found.volumes() / truth.volumes() - 1).max()
                    worst[row] = np.maximum(worst[row], [shift, change])
            cells = "".join(f"{shift:10.1e} /{change:6.1e}" for shift, change in worst)
            print(f"{grid_name:22s}{orientation:26s}{cells}", flush=True)


if __name__ == "__main__":
    main()
