"""The report of one patient: pictures first, then lesions, then what to be careful about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import SIMULATED
from ..data.case import title_of, word_of
from ..data.lesion_columns import formats, titles
from ..evaluation.lesions import PAPER_MINIMUM_MM3
from ..imaging.bias import box_around
from ..imaging.volumes import Volume, resample
from ..prediction.uncertainty import describe_uncertainty
from .document import Report
from .figures import DVR_MAP, DVR_WINDOW, MEASURED, OUTLINE, SOFT, SYNTHETIC, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..patient.inputs import PatientImages
    from ..patient.synthesis import Findings

SPACING_MM = 1.0
LEVELS = 5
APART_MM = 8
ROWS_SHOWN = 60


def patient_report(findings: Findings, summary: dict[str, Any]) -> Report:
    """The report of one patient as a self-contained page."""
    banners = []
    if findings.bundle.simulated:
        banners.append(f"{SIMULATED}: the model has never seen a measured PET of a person.")
    if findings.patient.simulated:
        banners.append("Simulated patient: these images were made by a phantom, not by a scanner.")
    if findings.patient.made:
        banners.append(synthetic_input(findings.patient))
    report = Report("Synthetic myelin map", banners)
    for warning in findings.patient.anonymous_warnings():
        report.add_text(f"Warning: {warning}")
    report.add_text(describe_findings(findings, summary))
    report.add_heading("The map")
    mask = "mask that was found automatically" if "lesions" in findings.patient.made else "given mask"
    flair = "synthetic FLAIR" if "flair" in findings.patient.made else "FLAIR resampled into T1w space"
    caption = (
        f"Axial slices, patient's right on the left. T1w after bias correction, {flair}; "
        f"DVR from {DVR_WINDOW[0]:g} to {DVR_WINDOW[1]:g}. Lesions of the {mask} are outlined."
    )
    report.add_figure(
        patient_slices_figure(findings), caption, "Axial slices of T1w, FLAIR and synthetic DVR with lesion outlines"
    )
    report.add_heading("DVR by tissue")
    report.add_figure(
        tissue_figure(findings),
        "Distribution over voxels. Tissues come from the T1w and are approximate. NAWM is white matter "
        "outside lesions and at least 2 mm from other tissue. The "
        "dashed line is the limit below which a voxel counts as demyelinated (mean of NAWM minus 2 SD).",
        "Histograms of DVR in normal-appearing white matter, grey matter and lesions",
    )
    _lesion_section(report, findings, summary)
    _plausibility_section(report, findings)
    report.add_heading("How it was made")
    report.add_text(methods(findings))
    return report


def _plausibility_section(report: Report, findings: Findings) -> None:
    """What published PET and MRI studies agree on, and whether this map shows it."""
    report.add_heading("Plausibility")
    rows = [
        {
            "should hold": finding.check,
            "number": finding.unit,
            "expected": finding.expected,
            "this map": None if finding.value is None else f"{finding.value:.2f}",
            "holds": {True: "yes", False: "NO", None: "–"}[finding.holds],
        }
        for finding in findings.plausibility
    ]
    report.add_table(
        rows,
        "What published studies of myelin PET and MRI agree on (see TrainingCore.evaluation.plausibility). A map that "
        "fails a line is not plausible there; one that passes all need not be accurate.",
    )


def synthetic_input(patient: PatientImages) -> str:
    """What a network made before the map was made."""
    made = " and ".join({"flair": "the FLAIR", "lesions": "the lesion mask"}[name] for name in patient.made)
    trained = " trained on simulated people" if _completing_model(patient)["simulated_training_data"] else ""
    return f"Synthetic input: {made} came from a network{trained}, not from a scanner or a person."


def describe_findings(findings: Findings, summary: dict[str, Any]) -> str:
    """The findings in a few sentences."""
    means = summary["synthetic_dvr"]
    words = [
        f"Synthetic DVR {_mean(means['nawm'])} in normal-appearing white matter and {_mean(means['grey_matter'])} in "
        "grey matter (mean \N{PLUS-MINUS SIGN} SD over voxels)."
    ]
    found = "lesions" in findings.patient.made
    if findings.lesions is None:
        words.append("There is no lesion mask, so there is no lesion table.")
    else:
        words.append(
            f"{summary['lesions']} lesions{', found automatically, to be reviewed' if found else ''}, "
            f"{summary['lesion_load_ml']:.1f} ml in all, DVR {_mean(means['lesions'])}."
        )
    share = summary["share_below_surrounding_nawm"]
    if share is not None:
        words.append(
            f"{share:.0%} of the lesions of {PAPER_MINIMUM_MM3:.0f} mm\N{SUPERSCRIPT THREE} or more lie below the NAWM "
            "around them."
        )
    return " ".join(words)


def _mean(found: dict[str, float] | None) -> str:
    return "not estimable" if found is None else f"{found['mean']:.2f} \N{PLUS-MINUS SIGN} {found['sd']:.2f}"


def methods(findings: Findings) -> str:
    """How the map came about, for the last section."""
    about = findings.bundle.description
    flips = ", averaged with the mirrored prediction" if findings.flips else ""
    corrected = "The T1w was" if "flair" in findings.patient.made else "T1w and FLAIR were"
    return (
        f"Brain: {findings.brain.how}, {findings.brain.millilitres:.0f} ml. {registrations_in_words(findings)} "
        f"{corrected} corrected for bias field (N4); both images were "
        f"rescaled as the model expects. Model: {about['name']} ({about['system']}), trained on "
        f"{about['training_data']}; run on {findings.way}{flips}. Weights SHA-256 {findings.bundle.sha256}.\n\n"
        f"{about['intended_use']}{completed_by(findings.patient)}"
    )


def registrations_in_words(findings: Findings) -> str:
    """How every input came to the T1w, a sentence each."""
    registrations = findings.prepared.aligned.registrations
    if not registrations:
        return "No FLAIR was given."
    return " ".join(
        f"{title_of(name)} to T1w: {registration.how}, mean displacement {registration.moved_mm:.2f} mm."
        for name, registration in registrations.items()
    )


def completed_by(patient: PatientImages) -> str:
    """Which model made what the patient lacked, and how good it is known to be; empty where nothing was made."""
    if not patient.made:
        return ""
    about = _completing_model(patient)
    measured = "; ".join(f"{name} {value}" for name, value in about["performance"].items()) or "not measured"
    return (
        f"\n\nMissing inputs ({' and '.join(map(word_of, patient.made))}) were filled in by {about['name']}, "
        f"weights SHA-256 {about['weights_sha256']}. Measured performance: {measured}."
    )


def _completing_model(patient: PatientImages) -> dict[str, Any]:
    """The model that filled in what the patient lacks, or that found the lesions."""
    about: dict[str, Any] = patient.facts.get("completed_with") or patient.facts["lesions_found_by"]
    return about


def _lesion_section(report: Report, findings: Findings, summary: dict[str, Any]) -> None:
    if findings.lesions is None:
        return
    report.add_heading("Lesions")
    if findings.measured is not None and findings.rows:
        found = summary["lesion_correlation"]
        r = "not estimable" if found["r"] is None else f"r = {found['r']:.2f}, p = {found['p']:.2g}"
        report.add_figure(
            measured_figure(findings),
            f"Mean DVR of lesions of {PAPER_MINIMUM_MM3:.0f} mm\N{SUPERSCRIPT THREE} or more, synthetic against "
            f"measured: {r}, n = {found['n']}. p takes lesions as independent.",
            "Scatter plot of synthetic against measured mean DVR of each lesion",
        )
    columns = [key for key in titles() if any(row.get(key) is not None for row in findings.rows)]
    shown = findings.rows[:ROWS_SHOWN]
    caption = "Largest first; positions in world coordinates (RAS)."
    if "lesions" in findings.patient.made:
        caption = "Found automatically by a network, to be reviewed. " + caption
    if findings.uncertainty is not None:
        caption += f" Uncertainty: {describe_uncertainty(findings.bundle.description, findings.predictions)}."
    if len(shown) < len(findings.rows):
        caption += f" The {len(shown)} largest of {len(findings.rows)}; all are in lesions.csv."
    report.add_table(shown, caption, columns, titles(), formats())


def patient_slices_figure(findings: Findings) -> Figure:
    """Rows: T1w, FLAIR, synthetic DVR (and measured DVR); columns: axial levels with most lesion, or evenly spread."""
    shape, affine = box_around(findings.brain.mask, SPACING_MM, 5.0)

    def on_page(data: np.ndarray, interpolation: str = "linear") -> np.ndarray:
        return resample(Volume(data, findings.prepared.reference.affine), shape, affine, interpolation=interpolation)

    inside = on_page(findings.brain.mask.data) > 0.5
    lesions = on_page((findings.labels > 0).astype(np.float32), "nearest") > 0.5
    rows = []
    for name in dict.fromkeys(["t1w", "flair", *findings.bundle.description["inputs"]]):
        image, synthetic = findings.prepared.image(name), name in findings.patient.made
        if image is not None:
            rows.append((f"synthetic {title_of(name)}" if synthetic else title_of(name), on_page(image.data)))
    rows.append(("synthetic DVR", on_page(findings.dvr)))
    if findings.measured is not None:
        rows.append(("measured DVR", on_page(findings.measured.data)))
    levels = choose_levels(inside, lesions)
    height = 9.6 * len(rows) / len(levels) * shape[1] / shape[0]  # of 11 inches, the rest is labels and scale
    figure, axes = new_figure(11.0, height + 0.6, nrows=len(rows), ncols=len(levels))
    for row, (title, data) in enumerate(rows):
        is_dvr = title.endswith("DVR")
        low, high = DVR_WINDOW if is_dvr else (0.0, float(np.percentile(data[inside], 99.5)))
        for axis, level in zip(axes[row], levels):
            pixels = np.where(inside, data, np.nan) if is_dvr else data
            drawn = axis.imshow(
                pixels[::-1, :, level].T, origin="lower", cmap=DVR_MAP if is_dvr else "gray", vmin=low, vmax=high
            )
            if lesions[:, :, level].any():
                axis.contour(lesions[::-1, :, level].T, levels=[0.5], colors=OUTLINE, linewidths=0.7)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if row == 0:
                axis.set_title(f"z = {affine[2, 3] + SPACING_MM * level:.0f} mm", fontsize=9)
        axes[row, 0].set_ylabel(title, fontsize=10)
        if is_dvr:
            figure.colorbar(drawn, ax=axes[row, -1], label="DVR", fraction=0.06)
    return figure


def choose_levels(inside: np.ndarray, lesions: np.ndarray) -> list[int]:
    """Up to five axial levels, bottom to top: the fullest of lesions that lie apart, filled up evenly.

    inside, lesions: (I, J, K) masks; returns indices along the last axis.
    """
    occupied = np.flatnonzero(inside.any(axis=(0, 1)))
    area = lesions.sum(axis=(0, 1))
    even = [int(level) for level in np.linspace(occupied[0], occupied[-1], LEVELS + 2)[1:-1]]
    levels = [int(level) for level in np.argsort(-area, kind="stable") if area[level] > 0] + even
    chosen: list[int] = []
    for level in levels:
        if len(chosen) < LEVELS and all(abs(level - other) >= APART_MM / SPACING_MM for other in chosen):
            chosen.append(level)
    return sorted(chosen)


def tissue_figure(findings: Findings) -> Figure:
    """Histograms of synthetic (and measured) DVR in NAWM, grey matter and lesions."""
    maps = [("synthetic", findings.dvr)]
    if findings.measured is not None:
        maps.append(("measured", findings.measured.data))
    tissues = [
        ("NAWM", findings.tissues["nawm"], MEASURED),
        ("grey matter", findings.tissues["grey_matter"], SOFT),
        ("lesions", findings.labels > 0, SYNTHETIC),
    ]
    bins = np.linspace(0.3, 1.8, 91)
    figure, axes = new_figure(5.5 * len(maps), 3.4, ncols=len(maps), sharey=True)
    for axis, (title, values) in zip(axes[0], maps):
        for name, mask, colour in tissues:
            if mask.any():
                axis.hist(
                    np.clip(values[mask], 0.3, 1.8), bins, density=True, histtype="step", color=colour, label=name
                )
        if title == "synthetic" and findings.limit is not None:
            axis.axvline(findings.limit, color=MEASURED, linestyle="--", linewidth=1)
        axis.set_xlabel(f"{title} DVR")
        axis.set_yticks([])
    axes[0, 0].set_ylabel("share of voxels")
    axes[0, 0].legend(fontsize=9)
    return figure


def measured_figure(findings: Findings) -> Figure:
    """Synthetic against measured mean DVR of each lesion of 50 mm3 or more; area of a point: volume."""
    rows = [row for row in findings.rows if row["volume_mm3"] >= PAPER_MINIMUM_MM3]
    rows = [row for row in rows if None not in (row["mean_dvr"], row["measured_mean_dvr"])]
    figure, axes = new_figure(4.6, 4.4)
    axis = axes[0, 0]
    x = np.array([row["measured_mean_dvr"] for row in rows], float)
    y = np.array([row["mean_dvr"] for row in rows], float)
    sizes = [6 + 6 * np.cbrt(row["volume_mm3"]) for row in rows]
    axis.scatter(x, y, s=sizes, color=SYNTHETIC, alpha=0.6, linewidth=0)
    ends = (min([*x, *y, DVR_WINDOW[0]]), max([*x, *y, DVR_WINDOW[1]]))
    axis.plot(ends, ends, color=SOFT, linewidth=1)
    axis.set(xlabel="measured mean DVR", ylabel="synthetic mean DVR", aspect="equal")
    return figure
