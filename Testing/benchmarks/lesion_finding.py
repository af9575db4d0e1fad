"""What segmenting the lesions adds to `synthesize`: the whole command with and without, in turn.

python -m Testing.benchmarks.lesion_finding --t1 T1w.nii.gz --flair FLAIR.nii.gz --pairs 5
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from Testing.benchmarks.turns import ROOT

WITHOUT: tuple[str, ...] = ("--lesions", "none")


def run(images: Sequence[str], out: Path, options: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one command in a process of its own, imports included.

    Args:
        images: options that name the images.
        out: result folder.
        options: further options of `synthesize`.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    command = [sys.executable, "-m", "TrainingCore.synthesize", *images, "--out", str(out), *options]
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--progress", "none"], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, cpu


def main() -> None:
    """Measure the pairs and print every one and the median difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--t1", required=True, type=Path)
    parser.add_argument("--flair", required=True, type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    images = ("--t1", str(options.t1.resolve()), "--flair", str(options.flair.resolve()))
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.pairs):
            turns: list[tuple[str, ...]] = [(), WITHOUT]
            timed = {more: run(images, Path(folder) / "result", more) for more in turns[:: 1 if number % 2 else -1]}
            differences.append([a - b for a, b in zip(timed[()], timed[WITHOUT])])
            shown = [f"{wall:.1f} s, {cpu:.1f} CPU s" for wall, cpu in (timed[()], timed[WITHOUT])]
            print(f"{shown[0]} with, {shown[1]} without; load {os.getloadavg()[0]:.1f}", flush=True)
    for name, values in zip(("wall", "CPU"), zip(*differences)):
        print(f"{name}: median difference {statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
