"""Prepare one visit in one process: read, prepare, write. A `PreparationJob` holds everything it needs.

A visit is written to a temporary folder, then moved file by file, the record last. A visit with a record is complete,
even if the process or the machine was killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import RESEARCH_USE, __version__
from ..data.case import ALL_MRI, label_of, reference_of, word_of
from ..data.cohort_bids import SPACES
from ..runtime.errors import BadInput, MyelinSynthError
from ..runtime.files import scratch, write_json, write_text
from ..runtime.stopwatch import Stopwatch
from . import names
from .records import code_version, content_of, outputs_intact, outputs_of, read_record, record_key

WORK = ".work"  # folder below the dataset for what is not complete
READ = (*ALL_MRI, "dvr", "dvr_clean", "brain", "lesions", "white_matter", "grey_matter", "csf", "label_map")
UNITS = {"dvr": "distribution volume ratio", "dvr_clean": "distribution volume ratio", "mtr": "as in the input"}


@dataclass(frozen=True)
class PreparationJob:
    """One visit to prepare; plain values, so that it can be sent to another process or machine.

    Attributes:
        files: absolute paths (or `identity`) by volume name.
        transforms: absolute paths (or `identity`) by volume name.
        settings: settings that affect the result (space, grid, spacing_mm).
        out: absolute path of the dataset.
        threads: CPU threads.
    """

    person: str
    visit: str
    files: dict[str, str]
    spaces: dict[str, str]
    transforms: dict[str, str]
    settings: dict[str, Any]
    out: str
    simulated: bool = False
    threads: int = 1
    code: str = ""

    @property
    def label(self) -> str:
        """See `case.label_of`."""
        return label_of(self.person, self.visit)

    def all_settings(self) -> dict[str, Any]:
        """Everything that affects the result, except the contents of the inputs."""
        identities = {name: value for name, value in self.transforms.items() if value == "identity"}
        return {**self.settings, "spaces": self.spaces, "identity": identities, "simulated": self.simulated}

    def inputs(self) -> dict[str, Path]:
        """Every file that is read, transforms included."""
        files = {name: Path(path) for name, path in self.files.items() if name in READ}
        moves = {f"{name}_to_t1w": Path(path) for name, path in self.transforms.items() if path != "identity"}
        return files | moves


@dataclass(frozen=True)
class VisitOutcome:
    """Outcome of one visit.

    Attributes:
        state: `prepared`, `unchanged` or `failed`.
        sentence: reason of a failure.
        fatal: whether other visits would fail too.
        warnings: sentences about the visit's images and result.
        notes: sentences to repeat at the end of the run.
    """

    label: str
    state: str
    sentence: str = ""
    seconds: float = 0.0
    fatal: bool = False
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prepare_visit(task: PreparationJob) -> VisitOutcome:
    """Prepare one visit.

    Args:
        task: the visit, with absolute paths.

    Returns:
        Outcome; failures are reported in it and raise no error, except a request to stop.
    """

    def work() -> tuple[str, list[str]]:
        with _threads(task.threads):
            _check_worker(task)
            return _prepare(task)

    return attempt(task.label, task.out, work, "Use fewer --jobs, or a smaller --grid.")


def attempt(label: str, out: str, work: Callable[[], tuple[str, list[str]]], with_less_memory: str) -> VisitOutcome:
    """Run the work on one visit of a batch and turn errors into its outcome.

    Args:
        label: label of the visit.
        out: output dataset, for the message about its disk.
        work: returns the visit's state and warnings.
        with_less_memory: sentence about what to do if the memory is not sufficient.

    Returns:
        The outcome.
    """
    began = time.monotonic()
    try:
        state, warnings = work()
        return VisitOutcome(label, state, "", round(time.monotonic() - began, 2), warnings=warnings)
    except MyelinSynthError as error:
        return VisitOutcome(label, "failed", str(error))
    except MemoryError:
        return VisitOutcome(label, "failed", f"It ran out of memory. {with_less_memory}")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        return VisitOutcome(label, "failed", f"{error.strerror or error}: check the disk of {out}.", fatal=full)
    except Exception as error:
        if os.environ.get("MYELINSYNTH_DEBUG"):
            raise
        hint = "This is a fault of MyelinSynth, not of the files: please report it."
        return VisitOutcome(label, "failed", f"Unexpected {type(error).__name__}: {error}. {hint}")


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Limit the inner loops of this process to `count` threads; parallel processes use the other cores."""
    import SimpleITK as sitk
    import torch

    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads(), torch.get_num_threads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)
    torch.set_num_threads(count)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before[0])
        torch.set_num_threads(before[1])


def _check_worker(task: PreparationJob) -> None:
    """Check that this machine sees the same files and runs the same code as the machine that sent the job."""
    where = f"The worker on {platform.node()}"
    if not (Path(task.out) / "dataset_description.json").is_file():
        raise MyelinSynthError(f"{where} does not see {task.out}. Data and --out must lie on a disk all workers share.")
    if task.code and task.code != code_version():
        raise MyelinSynthError(f"{where} has another version of MyelinSynth. Install the same one on every machine.")


def _prepare(task: PreparationJob) -> tuple[str, list[str]]:
    out, record_name = Path(task.out), names.record_path(task.person, task.visit)
    old = read_record(out / record_name)
    before = old["inputs"] if old else {}
    inputs = {name: content_of(path, before.get(name)) for name, path in task.inputs().items()}
    key = record_key(inputs, task.all_settings())
    if old and old["key"] == key and outputs_intact(out, old["outputs"]):
        write_json(out / record_name, {**old, "inputs": inputs})
        return "unchanged", old["warnings"]
    (out / WORK).mkdir(exist_ok=True)
    with scratch(out / WORK, task.label) as work:
        try:
            record = {"key": key, "inputs": inputs, **_make(task, work)}
        except MyelinSynthError:
            _remove_outputs(out, record_name, old)  # they are of other inputs
            raise
        _move_outputs(work, out, record_name, record, old)
    return "prepared", record["warnings"]


def _make(task: PreparationJob, work: Path) -> dict[str, Any]:
    """Read, prepare and write a visit below `work`; returns its record without key and inputs."""
    from ..imaging.placement import in_reference_world
    from ..imaging.reading import read_named
    from ..patient.case_preparation import prepare_volumes
    from ..reporting.qc_measures import quality_measures
    from ..reporting.qc_pictures import case_picture

    stopwatch = Stopwatch()
    stopwatch.start("read")
    files = {name: Path(path) for name, path in task.files.items() if name in READ}
    read = in_reference_world({name: read_named(path, name) for name, path in files.items()}, reference_of(files))
    prepared = prepare_volumes(read, task.settings, task.spaces, _transforms(task), stopwatch)
    stopwatch.start("write")
    paths = _write_volumes(task, prepared, work)
    picture = names.figure_path(task.person, task.visit)
    (work / picture).parent.mkdir(parents=True, exist_ok=True)
    (work / picture).write_bytes(case_picture(prepared))
    measures = quality_measures(prepared)
    outputs = outputs_of(work, [*paths, picture.as_posix()])
    stopwatch.stop()
    registrations = prepared.aligned.registrations
    return {
        "label": task.label,
        "note": RESEARCH_USE,
        "simulated": task.simulated,
        "settings": task.all_settings(),
        "software": {"myelinsynth": __version__, "code": code_version()},
        "reference": prepared.reference,
        "brain_mask": prepared.aligned.brain.how,
        "registrations": {name: _about(registration) for name, registration in registrations.items()},
        "measures": measures,
        "warnings": prepared.warnings,
        "seconds": {step: {"wall": wall, "cpu": cpu} for step, (wall, cpu) in stopwatch.seconds.items()},
        "outputs": outputs,
    }


def _about(registration: Any) -> dict[str, Any]:
    return {
        "how": registration.how,
        "moved_mm": round(float(registration.moved_mm), 3),
        "covered": round(float(registration.covered), 4),
        "matrix_reference_to_image_ras": np.round(registration.matrix, 9).tolist(),
    }


def _transforms(task: PreparationJob) -> dict[str, np.ndarray]:
    """Return the known transforms, reference world -> world of an image, RAS mm.

    They are given, or follow from BIDS names (an image in `space-T1w` is aligned with the T1w). Given transforms start
    from the T1w; without a T1w, they are composed with that of the reference.
    """
    from ..imaging.transforms import read_transform

    reference = reference_of(task.files)
    if reference is None:
        return {}
    spaces, known = {SPACES[reference], task.spaces.get(reference)} - {None}, {}
    for name in (*ALL_MRI, "dvr", "dvr_clean"):
        if name in task.files and name != reference and task.spaces.get(name) in spaces:
            known[name] = np.eye(4)
    moves = {
        name: np.eye(4) if transform == "identity" else read_transform(transform)
        for name, transform in task.transforms.items()
        if name in task.files
    }
    if reference != "t1w" and moves and reference not in moves:
        raise BadInput(
            f"{next(iter(moves))}_to_t1w refers to a T1w that is missing. Give {reference}_to_t1w as well, because "
            f"the images are registered to the {word_of(reference)}, or leave both empty."
        )
    back = np.linalg.inv(moves.pop(reference)) if reference in moves else np.eye(4)
    return known | {name: matrix @ back for name, matrix in moves.items()}


def _write_volumes(task: PreparationJob, prepared: Any, work: Path) -> list[str]:
    """Write volumes with sidecars, transforms and the lesion table below `work`; returns their relative paths."""
    from ..imaging.transforms import write_transform
    from ..imaging.volumes import write_volume

    volumes = dict(prepared.volumes)
    if prepared.lesions is not None:
        volumes["lesion_shares"] = prepared.lesions.fractions()
    paths = []
    mask = prepared.aligned.brain.mask
    own = prepared.space != "PET" and prepared.grid.same_as(mask.data.shape, mask.affine)
    for name, data in volumes.items():
        path = names.volume_path(task.person, task.visit, name, prepared.space)
        write_volume(work / path, data, prepared.grid.affine, f"{name}, research use only", mask.forms if own else None)
        sidecar = Path(str(path).removesuffix(".nii.gz") + ".json")
        write_json(work / sidecar, _sidecar(task, name, prepared))
        paths += [path.as_posix(), sidecar.as_posix()]
    for name, matrix in prepared.matrices.items():
        if name != ("dvr" if prepared.space == "PET" else prepared.reference):
            path = names.transform_path(task.person, task.visit, name, prepared.space)
            write_transform(work / path, matrix)
            paths.append(path.as_posix())
    if prepared.lesions is not None:
        path = names.lesion_table_path(task.person, task.visit, prepared.space)
        write_text(work / path, _lesion_table(prepared.lesions))
        paths.append(path.as_posix())
    return paths


def _sidecar(task: PreparationJob, name: str, prepared: Any) -> dict[str, Any]:
    source = {"lesion_shares": "lesions"}.get(name, name)
    visible = dict.fromkeys([prepared.reference, "flair"])
    used = [source] if source in task.files else [name for name in visible if name in task.files]
    about: dict[str, Any] = {
        "Sources": [Path(task.files[name]).name for name in used],
        "SpatialReference": f"world of the {prepared.space}, RAS mm",
        "Description": RESEARCH_USE,
    }
    if name in ALL_MRI:
        about["SkullStripped"] = prepared.aligned.brain.how == "skull-stripped input"
    if name in UNITS:
        about["Units"] = UNITS[name]
    if name == "lesion_shares":
        about["Description"] = f"Share of each voxel that is lesional; its sum keeps the volume. {RESEARCH_USE}"
    if task.simulated:
        about["Simulated"] = True
    return about


def _lesion_table(lesions: Any) -> str:
    """Volume and centre of every lesion of the given mask, whatever the grid, tab-separated."""
    rows = ["id\tvolume_mm3\tx_mm\ty_mm\tz_mm"]
    for number, (volume, centre) in enumerate(zip(lesions.volumes(), lesions.centres()), start=1):
        if volume > 0:
            rows.append(f"{number}\t{volume:.3f}\t" + "\t".join(f"{mm:.3f}" for mm in centre))
    return "\n".join(rows) + "\n"


def _remove_outputs(out: Path, record_name: Path, old: Mapping[str, Any] | None) -> None:
    """Remove what an earlier run wrote for a visit, so that nobody trains on it."""
    (out / record_name).unlink(missing_ok=True)
    for name in old["outputs"] if old else ():
        (out / name).unlink(missing_ok=True)


def _move_outputs(
    work: Path, out: Path, record_name: Path, record: Mapping[str, Any], old: Mapping[str, Any] | None
) -> None:
    """Move a visit's files from `work` to their places, an older visit's away, the record last."""
    (out / record_name).unlink(missing_ok=True)
    if old is None:  # files without a record were left by a killed run
        for part in {"anat", *names.FOLDERS.values()}:
            shutil.rmtree(out / record_name.parents[1] / part, ignore_errors=True)
    for name in set(old["outputs"] if old else ()) - set(record["outputs"]):
        (out / name).unlink(missing_ok=True)
    for name in record["outputs"]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(work / name, out / name)
    write_json(out / record_name, record)
