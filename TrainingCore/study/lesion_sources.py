"""Where the lesions of two visits come from, and what this means for lesions that are called new or gone."""

from __future__ import annotations

from typing import Any

from ..data.result import LESION_LABELS, LESIONS, Result
from ..data.review import rejected_lesions
from ..runtime.errors import BadInput

GIVEN, FOUND, NONE = "given", "found", "none"  # as in provenance.json, see patient.pipeline
IF_EMPTY = ("new", "gone")  # what lesions of the other visit count as if the earlier, or the later, mask is empty


def lesion_source(result: Result) -> dict[str, Any]:
    """Describe where the lesions of a Result come from.

    Args:
        result: Result of one visit.

    Returns:
        {source}: `given` (a mask, or outlines drawn in 3D Slicer), `found` by a network, or `none`; with `found` also
        its `model` and `weights_sha256`.

    Raises:
        BadInput: the file of the outlines is missing although the table lists lesions.
    """
    if not _has_outlines(result):
        return {"source": NONE}
    if result.provenance.get("lesion_source") != FOUND:
        return {"source": GIVEN}
    inputs = result.provenance.get("inputs", {})
    finder = inputs.get("lesions_found_by") or inputs.get("completed_with") or {}
    return {"source": FOUND, "model": finder.get("name"), "weights_sha256": finder.get("weights_sha256")}


def lesion_warnings(labels: tuple[str, str], results: tuple[Result, Result]) -> list[str]:
    """Warn of lesions that cannot be compared, or that are new or gone for another reason than a change of tissue.

    Args:
        labels: names of the earlier and of the later visit.
        results: their Results.

    Returns:
        Sentences: a visit has no lesion mask, the lesions come from different sources, or the given mask of one visit
        is empty.

    Raises:
        BadInput: see `lesion_source`.
    """
    sources = [lesion_source(result) for result in results]
    without = [label for label, source in zip(labels, sources) if source["source"] == NONE]
    if without:
        have = "has" if len(without) == 1 else "have"
        return [f"{' and '.join(without)} {have} no lesion mask, so lesions are not compared, only the maps and NAWM."]
    warnings = []
    if len({(source["source"], source.get("weights_sha256")) for source in sources}) > 1:
        first, second = (_in_words(source) for source in sources)
        warnings.append(
            f"The lesions of {labels[0]} come from {first}, those of {labels[1]} from {second}: differences between "
            "the two ways of outlining count as new or gone lesions. Use one way for both visits."
        )
    return warnings + _one_empty_mask(labels, results, sources)


def _one_empty_mask(
    labels: tuple[str, str], results: tuple[Result, Result], sources: list[dict[str, Any]]
) -> list[str]:
    """Warn of a given mask without lesions, unless the other visit has none either."""
    empty = [not result.lesions() and not rejected_lesions(result.path) for result in results]
    if all(empty):
        return []
    return [
        f"The lesion mask of {label} is empty, so every lesion of the other visit counts as {kind}. Check the mask."
        for label, source, is_empty, kind in zip(labels, sources, empty, IF_EMPTY)
        if is_empty and source["source"] == GIVEN
    ]


def _has_outlines(result: Result) -> bool:
    """Whether a Result has a lesion mask, which may be empty; raises BadInput if its file is lost."""
    if (result.path / LESION_LABELS).is_file():
        return True
    count = len(result.lesions())
    if count:
        raise BadInput(
            f"{result.path / LESION_LABELS} is missing, although {LESIONS} beside it lists {count} lesions. Restore "
            "the file from a backup, or synthesize this visit again."
        )
    return False


def _in_words(source: dict[str, Any]) -> str:
    if source["source"] == GIVEN:
        return "a given mask"
    weights = str(source["weights_sha256"] or "unknown")[:8]
    return f"an automatic segmentation ({source['model'] or 'unknown model'}, weights {weights})"
