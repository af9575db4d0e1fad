"""Write the files of a Result."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import RESEARCH_USE, SIMULATED
from ..data.lesion_columns import column_names
from ..data.result import (
    BRAIN,
    CONTEXT,
    DVR,
    LESION_LABELS,
    LESION_PROBABILITY,
    LESIONS,
    NAWM,
    PLACES,
    PROVENANCE,
    REPORT,
    SYNTHETIC_FLAIR,
    TRANSFORM,
    UNCERTAINTY,
    transform_file,
)
from ..data.run import versions
from ..evaluation.lesion_summary import mean_sd, summarise_lesions
from ..imaging.aligned import AlignedPatient
from ..imaging.regions import RegionMasks, encode_regions
from ..imaging.registration import Registration
from ..imaging.transforms import write_transform
from ..imaging.volumes import Volume, resample, write_volume
from ..imaging.working_grid import mask_on_own_grid
from ..prediction.uncertainty import describe_uncertainty
from ..runtime.files import write_json, write_text

if TYPE_CHECKING:
    from .synthesis import Findings

NO_FLAIR = Registration(np.eye(4), "no FLAIR was given", 0.0, 0.0)


def write_result(folder: Path, findings: Findings) -> None:
    """Write all files of a Result; provenance.json is written last and marks it as complete.

    Args:
        folder: existing folder to write to.
        findings: map, lesions and everything else that was measured.
    """
    from ..reporting.patient_report import patient_report

    _write_maps(folder, findings)
    _write_transforms(folder, findings.prepared.aligned)
    columns = column_names(measured=findings.measured is not None)
    write_text(folder / LESIONS, lesions_csv(findings.rows, columns))
    summary = _summarise_findings(findings)
    patient_report(findings, summary).write(folder / REPORT)
    write_json(folder / PROVENANCE, _provenance_of(findings, summary))


def _write_transforms(folder: Path, aligned: AlignedPatient) -> None:
    """Write the transform of every registered input, which resamples it into T1w space.

    flair_to_t1.tfm is always written, as the identity if there is no FLAIR.

    Args:
        folder: existing folder to write to.
        aligned: aligned images.
    """
    write_transform(folder / TRANSFORM, aligned.matrix("flair"))
    for name in aligned.registrations:
        write_transform(folder / transform_file(name), aligned.matrix(name))


def describe_registration(registration: Registration) -> dict[str, Any]:
    """Describe the registration of one image for the provenance.

    Args:
        registration: result of the registration to the reference.

    Returns:
        JSON: how, distance moved (mm), share of the brain that the image covers (0 to 1), 4x4 matrix (RAS mm).
    """
    return {
        "how": registration.how,
        "moved_mm": round(registration.moved_mm, 3),
        "covers_brain": round(registration.covered, 4),
        "matrix_t1_to_image_ras": np.round(registration.matrix, 9).tolist(),
    }


def _write_maps(folder: Path, findings: Findings) -> None:
    """Write all volumes of the Result on the original grid of the T1w, with its qform and sform."""
    own, generated = findings.prepared.own, findings.patient.generated
    mask = findings.brain.mask if own is None else own.brain
    dvr, uncertainty, labels, nawm = (
        (findings.dvr, findings.uncertainty, findings.labels, findings.tissues["nawm"])
        if own is None
        else (own.dvr, own.uncertainty, own.labels, own.nawm)
    )
    assert dvr is not None
    assert labels is not None
    assert nawm is not None
    words = "synthetic DVR, research use only" + (", simulated training" if findings.bundle.simulated else "")
    lesion_words = "number of the lesion in lesions.csv"

    def write(name: str, data: np.ndarray, description: str) -> None:
        write_volume(folder / name, data, mask.affine, description, mask.forms)

    flair = findings.prepared.image("flair")
    if "flair" in generated and flair is not None:
        words += ", synthetic FLAIR"
        write(
            SYNTHETIC_FLAIR,
            flair.data if own is None else resample(flair, mask.data.shape, mask.affine),
            "synthetic FLAIR, research use only",
        )
    write(DVR, dvr, words)
    write(BRAIN, mask.data > 0.5, "brain mask")
    write(NAWM, nawm, "normal-appearing white matter")
    if findings.lesions is not None:
        small = labels.max(initial=0) <= np.iinfo(np.int16).max
        unchecked = ", found automatically, to be reviewed" if "lesions" in generated else ""
        write(LESION_LABELS, labels.astype(np.int16) if small else labels, lesion_words + unchecked)
    probability = findings.prepared.lesion_probability
    if probability is not None:
        if own is not None:
            probability = resample(Volume(probability, findings.brain.mask.affine), mask.data.shape, mask.affine)
        write(LESION_PROBABILITY, probability, "probability of a lesion, found automatically, to be reviewed")
    if findings.regions is not None:
        regions = findings.regions
        if own is not None:
            affine = findings.brain.mask.affine
            regions = RegionMasks(*(mask_on_own_grid(part, affine, own.brain).data > 0 for part in regions))
        write(PLACES, encode_regions(regions), "1 infratentorial, 2 lateral ventricles, 4 cortex, and their sums")
    if findings.context is not None:
        words_of_code = "tissue + 4 T1w + 65536 FLAIR, to measure edited lesions again"
        write_volume(folder / CONTEXT, findings.context.encode(), findings.context.affine, words_of_code)
    if uncertainty is not None:
        write(UNCERTAINTY, uncertainty, "uncertainty (SD) of " + words)


def lesions_csv(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Format the lesion table as CSV.

    Args:
        rows: rows of the lesion table.
        columns: names of the columns.

    Returns:
        CSV text, numbers in five significant digits, empty cells for values that are not estimable.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(row.get(key)) for key in columns})
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else value


def _summarise_findings(findings: Findings) -> dict[str, Any]:
    """Return summary statistics: mean DVR by tissue, lesion load, lesions against surrounding NAWM and measured DVR."""
    masks = {"nawm": findings.tissues["nawm"], "grey_matter": findings.tissues["grey_matter"]}
    masks["lesions"] = findings.labels > 0
    summary: dict[str, Any] = {
        "synthetic_dvr": {name: mean_sd(findings.dvr, mask) for name, mask in masks.items()},
        "demyelination_limit_dvr": findings.limit,
        **summarise_lesions(findings.rows, findings.measured is not None),
        "brain_ml": round(findings.brain.millilitres, 1),
        "plausibility": [finding.row() for finding in findings.plausibility],
    }
    if findings.measured is not None:
        summary["measured_dvr"] = {name: mean_sd(findings.measured.data, mask) for name, mask in masks.items()}
    return summary


def _provenance_of(findings: Findings, summary: dict[str, Any]) -> dict[str, Any]:
    """Content of provenance.json, without file names, paths or other patient identifiers.

    Args:
        findings: map, lesions and everything else that was measured.
        summary: from `_summarise_findings`.

    Returns:
        JSON-ready provenance.
    """
    about = findings.bundle.description
    aligned = findings.prepared.aligned
    registration = aligned.registrations.get("flair", NO_FLAIR)
    return {
        "note": RESEARCH_USE + (f" {SIMULATED}." if findings.bundle.simulated else ""),
        "software": versions() | {"deepbet": _version("deepbet")},
        "model": {
            "name": about["name"],
            "system": about["system"],
            "weights_sha256": findings.bundle.sha256,
            "simulated_training_data": findings.bundle.simulated,
            "training_data": about["training_data"],
            **{key: about[key] for key in ("repeatability", "intervals", "myelin") if key in about},
        },
        "simulated_patient": findings.patient.simulated,
        "synthetic_inputs": findings.patient.generated,
        "inputs": findings.patient.facts,
        "brain_mask": findings.brain.how,
        "registration": {
            "how": registration.how,
            "moved_mm": round(registration.moved_mm, 3),
            "flair_covers_brain": round(registration.covered, 4),
            "matrix_t1_to_flair_ras": np.round(registration.matrix, 9).tolist(),
        },
        "registrations": {name: describe_registration(each) for name, each in aligned.registrations.items()},
        "lesion_source": findings.prepared.lesion_source,
        "network": {"run_on": findings.run_on, "flip_averaging": findings.flips, "predictions": findings.predictions},
        "uncertainty": None if findings.uncertainty is None else describe_uncertainty(about, findings.predictions),
        "summary": summary,
        "warnings": findings.patient.anonymous_warnings(),
        "seconds": findings.seconds,
    }


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
