"""Many visits through bids_app on `local:2`: time and memory per visit, and whether memory grows.

    python -m Testing.benchmarks.many_visits --work WORK --visits 1000

Small heads (3 mm, four of them under many names, by hard links) and a narrow untrained model on the real code, so that
a visit takes seconds. Workers' resident memory is sampled; its slope over the visits is fitted after the first tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))
HEADS, SAMPLE_S = 4, 1.0


def main() -> int:
    """Make the dataset, run, and print what was measured."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", type=Path, required=True)
    options.add_argument("--visits", type=int, default=1000)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    raw, out, model = make_dataset(chosen.work.absolute(), chosen.visits)
    words = ["-m", "TrainingCore.bids_app", raw, out, "participant", "--model", model, "--device", "cpu"]
    words += ["--scheduler", f"local:{chosen.workers}", "--progress", "none"]
    began = time.monotonic()
    run = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT)
    samples = watch(run, out)
    seconds = time.monotonic() - began
    print(json.dumps(summary(samples, chosen.visits, seconds, chosen.workers), indent=1))
    return run.returncode


def make_dataset(work: Path, visits: int) -> tuple[Path, Path, Path]:
    """Raw dataset of people with one visit each, output folder, and model."""
    from small_head import AFFINE, make_head
    from untrained import untrained_bundle

    from TrainingCore.imaging.volumes import write_volume

    raw, model = work / "raw", work / "model"
    if not model.is_dir():
        untrained_bundle(model)
    first: dict[tuple[int, str], Path] = {}
    for number in range(visits):
        label = f"sub-{number:04d}"
        head = make_head(number) if number < HEADS else None
        for name, place in (
            ("t1w", raw / label / "anat" / f"{label}_T1w.nii.gz"),
            ("flair", raw / label / "anat" / f"{label}_FLAIR.nii.gz"),
            ("lesions", raw / "derivatives/manual" / label / "anat" / f"{label}_space-T1w_label-lesion_mask.nii.gz"),
        ):
            if head is not None:
                first[number, name] = place
            if place.is_file():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if head is not None:
                write_volume(place, head[name], AFFINE)
            else:
                os.link(first[number % HEADS, name], place)
    for folder in (raw, raw / "derivatives/manual"):
        (folder / "dataset_description.json").write_text(json.dumps({"Name": "benchmark", "BIDSVersion": "1.9.0"}))
    return raw, work / "maps", model


def watch(run: subprocess.Popen[bytes], out: Path) -> list[tuple[int, float, float]]:
    """(visits done, MiB of the main process, MiB of the largest worker) once a second until the run ends."""
    samples = []
    while run.poll() is None:
        time.sleep(SAMPLE_S)
        done = len(list(out.glob("sub-*/anat/*_record.json")))
        try:
            main_process = psutil.Process(run.pid)
            sizes = [child.memory_info().rss for child in main_process.children(recursive=True)]
            samples.append((done, main_process.memory_info().rss / 2**20, max(sizes, default=0) / 2**20))
        except psutil.Error:  # it has just ended
            continue
    return samples


def summary(samples: list[tuple[int, float, float]], visits: int, seconds: float, workers: int) -> dict[str, object]:
    """What a table shows."""
    if samples and samples[-1][0] < max(visits / 5, 3):
        return {"visits": samples[-1][0], "note": "ended too early to say anything"}
    steady = np.array([sample for sample in samples if sample[0] >= visits / 10], float)
    slopes = [float(np.polyfit(steady[:, 0], steady[:, column], 1)[0]) for column in (1, 2)]
    return {
        "visits": visits,
        "workers": workers,
        "seconds_per_visit": round(seconds / visits, 2),
        "main_mib": [round(float(end)) for end in (steady[0, 1], steady[-1, 1], steady[:, 1].max())],
        "largest_worker_mib": [round(float(end)) for end in (steady[0, 2], steady[-1, 2], steady[:, 2].max())],
        "mib_per_visit": {"main": round(slopes[0], 4), "worker": round(slopes[1], 4)},
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
