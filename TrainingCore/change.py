"""What changed between two visits of one person: DVR lesion by lesion and voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from .data.result import Result
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.files import atomic_folder, read_json, write_json, write_text
from .runtime.signature import Option, ProgressMode, command

CHANGE, TABLE, SUMMARY, REPORT = "change.nii.gz", "lesions_change.csv", "change.json", "report.html"


def change(
    before: Annotated[Path, Option("RESULT")],
    after: Annotated[Path, Option("RESULT")],
    out: Annotated[Path, Option("DIR")],
    *,
    before_t1: Annotated[Path | None, Option("FILE")] = None,
    after_t1: Annotated[Path | None, Option("FILE")] = None,
    repeatability: Annotated[Path | None, Option("FILE")] = None,
    spacing: Annotated[float, Option("MM")] = 1.0,
    progress: ProgressMode = "bar",
) -> Change:
    """Compare two visits of one person.

    Both maps are resampled once into the space half-way between the visits. Lesions are matched one to one, split,
    merged, new or gone; a change counts only if its interval, from the model's repeatability, leaves out zero.
    Research use only, not for diagnosis.

    Args:
        before: Result folder of the first visit.
        after: Result folder of the second visit.
        out: folder of the comparison; replaced when the new one is complete.
        before_t1: T1w of the first visit, to register the visits (default: the synthetic maps are registered).
        after_t1: T1w of the second visit.
        repeatability: JSON with classes_mm3, sd and source, the SD of the difference between two scans without a change
            (default: that of the model's card).
        spacing: voxel edge of the half-way space.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The comparison.

    Raises:
        BadInput: a folder is no Result, the visits do not fit each other, or a file cannot be read.

    Example:
        python -m TrainingCore.change --before ses-1 --after ses-2 --before-t1 ses1_T1w.nii.gz --after-t1 ses2_T1w.nii.gz --out change
    """  # noqa: E501
    results = Result.open(before), Result.open(after)
    if (before_t1 is None) != (after_t1 is None):
        raise BadInput("Give both T1w (--before-t1 and --after-t1), or neither.")
    if not 0.3 <= spacing <= 5:
        raise BadInput(f"--spacing {spacing:g}: give 0.3 to 5 mm.")
    known = read_repeatability(repeatability, results)

    from .study.visits import compare

    with Progress(progress, "comparing") as reporter, atomic_folder(Path(out), SUMMARY) as folder:
        reporter.report("register", 0.1, "Registering the visits")
        compared = compare(results, (before_t1, after_t1), spacing, known)
        reporter.report("write", 0.7, "Writing map, table and report")
        _write(folder, compared)
        reporter.report("done", 1.0, f"Done: {out}")
    return Change(Path(out))


@dataclass(frozen=True)
class Change:
    """The folder of a comparison: change.nii.gz (after minus before), lesions_change.csv, change.json, report.html."""

    path: Path

    def summary(self) -> dict[str, Any]:
        """How many lesions changed, indices, model and repeatability."""
        content: dict[str, Any] = read_json(self.path / SUMMARY)
        return content

    def lesions(self) -> list[dict[str, str]]:
        """Rows of lesions_change.csv, as text."""
        import csv

        with open(self.path / TABLE, encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))


def read_repeatability(path: Path | None, results: tuple[Result, Result]) -> Any:
    """What counts as a change: from a file, else from the model that made both maps, else None. Raises BadInput."""
    from .study.repeatability import Repeatability

    content = read_json(Path(path)) if path is not None else _of_model(results)
    if content is None:
        return None
    try:
        return Repeatability.from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path or 'The model'} holds no repeatability: {error}.") from error


def _of_model(results: tuple[Result, Result]) -> Any:
    models = [result.provenance["model"] for result in results]
    if models[0]["weights_sha256"] != models[1]["weights_sha256"]:
        return None
    return models[0].get("repeatability") or _of_shipped_model(models[0]["weights_sha256"])


def _of_shipped_model(weights_sha256: str) -> Any:
    """For maps made before the model that comes with the package carried its repeatability."""
    from .data.bundle import DEMONSTRATION, find, read_description

    try:
        about = read_description(find(DEMONSTRATION))
    except BadInput:  # installed without it
        return None
    return about.get("repeatability") if about["weights_sha256"] == weights_sha256 else None


def _write(folder: Path, compared: Any) -> None:
    from .imaging.volumes import write_volume
    from .reporting.change_report import write_change_report

    words = "synthetic DVR after minus before, research use only"
    write_volume(folder / CHANGE, compared.difference, compared.space.affine, words)
    columns = list(compared.rows[0]) if compared.rows else ["lesion"]
    lines = [",".join(columns)]
    lines += [",".join(_cell(row[name]) for name in columns) for row in compared.rows]
    write_text(folder / TABLE, "\n".join(lines) + "\n")
    write_change_report(
        folder / REPORT, compared.rows, compared.summary, compared.dvr, compared.lesions, compared.simulated
    )
    write_json(folder / SUMMARY, compared.summary)


def _cell(content: Any) -> str:
    return "" if content is None else f"{content:.5g}" if isinstance(content, float) else str(content)


main = command(change, done=lambda made: f"Change: {made.path / REPORT}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
