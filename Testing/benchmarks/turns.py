"""Contenders that take turns, each in a process of its own, and the table of their ratios to a peer.

A module with contenders calls `main(__spec__.name, tasks, peer)`, with one function per contender that builds its step.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Build = Callable[[int], tuple[Callable[[], Any], int]]  # size -> a function that does one step, number of parameters


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """The machine in general words, its load now, and the versions of what is compared."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {"machine": platform.machine(), "cores": os.cpu_count(), "load_at_start": load, **versions}


def measure(build: Build, size: int, repeats: int) -> dict[str, float]:
    """Least wall and CPU seconds of some steps after one that is not measured; peak memory of the process in GB."""
    step, parameters = build(size)
    step()
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    return {
        "wall_s": min(wall for wall, _ in times),
        "cpu_s": min(cpu for _, cpu in times),
        "peak_gb": peak,
        "parameters": parameters,
    }


def child(module: str, task: str, name: str, size: int, repeats: int) -> dict[str, float]:
    """One measurement in a process of its own. Raises RuntimeError with what it said."""
    command = [sys.executable, "-m", module, "--child", task, name, "--size", str(size), "--repeats", str(repeats)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{task} {name} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def rows_of(task: str, runs: Mapping[str, Sequence[Mapping[str, float]]], peer: str) -> list[dict[str, Any]]:
    """Medians over the rounds, and medians of the ratios to the peer taken within each round."""
    rows = []
    for name, mine in runs.items():
        row: dict[str, Any] = {"task": task, "contender": name, "parameters": int(mine[0]["parameters"])}
        for key in ("wall_s", "cpu_s", "peak_gb"):
            row[key] = statistics.median(run[key] for run in mine)
            row[f"{key}_ratio"] = statistics.median(a[key] / b[key] for a, b in zip(mine, runs[peer]))
        rows.append(row)
    return rows


def ratio_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| step of | contender | parameters | wall s | ratio | CPU s | ratio | peak GB | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["task"], row["contender"], f"{row['parameters']:,}"]
        for key in ("wall_s", "cpu_s", "peak_gb"):
            cells += [f"{row[key]:.2f}", f"{row[f'{key}_ratio']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(module: str, tasks: Mapping[str, Mapping[str, Build]], sizes: Mapping[str, int], peer: str) -> int:
    """Measure what the command line names; print the table, or as a child one JSON line.

    tasks: name -> contenders by name; sizes: what each task is measured at where `--size` says nothing.
    """
    arguments = argparse.ArgumentParser(description=f"Steps of systems beside the same networks from {peer}'s parts.")
    arguments.add_argument("--tasks", nargs="+", choices=tasks, default=list(tasks))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--size", type=int, default=0)
    arguments.add_argument("--child", nargs=2, metavar=("TASK", "NAME"), help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        import torch

        torch.set_num_threads(1)
        task, name = chosen.child
        print(json.dumps(measure(tasks[task][name], chosen.size or sizes[task], chosen.repeats)))
        return 0
    rows = []
    for task in chosen.tasks:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in tasks[task]}
        for number in range(chosen.rounds):
            for name, found in runs.items():
                found.append(child(module, task, name, chosen.size or sizes[task], chosen.repeats))
                print(f"round {number + 1}: {task} {name} {found[-1]}", file=sys.stderr, flush=True)
        rows += rows_of(task, runs, peer)
    print(ratio_table(rows))
    return 0
