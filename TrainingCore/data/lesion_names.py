"""Names of lesion masks in datasets of hospitals and of OpenNeuro, beyond `label-lesion_mask`."""

from __future__ import annotations

import re
from collections.abc import Sequence

# LST, LST-AI, SAMSEG, nicMSlesions and raters; `les`, `wmh`, `wml` are white matter lesions in most protocols.
LESION = re.compile(
    r"(ms|wm|t2|flair|manual|consensus|all|samseg|nicms|lst|lstai|lst-ai)?[-]?(lesions?|les|wmh|wmhs|wml|wmls|whitematterlesions?|whitematterhyperintensit(y|ies)|"
    r"laesion(en)?|lesione|lesioni|lesiones|plaques?)(mask|masks|seg|roi|map|manual)?|"
    r"(ples)?[-]?(lst|lstai|lst-ai|lstlpa|lstlga|lpa|lga)",
    re.IGNORECASE,
)
MASK_SUFFIXES = {"mask", "roi", "seg", "dseg", "probseg", "label", "segmentation", "manual"}
ABBREVIATION = "L"  # label-L in the table of common image-derived labels of the BIDS specification
DESCRIBING = ("label", "desc", "seg", "roi", "class")


def is_lesion_mask(entities: dict[str, str], words: Sequence[str], suffix: str) -> bool:
    """Check whether a file name is that of a lesion mask.

    Args:
        entities: entities of the name, e.g. `label` -> `lesion`.
        words: parts without a key before the suffix.
        suffix: the last part, empty if it has a key, as in `seg-lst`.
    """
    if suffix and suffix.lower() not in MASK_SUFFIXES and not LESION.fullmatch(suffix):
        return False
    labels = [entities[key] for key in DESCRIBING if key in entities]
    label = entities.get("label")
    if label == ABBREVIATION:
        return True
    if label is not None and not LESION.fullmatch(label):
        return False  # a mask of something else, whatever method is called after lesions
    return any(LESION.fullmatch(word) for word in [*labels, *words, suffix] if word)
