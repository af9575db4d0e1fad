"""Model cards: what a bundle says of its model, in full for README.md, in short for Slicer's panel."""

from __future__ import annotations

from typing import Any

TRAINED_IMAGES = "trained_images"  # entry of bundle.json and run.json, see `imaging.fingerprints`
FITTED_IMAGES = "fitted_images"  # of the people whose errors gave `intervals` and `myelin`, one list each
BETTER = "better than size and location alone"  # in the results on further cohorts, with yes, NO or not shown
IN_SHORT = (  # entries of the measured performance in the short card
    "measured on",
    "lesion level Pearson r",
    "patient level Pearson r",
    "lesion r beyond size and location",
    "better than a regression on lesion size and location alone",
    "mean absolute error of lesion DVR",
    "bias of lesion DVR",
)


def model_card(description: dict[str, Any]) -> str:
    """Format the model card as Markdown: system, training data, measured performance, licence and intended use.

    Args:
        description: content of bundle.json.

    Returns:
        The whole card.
    """
    performance = description["performance"]
    lines = [f"- {key}: {value}" for key, value in performance.items()] or ["- not measured"]
    return "\n".join(
        [
            *_head(description),
            f"- system: {description['system']}{_members(description)}",
            f"- inputs: {', '.join(description['inputs'])}; output: {description['output']}",
            f"- trained on: {description['training_data']}",
            *_training_images(description),
            f"- licence: {description['licence']}",
            *_intervals(description),
            *_myelin(description),
            *_uncertainty(description),
            *_repeatability(description),
            f"- weights SHA-256: `{description['weights_sha256']}`",
            "",
            "## Measured performance",
            "",
            *lines,
            "",
        ]
    )


def card_in_short(description: dict[str, Any]) -> str:
    """Format the main lines of the model card as Markdown, for a panel that has little room.

    Args:
        description: content of bundle.json.

    Returns:
        Name, intended use, training data, licence, the main results in lesions (or, for a model that makes no DVR
        maps, all of them) and the widest and narrowest interval of lesion DVR.
    """
    performance = description["performance"]
    main = {key: performance[key] for key in IN_SHORT if key in performance}
    return "\n".join(
        [
            *_head(description),
            f"- trained on: {description['training_data']}",
            f"- licence: {description['licence']}",
            *([f"- {key}: {value}" for key, value in (main or performance).items()] or ["- not measured"]),
            *_cohorts_without_advantage(performance),
            *_widest_interval(description),
            "",
        ]
    )


def _head(description: dict[str, Any]) -> list[str]:
    simulated = "**Simulated training data.** " if description["simulated_training_data"] else ""
    return [f"# {description['name']}", "", f"{simulated}{description['intended_use']}", ""]


def _cohorts_without_advantage(performance: dict[str, Any]) -> list[str]:
    lines = []
    for verdict, words in (("NO", "not"), ("not shown", "not shown to be")):
        cohorts = [key for key, value in performance.items() if f"{BETTER}: {verdict}" in str(value)]
        lines += [f"- {words} {BETTER} {cohort.removeprefix('also ')}" for cohort in cohorts]
    return lines


def _widest_interval(description: dict[str, Any]) -> list[str]:
    intervals = description.get("intervals") or {"half_width": []}
    widths = [width for width in intervals["half_width"] if width is not None]
    if not widths:
        return []
    return [
        f"- {intervals['level']:.0%} interval of a lesion's DVR in PET: +-{min(widths):.2f} to +-{max(widths):.2f}, "
        "depending on its volume"
    ]


def _members(description: dict[str, Any]) -> str:
    count = description.get("members", 1)
    return "" if count == 1 else f", mean of {count} networks"


def _training_images(description: dict[str, Any]) -> list[str]:
    images = {volume: len(marks) for volume, marks in description.get(TRAINED_IMAGES, {}).items() if marks}
    named = " and ".join(f"{count} {volume}" for volume, count in images.items())
    return [f"- training people are recognised by fingerprints of {named} images"] if named else []


def _intervals(description: dict[str, Any]) -> list[str]:
    intervals = description.get("intervals")
    if intervals is None:
        return []
    ends = [*(f"{end:g}" for end in intervals["classes_mm3"][1:]), ""]

    def words(widths: list[float | None]) -> str:
        return ", ".join(
            f"{low:g}-{high} mm3 +-{width:.3f}" if high else f"> {low:g} mm3 +-{width:.3f}"
            for low, high, width in zip(intervals["classes_mm3"], ends, widths)
            if width is not None
        )

    source = f"from a {intervals['measured on']}"
    lines = [f"- {intervals['level']:.0%} intervals of lesion DVR in PET: {words(intervals['half_width'])}; {source}"]
    if "noise_free_half_width" in intervals:
        lines.append(f"- the same without the noise of PET: {words(intervals['noise_free_half_width'])}")
    kind = "simulated site" if intervals.get("simulated") else "site"
    lines += [
        f"- intervals of lesion DVR in PET at {kind} {site}: {words(own['half_width'])}"
        for site, own in intervals.get("by_site", {}).items()
    ]
    return lines


def _myelin(description: dict[str, Any]) -> list[str]:
    known = description.get("myelin")
    if known is None:
        return []
    return [
        "- estimated myelin loss of lesions: linear regression on contrast in T1w and FLAIR, DVR corrected for blur, "
        f"size and location; fitted to {known['lesions']} simulated lesions; r {known['r']:.2f} with the true loss of "
        f"people left out (T1w contrast alone {known['r_of_t1w_contrast']:.2f}); {known['measured on']}"
    ]


def _uncertainty(description: dict[str, Any]) -> list[str]:
    if "uncertainty" not in description:
        return []
    uncertainty = description["uncertainty"]
    return [
        "- uncertainty (optional): SD of the expected error, at least "
        f"{uncertainty['lesions']['floor']:.3f} DVR for the mean of a lesion, {uncertainty['voxels']['floor']:.3f} for "
        f"a voxel; calibrated on a {uncertainty['measured on']}",
    ]


def _repeatability(description: dict[str, Any]) -> list[str]:
    known = description.get("repeatability")
    if known is None:
        return []
    by_class = ", ".join(f"{sd:.3f} from {low:g} mm3" for low, sd in zip(known["classes_mm3"], known["sd"]))
    return [
        f"- repeatability: SD of the difference in lesion DVR between two scans without a change {by_class}; "
        f"{known['source']}"
    ]
