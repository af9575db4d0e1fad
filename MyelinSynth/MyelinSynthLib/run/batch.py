"""Batch processing without a GUI: synthesizes all patients of a BIDS folder or table, one after another."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from ..errors import SynthesisError
from ..export.files import Export, writeExport
from ..model.bundles import furtherInputs
from ..patient.exchange import ALIGNED
from ..words import _
from .childprocess import importTrainingCore
from .synthesis import DEFAULT_MODEL

VOLUMES = ("t1w", "flair", "lesions", "dvr", "brain")
STATUS_FILE = "batch_status.tsv"
WORKLIST_FILE = "worklist.json"  # input files of each result, which the Result itself does not name


@dataclass(frozen=True)
class BatchOutcome:
    """Outcome of one visit.

    Attributes:
        label: name of the visit.
        done: whether there is a result.
        message: a sentence; empty on success.
    """

    label: str
    done: bool
    message: str = ""


def runBatch(
    dataset: Path,
    out: Path,
    synthesize: Callable[..., Any],
    again: bool = False,
    scenes: bool = False,
    say: Callable[[str], None] = print,
    **options: Any,
) -> list[BatchOutcome]:
    """Synthesize every visit of a dataset; a visit that fails does not stop the others.

    Args:
        dataset: BIDS folder, or a .csv / .tsv table of files.
        out: folder for <label>_result, <label>_lesions.csv and <label>_report.html of each visit, batch_status.tsv and
            worklist.json; created if missing.
        synthesize: `MyelinSynthLogic().synthesize`.
        again: also synthesize visits that have a result.
        scenes: also save <label>.mrb for review in Slicer.
        say: called with each line of progress.
        **options: options of `Synthesis`.

    Returns:
        One outcome for each visit, including those without T1w or FLAIR.

    Raises:
        SynthesisError: the dataset holds no complete visit, or `out` cannot be written.
    """
    visits, refused = _visits(dataset)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = _("The folder {folder} cannot be written ({cause}).")
        raise SynthesisError(text.format(folder=out, cause=error.strerror)) from error
    _writeWorklist(out / WORKLIST_FILE, visits, (*VOLUMES, *furtherInputs(options.get("model", DEFAULT_MODEL))))
    outcomes = list(refused)
    for outcome in refused:
        say(outcome.message)
    for number, visit in enumerate(visits, 1):
        say(_("{number} of {count}: {label}").format(number=number, count=len(visits), label=visit.label))
        if (out / f"{visit.label}_result").is_dir() and not again:
            outcomes.append(BatchOutcome(visit.label, True, _("Skipped: a result already exists.")))
        else:
            options["onStep"] = lambda step: say(f"  {step.message}")
            outcomes.append(_synthesizeVisit(visit, out, synthesize, scenes, options))
        if outcomes[-1].message:
            say(f"  {outcomes[-1].message}")
        _writeStatus(out / STATUS_FILE, outcomes)
    return outcomes


def _synthesizeVisit(
    visit: Any, out: Path, synthesize: Callable[..., Any], scenes: bool, options: dict[str, Any]
) -> BatchOutcome:
    try:
        nodes = {name: loadVolume(visit.files[name]) for name in VOLUMES if name in visit.files}
        further = {
            name: loadVolume(visit.files[name]) if name in visit.files else None
            for name in furtherInputs(options.get("model", DEFAULT_MODEL))
        }
        outputs = synthesize(
            *(nodes.get(name) for name in VOLUMES),
            flairToT1(visit.transforms.get("flair")),
            further=further,
            **options,
        )
        writeExport(outputs.nodes(), Export(out, visit.label))
        if scenes and not slicer.mrmlScene.WriteToMRB(str(out / f"{visit.label}.mrb")):
            raise SynthesisError(_("The scene could not be saved."))
    except SynthesisError as error:
        return BatchOutcome(visit.label, False, str(error))
    except Exception as error:  # the other patients are still processed; the log has the traceback
        logging.exception(f"MyelinSynth: {visit.label} failed")
        return BatchOutcome(visit.label, False, f"{type(error).__name__}: {error}")
    finally:
        slicer.mrmlScene.Clear(0)
    return BatchOutcome(visit.label, True)


def _visits(dataset: Path) -> tuple[list[Any], Sequence[BatchOutcome]]:
    """Return the visits that have T1w and FLAIR, and a BatchOutcome for each one that does not."""
    importTrainingCore()
    from TrainingCore.data.cohort import Cohort, missing_sentences
    from TrainingCore.runtime.errors import BadInput

    try:
        cohort = Cohort.scan(dataset, raw=True)
    except BadInput as error:
        raise SynthesisError(str(error)) from error
    if not cohort.visits:
        text = _("{dataset} holds no visit with T1w and FLAIR. Name the files as in BIDS (sub-01_T1w.nii.gz).")
        raise SynthesisError(text.format(dataset=dataset))
    incomplete = cohort.incomplete
    refused = [
        BatchOutcome(visit.label, False, why)
        for visit, why in zip(incomplete, missing_sentences(incomplete, ("t1w", "flair")))
    ]
    return cohort.visits, refused + [BatchOutcome(_("row"), False, why) for why in cohort.bad_rows]


def loadVolume(path: Path) -> Any:
    """Load a scalar volume from a file, with Slicer's own reader.

    Args:
        path: image file with one 3D volume.

    Returns:
        The new node, without display nodes.

    Raises:
        SynthesisError: the file cannot be read; no node is left in the scene.
    """
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetSingleFile(1)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", path.name.split(".")[0])
    if not path.is_file() or not storage.ReadData(node) or node.GetImageData() is None:
        slicer.mrmlScene.RemoveNode(node)
        raise SynthesisError(_("{path} cannot be read as a 3D image.").format(path=path))
    return node


def flairToT1(alignment: str | Path | None) -> Any:
    """Convert the alignment given in a table.

    Args:
        alignment: transform file, `identity`, or None.

    Returns:
        None to register, ALIGNED, or a new transform node.

    Raises:
        SynthesisError: the transform file cannot be read.
    """
    if alignment is None or alignment == ALIGNED:
        return alignment
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", Path(alignment).name)
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(alignment))
    if not storage.ReadData(node):
        raise SynthesisError(_("The transform {path} cannot be read.").format(path=alignment))
    return node


def _writeWorklist(path: Path, visits: Sequence[Any], names: Sequence[str]) -> None:
    """Add these visits to the worklist, from which the panel opens the results one after the other."""
    from TrainingCore.runtime.files import write_json

    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    for visit in visits:
        files = {name: str(Path(visit.files[name]).resolve()) for name in names if name in visit.files}
        transform = visit.transforms.get("flair")
        known[visit.label] = {"files": files, "flair_to_t1": None if transform is None else str(transform)}
    write_json(path, known)


def _writeStatus(path: Path, outcomes: Sequence[BatchOutcome]) -> None:
    from TrainingCore.runtime.files import write_text

    clean = str.maketrans("\t\r\n", "   ")
    rows = [
        f"{outcome.label}\t{'done' if outcome.done else 'failed'}\t{outcome.message.translate(clean)}"
        for outcome in outcomes
    ]
    write_text(path, "\n".join(["visit\tstatus\tmessage", *rows]) + "\n")
