"""A picture of people left out of a cross-validation's folds, every recipe beside the measured image.

    python -m Testing.studies.picture OUT Resources/pictures/mask_weighted_pix2pix.png --fold 1 2

OUT: folder of `crossvalidate`; the slices are those of its report.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from TrainingCore import RESEARCH_USE
from TrainingCore.experiments.crossvalidation import Plan
from TrainingCore.reporting.document import png_bytes
from TrainingCore.reporting.slice_figures import load_slices
from TrainingCore.reporting.task_pages import PAGES
from TrainingCore.runtime.files import read_json


def main() -> int:
    """Draw the slices that every recipe kept of some folds."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("crossvalidation", type=Path)
    options.add_argument("picture", type=Path)
    options.add_argument("--fold", type=int, nargs="+", default=[1])
    chosen = options.parse_args()
    plan = Plan.open(chosen.crossvalidation)
    slices = {name: [load_slices(plan.example(name, fold)) for fold in chosen.fold] for name in plan.recipes}
    figure = PAGES[plan.task].examples(slices)
    simulated = read_json(plan.path / "summary.json")["simulated"]
    figure.suptitle(
        f"{'Simulated slices' if simulated else 'Slices'} that no model had seen. {RESEARCH_USE}", fontsize=10
    )
    chosen.picture.write_bytes(png_bytes(figure))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
