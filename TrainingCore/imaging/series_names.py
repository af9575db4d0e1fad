"""Contrast of an image from the names of series, protocols and files."""

from __future__ import annotations

import re

from ..data.inputs import INPUTS, Input

# Words in names of series and protocols. Vendors' own: Siemens tirm, da-fl (dark fluid), mprage, vibe; GE bravo, fspgr;
# Philips tfe.
NOT_AN_ANATOMY = re.compile(
    r"\bloc|localizer|scout|survey|plane|calib|asset|\badc|dwi|diff|\bdti|trace|\bep2d|\bepi|bold|fmri|perf|\basl|cbf|cbv|"
    r"\bswi|swan|\bmip|phase|field ?map|\bb[01] ?map|\bmra|\btof|angio|subtr|\bsub\b|screen|report|dose|\bmtr?\b|"
    r"inv ?[12]\b|t1 ?(map|rho|images)|t2 ?map|t2 ?star|t2\*|stir|\bdir\b|double inv|psir"
)
ANOTHER_PART = re.compile(
    r"spin(e|al)|cerv|thorac|lumb|orbit|\biac\b|pituit|hypoph|sella|neck|\bhals|\b[hbl]ws\b|wirbel|rachis|colonna|columna|"
    r"midollo|myelon|moelle|medul|ruggenmerg"
)
HEAD = re.compile(
    r"brain|head|crani|cranio|encef|enceph|cereb|cerve(au|llo)|sch[a\u00e4]del|kopf|hirn|neuro|t[e\u00ea]te|testa|hoofd|hjern"
)
FLAIR_NAME = re.compile(r"flair|tirm|dark ?fl|da ?fl\b|fluid ?att")
T1_NAME = re.compile(r"t1(?!\d)|mp ?rage|mp2rage|bravo|spgr|vibe|mdeft|\b(3d ?)?tfe\b")
T2_NAME = re.compile(r"t2(?!\d)")
PROTON_DENSITY = re.compile(r"\bpd(w|\b)|proton|dens")
BIDS_PERSON = re.compile(r"\bsub-[0-9a-z]+")  # "sub" alone is a subtraction
SPELT_T1 = re.compile(r"\bt1w?\b")


def plain_words(name: str) -> str:
    """Convert a name to lower case with spaces as separators.

    Args:
        name: name of a series, protocol or file.
    """
    return re.sub(r"[_\-./():]+", " ", name.lower())


def named_contrast(name: str) -> str | None:
    """Determine T1w or FLAIR from a name.

    >>> [named_contrast(name) for name in ("5: t2_spc_da-fl_sag", "patient1_FLAIR", "FLAIR to T1w", "3: T1 FLAIR")]
    ['FLAIR', 'FLAIR', 'FLAIR', None]

    Args:
        name: name of a series or file.

    Returns:
        `T1w`, `FLAIR`, or None if the name contains neither, or both (GE's "T1 FLAIR").
    """
    words = plain_words(BIDS_PERSON.sub("", name.lower()))
    if NOT_AN_ANATOMY.search(words) or (ANOTHER_PART.search(words) and not HEAD.search(words)):
        return None
    flair, t1 = FLAIR_NAME.search(words), SPELT_T1.search(words)
    if flair:
        return "FLAIR" if t1 is None or t1.start() > flair.start() else None
    if T1_NAME.search(words) and not T2_NAME.search(words) and not PROTON_DENSITY.search(words):
        return "T1w"
    return None


def named_input(name: str) -> str | None:
    """Determine the model input that the name of a series or file stands for.

    >>> [named_input(name) for name in ("sub-01_T1w", "5: t2_spc_da-fl_sag", "t2_tse_tra", "MTRmap", "T1 and T2")]
    ['t1w', 'flair', 't2w', 'mtr', None]

    Args:
        name: name of a series or file.

    Returns:
        Volume name as in `data.inputs`, or None if the name fits none or two.
    """
    contrast = named_contrast(name)
    if contrast is not None:
        return {"T1w": "t1w", "FLAIR": "flair"}[contrast]
    words = set(plain_words(BIDS_PERSON.sub("", name.lower())).split())
    named = [row.name for row in INPUTS if words & _words_of(row)]
    return named[0] if len(named) == 1 else None


def _words_of(row: Input) -> set[str]:
    """Return the words that name an input: its name, option and title, and BIDS suffixes that no other input has."""
    suffixes = {suffix for kinds, entities in row.bids if not entities for suffix in kinds}
    return {word.lower() for word in (row.name, row.option, row.title, *suffixes)}
