"""Compare two visits of one person: change in DVR per lesion and per voxel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from .data.change_result import CHANGE, DVR_AFTER, DVR_BEFORE, LESION_LABELS, REPORT, SUMMARY, TABLE, Change
from .data.result import Result
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.files import atomic_folder, read_json, write_json, write_text
from .runtime.signature import Option, ProgressMode, command


def change(
    before: Annotated[Path, Option("RESULT")],
    after: Annotated[Path, Option("RESULT")],
    out: Annotated[Path, Option("DIR")],
    *,
    before_t1: Annotated[Path | None, Option("FILE")] = None,
    after_t1: Annotated[Path | None, Option("FILE")] = None,
    before_label: Annotated[str | None, Option("NAME")] = None,
    after_label: Annotated[str | None, Option("NAME")] = None,
    repeatability: Annotated[Path | None, Option("FILE")] = None,
    relative_to_nawm: bool = False,
    spacing: Annotated[float, Option("MM")] = 1.0,
    progress: ProgressMode | Literal["silent"] = "bar",  # silent: no warnings either, they are in change.json
) -> Change:
    """Compare two visits of one person.

    Both maps are resampled once into the half-way space of the two visits. Lesions are classified as matched, split,
    merged, new or gone. A lesion counts as changed only if the interval of its change, from the model's
    repeatability, excludes zero. Research use only, not for diagnosis.

    Args:
        before: Result folder of the first visit.
        after: Result folder of the second visit.
        out: output folder; an earlier comparison in it is replaced once the new one is complete.
        before_t1: T1w of the first visit, used to register the visits (default: the synthetic maps are registered).
        after_t1: T1w of the second visit.
        before_label: name of the first visit in the report and in Slicer (default: that of its folder). Do not use a
            date: it identifies a person.
        after_label: name of the second visit.
        repeatability: JSON file with classes_mm3, sd and source: SD of the difference between two scans without true
            change (default: the repeatability in the model card).
        relative_to_nawm: judge lesions by their change minus that of normal-appearing white matter, e.g. after a change
            of scanner; hides a change of the whole white matter. Both numbers are always written.
        spacing: voxel size of the half-way space.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The comparison.

    Raises:
        BadInput: a folder is not a Result, the visits cannot be compared, or a file cannot be read.

    Example:
        python -m TrainingCore.change --before ses-1 --after ses-2 --before-t1 ses1_T1w.nii.gz --after-t1 ses2_T1w.nii.gz --out change
    """  # noqa: E501
    results = Result.open(before), Result.open(after)
    if (before_t1 is None) != (after_t1 is None):
        raise BadInput("Give both T1w images (--before-t1 and --after-t1), or neither.")
    if not 0.3 <= spacing <= 5:
        raise BadInput(f"--spacing {spacing:g} is out of range. Use 0.3 to 5 mm.")
    from .study.visit_pair import check_same_person, visit_label

    labels = (before_label or visit_label(results[0].path), after_label or visit_label(results[1].path))
    if Path(before).resolve() == Path(after).resolve():
        raise BadInput("Both visits are the same Result folder. Choose two visits.")
    check_same_person(labels, (results[0].provenance, results[1].provenance))
    known = read_repeatability(repeatability, results)

    from .study.lesion_sources import lesion_warnings
    from .study.visits import compare_visits

    warnings = lesion_warnings(labels, results)

    with Progress(progress, "comparing") as reporter, atomic_folder(Path(out), SUMMARY) as folder:
        for warning in warnings:
            reporter.say(f"Warning: {warning}")
        reporter.report("register", 0.1, "Registering the visits")
        compared = compare_visits(results, (before_t1, after_t1), spacing, known, relative_to_nawm)
        if doubt := compared.summary["registration"]["warning"]:
            reporter.say(f"Warning: {doubt}")
            warnings.append(doubt)
        reporter.report("write", 0.7, "Writing map, table and report")
        _write(folder, compared, labels, warnings)
        reporter.report("done", 1.0, f"Done: {out}")
    return Change(Path(out))


def read_repeatability(path: Path | None, results: tuple[Result, Result]) -> Any:
    """Read the repeatability, the threshold for a change.

    Args:
        path: JSON file, or None to use the model that synthesized both maps.
        results: Results of both visits.

    Returns:
        The Repeatability, or None if the maps are of different models or the model has none.

    Raises:
        BadInput: the file or the model card holds no valid repeatability.
    """
    from .study.repeatability import Repeatability

    content = read_json(Path(path)) if path is not None else _of_model(results)
    if content is None:
        return None
    try:
        return Repeatability.from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path or 'The model card'} holds no valid repeatability: {error}.") from error


def _of_model(results: tuple[Result, Result]) -> Any:
    models = [result.provenance["model"] for result in results]
    if models[0]["weights_sha256"] != models[1]["weights_sha256"]:
        return None
    return models[0].get("repeatability") or _of_bundled_model(models[0]["weights_sha256"])


def _of_bundled_model(weights_sha256: str) -> Any:
    """Repeatability for maps that were written before the bundled model's card contained it."""
    from .data.bundle import DEMONSTRATION, find_bundle, read_description

    try:
        description = read_description(find_bundle(DEMONSTRATION))
    except BadInput:  # the bundled model is not installed
        return None
    return description.get("repeatability") if description["weights_sha256"] == weights_sha256 else None


def _write(folder: Path, compared: Any, labels: tuple[str, str], warnings: list[str]) -> None:
    from .imaging.volumes import write_volume
    from .reporting.change_report import write_change_report

    affine, words = compared.space.affine, "research use only"
    write_volume(folder / CHANGE, compared.difference, affine, f"synthetic DVR after minus before, {words}")
    write_volume(folder / DVR_BEFORE, compared.dvr[0], affine, f"synthetic DVR before, {words}")
    write_volume(folder / DVR_AFTER, compared.dvr[1], affine, f"synthetic DVR after, {words}")
    write_volume(folder / LESION_LABELS, compared.lesions.astype("int16"), affine, "lesions of either visit")
    prominent = {"note": compared.summary["note"], "warnings": warnings}
    summary = prominent | compared.summary | {"visits": dict(zip(("before", "after"), labels))}
    columns = list(compared.rows[0]) if compared.rows else ["lesion"]
    lines = [",".join(columns)]
    lines += [",".join(_cell(row[name]) for name in columns) for row in compared.rows]
    write_text(folder / TABLE, "\n".join(lines) + "\n")
    write_change_report(folder / REPORT, compared.rows, summary, compared.dvr, compared.lesions > 0)
    write_json(folder / SUMMARY, summary)


def _cell(content: Any) -> str:
    return "" if content is None else f"{content:.5g}" if isinstance(content, float) else str(content)


main = command(change, done=lambda comparison: f"Change: {comparison.path / REPORT}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
