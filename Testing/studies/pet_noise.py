"""What would be left of a result if PET were noisier? The same lesions, the same maps, larger measurement errors.

    python -m Testing.studies.pet_noise EVALUATION [EVALUATION ...] --factors 1 1.5 2

The PET noise of the digital patient is at the low end of what is published, and raises every correlation with measured
DVR. In an evaluation of simulated people the error of each lesion's measured DVR is known: measured - noise-free (noise
and misregistration of the PET). It is multiplied by each factor, and everything is computed again: the noise ceiling,
the model, and geometry alone, which is fitted to the noisier DVR.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from TrainingCore.evaluation.beyond_geometry import beside_geometry
from TrainingCore.evaluation.lesion_geometry import GEOMETRY
from TrainingCore.evaluation.statistics import correlation_with_interval
from TrainingCore.imaging.labelling import at_least

MINIMUM_MM3 = 50.0  # Soulier et al. 2024 leave out smaller lesions
HEADER = "| cohort, lesions | PET error | noise ceiling | model r | geometry r | model - geometry | partial r |"


def main() -> int:
    """Print one row per cohort and factor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", type=Path, nargs="+", help="folders written by evaluate on simulated people")
    parser.add_argument("--factors", type=float, nargs="+", default=[1.0, 1.5, 2.0])
    chosen = parser.parse_args()
    print(HEADER, "|---" * 7 + "|", sep="\n")
    for folder in chosen.evaluations:
        for factor in chosen.factors:
            print(row(folder, factor), flush=True)
    return 0


def row(folder: Path, factor: float) -> str:
    """One line of the table: an evaluation whose PET errors are multiplied by a factor."""
    with (folder / "lesions.csv").open(encoding="utf-8", newline="") as stream:
        lesions = [lesion for lesion in csv.DictReader(stream) if at_least(float(lesion["volume_mm3"]), MINIMUM_MM3)]
    measured, clean, synthetic = (
        np.array([lesion[name] for lesion in lesions], float)
        for name in ("measured_mean_dvr", "clean_mean_dvr", "mean_dvr")
    )
    geometry = [name for name in lesions[0] if name.startswith(GEOMETRY)]
    features = np.array([[lesion[name] for name in geometry] for lesion in lesions], float)
    people = [lesion["person"] for lesion in lesions]
    noisier = clean + factor * (measured - clean)
    found = beside_geometry(noisier, synthetic, features, people)
    model = correlation_with_interval(noisier, synthetic, people)
    ceiling = float(np.corrcoef(noisier, clean)[0, 1])
    gap, partial = found["difference"], found["partial"]
    alone = found["alone"]["r"]
    return (
        f"| {folder.name}, {len(lesions)} | x {factor:g} | {ceiling:.2f} | {_span(model)} | {alone:.2f} | "
        f"{gap['difference']:+.2f} [{gap['low']:+.2f}, {gap['high']:+.2f}] | {_span(partial)} |"
    )


def _span(found: dict[str, float]) -> str:
    return f"{found['r']:.2f} [{found['r_low']:.2f}, {found['r_high']:.2f}]"


if __name__ == "__main__":
    raise SystemExit(main())
