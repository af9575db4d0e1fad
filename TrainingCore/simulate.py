"""Simulate a cohort as a BIDS dataset: patients with MS, small-vessel disease or glioma, and healthy controls."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from . import __version__
from .runtime.cli import Progress, run_command
from .runtime.signature import Option, ProgressMode, command

LOG = logging.getLogger(__name__)


def simulate(
    out: Annotated[Path, Option("OUT", positional=True)],
    *,
    disease: Annotated[str, Option("ms|wmh|glioma")] = "ms",
    contrasts: Annotated[str | None, Option("NAMES")] = None,
    patients: Annotated[int, Option("N")] = 15,
    controls: Annotated[int, Option("C")] = 0,
    visits: Annotated[int | None, Option("V")] = None,
    site: Annotated[str | None, Option("A|B|C|R")] = None,
    seed: Annotated[int, Option("S")] = 1,
    size: int = 128,
    lesion_masks: Annotated[Path | None, Option("FOLDER")] = None,
    lookalikes: Annotated[str | None, Option("yes|no")] = None,
    scanners: Annotated[str, Option("LETTERS")] = "",
    without_change: bool = False,
    workers: Annotated[int, Option("W")] = 1,
    overwrite: bool = False,
    progress: ProgressMode = "bar",
) -> SimulatedCohort:
    """Simulate a cohort as a BIDS dataset: patients with MS, small-vessel disease or glioma, and healthy controls.

    Args:
        out: BIDS dataset to write.
        disease: disease of the patients.
        contrasts: comma-separated list of t1w (always written), flair, t2w, mtr, fa, rd, ad, adc, t1ce_low, t1ce, dvr
            (default: ms t1w,flair,dvr; wmh t1w,flair; glioma t1w,flair,t2w,adc,t1ce_low,t1ce).
        patients: number of patients.
        controls: number of healthy controls (default: 0).
        visits: visits per person (default: 2 for ms, else 1).
        site: scanner and population; people are assigned to several sites in turn; R draws a random MRI protocol for
            every visit (default: A; wmh: ABC).
        seed: random seed; the same seed writes identical files.
        size: voxels along each axis of the 192 mm field of view.
        lesion_masks: folder of real lesion masks in MNI space (*mask.nii.gz); one per patient.
        lookalikes: whether to add structures that mimic lesions (default: yes at site R, else no).
        scanners: sites whose scanners successive visits use in turn, e.g. AB (default: scanner of the site).
        without_change: repeat scans without disease progression; only scanner, noise and protocol drift differ (and
            which lesions take up contrast agent, a known defect of this edition).
        workers: parallel processes.
        overwrite: replace another simulated cohort in OUT.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The simulated cohort, with noise and information ceilings if it has a DVR.

    Raises:
        BadInput: a number or name is invalid, or the folder holds other files.

    Example:
        python -m TrainingCore.simulate cohort --patients 15 --visits 2 --controls 5 --site A --seed 1
    """
    from .phantom import cohort
    from .phantom.dataset import prepare_dataset, shapes_of
    from .phantom.edition import phantom_edition
    from .phantom.people import draw_people

    out, site = Path(out), site if site is not None else ("ABC" if disease == "wmh" else "A")
    visits = visits if visits is not None else (2 if disease == "ms" else 1)
    settings: dict[str, Any] = {
        "version": __version__,
        "disease": disease,
        "contrasts": cohort.choose_contrasts(contrasts, disease),
        "site": site,
        "seed": seed,
        "size": size,
        "phantom": phantom_edition(),
    }
    cohort.check_people(patients, controls, visits, workers)
    cohort.check_simulation(site, seed, size)
    people = draw_people(site, seed, patients, controls, disease)
    people = cohort.with_choices(people, settings, lesion_masks, lookalikes)
    people = cohort.with_rescans(people, settings, scanners, without_change)
    if disease == "wmh" and visits > 1 and not without_change:
        LOG.warning(
            "The later visits of --disease wmh are no follow-up of the first one: deep hyperintensities lie elsewhere. "
            "Do not study change with them."
        )
    prepare_dataset(out, settings, people, visits, overwrite)
    finished: dict[tuple[str, int], list[dict[str, Any]]] = {}
    tasks = [(out, label, person, visits, size, settings) for label, person in people]
    with Progress(progress, "Simulating") as reporter, _results(out, tasks, workers) as results:
        for done, (label, rows) in enumerate(results, start=1):
            finished.update({(label, number): row for number, row in rows.items()})
            reporter.report("simulate", done / len(tasks), f"Simulated sub-{label} ({done} of {len(tasks)})")
    _warn_of_nothing_left(finished, shapes_of(people), size)
    ceiling = _write_ceilings(out, finished, shapes_of(people)) if "dvr" in settings["contrasts"] else None
    return SimulatedCohort(out, patients, controls, settings["contrasts"], ceiling)


def _warn_of_nothing_left(
    finished: Mapping[tuple[str, int], Sequence[Any]], shapes: Mapping[str, str], size: int
) -> None:
    """Warn of patients with real masks of which no lesion is left; shapes: real mask by label of the person."""
    without = sorted({label for (label, _), rows in finished.items() if label in shapes and not rows})
    if without:
        LOG.warning(
            f"{len(without)} of the patients with real masks have no lesion ({', '.join(without)}): their masks are "
            f"empty, or hold only lesions smaller than the voxels of --size {size}."
        )


def _write_ceilings(
    out: Path, finished: dict[tuple[str, int], list[dict[str, Any]]], shapes: Mapping[str, str]
) -> dict[str, Any]:
    """Compute and write noise and information ceiling; returns the noise ceiling with the other as `information`.

    shapes: real mask by label of the person.
    """
    from .data.participants import SHAPES_OF
    from .evaluation.information import as_table, information_ceiling
    from .phantom.bids import DERIVATIVES
    from .phantom.edition import phantom_edition
    from .phantom.noise_ceiling import noise_ceiling
    from .runtime.files import write_json, write_text

    lesions = [row | {SHAPES_OF: shapes.get(key[0])} for key in sorted(finished) for row in finished[key]]
    ceiling = noise_ceiling(lesions) | {"phantom": phantom_edition()}
    write_json(out / DERIVATIVES / "noise_ceiling.json", ceiling)
    information = information_ceiling(lesions)
    write_json(out / DERIVATIVES / "information_ceiling.json", information | {"phantom": phantom_edition()})
    if information["rows"]:
        lines = ["\t".join(line) for line in as_table(information)]
        write_text(out / DERIVATIVES / "information_ceiling.tsv", "\n".join(lines) + "\n")
    return ceiling | {"information": information}


@dataclass(frozen=True)
class SimulatedCohort:
    """BIDS dataset written by `simulate`.

    Attributes:
        path: folder of the dataset.
        patients: number of patients.
        controls: number of healthy controls (default: 0).
        contrasts: names of the simulated contrasts.
        ceiling: noise ceiling of the DVR (see phantom.noise_ceiling) with the information ceiling as `information`
            (see evaluation.information), or None without a DVR.
    """

    path: Path
    patients: int
    controls: int
    contrasts: list[str]
    ceiling: dict[str, Any] | None

    def __str__(self) -> str:
        controls = "1 control" if self.controls == 1 else f"{self.controls} controls"
        facts = f"{self.patients} patients and {controls} with {', '.join(self.contrasts)}"
        table = ""
        if self.ceiling is not None:
            lesion, patient = (
                "not defined" if self.ceiling[name] is None else f"{self.ceiling[name]:.3f}"
                for name in ("lesion_level_r", "patient_level_r")
            )
            facts += f"; {self.ceiling['lesions']} lesions of 50 mm3 or more; noise ceiling r = {lesion} per lesion"
            facts += f", {patient} per patient"
            table = self._information(self.ceiling.get("information", {}))
        return f"Wrote {self.path}: {facts}.{table} Simulated data, research use only, not for diagnosis."

    @staticmethod
    def _information(information: dict[str, Any]) -> str:
        """Format the information ceiling as a table, or the reason why there is none."""
        from .evaluation.information import as_table, caution

        if not information.get("rows"):
            return f" {information['skipped']}" if information.get("skipped") else ""
        lines = as_table(information)
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
        return (
            "\nInformation ceiling: correlation of out-of-sample regressions (5 folds by person):\n"
            + "\n".join([*rows, *filter(None, [caution(information)])])
            + "\n"
        )


def simulate_person(
    task: tuple[Path, str, Any, int, int, dict[str, Any]],
) -> tuple[str, dict[int, list[dict[str, Any]]]]:
    """Simulate and write all visits of a person, except those that an earlier run finished.

    Args:
        task: (dataset folder, BIDS label, Person, number of visits, size in voxels, settings).

    Returns:
        BIDS label, and the true lesion values (rows) of each visit number.
    """
    from .evaluation.lesion_truth import lesion_truth
    from .phantom.bids import read_finished, write_bids_visit
    from .phantom.patient import simulate_with_truth

    out, label, person, visits, size, settings = task
    rows = {}
    for visit in range(1, visits + 1):
        finished = read_finished(out, label, visit, settings)
        if finished is None:
            case, scene = simulate_with_truth(person, visit, size, settings["contrasts"], label)
            truth = lesion_truth(case, scene) if "dvr" in case.volumes else []
            finished = write_bids_visit(out, case, settings, truth)
        rows[visit] = finished
    return label, rows


@contextlib.contextmanager
def _results(out: Path, tasks: list[Any], workers: int) -> Iterator[Iterator[Any]]:
    """Simulate people in this process or in `workers` child processes and yield the results as they arrive."""
    if workers == 1 or len(tasks) == 1:
        yield map(simulate_person, tasks)
        return
    from .runtime.files import remove_partials
    from .runtime.parallel import explain_broken_pool, parallel_results

    remedy = "To resume, run the command again with fewer --workers."
    try:
        with (
            explain_broken_pool("a worker", remedy),
            parallel_results(simulate_person, tasks, min(workers, len(tasks)), threads=1) as results,
        ):
            yield results
    finally:
        remove_partials(out)  # left by workers that were terminated


main = command(simulate, done=str)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
