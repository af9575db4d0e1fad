"""Measurements and outputs on the original grid of a T1w that is finer than the working grid (see working_grid)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..evaluation.lesions import demyelination_limit, lesion_table
from ..imaging.grid import Grid
from ..imaging.labelling import label_lesions
from ..imaging.partial_volumes import lesion_mask_on_grid, partial_volumes_of_labels
from ..imaging.volumes import Volume, resample
from ..imaging.working_grid import mask_on_own_grid
from ..prediction.volume import maps_to_t1w


@dataclass
class OwnGrid:
    """Arrays on the original grid of the T1w.

    Attributes:
        brain: uint8 mask.
        lesions: 0/1 mask, or None.
        measured: measured DVR, or None.
        dvr: synthetic DVR, set by `finish`.
        uncertainty: SD of the DVR, set by `finish`.
        nawm: bool mask, set by `finish`.
        labels: lesion labels, set by `finish`.
    """

    brain: Volume
    lesions: Volume | None = None
    measured: Volume | None = None
    dvr: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    nawm: np.ndarray | None = None
    labels: np.ndarray | None = None

    def on_working_grid(self, t1w: Volume) -> tuple[Volume | None, Volume | None]:
        """Resample lesions and measured DVR to the working grid.

        Args:
            t1w: T1w on the working grid.

        Returns:
            Lesion mask (0/1, every lesion keeps at least one voxel) and measured DVR, each None if not given.
        """
        shape, affine = t1w.data.shape, t1w.affine
        lesions = measured = None
        if self.lesions is not None:
            marked = lesion_mask_on_grid(self.lesions, shape, affine).astype(np.float32)
            lesions = replace(t1w, data=marked, name=self.lesions.name)
        if self.measured is not None:
            measured = t1w.with_data(resample(self.measured, shape, affine))
        return lesions, measured

    def finish(
        self, brain: Volume, dvr: np.ndarray, uncertainty: np.ndarray | None, nawm: np.ndarray
    ) -> tuple[list[dict[str, Any]], np.ndarray, float | None]:
        """Resample maps from the working grid to this grid and measure the lesions.

        Args:
            brain: brain mask on the working grid.
            dvr: synthetic DVR on the working grid.
            uncertainty: SD of the DVR on the working grid, or None.
            nawm: NAWM mask on the working grid.

        Returns:
            Rows of the lesion table; lesion labels on the working grid, int32, at least one voxel per lesion; DVR below
            which a voxel counts as demyelinated, or None.
        """
        inside = brain.data > 0.5
        shape = (inside.shape[0], inside.shape[1], inside.shape[2])
        grid = Grid(shape, np.asarray(brain.affine, float))
        (self.dvr,) = maps_to_t1w([dvr], inside, grid, self.brain)
        if uncertainty is not None:
            (self.uncertainty,) = maps_to_t1w([uncertainty], inside, grid, self.brain)
        self.nawm = mask_on_own_grid(nawm, brain.affine, self.brain).data > 0
        if self.lesions is None:
            self.labels = np.zeros(self.brain.data.shape, np.uint8)
            return [], np.zeros(shape, np.int32), demyelination_limit(self.dvr, self.nawm)
        self.labels, _ = label_lesions(self.lesions.data, self.brain.voxel_volume)
        self.nawm &= self.labels == 0
        measured = None if self.measured is None else self.measured.data
        rows = lesion_table(self.labels, self.dvr, self.nawm, self.brain.affine, measured)
        coarse = partial_volumes_of_labels(self.labels, self.brain.affine, shape, grid.affine).labels()
        return rows, coarse, demyelination_limit(self.dvr, self.nawm)
