"""How good the lesion finder is: digital people, and real patients where they are at hand.

    python -m Testing.studies.lesion_finder --digital test_cohort --out lesion_finder_study [--data DATA]

Beside it stand a threshold on FLAIR (mean + k SD of the white matter, k with the best mean Dice on the digital people)
and, with --classifier, a bundle of the system joint_flair_wmh. Writes rows.csv, table.md, summary.json (agreement of
lesion statistics with given and found masks, two visits of one patient, time and memory) and a picture of each real
patient with the outlines of both masks. The digital cohort is one that `simulate` wrote with --site R, of people who
were not used for training; the real patients were never trained on.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from Testing.real_data import DATA
from TrainingCore.data.bundle import LESION_FINDER, Bundle
from TrainingCore.evaluation.segmentation import smallest_lesion
from TrainingCore.imaging.volumes import Volume
from TrainingCore.prediction.lesion_finding import find_lesions
from TrainingCore.prediction.model import TrainedModel

from .agreement import agreement
from .methods import above_threshold, best_multiple, classified, measured
from .people import Files, Person, clinical_files, digital_files, glioma_files, mni_files, prepared
from .pictures import picture
from .visits import two_visits

MRI = ("t1w", "flair")
SHOWN = ("person", "method", "given_ml", "found_ml", "dsc", "f1", "f1_10", "sensitivity", "precision", "seconds")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--digital", type=Path, required=True, help="simulated cohort with controls")
    parser.add_argument("--data", type=Path, default=DATA, help="real patients; may be missing")
    parser.add_argument("--finder", default=LESION_FINDER, help="bundle (default: the one that comes with the package)")
    parser.add_argument("--classifier", default=None, help="bundle of joint_flair_wmh to compare with")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    digital = list(digital_files(options.digital))
    real = list(chain(mni_files(options.data), clinical_files(options.data), glioma_files(options.data)))
    if not options.data.is_dir():
        print(f"{options.data} is not there: simulated people alone")
        real = []
    rows, masks = detection(digital, real, options)
    write_rows(rows, options.out)
    summary: dict[str, Any] = {"peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    if real:
        summary["two_visits"] = two_visits(options.data, {s: masks[f"sub-12_ses-{s}"] for s in ("1", "2")})
        summary["agreement_real"] = agreement(mni_files(options.data), options.finder, options.out, "pairs_real.csv")
    ill = [(name, files) for name, files in digital if lesional(rows, name)]
    summary["agreement_digital"] = agreement(ill, options.finder, options.out, "pairs_digital.csv")
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    print(json.dumps(summary, indent=1))


def lesional(rows: list[dict[str, Any]], name: str) -> bool:
    """Whether a person has lesions."""
    return any(row["person"] == name and row.get("given_ml") for row in rows)


def detection(
    digital: list[tuple[str, Files]], real: list[tuple[str, Files]], options: argparse.Namespace
) -> tuple[list[dict[str, Any]], dict[str, Volume]]:
    """Rows of every person and method, and the masks that the finder made of the real patients."""
    model = TrainedModel.load(Bundle.open(options.finder), "cpu")
    classifier = TrainedModel.load(Bundle.open(options.classifier), "cpu") if options.classifier else None
    smallest = smallest_lesion(model.bundle.description)
    people = [prepared(*each) for each in digital]
    multiple = best_multiple(people, smallest)
    print(f"FLAIR threshold: mean + {multiple:g} SD of white matter")
    rows, masks = [], {}
    for person in chain(people, (prepared(*each) for each in real)):
        since = time.monotonic()
        found = find_lesions(model, person.aligned)[0]
        seconds = time.monotonic() - since
        mask = found.data > 0.5
        rows.append(measured(person, "lesion finder", mask) | {"seconds": seconds})
        rows.append(measured(person, f"FLAIR > mean + {multiple:g} SD", above_threshold(person, multiple, smallest)))
        if person.truth is not None:
            rows += [measured(person, f"lesion finder, {name} alone", found_in(model, person, name)) for name in MRI]
        if classifier is not None:
            rows.append(measured(person, "joint_flair_wmh", classified(classifier, person, smallest)))
        if not any(person.name == name for name, _ in digital):
            masks[person.name] = found
            picture(person, mask, options.out / f"{person.name}.png")
        own = next(row for row in rows if row["person"] == person.name)
        print({key: own.get(key) for key in SHOWN}, flush=True)
    return rows, masks


def found_in(model: TrainedModel, person: Person, name: str) -> np.ndarray:
    """Lesions found from one of the images, bool (I, J, K)."""
    alone = replace(person.aligned, images={name: person.aligned.images[name]})
    return find_lesions(model, alone)[0].data > 0.5


def write_rows(rows: list[dict[str, Any]], out: Path) -> None:
    """rows.csv with every measure, table.md with those of `SHOWN`."""
    columns = list(dict.fromkeys(key for each in rows for key in each))
    with open(out / "rows.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    lines = [" | ".join(SHOWN), " | ".join("---" for _ in SHOWN)]
    for each in rows:
        cells = [each.get(key) for key in SHOWN]
        lines.append(" | ".join("" if c is None else f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells))
    (out / "table.md").write_text("\n".join(f"| {line} |" for line in lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
