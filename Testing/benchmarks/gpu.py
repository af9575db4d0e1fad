"""Ten minutes on one GPU: the tests marked `gpu`, steps beside MONAI's, full-size training that the next call resumes.

    pip install -e ".[test,benchmark]"                                  # MONAI is the peer of the benchmark
    python -m Testing.benchmarks.gpu --out gpu                          # on a machine with a CUDA GPU
    python -m Testing.benchmarks.gpu --out gpu --stages training        # go on with the training alone
    python -m Testing.benchmarks.gpu --out try --device cpu --quick     # to try the script without a GPU

The training is the recipe `curricular` as the paper has it (128^3, width 32, 150 epochs) on 17 simulated patients of
site A with two visits each, which the first call simulates. It stops when the time is over; its last whole epoch is
kept in OUT, so that a call with the same OUT, on another machine too, continues it. Results: OUT/gpu.json and gpu.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from Testing.benchmarks.turns import machine

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("tests", "benchmark", "training")
SHARES = {"tests": 0.25, "benchmark": 0.35}  # of the time; the training takes what is left (ours)
STOP_SECONDS = 30.0  # for a stopped training to end
CONTENDERS: dict[str, tuple[str, ...]] = {
    "MONAI BasicUNet + PatchDiscriminator, bfloat16": ("precision=bfloat16",),
    "ours, float32": ("precision=float32",),
    "ours, bfloat16": ("precision=bfloat16", "memory_format=contiguous"),
    "ours, bfloat16, channels-last": ("precision=bfloat16", "memory_format=channels_last"),
    "ours, bfloat16, compiled": ("precision=bfloat16", "memory_format=contiguous", "compile=true"),
    "ours, bfloat16, channels-last, compiled": ("precision=bfloat16", "memory_format=channels_last", "compile=true"),
}
PEER = next(iter(CONTENDERS))
QUICK_TRAINING = ("size=32", "generator.width=4", "generator.levels=2", "discriminator.widths=[4, 4, 8, 8]", "epochs=2")


def run_tests(device: str, out: Path, seconds: float) -> dict[str, Any]:
    """The tests marked `gpu`; on a CPU the same tests where they run on one. Returns counts and the last lines."""
    chosen = (
        ["-m", "gpu", "Testing/TrainingCore"] if device != "cpu" else ["Testing/TrainingCore/systems/test_devices.py"]
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
        lines, code = done.stdout.strip().splitlines(), done.returncode
    except subprocess.TimeoutExpired:
        lines, code = [f"not finished after {seconds:.0f} s"], -1
    (out / "tests.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"passed": code == 0, "exit_code": code, "summary": lines[-1] if lines else ""}


def measure(name: str, device: str, size: int, repeats: int) -> dict[str, Any]:
    """Seconds of a training step, the least of some after two that are not measured, and the peak GPU memory in GB."""
    import torch

    from Testing.benchmarks.systems import build

    contender = build("curricular", name == PEER, size, CONTENDERS[name], device)
    on_gpu, times = torch.device(device).type == "cuda", []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        contender.step()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() / 1e9 if on_gpu else None
    return {"contender": name, "parameters": contender.parameters, "step_s": min(times[2:]), "peak_gb": peak}


def run_benchmark(device: str, size: int, repeats: int, seconds: float) -> list[dict[str, Any]]:
    """Every contender in a process of its own, each with an equal share of the time left; one that fails says why."""
    rows, ends = [], time.monotonic() + seconds
    for turn, name in enumerate(CONTENDERS):
        if device == "cpu" and "compile=true" in CONTENDERS[name]:
            rows.append({"contender": name, "failed": "left out on a CPU, where compiling takes minutes"})
            continue
        command = [sys.executable, "-m", "Testing.benchmarks.gpu", "--child", name, "--device", device]
        command += ["--size", str(size), "--repeats", str(repeats)]
        left = (ends - time.monotonic()) / (len(CONTENDERS) - turn)
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(left, 1.0))
        except subprocess.TimeoutExpired:
            rows.append({"contender": name, "failed": f"not finished after {left:.0f} s"})
            continue
        if done.returncode:
            rows.append({"contender": name, "failed": (done.stderr.strip().splitlines() or ["no message"])[-1]})
        else:
            rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def make_cohort(out: Path, quick: bool) -> Path:
    """17 simulated patients of site A with two visits each, at full size; what is there is kept."""
    from TrainingCore.simulate import simulate

    cohort = out / "cohort"
    if not (cohort / "derivatives" / "myelinsynth-phantom" / "noise_ceiling.json").is_file():
        people, visits, size = (4, 1, 32) if quick else (17, 2, 128)
        workers = max(1, min(os.cpu_count() or 1, people))
        simulate(
            cohort, patients=people, visits=visits, site="A", seed=101, size=size, workers=workers, progress="none"
        )
    return cohort


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask a process to end, and kill it if it has not after some seconds; a training resumes from its last epoch."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def train_for(out: Path, cohort: Path, device: str, changes: Sequence[str], seconds: float) -> dict[str, Any]:
    """Start or resume the training in OUT/run and stop it after some seconds; what it reached so far."""
    from TrainingCore.data.run import Run

    run = out / "run"
    command = [sys.executable, "-m", "TrainingCore.train", "--out", str(run), "--resume", "--device", device]
    command += ["--progress", "none", "--data", str(cohort)]
    if not (run / "run.json").is_file() and changes:
        command += ["--set", *changes]
    with open(out / "training.log", "a", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            code: int | None = process.wait(timeout=max(seconds, 1.0))
        except subprocess.TimeoutExpired:
            stop(process, STOP_SECONDS)
            code = None
    if not (run / "run.json").is_file():
        return {"epochs_done": 0, "finished": False, "exit_code": code, "message": f"see {out / 'training.log'}"}
    opened = Run.open(run)
    entries = opened.log()
    times = sorted(entry["seconds"] for entry in entries)
    per_epoch = times[len(times) // 2] if times else None
    wanted = opened.recipe["epochs"]
    return {
        "epochs_done": len(entries),
        "epochs": wanted,
        "finished": code == 0,
        "exit_code": code,
        "seconds_per_epoch": per_epoch,
        "hours_for_all": None if per_epoch is None else round(per_epoch * wanted / 3600, 2),
        "last": {key: entries[-1][key] for key in ("l1", "gradient_ratio", "validation_score") if key in entries[-1]}
        if entries
        else {},
    }


def as_markdown(result: dict[str, Any]) -> str:
    """The results for people."""
    lines = [f"# {result['device']}", ""]
    if "tests" in result:
        lines += [f"Tests: {result['tests']['summary']}", ""]
    if "benchmark" in result:
        rows = result["benchmark"]["rows"]
        peer = next((row.get("step_s") for row in rows if row["contender"] == PEER), None)
        lines += [f"Training step at {result['benchmark']['size']}^3:", ""]
        lines += ["| contender | step, s | ratio to MONAI | peak GB |", "|---|---|---|---|"]
        for row in rows:
            if "failed" in row:
                lines.append(f"| {row['contender']} | {row['failed']} | | |")
                continue
            ratio = "" if peer is None else f"{row['step_s'] / peer:.2f}"
            memory = "" if row["peak_gb"] is None else f"{row['peak_gb']:.2f}"
            lines.append(f"| {row['contender']} | {row['step_s']:.3f} | {ratio} | {memory} |")
        lines.append("")
    if "training" in result:
        training = result["training"]
        lines.append(
            f"Training: {training['epochs_done']} of {training.get('epochs', '?')} epochs, "
            f"{training.get('seconds_per_epoch')} s an epoch, {training.get('hours_for_all')} h for all."
        )
    return "\n".join(lines) + "\n"


def device_name(device: str) -> str:
    """The device in words; raises BadInput where it does not exist."""
    import torch

    from TrainingCore.runtime.processes import choose_device

    chosen = choose_device(device)
    return torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "CPU"


def parse() -> argparse.Namespace:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=Path("gpu"))
    arguments.add_argument("--minutes", type=float, default=10.0, help="of the whole call (default: 10)")
    arguments.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    arguments.add_argument("--device", default="cuda:0")
    arguments.add_argument("--size", type=int, default=0, help="voxels of the benchmark (default: 128, quick 32)")
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--quick", action="store_true", help="tiny sizes, to try the script")
    arguments.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    return arguments.parse_args()


def main() -> int:
    """Run the stages, each within its share of the time, and keep what they say after every one."""
    began, chosen = time.monotonic(), parse()
    size = chosen.size or (32 if chosen.quick else 128)
    if chosen.child:
        print(json.dumps(measure(chosen.child, chosen.device, size, chosen.repeats)))
        return 0
    if "benchmark" in chosen.stages and importlib.util.find_spec("monai") is None:
        words = 'MONAI, the peer, is not installed: pip install -e ".[benchmark]", or leave out the stage benchmark.'
        print(words, file=sys.stderr)
        return 2
    chosen.out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"device": device_name(chosen.device), **machine(("torch", "monai", "numpy"))}
    whole = 60 * chosen.minutes

    def keep() -> None:
        (chosen.out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (chosen.out / "gpu.md").write_text(as_markdown(result), encoding="utf-8")

    if "tests" in chosen.stages:
        result["tests"] = run_tests(chosen.device, chosen.out, SHARES["tests"] * whole)
        keep()
    if "benchmark" in chosen.stages:
        rows = run_benchmark(chosen.device, size, chosen.repeats, SHARES["benchmark"] * whole)
        result["benchmark"] = {"size": size, "rows": rows}
        keep()
    if "training" in chosen.stages:
        cohort = make_cohort(chosen.out, chosen.quick)
        left = whole - (time.monotonic() - began) - STOP_SECONDS
        changes = QUICK_TRAINING if chosen.quick else ()
        result["training"] = train_for(chosen.out, cohort, chosen.device, changes, left)
        keep()
    print(as_markdown(result))
    return 0 if result.get("tests", {"passed": True})["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
