"""Contenders that take turns, each in a process of its own, and the table of their ratios to a peer.

A module with contenders calls `main(__spec__.name, tasks, sizes, peer)`, with one function per contender to build it.
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
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEASURED = {"wall_s": "wall s", "cpu_s": "CPU s", "peak_gb": "peak GB"}


@dataclass(frozen=True)
class Contender:
    """step: does one step; parameters: of all networks; error: of a prediction, asked for when time is taken."""

    step: Callable[[], Any]
    parameters: int
    error: Callable[[], float]


Build = Callable[[int], Contender]  # from the size


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
    contender = build(size)
    contender.step()
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        contender.step()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    return {
        "wall_s": min(wall for wall, _ in times),
        "cpu_s": min(cpu for _, cpu in times),
        "peak_gb": peak,
        "parameters": contender.parameters,
        "error": contender.error(),
    }


def child(module: str, task: str, name: str, size: int, repeats: int) -> dict[str, float]:
    """One measurement in a process of its own. Raises RuntimeError with what it said."""
    command = [sys.executable, "-m", module, "--child", task, name, "--size", str(size), "--repeats", str(repeats)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{task} {name} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def rows_of(task: str, runs: Mapping[str, Sequence[Mapping[str, float]]], peer: str) -> list[dict[str, Any]]:
    """Medians over the rounds; median, least and largest of the ratios to the peer taken within each round."""
    rows = []
    for name, mine in runs.items():
        row: dict[str, Any] = {"task": task, "contender": name, "rounds": len(mine)}
        row |= {"parameters": int(mine[0]["parameters"]), "error": max(run["error"] for run in mine)}
        for key in MEASURED:
            ratios = [a[key] / b[key] for a, b in zip(mine, runs[peer])]
            row[key] = statistics.median(run[key] for run in mine)
            row[f"{key}_ratio"] = (statistics.median(ratios), min(ratios), max(ratios))
        rows.append(row)
    return rows


def ratio_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table: medians, and ratios with their least and largest of all rounds."""
    titles = [title for name in MEASURED.values() for title in (name, "ratio")]
    lines = [
        f"| step of | contender | parameters | rounds | {' | '.join(titles)} | error |",
        "|" + "---|" * (5 + len(titles)),
    ]
    for row in rows:
        cells = [row["task"], row["contender"], f"{row['parameters']:,}", str(row["rounds"])]
        for key in MEASURED:
            middle, least, largest = row[f"{key}_ratio"]
            spread = "" if least == largest else f" ({least:.2f} to {largest:.2f})"
            cells += [f"{row[key]:.2f}", f"{middle:.2f}{spread}"]
        lines.append("| " + " | ".join([*cells, f"{row['error']:.1e}"]) + " |")
    return "\n".join(lines)


def main(module: str, tasks: Mapping[str, Mapping[str, Build]], sizes: Mapping[str, int], peer: str) -> int:
    """Measure what the command line names; print the table, or as a child one JSON line.

    tasks: name -> contenders by name; sizes: what each task is measured at where `--size` says nothing. Every round
    measures everything once, so that what is there when the time is over can be compared.
    """
    arguments = argparse.ArgumentParser(description=f"Steps of systems beside the same networks from {peer}'s parts.")
    arguments.add_argument("--tasks", nargs="+", choices=tasks, default=list(tasks))
    arguments.add_argument("--contenders", nargs="+", default=["ours"], help=f"beside {peer}; those that a task has")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--repeats", type=int, default=1)
    arguments.add_argument("--size", type=int, default=0)
    arguments.add_argument("--out", type=Path, help="a .json that every measurement is kept in, and added to")
    arguments.add_argument("--child", nargs=2, metavar=("TASK", "NAME"), help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        import torch

        torch.set_num_threads(1)
        task, name = chosen.child
        print(json.dumps(measure(tasks[task][name], chosen.size or sizes[task], chosen.repeats)))
        return 0
    kept = json.loads(chosen.out.read_text()) if chosen.out and chosen.out.is_file() else {}
    for number in range(chosen.rounds):
        for task in chosen.tasks:
            turns = [name for name in tasks[task] if name in (*chosen.contenders, peer)]
            for name in turns if number % 2 else turns[::-1]:
                found = child(module, task, name, chosen.size or sizes[task], chosen.repeats)
                kept.setdefault(task, {}).setdefault(name, []).append(found)
                print(f"round {number + 1}: {task} {name} {found}", file=sys.stderr, flush=True)
            if chosen.out:
                chosen.out.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    print(ratio_table([row for task, runs in kept.items() for row in rows_of(task, runs, peer)]))
    return 0
