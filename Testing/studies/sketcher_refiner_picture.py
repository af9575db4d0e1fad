"""The picture of the study of the sketcher-refiner: the people left out of a cross-validation's folds.

python -m Testing.studies.sketcher_refiner_picture OUT Resources/pictures/sketcher_refiner.png --fold 2

OUT: folder of `crossvalidate` (see sketcher_refiner.md for the command).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from TrainingCore import RESEARCH_USE
from TrainingCore.evaluation.demyelination_figures import demyelination_examples
from TrainingCore.evaluation.report import png_bytes
from TrainingCore.evaluation.slice_figures import load_slices
from TrainingCore.files import read_json
from TrainingCore.protocols.crossvalidation import Plan


def main() -> int:
    """Draw the slice that every recipe kept of one fold."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("crossvalidation", type=Path)
    options.add_argument("picture", type=Path)
    options.add_argument("--fold", type=int, default=1)
    chosen = options.parse_args()
    plan = Plan.open(chosen.crossvalidation)
    figure = demyelination_examples({name: [load_slices(plan.example(name, chosen.fold))] for name in plan.recipes})
    simulated = read_json(plan.path / "summary.json")["simulated"]
    words = "Simulated: a digital person that no model had seen. " if simulated else "A person that no model had seen. "
    figure.suptitle(words + RESEARCH_USE, fontsize=10)
    chosen.picture.write_bytes(png_bytes(figure))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
