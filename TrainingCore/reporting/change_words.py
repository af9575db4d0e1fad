"""Two visits in words, for the report and for Slicer."""

from __future__ import annotations

from typing import Any

from .. import RESEARCH_USE
from ..runtime.numerals import format_number

# DVR, ends of the colour scale in the report and in Slicer: five times what repeatability lets pass in a lesion (ours)
SHOWN_DIFFERENCE = 0.15
BEYOND = ("demyelinating", "remyelinating")  # beyond repeatability, see study.changes


def describe_changes(summary: dict[str, Any], name_options: bool = True) -> str:
    """The result in a few sentences.

    Args:
        summary: content of change.json.
        name_options: name the command line options that would give another result; False in Slicer, which has none.

    Returns:
        A paragraph per warning; then which visits, how many lesions changed beyond repeatability, voxel shares, and
        what limits the comparison. Paragraphs are separated by empty lines.
    """
    warnings = [f"Warning: {warning}" for warning in summary.get("warnings", [])]  # earlier versions wrote none
    visits = summary.get("visits")
    sentences = [f"Before: {visits['before']}. After: {visits['after']}."] if visits else []
    sentences.append(_lesions(summary["lesions"], summary["by_change"], summary["repeatability"] is not None))
    if summary["mean_difference"] is not None:
        sentences.append(
            "Mean difference of lesions present at both visits, weighted by volume: "
            f"{_signed(summary['mean_difference'])} DVR."
        )
    if summary["voxels"]["demyelination_index"] is not None:
        sentences.append(
            "Demyelination index (lesional voxels that became demyelinated): "
            f"{summary['voxels']['demyelination_index']:.1%}; remyelination index (the reverse): "
            f"{summary['voxels']['remyelination_index']:.1%} (Bodini et al. 2016; threshold {summary['limit']:.2f} "
            "DVR, mean of NAWM minus 2 SD)."
        )
    sentences += _nawm(summary, name_options)
    advice = " Give --repeatability." if name_options else ""
    sentences.append(
        f"Threshold for a change: {summary['repeatability']}."
        if summary["repeatability"]
        else f"The repeatability of this model is unknown, so no lesion is classified as changed.{advice}"
    )
    if summary["models_differ"]:
        sentences.append(
            "The two maps are from different models, so their difference does not show a change of tissue."
        )
    sentences.append(f"The maps are synthetic. {RESEARCH_USE}")
    return "\n\n".join([*warnings, " ".join(sentences)])


def _signed(difference: float) -> str:
    return format_number(difference, "{:+.3f}")


def _nawm(summary: dict[str, Any], name_options: bool) -> list[str]:
    """Change of normal-appearing white matter, whether it is expected, and what remains of the lesions' change.

    Args:
        summary: content of change.json; earlier versions wrote no `expected` and no `relative_to_nawm`.
        name_options: name the option that classifies lesions relative to NAWM.

    Returns:
        Sentences, none without NAWM.
    """
    nawm, relative = summary.get("nawm") or {}, summary.get("relative_to_nawm")
    if nawm.get("difference") is None or relative is None:
        return []
    shift, expected = nawm["difference"], nawm["expected"]
    beyond = expected is not None and abs(shift) > expected
    sentences = [f"Normal-appearing white matter (NAWM) changed by {_signed(shift)} DVR."]
    if expected is not None:
        start, compared = ("Warning: normal", "more") if beyond else ("Normal", "not more")
        sentences = [
            f"{start}-appearing white matter (NAWM) changed by {_signed(shift)} DVR, "
            f"{compared} than between two scans without a change ({expected:.3f})."
        ]
        if beyond:
            sentences.append(
                "Another scanner, protocol or calibration shifts all tissue alike, and so does diffuse damage; the map "
                "cannot tell them apart."
            )
    if summary["lesions"] is None:
        return sentences
    if beyond:
        sentences.append("The lesions' differences contain this shift.")
    by_change, mean = relative["by_change"], relative["mean_difference"]
    if mean is not None:
        sentences.append(f"Relative to NAWM, the mean difference of the lesions is {_signed(mean)} DVR.")
    if summary.get("judged_relative_to_nawm"):
        sentences.append("Lesions are classified relative to NAWM; the map of the difference is not corrected.")
    elif expected is not None:
        option = " (--relative-to-nawm)" if name_options else ""
        counts = [f"{by_change.get(name, 0)} would be {name}" for name in BEYOND]
        sentences.append(f"Relative to NAWM, {' and '.join(counts)}{option}.")
    return sentences


def _lesions(count: int | None, by_change: dict[str, int], judged: bool) -> str:
    """How many lesions changed, and how many did not; count: None if a visit has no lesion mask."""
    if count is None:
        return "Lesions were not compared."
    others = [f"{number} {name}" for name, number in by_change.items() if name not in BEYOND]
    if not judged:
        return f"{count} lesions: {', '.join(others) or 'none'}."
    changed = {name: by_change.get(name, 0) for name in BEYOND}
    return (
        f"{sum(changed.values())} of {count} lesions changed beyond repeatability "
        f"({changed['demyelinating']} demyelinating, {changed['remyelinating']} remyelinating"
        f"{'; ' + ', '.join(others) if others else ''})."
    )
