"""What a report shows of each task besides the tables that all share."""

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
    """sections: in this order; examples: slices of the same visits, model by model, as one figure; each_model: whether
    every model also has its own slices with their difference to the measured image; tables: more CSV files by name."""

    sections: tuple[Section, ...] = ()
    examples: Callable[[Mapping[str, Sequence[Slices]]], Figure] = comparison_figure
    each_model: bool = False
    tables: Callable[[ComparedModels], dict[str, list[Row]]] = lambda compared: {}


def tumour_section(report: Report, compared: ComparedModels) -> None:
    """What the tumour of `tumour L2` is."""
    rows = compared.rows[compared.first]["visits"]
    people = len({row["person"] for row in rows})
    with_tumour = len({row["person"] for row in rows if row["tumour_l2"] is not None})
    whole = sum(row["tumour_mask"] == "lesions" for row in rows)
    text = "is over the enhancing tumour, as in the paper"
    if whole:
        text += f"; over the whole lesion mask in {whole} of {len(rows)} visits, which have no mask of what enhances"
    report.add_text(
        f"Tumour L2 {text}; {with_tumour} of {people} people have one. L2, PSNR and SSIM are over the whole volume."
    )


PAGES = {
    "dvr": Pages((dvr_section,), each_model=True, tables=dvr_tables),
    "demyelination": Pages((demyelination_section, dvr_section), demyelination_examples, True, dvr_tables),
    "wmh": Pages(examples=examples_figure),
    "detection": Pages(examples=detection_figure),
    "translation": Pages((translation_section,)),
    "enhancement": Pages((tumour_section,)),
}


def choose_examples(task: str, visits: Sequence[Row], loads: Sequence[int]) -> list[int]:
    """Indices of the visits to show: by the error of a DVR map, else of the people with most lesional voxels.

    visits: rows of one model; loads: lesional voxels of each visit.
    """
    if PAGES[task].each_model:
        return example_visits(visits)
    largest = {visits[index]["person"]: index for index in sorted(range(len(loads)), key=lambda index: loads[index])}
    return sorted(largest.values(), key=lambda index: (-loads[index], visits[index]["person"]))[:MAX_EXAMPLES]
