"""Report sections that are specific to each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evaluation.compared import ComparedModels
from ..evaluation.task import Row
from .demyelination_figures import demyelination_examples
from .demyelination_pages import demyelination_section
from .document import Report
from .dvr_pages import dvr_section, dvr_tables, example_visits
from .segmentation_figures import detection_figure, examples_figure
from .slice_figures import Slices, comparison_figure
from .translation_figures import translation_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Section = Callable[[Report, ComparedModels], None]
MAX_EXAMPLES = 3


@dataclass(frozen=True)
class Pages:
    """Parts of a report that depend on the task.

    Attributes:
        sections: functions that add a section each, in this order.
        examples: draws slices of the same visits for all models as one figure.
        each_model: whether every model gets its own slices with the difference to the measured image instead.
        tables: returns the rows of further CSV files by file name.
    """

    sections: tuple[Section, ...] = ()
    examples: Callable[[Mapping[str, Sequence[Slices]]], Figure] = comparison_figure
    each_model: bool = False
    tables: Callable[[ComparedModels], dict[str, list[Row]]] = lambda compared: {}


def _tumour_section(report: Report, compared: ComparedModels) -> None:
    """Explain which mask tumour L2 is computed over."""
    rows = compared.rows[compared.first]["visits"]
    people = len({row["person"] for row in rows})
    with_tumour = len({row["person"] for row in rows if row["tumour_l2"] is not None})
    whole = sum(row["tumour_mask"] == "lesions" for row in rows)
    text = "is computed over the enhancing tumour, as in the paper"
    if whole:
        text += (
            f"; over the whole lesion mask in {whole} of {len(rows)} visits, which have no mask of the enhancing part"
        )
    report.add_text(
        f"Tumour L2 {text}; {with_tumour} of {people} people have a tumour. L2, PSNR and SSIM are computed over the "
        "whole volume."
    )


PAGES = {
    "dvr": Pages((dvr_section,), each_model=True, tables=dvr_tables),
    "demyelination": Pages((demyelination_section, dvr_section), demyelination_examples, True, dvr_tables),
    "wmh": Pages(examples=examples_figure),
    "detection": Pages(examples=detection_figure),
    "translation": Pages((translation_section,)),
    "enhancement": Pages((_tumour_section,)),
}


def choose_examples(task: str, visits: Sequence[Row], loads: Sequence[int]) -> list[int]:
    """Choose the visits to show: by error for DVR maps, else of the people with the highest lesion load.

    Args:
        task: name of the task.
        visits: rows of one model.
        loads: lesional voxels of each visit.

    Returns:
        Up to three indices.
    """
    if PAGES[task].each_model:
        return example_visits(visits)
    largest = {visits[index]["person"]: index for index in sorted(range(len(loads)), key=lambda index: loads[index])}
    return sorted(largest.values(), key=lambda index: (-loads[index], visits[index]["person"]))[:MAX_EXAMPLES]
