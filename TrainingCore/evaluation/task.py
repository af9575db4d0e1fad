"""What a kind of model is measured by: its measures, and how they are taken of one visit."""

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
    """What a model makes of one visit, on the grid of its Case.

    images: name -> (I, J, K): `synthetic`, the target (outside the brain it means nothing), and `hyperintensities`, a
        probability, each where the model makes it.
    maps: several predictions of the synthetic image, for its uncertainty; empty if none was asked for.
    scale: SD of the synthetic image's error that the network itself predicts; None if it does not or was not asked.
    expected_errors, intervals: what the model's bundle says of its errors, see `calibration.expected_error` and
        `conformal.interval_of`; None if it was not calibrated.
    lesion_threshold: probability above which a voxel counts as hyperintense, chosen on the model's validation people;
        smallest_lesion: in mm3, what is smaller is left out, chosen likewise.
    """

    images: dict[str, np.ndarray]
    maps: Sequence[np.ndarray] = ()
    scale: np.ndarray | None = None
    expected_errors: Mapping[str, Mapping[str, float]] | None = None
    intervals: Mapping[str, Any] | None = None
    lesion_threshold: float = HYPERINTENSE
    smallest_lesion: float = 0.0


@dataclass(frozen=True)
class Measure:
    """One number per visit.

    Attributes:
        key: in a visit's row; title.
        better: `higher`, `lower`, or empty if it only describes.
        scale: what the number is multiplied by for print.
        form: its format.
        highest: the highest possible value, if there is one.
    """

    key: str
    title: str
    better: str
    scale: float = 1.0
    form: str = "{:.3f}"
    highest: float | None = None

    @property
    def limit(self) -> float | None:
        """The best possible value: errors and rates end at 0."""
        return 0.0 if self.better == "lower" else self.highest


MeasureVisit = Callable[[Case, ModelImages, Mapping[str, Any], Any], tuple[Row, list[Row]]]


@dataclass(frozen=True)
class Task:
    """What models of one kind are measured by.

    name: also names its pages in reporting.task_pages.
    measures: the first one decides in experiments.
    measure: (case, outputs, data, context) -> (visit row, lesion rows). data: {inputs, target, intensity} of the model;
        a row that holds `untouched` (the name of an input) and every measure with the prefix `untouched_` gives the
        report a column of that input taken for the target.
    needs: volumes besides inputs, target and brain without which a visit cannot be measured.
    prepare: measured cases -> context, for instance a threshold from controls; prepared_from: the participants' group
        whose visits alone it needs (empty: all).
    pictures: what an example slice shows besides the outputs, (case, outputs, context) -> images.
    pooled: (title, lesion rows of all people -> {r, r_low, r_high, n}).
    summarise: what else a summary says, (visit rows, lesion rows, seed, minimum mm3) -> entries.
    differences: what else is compared on the same lesions, (first's, other's lesion rows, seed, minimum mm3) -> gaps.
    common_grid: whether models of different grids are compared on the finest one, as quantitative maps can be.
    """

    name: str
    measures: tuple[Measure, ...]
    measure: MeasureVisit
    needs: tuple[str, ...] = ()
    prepare: Callable[[Iterable[Case]], Any] | None = None
    prepared_from: str = ""
    pictures: Callable[[Case, ModelImages, Any], dict[str, np.ndarray]] = lambda case, outputs, context: {}
    pooled: tuple[tuple[str, Callable[[Sequence[Row]], Row]], ...] = ()
    summarise: Callable[[Sequence[Row], Sequence[Row], int, float], Row] | None = None
    differences: Callable[[Sequence[Row], Sequence[Row], int, float], Row] | None = None
    common_grid: bool = False

    def images(self, case: Case, outputs: ModelImages, context: Any) -> dict[str, np.ndarray]:
        """Everything that an example slice shows, by name."""
        return outputs.images | self.pictures(case, outputs, context)
