"""Match the lesions of two visits: one to one, split, merged, new or gone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MATCHED, SPLIT, MERGED, REARRANGED, NEW, GONE = "matched", "split", "merged", "rearranged", "new", "gone"
TOUCHING = 0.1  # (ours) share of the smaller lesion that must overlap for two outlines to be one lesion


@dataclass(frozen=True)
class LesionMatch:
    """Corresponding lesions of two visits: their labels, and the kind of match."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    kind: str


def match_lesions(before: np.ndarray, after: np.ndarray) -> list[LesionMatch]:
    """Match the lesions of two visits by overlap.

    Args:
        before: int (I, J, K), lesions 1..n, 0 elsewhere.
        after: the same of the second visit, on the same grid.

    Returns:
        Every lesion of either visit in exactly one match, ordered by label (new ones last).
    """
    links = _overlaps(before, after)
    groups: list[tuple[set[int], set[int]]] = []
    for earlier, later in links:
        joined = [group for group in groups if earlier in group[0] or later in group[1]]
        groups = [group for group in groups if group not in joined]
        groups.append((set.union({earlier}, *(g[0] for g in joined)), set.union({later}, *(g[1] for g in joined))))
    matches = [
        LesionMatch(tuple(sorted(first)), tuple(sorted(second)), _kind(first, second)) for first, second in groups
    ]
    lonely = [set(np.unique(labels[labels > 0]).tolist()) for labels in (before, after)]
    lonely = [labels - {label for group in groups for label in group[side]} for side, labels in enumerate(lonely)]
    matches += [LesionMatch((label,), (), GONE) for label in lonely[0]]
    matches += [LesionMatch((), (label,), NEW) for label in lonely[1]]
    return sorted(matches, key=lambda match: (not match.before, match.before, match.after))


def _kind(first: set[int], second: set[int]) -> str:
    kinds = {(True, True): MATCHED, (True, False): SPLIT, (False, True): MERGED, (False, False): REARRANGED}
    return kinds[len(first) == 1, len(second) == 1]


def _overlaps(before: np.ndarray, after: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of labels that share enough voxels."""
    both = (before > 0) & (after > 0)
    pairs, counts = np.unique(np.stack([before[both], after[both]]), axis=1, return_counts=True)
    sizes = [np.bincount(labels.ravel()) for labels in (before, after)]
    return [
        (int(earlier), int(later))
        for (earlier, later), count in zip(pairs.T, counts)
        if count >= TOUCHING * min(sizes[0][earlier], sizes[1][later])
    ]
