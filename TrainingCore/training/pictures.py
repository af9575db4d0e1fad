"""Example slices of a training run as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import RESEARCH_USE
from ..data.case import Case, is_simulated
from ..reporting.document import png_bytes
from ..reporting.slice_figures import axial_slices, slices_figure
from ..runtime.files import atomic_path


def save_picture(path: Path, case: Case, predicted: np.ndarray, title: str, inputs: Sequence[str], target: str) -> None:
    """Write a PNG of one slice: inputs, measured and synthetic target, difference (see reporting.slice_figures).

    Args:
        path: the file.
        case: the visit.
        predicted: (I, J, K) in the unit of the target.
        title: title of the row.
        inputs: names of the input images.
        target: name of the target image.
    """
    figure = slices_figure([axial_slices(case, predicted, title, inputs, target)])
    label = f"Simulated data. {RESEARCH_USE}" if is_simulated(case.info) else RESEARCH_USE
    figure.suptitle(label, fontsize=9)
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(figure))
