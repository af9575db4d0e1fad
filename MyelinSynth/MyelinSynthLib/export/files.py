"""Exports: the reviewed lesion table, the report with the review, and the Result folder.

All of them are made from nodes alone, so they can also be exported from a scene that was saved and reopened.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..errors import SynthesisError
from ..review import table as lesionTable
from ..review.edits import Memory, measuredOnGrid
from ..review.points import lesionPoint
from ..review.segments import labelsOnGrid
from ..review.summary import lesionWords
from ..review.table import ID, REVIEW_COLUMNS, Review
from ..run.childprocess import importTrainingCore
from ..run.reviewed import REJECTED_LABELS, REJECTED_LESIONS, reviewFile
from ..scene import provenance
from ..scene.geometry import ijkToRas, writeTransform
from ..scene.provenance import FETCH_ATTRIBUTE, FURTHER_ATTRIBUTE
from ..words import _
from .snapshots import Photographer

MAX_PICTURES = 40
BEFORE_EDIT = "before_edit"  # folder in a Result: what showed its lesions before an outline was edited
NEEDED = ("table", "dvr", "brain", "report", "nawm", "transform", "provenance")  # one, four, all: table, report, Result
# What a spreadsheet would run, and the mark itself, so that reading it back loses nothing
FORMULA_BEGINNINGS = ("=", "+", "-", "@", "'")


@dataclass(frozen=True)
class Export:
    """What to export and where: folder / name_lesions.csv, name_report.html and name_result.

    Lesions that were rejected, or that lost their outline, go to name_rejected_lesions.csv.
    """

    folder: Path
    name: str
    table: bool = True
    report: bool = True
    result: bool = True

    def paths(self) -> list[Path]:
        """Return the files and the folder that will be written."""
        outputs = [(self.table, "_lesions.csv"), (self.report, "_report.html"), (self.result, "_result")]
        return [self.folder / (self.name + ending) for selected, ending in outputs if selected]

    def existing(self) -> list[Path]:
        """Return the paths that exist already and would be replaced."""
        return [path for path in (*self.paths(), *([self.rejected] if self.table else [])) if path.exists()]

    @property
    def rejected(self) -> Path:
        """Table of the lesions that do not count; written only if there are any."""
        return self.folder / f"{self.name}_{REJECTED_LESIONS}"


def writeExport(nodes: dict[str, Any], export: Export) -> list[Path]:
    """Write the selected parts of one synthesis, replacing older ones; each file is written completely or not at all.

    Args:
        nodes: nodes of one synthesis by role.
        export: what to write and where.

    Returns:
        The paths of `export.paths()`.

    Raises:
        SynthesisError: the name or folder is not valid, a node was deleted from the scene, or a file cannot be written.
    """
    importTrainingCore()
    from TrainingCore.runtime.errors import MyelinSynthError
    from TrainingCore.runtime.files import write_text

    if Path(export.name).name != export.name or export.name in ("", ".", ".."):
        raise SynthesisError(_("Enter a name that is valid as a file name."))
    if not export.folder.is_dir():
        raise SynthesisError(_("The folder {folder} does not exist. Choose another one.").format(folder=export.folder))
    for selected, roles in ((export.table, NEEDED[:1]), (export.report, NEEDED[:4]), (export.result, NEEDED)):
        if selected:
            provenance.require(nodes, roles)
    try:
        for path in export.paths():
            if path.name.endswith("_lesions.csv"):
                _writeTables(Review(nodes["table"]), path, export.rejected)
            elif path.name.endswith("_report.html"):
                write_text(path, reviewReport(nodes))
            else:
                writeResult(nodes, path)
    except (MyelinSynthError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SynthesisError(_("Not everything could be written: {reason}").format(reason=reason)) from error
    return export.paths()


def _writeTables(review: Review, path: Path, rejected: Path, columns: Sequence[str] | None = None) -> None:
    """Write the lesions that count, and those that do not, if any, to a second file."""
    from TrainingCore.runtime.files import write_text

    counted = review.counted()
    others = [row for row in range(len(review)) if row not in counted]
    write_text(path, lesionsCsv(review, columns, counted))
    if others:
        write_text(rejected, lesionsCsv(review, None, others))
    else:
        rejected.unlink(missing_ok=True)


def lesionsCsv(review: Review, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None) -> str:
    """Format the lesion table, including the review, as CSV.

    Args:
        review: review of the lesion table node.
        columns: names of the columns to write; None for all.
        rows: indices of the table rows to write; None for all.

    Returns:
        The CSV text. An empty cell means that the value could not be estimated.
    """
    columns = list(columns or review.columns)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in range(len(review)) if rows is None else rows:
        writer.writerow([_cell(review, row, name) for name in columns])
    return stream.getvalue()


def _cell(review: Review, row: int, column: str) -> str:
    if column == ID:
        return str(review.lesion(row))
    if column == lesionTable.STATE:
        return review.state(row)
    if review.isText(column):
        text = review.text(row, column)
        return "'" + text if text.startswith(FORMULA_BEGINNINGS) else text
    value = review.number(row, column)
    return f"{value:.5g}" if np.isfinite(value) else ""


# Every cell may break, so that no table is wider than the page
TABLE_STYLE = "<style>.scroll table { width: 100%; } .scroll th, .scroll td { white-space: normal; }</style>"


def reviewReport(nodes: dict[str, Any]) -> str:
    """Add the review to the Result's report.

    Args:
        nodes: nodes of one synthesis by role; `report` holds the HTML page written by `synthesize`.

    Returns:
        The HTML page with the figures after review at the top, and the states, comments and pictures of flagged and
        rejected lesions at the end.
    """
    page, section = nodes["report"].GetText(), reviewSection(nodes)
    for begin in ("<main>", "<body>"):
        before, marker, after = page.partition(begin)
        if marker:
            page = before + marker + _afterReview(Review(nodes["table"])) + after
            break
    for end in ("</main>", "</body>", "</html>"):
        before, marker, after = page.rpartition(end)
        if marker:
            return before + section + marker + after
    return page + section


def writeReviewReport(nodes: dict[str, Any], folder: Path) -> Path:
    """Write the report with the review as an HTML file for viewing.

    Args:
        nodes: nodes of one synthesis by role.
        folder: existing folder to write into.

    Returns:
        Path of the file, named after the run.

    Raises:
        SynthesisError: a node was deleted from the scene, or the file cannot be written.
    """
    importTrainingCore()
    from TrainingCore.runtime.files import write_text

    provenance.require(nodes, NEEDED[:4])
    path = folder / f"MyelinSynth_report_{provenance.get(nodes['dvr'], 'Run')[:8]}.html"
    try:
        write_text(path, reviewReport(nodes))
    except OSError as error:
        raise SynthesisError(_("The report cannot be written: {reason}").format(reason=error.strerror)) from error
    return path


def _afterReview(review: Review) -> str:
    """Return the figures after review, placed before those of the synthesis, which count every lesion."""
    words = _("After review: {result} {progress}.").format(result=lesionWords(review), progress=review.progressText())
    note = _("The following, up to the section Review, is unchanged since synthesis and includes rejected lesions.")
    return f"\n{TABLE_STYLE}\n<p><strong>{_escape(words)}</strong> {_escape(note)}</p>\n"


def reviewSection(nodes: dict[str, Any]) -> str:
    """Format the review as a section of the report.

    Args:
        nodes: nodes of one synthesis by role.

    Returns:
        An HTML section; all text that users typed is escaped.
    """
    review = Review(nodes["table"])
    counts = review.counts()
    simulated = provenance.get(nodes["dvr"], "SimulatedTrainingData") == "yes"
    words = [provenance.RESEARCH_USE]
    if simulated:
        words.append(_("Simulated: the model was trained on simulated patients only."))
    parts = [f"<h2>{_escape(_('Review'))}</h2>", f"<p><strong>{_escape(' '.join(words))}</strong></p>"]
    numbers = ", ".join(f"{counts[state]} {state}" for state in lesionTable.STATES)
    parts.append(f"<p>{_escape(review.progressText())}: {_escape(numbers)}.</p>")
    if len(review):
        parts += [_reviewTable(review), *_pictures(nodes, review)]
    return "\n<section>\n" + "\n".join(parts) + "\n</section>\n"


def _reviewTable(review: Review) -> str:
    columns = [name for name in ("region", "volume_mm3", "mean_dvr", "measured_mean_dvr") if name in review.columns]
    titles = {"region": _("region"), "volume_mm3": _("volume (mm\u00b3)"), "mean_dvr": _("mean DVR")}
    titles["measured_mean_dvr"] = _("measured mean DVR")
    forms = {"volume_mm3": "{:.0f}", "mean_dvr": "{:.2f}", "measured_mean_dvr": "{:.2f}"}
    head = [_("lesion"), *(titles[name] for name in columns), _("state"), _("outline"), _("comment")]
    rows = []
    for row in range(len(review)):
        cells = [str(review.lesion(row))]
        for name in columns:
            value = review.number(row, name)
            shown = forms[name].format(value) if name in forms and np.isfinite(value) else "\u2013"
            cells.append(review.text(row, name) if name not in forms else shown)
        cells += [review.state(row), review.outline(row), review.comment(row)]
        rows.append("<tr>" + "".join(f"<td>{_escape(cell)}</td>" for cell in cells) + "</tr>")
    header = "".join(f'<th scope="col">{_escape(title)}</th>' for title in head)
    label = _escape(_("Review of every lesion"))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table><caption>{label}</caption>'
        f"<thead><tr>{header}</tr></thead><tbody>" + "\n".join(rows) + "</tbody></table></div>"
    )


def _pictures(nodes: dict[str, Any], review: Review) -> list[str]:
    """Return figures of the flagged and rejected lesions, largest lesions first."""
    rows = [row for state in (lesionTable.FLAGGED, lesionTable.REJECTED) for row in review.order(states=(state,))]
    rows = [row for row in rows if np.isfinite(review.localCentre(row)).all()]
    if not rows or "lesions" not in nodes:
        return []
    photographer = Photographer(nodes, labelsOnGrid(nodes["lesions"], nodes["dvr"]))
    parts = [f"<h2>{_escape(_('Flagged and rejected lesions'))}</h2>"]
    if len(rows) > MAX_PICTURES:
        parts.append(f"<p>{_escape(_('The first {n} of {total}.').format(n=MAX_PICTURES, total=len(rows)))}</p>")
    for row in rows[:MAX_PICTURES]:
        lesion, state = review.lesion(row), review.state(row)
        picture = photographer.png(lesion, lesionPoint(review, row, nodes["dvr"], nodes["lesions"]), state)
        caption = _("Lesion {id}, {state}: {panels}; axial, patient's right on the left, 60 mm wide.").format(
            id=lesion, state=state, panels=photographer.names()
        )
        if review.comment(row):
            caption += " " + _("Comment: {text}").format(text=review.comment(row))
        data = base64.b64encode(picture).decode("ascii")
        alt = _("Slices through lesion {id} with its outline").format(id=lesion)
        parts.append(
            f'<figure><img src="data:image/png;base64,{data}" alt="{_escape(alt)}">'
            f"<figcaption>{_escape(caption)}</figcaption></figure>"
        )
    return parts


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


def writeResult(nodes: dict[str, Any], folder: Path, everything: bool = False) -> None:
    """Write the Result folder again from nodes (read by TrainingCore.data.result), with the outlines as they are now.

    Args:
        nodes: nodes of one synthesis by role.
        folder: folder to write; it replaces an older Result of this name and nothing else.
        everything: False to export: rejected lesions go to REJECTED_LESIONS and REJECTED_LABELS, and the summary in
            provenance.json leaves them out. True to save a review in progress: rejected lesions stay with the others,
            the summary remains that of the synthesis, and files that show the lesions before editing move to
            BEFORE_EDIT.

    Raises:
        MyelinSynthError: a file cannot be written.
        SynthesisError: a package that writes images is missing, or the outlines have no binary labelmap.
    """
    importTrainingCore()
    from TrainingCore.data.result import LESION_LABELS, LESIONS, PROVENANCE, REPORT
    from TrainingCore.runtime.files import atomic_folder, write_json, write_text

    review = Review(nodes["table"])
    with atomic_folder(folder, PROVENANCE) as temporary:
        _writeImages(nodes, temporary)
        record = json.loads(nodes["provenance"].GetText()) | {"review": _reviewRecord(review)}
        if "lesions" in nodes:
            labels = _labels(nodes)
            counts = np.isin(labels, [review.lesion(row) for row in review.counted()]) | everything
            _writeLabels(np.where(counts, labels, 0), nodes, temporary / LESION_LABELS)
            if (labels > 0)[~counts].any():
                _writeLabels(np.where(counts, 0, labels), nodes, temporary / REJECTED_LABELS)
            if _isChanged(review) and not everything:
                record["summary"] = record["summary"] | _summaryAfterReview(nodes, record["summary"], labels, counts)
        columns = [name for name in review.columns if name not in REVIEW_COLUMNS]
        if everything:
            write_text(temporary / LESIONS, lesionsCsv(review, columns))
        else:
            _writeTables(review, temporary / LESIONS, temporary / REJECTED_LESIONS, columns)
        write_text(reviewFile(temporary), lesionsCsv(review, [ID, *REVIEW_COLUMNS]))
        write_text(temporary / REPORT, nodes["report"].GetText())
        write_json(temporary / PROVENANCE, record)
        if everything:
            _keepOthers(folder, temporary)


def _writeImages(nodes: dict[str, Any], folder: Path) -> None:
    """Write the maps, the masks and the transforms of a Result."""
    from TrainingCore.data.result import BRAIN, CONTEXT, DVR, LESION_PROBABILITY, NAWM, PLACES, TRANSFORM, UNCERTAINTY

    for role, name, kind, words in (
        ("dvr", DVR, np.float32, "synthetic DVR, research use only"),
        ("brain", BRAIN, np.uint8, "brain mask"),
        ("nawm", NAWM, np.uint8, "normal-appearing white matter"),
        ("uncertainty", UNCERTAINTY, np.float32, "SD of synthetic DVR"),
        ("probability", LESION_PROBABILITY, np.float32, "probability of a lesion"),
        ("places", PLACES, np.uint8, "1 infratentorial, 2 ventricles, 4 cortex"),
        ("context", CONTEXT, np.int32, "tissue + 4 T1w + 65536 FLAIR"),
    ):
        if role in nodes:
            _writeVolume(nodes[role], folder / name, kind, words)
    writeTransform(folder / TRANSFORM, np.array(json.loads(nodes["transform"].GetAttribute(FETCH_ATTRIBUTE))))
    for name, matrix in json.loads(nodes["transform"].GetAttribute(FURTHER_ATTRIBUTE) or "{}").items():
        writeTransform(folder / name, np.array(matrix))


def _keepOthers(folder: Path, temporary: Path) -> None:
    """Copy what the older Result holds besides its own files (viewer.html, dicom/) into BEFORE_EDIT of the new one."""
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (temporary / entry.name).exists():
            continue
        kept = temporary if entry.name == BEFORE_EDIT else temporary / BEFORE_EDIT
        kept.mkdir(exist_ok=True)
        if entry.is_dir():
            shutil.copytree(entry, kept / entry.name, dirs_exist_ok=True)
        else:
            shutil.copy2(entry, kept / entry.name)


def _isChanged(review: Review) -> bool:
    """Return whether the review changed the set of lesions that count or an outline."""
    return len(review.counted()) < len(review) or any(review.outline(row) for row in range(len(review)))


def _summaryAfterReview(
    nodes: dict[str, Any], summary: dict[str, Any], labels: np.ndarray, counts: np.ndarray
) -> dict[str, Any]:
    """Recompute the lesion part of the summary for the lesions that count; NAWM stays that of the synthesis."""
    from TrainingCore.data.lesion_columns import column_names
    from TrainingCore.evaluation.lesion_summary import mean_sd, summarise_lesions

    review = Review(nodes["table"])
    mask, pet = (labels > 0) & counts, measuredOnGrid(nodes, Memory())
    measured = "measured_mean_dvr" in review.columns
    blank = dict.fromkeys(column_names(measured))  # a Result of another version may lack a column
    again = summarise_lesions([blank | review.values(row) for row in review.counted()], measured)
    maps = {"synthetic_dvr": slicer.util.arrayFromVolume(nodes["dvr"]), "measured_dvr": pet}
    for name, values in maps.items():
        if name in summary and values is not None:
            again[name] = summary[name] | {"lesions": mean_sd(values, mask)}
    return again


def _reviewRecord(review: Review) -> dict[str, Any]:
    """Summarise the review for provenance.json: counts by state, and the lesions edited or removed."""
    marks = {review.lesion(row): review.outline(row) for row in range(len(review))}
    by = {
        "edited_lesions": lesionTable.EDITED,
        "added_lesions": lesionTable.ADDED,
        "merged_lesions": lesionTable.MERGED,
        "split_lesions": lesionTable.SPLIT,
        "lesions_without_outline": lesionTable.REMOVED,
    }
    marked = {name: [lesion for lesion, lesionMark in marks.items() if lesionMark == mark] for name, mark in by.items()}
    return {"states": review.counts(), "lesions_that_count": len(review.counted()), **marked}


def _writeVolume(node: Any, path: Path, kind: Any, words: str) -> None:
    _write(path, slicer.util.arrayFromVolume(node).astype(kind), node, words)


def _labels(nodes: dict[str, Any]) -> np.ndarray:
    """Merge all layers into one label map (K, J, I); where edited lesions overlap, the later one gets the voxel.

    Segments without a row (undone in the Segment Editor, and not measured yet) are left out.
    """
    labels = np.zeros(slicer.util.arrayFromVolume(nodes["dvr"]).shape, np.int32)
    review = Review(nodes["table"])
    listed = [review.lesion(row) for row in range(len(review))]
    for layer in labelsOnGrid(nodes["lesions"], nodes["dvr"]):
        known = np.isin(layer, listed)
        labels[known] = layer[known]
    return labels


def _writeLabels(labels: np.ndarray, nodes: dict[str, Any], path: Path) -> None:
    small = labels.max(initial=0) <= np.iinfo(np.int16).max
    _write(path, labels.astype(np.int16 if small else np.int32), nodes["dvr"], "number of the lesion in lesions.csv")


def _write(path: Path, array: np.ndarray, node: Any, words: str) -> None:
    try:
        from TrainingCore.imaging.volumes import write_volume

        write_volume(path, array.transpose(2, 1, 0), ijkToRas(node), words)
    except ModuleNotFoundError as error:
        raise SynthesisError(
            _("The result cannot be written: {name} is missing from Slicer's Python.").format(name=error.name)
        ) from error
