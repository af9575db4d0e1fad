"""The main job on a digital patient, with nothing else needed: python -m TrainingCore.demo."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from .runtime.cli import Progress, add_progress_option, parser, run_command
from .runtime.files import scratch


def main(argv: Sequence[str] | None = None) -> int:
    """Make a digital patient, synthesize its myelin map, compare it with its simulated PET, write the report."""
    options = parser(
        "demo",
        "Make a digital MS patient and synthesize its myelin map: map, lesion table and report. "
        "Everything is simulated. Research use only, not for diagnosis.",
        "python -m TrainingCore.demo",
    )
    options.add_argument(
        "--out", type=Path, default=Path("myelinsynth-demo"), help="result folder (default: %(default)s)"
    )
    options.add_argument("--seed", type=int, default=7, help="another seed is another patient (default: %(default)s)")
    options.add_argument("--device", default="auto", help="auto (a GPU where there is one; default), cpu or cuda:N")
    add_progress_option(options)
    chosen = options.parse_args(argv)

    from .synthesize import main as synthesize

    with scratch(Path(tempfile.gettempdir()), "myelinsynth-demo") as folder:
        patient = make_patient(folder / "cohort", chosen.seed, chosen.progress)
        code = synthesize(
            [*patient, "--out", str(chosen.out), "--device", chosen.device, "--progress", chosen.progress]
        )
    if code == 0 and chosen.progress != "json":
        print(
            f"\nOpen {chosen.out / 'report.html'} in a browser. The map is {chosen.out / 'dvr.nii.gz'}, "
            f"its lesions are in {chosen.out / 'lesions.csv'}."
        )
    return code


def make_patient(folder: Path, seed: int, progress_mode: str) -> list[str]:
    """Simulate one visit of site B and return the options that hand its files to `synthesize`."""
    from .data.cohort import Cohort
    from .simulate import main as simulate

    with Progress(progress_mode, "digital patient") as progress:
        progress.report("simulate", 0.0, "Making a digital patient")
        simulate(
            [str(folder), "--patients", "1", "--visits", "1", "--site", "B", "--seed", str(seed), "--progress", "none"]
        )
        progress.report("simulate", 1.0, "Digital patient made")
    files = Cohort.read(folder).visits[0].files
    options = {"--t1": "t1w", "--flair": "flair", "--lesions": "lesions", "--dvr": "dvr"}
    return [text for option, name in options.items() for text in (option, str(files[name]))]


if __name__ == "__main__":
    raise SystemExit(run_command(main))
