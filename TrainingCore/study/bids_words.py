"""Sentences of `synthesize` in the words of a BIDS dataset: files to add in place of options that `bids_app` lacks."""

from __future__ import annotations

import re

REMEDIES = (
    (r", or synthesize it from the T1w with --complete-with MODEL \(the result is flagged\)", ""),
    (
        r"give the transform \(--flair-to-t1 for the FLAIR\)",
        "give the registered FLAIR as *_space-T1w_FLAIR.nii.gz in derivatives/ and remove the raw one",
    ),
    (r" with --brain-mask", " as *_desc-brain_mask.nii.gz in derivatives/"),
    (r", or leave out --brain-mask", ", or remove it from derivatives/"),
    (r" \(--[a-z0-9-]+\)", ""),
)


def in_bids_words(sentence: str) -> str:
    """Replace the remedies of `synthesize` by what to change in a BIDS dataset.

    Args:
        sentence: reason of a failure, or a warning.

    Returns:
        The sentence without options that `bids_app` does not have.
    """
    for option, remedy in REMEDIES:
        sentence = re.sub(option, remedy, sentence)
    return sentence
