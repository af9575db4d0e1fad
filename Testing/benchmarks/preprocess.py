"""Raw patient to network-ready case: wall, CPU seconds, peak memory, and where they go.

python -m Testing.benchmarks.preprocess --data $MYELINSYNTH_DATA/ms_clinical [--person 12] [--visit 1] [--rounds 3]

Every round runs in a process of its own, so that its CPU seconds and its peak memory are its own and imports count.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from TrainingCore.data.cohort import Cohort
from TrainingCore.preprocessing import names
from TrainingCore.preprocessing.dataset import begin_dataset, tasks_of
from TrainingCore.preprocessing.worker import prepare_visit

SETTINGS = {"space": "t1w", "grid": [128, 128, 128], "spacing_mm": 1.5}
STEPS = ("import", "read", "brain", "register", "bias", "tissues", "resample", "write", "rest")


def one_round(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare the visit in this process; CPU and peak memory of the whole process, seconds by step."""
    began = time.perf_counter()
    start = time.process_time()
    cohort = Cohort.scan(options.data, raw=True)
    cohort.visits = [v for v in cohort.visits if v.person == options.person and v.visit == options.visit]
    if not cohort.visits:
        raise SystemExit(f"{options.data} has no visit {options.visit!r} of {options.person}")
    for name in set(cohort.visits[0].files) - {"t1w", "flair", "lesions"}:
        del cohort.visits[0].files[name]
    import SimpleITK  # noqa: F401
    import torch  # noqa: F401

    imports = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        begin_dataset(out, cohort, SETTINGS)
        (task,) = tasks_of(cohort, out, SETTINGS)
        outcome = prepare_visit(type(task)(**{**vars(task), "threads": options.threads}))
        if outcome.state != "prepared":
            raise SystemExit(outcome.sentence)
        record = json.loads((out / names.record_path(task.person, task.visit)).read_text(encoding="utf-8"))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = {"import": imports, **{step: one["cpu"] for step, one in record["seconds"].items()}}
    total = used.ru_utime + used.ru_stime
    cpu["rest"] = total - sum(cpu.values())
    return {"wall": time.perf_counter() - began, "cpu": total, "peak_gb": used.ru_maxrss * 1024 / 1e9, "steps": cpu}


def main() -> None:
    """Run the rounds one after the other and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--person", default="12")
    parser.add_argument("--visit", default="1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(one_round(options)))
        return
    command = [sys.executable, "-m", "Testing.benchmarks.preprocess", *sys.argv[1:], "--child"]
    rounds = []
    for _ in range(options.rounds):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rounds.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"sub-{options.person}_ses-{options.visit}, {options.threads} thread(s), {options.rounds} rounds, medians")
    for key, unit in (("wall", "s"), ("cpu", "s"), ("peak_gb", "GB")):
        values = [one[key] for one in rounds]
        print(f"{key:10s} {statistics.median(values):6.2f} {unit}  ({min(values):.2f} to {max(values):.2f})")
    print("CPU seconds by step:")
    for step in STEPS:
        print(f"  {step:10s} {statistics.median(one['steps'].get(step, 0.0) for one in rounds):6.2f}")


if __name__ == "__main__":
    main()
