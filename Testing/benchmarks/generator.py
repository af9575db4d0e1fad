"""The generator beside MONAI's BasicUNet of the same widths: seconds, memory and error of inference and a GAN step.

    python -m Testing.benchmarks.generator                     # everything, half an hour on two quiet cores
    python -m Testing.benchmarks.generator --tasks inference --contenders ours monai --rounds 3

Every measurement runs in a child process of its own, so that its peak memory is its own; the contenders take turns in
every round, so that a busy machine is busy for all of them; the median over the rounds is reported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from Testing.benchmarks.contenders import CONTENDERS, TASKS
from Testing.benchmarks.turns import machine

ROOT = Path(__file__).resolve().parents[2]
PEER = "monai"
GOALS = {"inference": {"wall": 0.65, "memory": 0.6}, "step": {"wall": 0.7}}

PACKAGES = ("torch", "monai")  # whose versions are told


def child(name: str, task: str, **options: int) -> dict[str, Any]:
    """Run one measurement in a child process and read its JSON line. Raises RuntimeError with what it said."""
    command = [sys.executable, "-m", "Testing.benchmarks.contenders", name, task]
    for option, value in options.items():
        command += [f"--{option}", str(value)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} {task} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(task: str, names: list[str], rounds: int, size: int, threads: int) -> list[dict[str, Any]]:
    """Measure the contenders in turn, `rounds` times; medians, and ratios to the peer taken within each round."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            runs[name].append(child(name, task, size=size, threads=threads))
            print(f"round {number + 1}: {task} {name} {threads} threads {runs[name][-1]}", file=sys.stderr, flush=True)
    rows = []
    for name in names:
        row: dict[str, Any] = {"task": task, "contender": name, "threads": threads, "size": size, "rounds": rounds}
        for key in ("wall_s", "cpu_s", "peak_gb"):
            row[key] = statistics.median(run[key] for run in runs[name])
            if PEER in runs:
                pairs = zip(runs[name], runs[PEER])
                row[f"{key.split('_')[0]}_ratio"] = statistics.median(a[key] / b[key] for a, b in pairs)
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]], errors: dict[str, dict[str, float]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| task | contender | threads | wall s | CPU s | peak GB | wall ratio | CPU ratio | memory ratio | max error |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratios = [f"{row[key]:.2f}" if key in row else "" for key in ("wall_ratio", "cpu_ratio", "peak_ratio")]
        error = errors.get(row["contender"], {}).get("error" if row["task"] == "inference" else "gradient_error")
        cells = [row["task"], row["contender"], row["threads"], f"{row['wall_s']:.2f}", f"{row['cpu_s']:.2f}"]
        cells += [f"{row['peak_gb']:.2f}", *ratios, "" if error is None else f"{error:.1e}"]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, print the table, write benchmark.json and benchmark.md if --out is given."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    arguments.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--size", type=int, default=128, help="voxels along each axis (default 128)")
    arguments.add_argument("--threads", type=int, nargs="+", default=[2])
    arguments.add_argument("--no-errors", action="store_true", help="leave out the comparison with plain float32")
    arguments.add_argument("--out", type=Path, help="folder for benchmark.json and benchmark.md")
    chosen = arguments.parse_args()
    result: dict[str, Any] = {**machine(PACKAGES), "goals": GOALS, "errors": {}, "rows": []}
    for threads in chosen.threads:
        result[f"sgemm_gflops_{threads}_threads"] = child("ours", "roof", threads=threads)["gflops"]
        for task in chosen.tasks:
            result["rows"] += compare(task, chosen.contenders, chosen.rounds, chosen.size, threads)
    for name in chosen.contenders:
        if name.startswith("ours") and not chosen.no_errors:
            result["errors"][name] = child(name, "error", size=chosen.size, threads=chosen.threads[-1])
    text = "Ratios are to MONAI's, taken within each round. Max error of `step` is that of the gradients.\n\n"
    text += table(result["rows"], result["errors"])
    print(text)
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "benchmark.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        (chosen.out / "benchmark.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
