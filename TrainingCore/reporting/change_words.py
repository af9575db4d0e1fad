"""Two visits in words, for the report and for Slicer."""

from __future__ import annotations

from typing import Any

from .. import RESEARCH_USE

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
            f"Mean difference of lesions at both visits, by volume: {summary['mean_difference']:+.3f} DVR."
        )
    if summary["voxels"]["demyelination_index"] is not None:
        sentences.append(
            f"Of the lesional voxels {summary['voxels']['demyelination_index']:.1%} were normal before and are "
            f"demyelinated after (demyelination index), {summary['voxels']['remyelination_index']:.1%} the reverse "
            f"(remyelination index; Bodini et al. 2016; limit {summary['limit']:.2f} DVR, mean of NAWM minus 2 SD)."
        )
    sentences.append(
        f"What counts as a change: {summary['repeatability']}."
        if summary["repeatability"]
        else "No repeatability is known for this model, so no lesion is judged as changed. Give --repeatability."
    )
    if summary["models_differ"]:
        sentences.append("The two maps were made by different models: their difference is not a change of tissue.")
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
