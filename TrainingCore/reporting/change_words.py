"""Two visits in words, for the report and for Slicer."""

from __future__ import annotations

from typing import Any

from .. import RESEARCH_USE

# DVR, ends of the colour scale in the report and in Slicer: five times what repeatability lets pass in a lesion (ours)
SHOWN_DIFFERENCE = 0.15
BEYOND = ("demyelinating", "remyelinating")  # beyond repeatability, see study.changes


def describe_changes(summary: dict[str, Any]) -> str:
    """The result in a few sentences.

    Args:
        summary: content of change.json.

    Returns:
        Which visits, how many lesions changed beyond repeatability, voxel shares, and what limits the comparison.
    """
    visits = summary.get("visits")
    sentences = [f"Before: {visits['before']}. After: {visits['after']}."] if visits else []
    sentences.append(_lesions(summary["lesions"], summary["by_change"], summary["repeatability"] is not None))
    if summary["mean_difference"] is not None:
        sentences.append(
            "Mean difference of lesions present at both visits, weighted by volume: "
            f"{summary['mean_difference']:+.3f} DVR."
        )
    if summary["voxels"]["demyelination_index"] is not None:
        sentences.append(
            "Demyelination index (lesional voxels that became demyelinated): "
            f"{summary['voxels']['demyelination_index']:.1%}; remyelination index (the reverse): "
            f"{summary['voxels']['remyelination_index']:.1%} (Bodini et al. 2016; threshold {summary['limit']:.2f} "
            "DVR, mean of NAWM minus 2 SD)."
        )
    sentences.append(
        f"Threshold for a change: {summary['repeatability']}."
        if summary["repeatability"]
        else "The repeatability of this model is unknown, so no lesion is classified as changed. Give --repeatability."
    )
    if summary["models_differ"]:
        sentences.append(
            "The two maps are from different models, so their difference does not show a change of tissue."
        )
    sentences.append(f"The maps are synthetic. {RESEARCH_USE}")
    return " ".join(sentences)


def _lesions(count: int, by_change: dict[str, int], judged: bool) -> str:
    """How many lesions changed, and how many did not."""
    others = [f"{number} {name}" for name, number in by_change.items() if name not in BEYOND]
    if not judged:
        return f"{count} lesions: {', '.join(others) or 'none'}."
    changed = {name: by_change.get(name, 0) for name in BEYOND}
    return (
        f"{sum(changed.values())} of {count} lesions changed beyond repeatability "
        f"({changed['demyelinating']} demyelinating, {changed['remyelinating']} remyelinating"
        f"{'; ' + ', '.join(others) if others else ''})."
    )
