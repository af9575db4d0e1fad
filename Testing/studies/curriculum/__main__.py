"""Does it matter where the discriminator looks? Six arms, several seeds, one page.

    python -m Testing.studies.curriculum --out curriculum --jobs 2        # 18 trainings of 75 thread-minutes
    python -m Testing.studies.curriculum --out weights --choose-weight    # the adversarial weight, on site A
    python -m Testing.studies.curriculum --out small --quick              # a minute, to try the command

The same command again resumes after a kill at any moment. Protocol and endpoints: protocol.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from TrainingCore.data.recipe import parse_yaml
from TrainingCore.runtime.cli import Progress, run_command
from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.signature import AtLeast, Option, ProgressMode, command

from .cohorts import CHOICE, TEST, TRAIN, make_cohort
from .protocol import ARMS, CHOICES, PRIMARY, QUICK, REFERENCE, Protocol, keep_protocol, read_protocol


def curriculum(
    out: Path,
    *,
    seeds: Annotated[int | None, AtLeast(1)] = None,
    jobs: Annotated[int, AtLeast(1)] = 1,
    arms: Annotated[Sequence[str], Option("ARM")] = (),
    pilot: Annotated[Sequence[str], Option("key=value")] = (),
    choose_weight: bool = False,
    quick: bool = False,
    report: bool = False,
    shared: Path | None = None,
    progress: ProgressMode = "bar",
) -> Path:
    """Compare where a discriminator looks: curricular, anticurricular, fixed, uniform, and two arms without one.

    Simulates its cohorts, trains every arm with every seed, measures all on the people of site B and writes one page.
    Repeat the command to resume; what is finished is kept.

    Args:
        out: folder of the study; reuse it to resume.
        seeds: number of seeds, counted from 1 (default: 3; 1 with --choose-weight); a larger number adds to what is
            there.
        jobs: trainings side by side, each on one CPU thread.
        arms: only these arms (default: all six, and the linear regression).
        pilot: other settings than the study's, e.g. epochs=10 width=8; the page says so.
        choose_weight: compare adversarial weights on other people of site A instead, one training each.
        quick: everything at a tiny size, to try the command.
        report: write the page of what is finished, and train nothing.
        shared: folder of finished trainings: those in it are not run again, new ones are added, so that several
            machines can share a study (Testing/studies/curriculum/trainings holds what is finished of this one).
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The page.

    Raises:
        BadInput: a folder holds a study with other settings or, with `shared`, other lesions.

    Example:
        python -m Testing.studies.curriculum --out curriculum --jobs 2
    """
    out = Path(out)
    keep_protocol(out, _protocol(out, pilot, quick))
    unknown = sorted(set(arms) - {*ARMS, REFERENCE})
    if unknown:
        raise BadInput(f"There is no arm {unknown[0]!r}. There are: {', '.join((*ARMS, REFERENCE))}.")
    names = list(arms) or [*ARMS, REFERENCE]
    if choose_weight and shared is not None:
        raise BadInput("--shared holds trainings of the study, not those of --choose-weight. Leave one of them out.")
    if choose_weight and arms:
        raise BadInput("--choose-weight compares weights, not --arms. Leave one of them out.")
    seeds = seeds or (1 if choose_weight else 3)
    cohort, first = (CHOICE, f"weight-{CHOICES[0]}") if choose_weight else (TEST, PRIMARY[0])
    if choose_weight:
        names = [*(f"weight-{weight}" for weight in CHOICES), "l1_twin"]

    from .finished import share
    from .page import write_page
    from .queue_runs import run_jobs

    def exchange() -> None:
        if shared is not None:
            share(out, shared, names, seeds)

    exchange()
    with Progress(progress, "curriculum study") as shown:
        if not report:
            for name in (TRAIN, cohort):
                shown.report("simulate", 0.0, f"simulating {name}")
                make_cohort(out, name, read_protocol(out))
            wanted = [(arm, seed) for seed in range(1, seeds + 1) for arm in names]
            missing = [job for job in wanted if (_result(out, shared, *job) or {}).get("measured_on") != cohort]
            if missing:
                run_jobs(out, missing, cohort, jobs, shown, exchange)
        results = _finished(out, shared, names, seeds, cohort)
        if not results:
            raise BadInput(f"No training in {out} is finished yet: there is nothing to report.")
        shown.report("report", 0.97, "writing the page")
        write_page(out, results, read_protocol(out), cohort, first)
    return out / "index.html"


def _protocol(out: Path, pilot: Sequence[str], quick: bool) -> Protocol:
    """The settings asked for; a study that has begun keeps its own where nothing is asked for."""
    if not pilot and not quick and (out / "protocol.json").is_file():
        return read_protocol(out)
    base = QUICK if quick else Protocol()
    settings: dict[str, Any] = {}
    for change in pilot:
        key, equals, text = change.partition("=")
        if not equals or key not in asdict(base):
            raise BadInput(f"--pilot {change}: write it as key=value; keys are {', '.join(asdict(base))}.")
        value = parse_yaml(text, f"--pilot {change}")
        settings[key] = tuple(value) if isinstance(value, list) else value
    return replace(base, **settings)


def _result(out: Path, shared: Path | None, arm: str, seed: int) -> dict[str, Any] | None:
    """What a finished training measured, here or in the shared folder; None while it is not finished."""
    from .finished import shared_result
    from .one_run import result_of

    result = None if shared is None else shared_result(shared, arm, seed)  # first: all of a page are rounded, or none
    return result_of(out, arm, seed) if result is None else result


def _finished(out: Path, shared: Path | None, names: Sequence[str], seeds: int, cohort: str) -> list[dict[str, Any]]:
    """Results of the finished trainings of some arms, by arm and seed."""
    results = [_result(out, shared, arm, seed) for arm in names for seed in range(1, seeds + 1)]
    return [one for one in results if one is not None and one["measured_on"] == cohort]


main = command(curriculum, done=lambda page: f"Wrote {page}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
