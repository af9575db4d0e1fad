"""Measures of a kind of model, and how they are computed for one visit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.case import Case
from .segmentation import HYPERINTENSE

Row = dict[str, Any]
Rows = dict[str, list[Row]]  # {visits, lesions} of one model
Pooled = dict[str, Rows]  # by model or recipe
SYNTHETIC, HYPERINTENSITIES = "synthetic", "hyperintensities"


@dataclass
class ModelImages:
    """Outputs of a model for one visit, on the grid of its Case.

    Attributes:
        images: name -> (I, J, K): `synthetic`, the target (meaningless outside the brain), and `hyperintensities`, a
            probability, if the model predicts them.
        maps: several predictions of the synthetic image, for its uncertainty; empty if not requested.
        scale: SD of the synthetic image's error as predicted by the network itself, (I, J, K), or None.
        expected_errors: calibration in the model's bundle, see `calibration.expected_error`; None if not calibrated.
        intervals: calibration in the model's bundle, see `conformal.interval_of`; None if not calibrated.
        myelin: regression in the model's bundle, see `lesion_myelin.estimated_loss`; None if it has none.
        lesion_threshold: probability above which a voxel counts as hyperintense, chosen on the model's validation
            people.
        smallest_lesion: volume in mm3 below which lesions are left out, chosen likewise.
    """

    images: dict[str, np.ndarray]
    maps: Sequence[np.ndarray] = ()
    scale: np.ndarray | None = None
    expected_errors: Mapping[str, Mapping[str, float]] | None = None
    intervals: Mapping[str, Any] | None = None
    myelin: Mapping[str, Any] | None = None
    lesion_threshold: float = HYPERINTENSE
    smallest_lesion: float = 0.0


@dataclass(frozen=True)
class Measure:
    """One number per visit.

    Attributes:
        key: key in a visit's row.
        title: title in tables and figures.
        better: `higher`, `lower`, or empty for descriptive measures.
        scale: factor for printing.
        form: number format.
        highest: highest possible value, if there is one.
    """

    key: str
    title: str
    better: str
    scale: float = 1.0
    form: str = "{:.3f}"
    highest: float | None = None

    @property
    def limit(self) -> float | None:
        """Best possible value: 0 for errors and rates."""
        return 0.0 if self.better == "lower" else self.highest


MeasureVisit = Callable[[Case, ModelImages, Mapping[str, Any], Any], tuple[Row, list[Row]]]


@dataclass(frozen=True)
class Task:
    """Measures of one kind of model.

    Attributes:
        name: also identifies its pages in reporting.task_pages.
        measures: the first one decides in experiments.
        measure: (case, outputs, data, context) -> (visit row, lesion rows). data: {inputs, target, intensity} of the
            model; a row with `untouched` (the name of an input) and every measure with the prefix `untouched_` adds a
            column to the report that compares that input with the target.
        needs: volumes besides inputs, target and brain without which a visit cannot be measured.
        prepare: measured cases -> context, for instance a threshold from controls.
        prepared_from: the participants' group whose visits `prepare` needs (empty: all).
        pictures: images of an example slice besides the outputs, (case, outputs, context) -> images.
        pooled: (title, (lesion rows of all people, seed, minimum mm3) -> {r, r_low, r_high, n}).
        summarise: further entries of a summary, (visit rows, lesion rows, seed, minimum mm3) -> entries.
        differences: further comparisons on the same lesions, (first's, other's lesion rows, seed, minimum mm3) -> gaps.
        common_grid: whether models of different grids are compared on the finest one, as quantitative maps can be.
    """

    name: str
    measures: tuple[Measure, ...]
    measure: MeasureVisit
    needs: tuple[str, ...] = ()
    prepare: Callable[[Iterable[Case]], Any] | None = None
    prepared_from: str = ""
    pictures: Callable[[Case, ModelImages, Any], dict[str, np.ndarray]] = lambda case, outputs, context: {}
    pooled: tuple[tuple[str, Callable[[Sequence[Row], int, float], Row]], ...] = ()
    summarise: Callable[[Sequence[Row], Sequence[Row], int, float], Row] | None = None
    differences: Callable[[Sequence[Row], Sequence[Row], int, float], Row] | None = None
    common_grid: bool = False

    def images(self, case: Case, outputs: ModelImages, context: Any) -> dict[str, np.ndarray]:
        """Collect the images of an example slice.

        Args:
            case: the visit.
            outputs: outputs of the model.
            context: result of `prepare`.

        Returns:
            (I, J, K) by name.
        """
        return outputs.images | self.pictures(case, outputs, context)
