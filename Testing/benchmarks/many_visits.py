"""Many visits through bids_app on `local:2`: time and memory per visit, and whether memory grows.

    python -m Testing.benchmarks.many_visits --work WORK --visits 1000

Small heads (3 mm, four of them under many names, by hard links) and a narrow untrained model on the real code, so that
a visit takes seconds. Workers' resident memory is sampled; its slope is fitted after the first tenth of the visits.
Lesions are given, so the lesion finder does not run. It resumes where it stopped; samples.tsv keeps all samples.
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
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))
HEADS, SAMPLE_S = 4, 2.0
BLOCKS = 20  # of neighbouring samples (ours)
MIN_WORKER_MIB = 100.0  # a worker with the model loaded is larger; smaller processes are Dask's own (ours)
LAST = 500  # visits, for the slope after which nothing should grow


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
    log = chosen.work / "samples.tsv"
    run = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT)
    watch(run, out, log)
    print(json.dumps(summary(log, chosen.workers), indent=1))
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


def watch(run: subprocess.Popen[bytes], out: Path, log: Path) -> None:
    """Append a sample to the log every SAMPLE_S until the run ends.

    A sample is: start of the run, seconds since, visits done, MiB of the main process and of the largest worker, CPU
    seconds of all of them.
    """
    began, clock = int(time.time()), time.monotonic()
    with open(log, "a", encoding="utf-8") as stream:
        while run.poll() is None:
            time.sleep(SAMPLE_S)
            done = len(list(out.glob("sub-*/anat/*_record.json")))
            try:
                family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
                sizes = [process.memory_info().rss / 2**20 for process in family]
                cpu = sum(sum(process.cpu_times()[:2]) for process in family)
            except psutil.Error:  # it has just ended
                continue
            if len(sizes) == 1:  # its workers have not begun, or have just ended
                continue
            row = (began, time.monotonic() - clock, done, sizes[0], max(sizes[1:]), cpu)
            stream.write("\t".join(f"{value:.1f}" for value in row) + "\n")
            stream.flush()


def summary(log: Path, workers: int) -> dict[str, object]:
    """What a table shows, of all runs that the log knows: one that was stopped and resumed counts as several."""
    samples = np.loadtxt(log, ndmin=2)
    samples = samples[samples[:, 4] > MIN_WORKER_MIB]
    runs = [samples[samples[:, 0] == began] for began in np.unique(samples[:, 0])]
    made = sum(run[-1, 2] - run[0, 2] for run in runs)
    if made < 3:
        return {"visits": int(made), "note": "ended too early to say anything"}
    steady = np.concatenate([settled(run) for run in runs])
    last = steady[steady[:, 2] >= steady[-1, 2] - LAST]
    return {
        "visits": int(samples[:, 2].max()),
        "runs": len(runs),
        "workers": workers,
        "seconds_per_visit": round(sum(run[-1, 1] - run[0, 1] for run in runs) / made, 2),
        "cpu_seconds_per_visit": round(sum(run[-1, 5] - run[0, 5] for run in runs) / made, 2),
        "main_mib": [round(float(end)) for end in (steady[0, 3], steady[-1, 3], steady[:, 3].max())],
        "largest_worker_mib": [round(float(end)) for end in (steady[0, 4], steady[-1, 4], steady[:, 4].max())],
        "kib_per_visit": {"main": slope(steady, 3), "worker": slope(steady, 4)},
        f"kib_per_visit_last_{LAST}": {"main": slope(last, 3), "worker": slope(last, 4)},
        "cores": os.cpu_count(),
    }


def settled(run: np.ndarray) -> np.ndarray:
    """The samples of a run after its first tenth of visits, where caches have filled."""
    return run[run[:, 2] >= run[0, 2] + (run[-1, 2] - run[0, 2]) / 10]


def slope(samples: np.ndarray, column: int) -> list[float]:
    """KiB per visit with its 95 % interval: a line through BLOCKS means, as neighbouring samples are not independent.

    Every run has a level of its own; the line is what its blocks share.
    """
    blocks = []
    for began in np.unique(samples[:, 0]):
        run = samples[samples[:, 0] == began][:, [2, column]]
        share = max(round(BLOCKS * len(run) / len(samples)), 1)
        means = np.array([block.mean(0) for block in np.array_split(run, share) if len(block)])
        blocks.append(means - means.mean(0))
    visits, mib = np.concatenate(blocks).T
    free = len(visits) - len(blocks) - 1
    if free < 1 or not visits.any():
        return []
    middle = visits @ mib / (visits @ visits)
    error = np.sqrt(((mib - middle * visits) ** 2).sum() / free / (visits @ visits))
    half = stats.t.ppf(0.975, free) * error
    return [round(float(value) * 1024, 1) for value in (middle, middle - half, middle + half)]


if __name__ == "__main__":
    raise SystemExit(main())
