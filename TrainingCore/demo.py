"""Synthesize a myelin map of a simulated patient, without any data: python -m TrainingCore.demo."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .data.result import Result
from .runtime.cli import Progress, run_command
from .runtime.files import scratch
from .runtime.signature import ProgressMode, command


def demo(
    out: Path = Path("myelinsynth-demo"), *, seed: int = 7, device: str = "auto", progress: ProgressMode = "bar"
) -> Result:
    """Simulate a patient with MS and synthesize the myelin map, lesion table and report.

    Everything is simulated. Research use only, not for diagnosis.

    Args:
        out: result folder.
        seed: seed of the simulated patient.
        device: auto (a GPU if there is one), cpu or cuda:N.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The Result: the synthetic map beside the simulated PET.

    Example:
        python -m TrainingCore.demo
    """
    from .synthesize import synthesize

    with scratch(Path(tempfile.gettempdir()), "myelinsynth-demo") as folder:
        files = simulate_example(folder / "cohort", seed, progress)
        result = synthesize(
            Path(out),
            t1=files["t1w"],
            flair=files["flair"],
            lesions=files["lesions"],
            dvr=files["dvr"],
            device=device,
            progress=progress,
        )
    assert isinstance(result, Result)  # the demonstration model makes a myelin map
    return result


def simulate_example(folder: Path, seed: int, progress_mode: ProgressMode) -> dict[str, Path]:
    """Simulate one visit of a patient at site B.

    Args:
        folder: BIDS dataset to write.
        seed: seed of the patient.
        progress_mode: how to show progress.

    Returns:
        Image files by volume name (t1w, flair, lesions, dvr, ...).
    """
    from .data.cohort import Cohort
    from .simulate import simulate

    with Progress(progress_mode, "simulated patient") as progress:
        progress.report("simulate", 0.0, "Simulating a patient")
        simulate(folder, patients=1, visits=1, site="B", seed=seed, progress="none")
        progress.report("simulate", 1.0, "Patient simulated")
    return dict(Cohort.read(folder).visits[0].files)


main = command(
    demo,
    done=lambda result: (
        f"\nOpen {result.report} in a browser. The map is {result.path / 'dvr.nii.gz'}, "
        f"its lesions are in {result.path / 'lesions.csv'}."
    ),
)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
