"""Make a cohort of digital people as a BIDS dataset: MS, small-vessel disease or glioma, and healthy controls."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .runtime.cli import Progress, add_progress_option, parser, run_command
from .runtime.errors import BadInput

EXAMPLE = "python -m TrainingCore.simulate cohort --patients 15 --visits 2 --controls 5 --site A --seed 1"


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, check, draw the people, simulate and write every visit, then the noise ceiling."""
    options = _parse(argv)
    _fill_in(options)
    _check(options)
    from .phantom.bids import DERIVATIVES
    from .phantom.dataset import prepare_dataset
    from .phantom.noise_ceiling import noise_ceiling
    from .runtime.files import write_json

    settings = _settings(options)
    people = draw_people(options.site, options.seed, options.patients, options.controls, options.disease)
    prepare_dataset(options.out, settings, people, options.visits, options.overwrite)
    visits: dict[tuple[str, int], list[dict[str, float]]] = {}
    tasks = [(options.out, label, person, options.visits, options.size, settings) for label, person in people]
    with Progress(options.progress, "Simulating") as progress, _results(tasks, options.workers) as results:
        for done, (label, rows) in enumerate(results, start=1):
            visits.update({(label, number): row for number, row in rows.items()})
            progress.report("simulate", done / len(tasks), f"Simulated sub-{label} ({done} of {len(tasks)})")
    ceiling = noise_ceiling([visits[key] for key in sorted(visits)]) if "dvr" in settings["contrasts"] else None
    if ceiling is not None:
        write_json(options.out / DERIVATIVES / "noise_ceiling.json", ceiling)
    _say(options, ceiling)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    arguments = parser("simulate", __doc__ or "", EXAMPLE)
    arguments.add_argument("out", type=Path, metavar="OUT", help="folder of the BIDS dataset to write")
    arguments.add_argument("--disease", default="ms", metavar="ms|wmh|glioma", help="what patients have (default: ms)")
    arguments.add_argument(
        "--contrasts",
        metavar="NAMES",
        help="comma-separated: t1w (always there), flair, t2w, mtr, fa, rd, ad, adc, t1ce_low, t1ce, dvr "
        "(default: ms t1w,flair,dvr; wmh t1w,flair; glioma t1w,flair,t2w,adc,t1ce_low,t1ce)",
    )
    arguments.add_argument("--patients", type=int, default=15, metavar="N", help="people with it (default: 15)")
    arguments.add_argument("--controls", type=int, default=0, metavar="C", help="healthy people (default: 0)")
    arguments.add_argument("--visits", type=int, metavar="V", help="visits per person (default: 2 for ms, else 1)")
    arguments.add_argument(
        "--site",
        metavar="A|B|C|R",
        help="scanners and population, or several: ABC deals people out in turn; R: every visit its own random MRI "
        "protocol (default: A; wmh: ABC)",
    )
    arguments.add_argument("--seed", type=int, default=1, metavar="S", help="same seed, same bytes (default: 1)")
    arguments.add_argument("--size", type=int, default=128, help="voxels along each edge of 192 mm (default: 128)")
    arguments.add_argument("--workers", type=int, default=1, metavar="W", help="processes side by side (default: 1)")
    arguments.add_argument("--overwrite", action="store_true", help="replace another digital cohort that is in OUT")
    add_progress_option(arguments)
    return arguments.parse_args(argv)


def _fill_in(options: argparse.Namespace) -> None:
    """Defaults that depend on the disease; `contrasts` becomes a list in one fixed order, with t1w."""
    from .data.case import ALL_MRI
    from .phantom.people import DEFAULT_CONTRASTS, check_contrasts, check_disease

    check_disease(options.disease)
    if options.visits is None:
        options.visits = 2 if options.disease == "ms" else 1
    if options.site is None:
        options.site = "ABC" if options.disease == "wmh" else "A"
    wanted = DEFAULT_CONTRASTS[options.disease]
    if options.contrasts is not None:
        wanted = tuple(name.strip().lower() for name in options.contrasts.split(",") if name.strip())
        check_contrasts(wanted, options.disease)
    options.contrasts = [name for name in (*ALL_MRI, "dvr") if name == "t1w" or name in wanted]


def _check(options: argparse.Namespace) -> None:
    from .phantom.patient import check_size
    from .phantom.people import check_site
    from .phantom.template import template_folder

    if options.patients < 0 or options.controls < 0:
        raise BadInput("The number of people cannot be negative. Give --patients and --controls of 0 or more.")
    if options.patients + options.controls == 0:
        raise BadInput("There is nobody to simulate. Give --patients or --controls of 1 or more.")
    if options.visits < 1:
        raise BadInput(f"{options.visits} visits cannot be simulated. Give --visits of 1 or more.")
    if options.workers < 1:
        raise BadInput(f"{options.workers} workers cannot work. Give --workers of 1 or more.")
    if options.seed < 0:
        raise BadInput(f"Seed {options.seed} is negative. Give --seed of 0 or more.")
    for site in options.site or " ":
        check_site(site)
    if len(set(options.site)) < len(options.site):
        raise BadInput(f"Sites {options.site} name one site twice. Give each once.")
    check_size(options.size)
    template_folder()


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    from . import __version__

    return {
        "version": __version__,
        "disease": options.disease,
        "contrasts": options.contrasts,
        "site": options.site,
        "seed": options.seed,
        "size": options.size,
    }


def draw_people(sites: str, seed: int, patients: int, controls: int, disease: str = "ms") -> list[tuple[str, Any]]:
    """(BIDS label, Person) of everybody in a cohort; a larger cohort of the same seed begins with the same people.

    sites: one letter per site; people are dealt out to them in turn.
    """
    from .phantom.people import draw_person
    from .phantom.randomness import stream

    people = []
    for kind, count, letters in (("patient", patients, ""), ("control", controls, "HC")):
        for index in range(count):
            site, number = sites[index % len(sites)], index // len(sites) + 1
            person_seed = int(stream(seed, site, kind, number).integers(2**31))
            person = draw_person(person_seed, site, kind == "patient", disease)
            people.append((f"{site}{letters}{number:02d}", person))
    return people


def simulate_person(
    task: tuple[Path, str, Any, int, int, dict[str, Any]],
) -> tuple[str, dict[int, list[dict[str, float]]]]:
    """Simulate and write all visits of one person, but for those that an earlier run finished."""
    from .phantom.bids import read_finished, write_visit
    from .phantom.patient import simulate_person_visit

    out, label, person, visits, size, settings = task
    rows = {}
    for visit in range(1, visits + 1):
        finished = read_finished(out, label, visit, settings)
        if finished is None:
            case = simulate_person_visit(person, visit, size, settings["contrasts"], label)
            finished = write_visit(out, case, settings)
        rows[visit] = finished
    return label, rows


@contextlib.contextmanager
def _results(tasks: list[Any], workers: int) -> Iterator[Iterator[Any]]:
    """Results as they come, from this process or from `workers` processes that end with it."""
    if workers == 1 or len(tasks) == 1:
        yield map(simulate_person, tasks)
        return
    import multiprocessing

    from .runtime.stopping import undisturbed

    with contextlib.ExitStack() as stack:
        with undisturbed(deaf_children=True):
            pool = multiprocessing.get_context("spawn").Pool(min(workers, len(tasks)), _start_worker)
            stack.enter_context(pool)
        yield pool.imap_unordered(_simulate_until_stopped, tasks)
        pool.close()
        pool.join()


def _start_worker() -> None:
    """Clean up (no half-written file) when the parent ends this process."""
    from .runtime.stopping import listen

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's business; on Windows this is not handed down
    listen()
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _simulate_until_stopped(task: Any) -> Any:
    """What a worker does with a task."""
    from .runtime.files import remove_unfinished
    from .runtime.stopping import Stopped

    try:
        return simulate_person(task)
    except Stopped:
        remove_unfinished()
        raise


def _say(options: argparse.Namespace, ceiling: dict[str, Any] | None) -> None:
    if options.progress != "bar":
        return
    facts = f"{options.patients} patients and {options.controls} controls with {', '.join(options.contrasts)}"
    if ceiling is not None:
        lesion, patient = (
            "not defined" if ceiling[name] is None else f"{ceiling[name]:.3f}"
            for name in ("lesion_level_r", "patient_level_r")
        )
        facts += f"; {ceiling['lesions']} lesions of 50 mm3 or more; noise ceiling r = {lesion} per lesion"
        facts += f", {patient} per patient"
    print(f"Wrote {options.out}: {facts}. Simulated data, research use only, not for diagnosis.")


if __name__ == "__main__":
    raise SystemExit(run_command(main))
