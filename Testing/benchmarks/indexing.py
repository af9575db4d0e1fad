"""How long indexing 1,000 BIDS sessions takes: python -m Testing.benchmarks.indexing [--sessions 1000]."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from TrainingCore.data.cohort import Cohort

IMAGES = ("T1w", "FLAIR", "T2w", "acq-hires_T1w", "ce-gadolinium_T1w")
DERIVED = ("space-T1w_desc-brain_mask", "space-T1w_label-lesion_mask", "space-T1w_label-WM_mask")


def write_empty_dataset(root: Path, sessions: int) -> int:
    """A BIDS dataset of empty files, two sessions per person, sidecars and functional runs included; returns files."""
    count = 0
    for number in range(sessions):
        person, session = f"sub-{number // 2:04d}", f"ses-{number % 2 + 1}"
        stem = f"{person}_{session}"
        names = [f"{person}/{session}/anat/{stem}_{image}.{end}" for image in IMAGES for end in ("nii.gz", "json")]
        names += [f"{person}/{session}/func/{stem}_task-rest_run-{run}_bold.nii.gz" for run in range(5)]
        names += [f"derivatives/masks/{person}/{session}/anat/{stem}_{mask}.nii.gz" for mask in DERIVED]
        dvr = f"{stem}_space-T1w_trc-PiB_stat-dvr_desc-measured_mimap.nii.gz"
        names.append(f"derivatives/masks/{person}/{session}/pet/{dvr}")
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        count += len(names)
    return count


def main() -> None:
    """Make the dataset, index it five times each way, print seconds."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sessions", type=int, default=1000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_empty_dataset(Path(folder), given.sessions)
        for raw in (True, False):
            seconds = []
            for _ in range(5):
                began = time.perf_counter()
                cohort = Cohort.scan(folder, raw=raw)
                seconds.append(time.perf_counter() - began)
            what = "for preprocess" if raw else "for a network"
            print(
                f"{len(cohort)} sessions, {files} files, {what}: median {statistics.median(seconds):.2f} s, "
                f"most {max(seconds):.2f} s"
            )


if __name__ == "__main__":
    main()
