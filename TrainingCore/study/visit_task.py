"""Process one visit of a cohort: synthesize the map, then write BIDS derivatives.

The Result of a visit is written to a temporary folder and moved into place; the BIDS files follow, the record is
written last. A visit with a record is complete, even if the process or the machine was killed. The output does not
depend on time or on how visits are distributed: one job per person writes the same files as a single run.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import RESEARCH_USE, SIMULATED, __version__
from ..data.bundle import Bundle
from ..data.case import label_of
from ..data.result import DICOM, LESIONS, PROVENANCE, Result
from ..data.review import REVIEW
from ..patient.options import SynthesisOptions
from ..preprocessing.records import content_of, hash_of_code, outputs_intact, outputs_of, read_record
from ..preprocessing.worker import VisitOutcome, attempt
from ..runtime.errors import MyelinSynthError
from ..runtime.files import PARTIAL_SUFFIX, read_json, sha256, write_json, write_text
from . import names
from .bids_words import in_bids_words
from .dicom_sources import no_dicom
from .reviews import bring_back, is_reviewed, set_aside

MRI_ROOMS = ("data", "evaluation", "imaging", "networks", "patient", "prediction", "study", "systems")


@dataclass(frozen=True)
class VisitTask:
    """One visit to synthesize; plain values, so that it can be sent to another process or machine.

    Attributes:
        files: absolute paths by volume name.
        spaces: BIDS `space` entity by volume, for files that have one.
        model: folder, .zip or name of a bundle.
        out: absolute path of the dataset.
        threads: CPU threads.
        viewer: also write viewer.html.
        lesion_finder: bundle that finds the lesions of a visit without a mask, or None.
        dicom: folder with the DICOM series of the T1w, from which DICOM output is derived (it may be missing), or None
            for no DICOM output.
    """

    person: str
    visit: str
    files: dict[str, str]
    spaces: dict[str, str]
    model: str
    device: str
    uncertainty: bool
    out: str
    threads: int = 1
    viewer: bool = False
    lesion_finder: str | None = None
    dicom: str | None = None

    @property
    def label(self) -> str:
        """See `case.label_of`."""
        return label_of(self.person, self.visit)

    def options(self) -> SynthesisOptions:
        """Options for `synthesize`."""
        masks = ("lesions", "dvr", "brain", "label_map")
        files = {name: Path(path) for name, path in self.files.items()}
        aligned = "flair" in files and self.spaces.get("flair") == "T1w"
        return SynthesisOptions(
            {name: path for name, path in files.items() if name not in masks},
            lesions=files.get("lesions"),
            lesion_space=self.spaces.get("lesions"),
            dvr=files.get("dvr"),
            brain=files.get("brain"),
            label_map=files.get("label_map"),
            flair_to_t1="identity" if aligned else None,
            lesion_finder=self.lesion_finder,
            model=self.model,
            device=self.device,
            uncertainty=self.uncertainty,
            dicom=self.dicom is not None and not no_dicom(Path(self.dicom)),
            dicom_reference=None if self.dicom is None else Path(self.dicom),
        )


@functools.cache
def _code_version() -> str:
    """Hash of the source files that affect the result of a visit."""
    return hash_of_code(MRI_ROOMS)


def _result_key(task: VisitTask, inputs: dict[str, dict[str, Any]], model: Bundle) -> str:
    """Hash of everything that affects the result: contents of the inputs, model, settings, code."""
    about = {
        "inputs": {name: content["sha256"] for name, content in sorted(inputs.items())},
        "spaces": task.spaces,
        "model": model.sha256_of_results,
        "uncertainty": task.uncertainty,
        "code": _code_version(),
        **({"viewer": True} if task.viewer else {}),
        **({"finder": finder.sha256_of_results} if (finder := _finder(task.lesion_finder)) else {}),
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def synthesize_bids_visit(task: VisitTask) -> VisitOutcome:
    """Write the Result and the derivatives of a visit.

    Args:
        task: the visit.

    Returns:
        Outcome; failures are returned, not raised, except a stop by the user.
    """
    notes: list[str] = []
    outcome = attempt(task.label, task.out, lambda: _synthesize(task, notes), "Use fewer --n-procs.")
    warnings = [in_bids_words(warning) for warning in outcome.warnings]
    return replace(outcome, sentence=in_bids_words(outcome.sentence), warnings=warnings, notes=notes)


def _synthesize(task: VisitTask, notes: list[str]) -> tuple[str, list[str]]:
    """Returns the state of the visit and new warnings; adds to `notes` what the end of the run repeats."""
    import torch

    from ..patient.visit import synthesize_visit as make_result

    torch.set_num_threads(task.threads)
    out, record_name = Path(task.out), names.result_record_path(task.person, task.visit)
    old = read_record(out / record_name)
    known = old["inputs"] if old else {}
    inputs = {name: content_of(Path(path), known.get(name)) for name, path in task.files.items()}
    missing = no_dicom(Path(task.dicom)) if task.dicom else ""
    if task.dicom and not missing:
        inputs["dicom"] = content_of(Path(task.dicom))
    key = _result_key(task, inputs, _bundle(task.model))
    folder = out / names.result_path(task.person, task.visit)
    if old and old["key"] == key and (is_reviewed(folder) or outputs_intact(out, old["outputs"])):
        write_json(out / record_name, {**old, "inputs": inputs, **_dicom_of_review(task, folder, old)})
        notes += _notes(task, missing or old.get("without_dicom", ""))
        return "unchanged", []
    (out / record_name).unlink(missing_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    set_aside(folder)
    refused: list[str] = []
    result = make_result(task.options(), folder, "silent", task.viewer, refused.append)
    if not isinstance(result, Result):
        raise MyelinSynthError(f"The model {task.model} synthesizes no myelin map. Give another --model.")
    _without_times(folder)
    shutil.rmtree(out / names.visit_folder(task.person, task.visit), ignore_errors=True)
    written = _write_derivatives(task, result)
    warnings = result.provenance["warnings"]
    note = bring_back(folder)
    reviewed = _dicom_of_review(task, folder, {})
    files = [path.relative_to(out).as_posix() for path in sorted(folder.rglob("*")) if _is_output(path)]
    record = {
        "note": RESEARCH_USE,
        "label": task.label,
        "key": key,
        "settings": {"model": result.provenance["model"]["weights_sha256"], "uncertainty": task.uncertainty},
        "software": {"myelinsynth": __version__, "code": _code_version()},
        "measures": result.provenance["summary"],
        "warnings": warnings,
        "inputs": inputs,
        "outputs": outputs_of(out, [*files, *written]),
    }
    if refused:
        record["without_dicom"] = refused[0]
    if reviewed:
        record["dicom_of_review"] = reviewed["dicom_of_review"]
    write_json(out / record_name, record)
    notes += _notes(task, missing or "".join(refused[:1]), note)
    return "synthesized", warnings


def _is_output(path: Path) -> bool:
    return path.is_file() and path.name != REVIEW  # which people change


def _dicom_of_review(task: VisitTask, folder: Path, old: Mapping[str, Any]) -> dict[str, Any]:
    """Write the DICOM of a visit again, without the lesions that a review rejected, if the review changed since.

    Args:
        task: the visit.
        folder: folder of its Result.
        old: record of the visit; empty for a new Result.

    Returns:
        Entries of the record that change: dicom_of_review (hash of the review) and outputs.
    """
    review = sha256(folder / REVIEW) if (folder / REVIEW).is_file() else None
    if task.dicom is None or not (folder / DICOM).is_dir() or old.get("dicom_of_review") == review:
        return {}
    from ..imaging.reading import read_named
    from ..reporting.dicom.export import dicom_of_result
    from ..reporting.dicom.visit import reference_of_visit

    t1w = Path(task.files["t1w"])
    written = dicom_of_result(
        Result.open(folder), reference_of_visit(t1w, Path(task.dicom)), read_named(t1w, "t1w"), folder / DICOM
    )
    out = Path(task.out)
    files = [path.relative_to(out).as_posix() for path in sorted(written.path.iterdir())]
    folder_name = written.path.relative_to(out).as_posix()
    others = {name: about for name, about in old.get("outputs", {}).items() if not name.startswith(f"{folder_name}/")}
    return {"dicom_of_review": review, "outputs": others | outputs_of(out, files)}


def _notes(task: VisitTask, without_dicom: str, review: str = "") -> list[str]:
    """Sentences for people about a visit that has a map."""
    notes = [f"DICOM was not written. {without_dicom}" if without_dicom else "", review]
    return [f"{task.label}: {note}" for note in notes if note]


@functools.lru_cache(maxsize=2)
def _finder(name: str | None) -> Bundle | None:
    from ..patient.lesion_finding import open_finder

    return None if name is None else open_finder(name)


@functools.lru_cache(maxsize=2)
def _bundle(path: str) -> Bundle:
    return Bundle.open(path)


def _without_times(folder: Path) -> None:
    """Remove the run times from the provenance, so that the same input gives identical files."""
    provenance = read_json(folder / PROVENANCE)
    provenance.pop("seconds", None)
    write_json(folder / PROVENANCE, provenance)


def _write_derivatives(task: VisitTask, result: Result) -> list[str]:
    """Give a Result its BIDS names (hard links if the file system has them), with sidecars and the lesion table.

    Returns:
        Paths below the dataset.
    """
    out, written = Path(task.out), []
    for name, location in names.BIDS_NAMES.items():
        if not (result.path / name).is_file():
            continue
        path = names.bids_path(task.person, task.visit, location)
        _link(result.path / name, out / path)
        written.append(path)
        if name in names.IMAGES:
            sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
            write_json(out / sidecar, _sidecar(task, result, name))
            written.append(sidecar)
    table = names.bids_path(task.person, task.visit, names.TABLE)
    write_text(out / table, (result.path / LESIONS).read_text(encoding="utf-8").replace(",", "\t"))
    return [path.as_posix() for path in [*written, table]]


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}{PARTIAL_SUFFIX}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # a disk without hard links
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)


def _sidecar(task: VisitTask, result: Result, name: str) -> dict[str, Any]:
    from ..data.result import BRAIN, DVR, LESION_LABELS, LESION_PROBABILITY, NAWM, UNCERTAINTY

    used = ["t1w"] if name == BRAIN else ["t1w", "flair"] + (["lesions"] if name == LESION_LABELS else [])
    about: dict[str, Any] = {
        "Description": RESEARCH_USE,
        "Sources": [f"bids:raw:{Path(task.files[name]).name}" for name in used if name in task.files],
        "SpatialReference": "world of the T1w, RAS mm",
    }
    if result.provenance["lesion_source"] == "found" and name in (LESION_LABELS, LESION_PROBABILITY):
        about["Description"] = f"Found automatically, to be reviewed. {RESEARCH_USE}"
    if name in (BRAIN, NAWM):
        about["Type"] = "Brain" if name == BRAIN else "ROI"
    if name in (DVR, UNCERTAINTY):
        model = result.provenance["model"]
        trained = f" {SIMULATED}: the model was trained on them." if model["simulated_training_data"] else ""
        about["Description"] = f"Synthetic, made from MRI by a network; not measured by PET. {RESEARCH_USE}{trained}"
        about |= {"Units": "unitless", "Tracer": "[11C]PiB", "ModelName": model["name"]}
        about["ModelWeightsSHA256"] = model["weights_sha256"]
    return about
