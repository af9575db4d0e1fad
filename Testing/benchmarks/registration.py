"""FLAIR to T1w: ours beside antspyx, SimpleITK, itk-elastix and picsl-greedy on real patients, in turn.

    python -m Testing.benchmarks.registration --starts 100        # ours from 100 starts, the others from one
    python -m Testing.benchmarks.registration --contenders ours --pairs sub-07 --starts 5

Two co-registered pairs (1 mm, skull-stripped) are torn apart by random turns of up to 30 degrees about a random axis
through the brain's centre and shifts of up to 40 mm: the truth is known. Four raw clinical pairs (skull on, 3 mm
slices) are measured against the publishers' transforms, from where the scanner left them. Error: mean distance over the
brain, in mm. Every contender runs in a process of its own with one thread and takes its turn on every pair.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from Testing.benchmarks.registration_contenders import CONTENDERS
from Testing.benchmarks.turns import machine
from Testing.real_data import DATA
from TrainingCore.imaging.brain_mask import find_brain
from TrainingCore.imaging.registration import brain_points, mean_distance
from TrainingCore.imaging.transforms import read_transform, turns_and_shifts
from TrainingCore.imaging.volumes import Volume, read_volume, write_volume

ROOT = Path(__file__).resolve().parents[2]
PEER = "antspyx"
STRIPPED = ("sub-07", "sub-19")
CLINICAL = ("sub-04_ses-1", "sub-12_ses-1", "sub-12_ses-2", "sub-20_ses-2")
MAX_TURN, MAX_SHIFT_MM = np.deg2rad(30.0), 40.0

PACKAGES = ("torch", "SimpleITK", "antspyx", "itk-elastix", "picsl-greedy")  # whose versions are told


def random_start(random: np.random.Generator, centre: np.ndarray) -> np.ndarray:
    """A turn of up to 30 degrees about a random axis through `centre` and a shift of up to 40 mm, 4x4 RAS mm."""
    axis, way = (vector / np.linalg.norm(vector) for vector in random.standard_normal((2, 3)))
    turn, shift = axis * random.uniform(0, MAX_TURN), way * random.uniform(0, MAX_SHIFT_MM)
    return turns_and_shifts(centre, turn, shift[None])[0]


def pair_of(label: str, data: Path, work: Path) -> tuple[dict[str, Any], np.ndarray, Volume]:
    """Paths of one pair and of its brain mask, the true matrix T1w -> FLAIR, and the mask."""
    if label in STRIPPED:
        stem = data / f"ms_mni/{label}/anat/{label}_space-MNI152_desc-brain"
        truth = np.eye(4)
    else:
        stem = data / "ms_clinical" / label.replace("_", "/") / "anat" / label
        published = data / "ms_clinical/derivatives/reference_transforms"
        # the publishers' maps a point of the FLAIR to the T1w
        truth = np.linalg.inv(read_transform(next(published.glob(f"*/*/anat/{label}_from-T1w_to-FLAIR*.txt"))))
    fixed, moving = (stem.with_name(f"{stem.name}_{contrast}.nii.gz") for contrast in ("T1w", "FLAIR"))
    brain = find_brain(read_volume(fixed)).mask
    write_volume(work / f"{label}_brain.nii.gz", brain.data > 0.5, brain.affine)
    paths = {"fixed": str(fixed), "moving": str(moving), "brain": str(work / f"{label}_brain.nii.gz")}
    return {"pair": label, **paths}, truth, brain


def child(name: str, cases: list[dict[str, Any]], work: Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Run one contender over cases: a row for each, and peak memory. Raises RuntimeError with its words."""
    (work / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    command = [sys.executable, "-m", "Testing.benchmarks.registration_contenders", name, str(work / "cases.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    rows = [json.loads(line[4:]) for line in lines if line.startswith("ROW {")]
    return rows, next(json.loads(line[4:]) for line in lines if line.startswith("END {"))


def measure(label: str, chosen: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """All contenders on one pair, one after the other: one row for each."""
    pair, truth, brain = pair_of(label, chosen.data, work)
    points = brain_points(brain)
    centre = points.mean(axis=0)
    random = np.random.default_rng(chosen.seed)
    starts = [random_start(random, centre) for _ in range(chosen.starts)] if label in STRIPPED else [np.eye(4)]
    rows = []
    for name in chosen.contenders:
        count = len(starts) if name == "ours" else min(chosen.peer_starts, len(starts))
        cases = [{**pair, "number": n, "start": start.tolist()} for n, start in enumerate(starts[:count])]
        found, process = child(name, cases, work)
        errors = [mean_distance(points, np.array(row["matrix"]), starts[row["number"]] @ truth) for row in found]
        cpu = [row["cpu_s"] for row in found]
        row = {"pair": label, "contender": name, "starts": count, "cpu_s": float(np.mean(cpu)), **process}
        row |= {"most_cpu_s": max(cpu), "mean_error_mm": float(np.mean(errors)), "most_error_mm": max(errors)}
        rows.append({**row, "errors_mm": errors})
        said = {key: round(value, 3) for key, value in row.items() if isinstance(value, float)}
        print(f"{label} {name} {count} {said}", file=sys.stderr, flush=True)
    peer = next((row["cpu_s"] for row in rows if row["contender"] == PEER), None)
    for row in rows:
        row["cpu_ratio"] = None if peer is None else row["cpu_s"] / peer
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        f"| pair | contender | starts | CPU s | / {PEER} | mean error mm | largest mm | peak GB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = "" if row["cpu_ratio"] is None else f"{row['cpu_ratio']:.3f}"
        cells = [row["pair"], row["contender"], row["starts"], f"{row['cpu_s']:.2f}", ratio]
        cells += [f"{row['mean_error_mm']:.3f}", f"{row['most_error_mm']:.3f}", f"{row['peak_gb']:.2f}"]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, print the table, write registration.json and registration.md if --out is given."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    arguments.add_argument("--pairs", nargs="+", choices=(*STRIPPED, *CLINICAL), default=[*STRIPPED, *CLINICAL])
    arguments.add_argument(
        "--starts", type=int, default=10, help="random starts of ours per stripped pair (default 10)"
    )
    arguments.add_argument("--peer-starts", type=int, default=1, help="and of the others, which are slow (default 1)")
    arguments.add_argument("--seed", type=int, default=0, help="of the random starts")
    arguments.add_argument("--data", type=Path, default=DATA, help="folder that holds ms_mni and ms_clinical")
    arguments.add_argument("--out", type=Path, help="folder for registration.json and registration.md")
    chosen = arguments.parse_args()
    if not (chosen.data / "ms_mni").is_dir():
        arguments.error(f"{chosen.data} has no folder ms_mni; give the folder of real patients with --data")
    about = machine(PACKAGES)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        for label in chosen.pairs:
            rows += measure(label, chosen, Path(work))
    text = table(rows)
    print(text)
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        result = json.dumps({**about, "seed": chosen.seed, "rows": rows}, indent=2)
        (chosen.out / "registration.json").write_text(result + "\n", encoding="utf-8")
        (chosen.out / "registration.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
