"""Select the DICOM series of the T1w and of the FLAIR by their tags; in case of doubt, list the candidates."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from ..runtime.errors import BadInput
from .dicom_agent import says, unknown_words
from .dicom_headers import Folder, Stack
from .dicom_person import same_person
from .series_names import (
    ANOTHER_PART,
    FLAIR_NAME,
    HEAD,
    NOT_AN_ANATOMY,
    PROTON_DENSITY,
    T1_NAME,
    T2_NAME,
    plain_words,
)

T1W, T1CE, FLAIR, T2W, OTHER = "T1w", "T1w after contrast agent", "FLAIR", "T2w", "other"
MINIMUM_SLICES = 4
LISTED = 15
THIN_MM = 1.6  # slices up to this are those of a 3D acquisition (ours)

NO_MAGNITUDE = {"P", "R", "I", "PHASE", "PHASE MAP", "REAL", "IMAGINARY", "ADC", "MIP", "PROJECTION IMAGE", "LOCALIZER"}
FLAIR_INVERSION_MS = (1500.0, 3300.0)  # nulls CSF at 1.5 and 3 T; T1-FLAIR (GE) uses 700-1100, STIR 130-250
FLAIR_ECHO_MS, T2_ECHO_MS, T1_ECHO_MS, MPRAGE_INVERSION_MS = 60.0, 60.0, 40.0, (300.0, 1500.0)


def contrast_of(stack: Stack) -> str:
    """Determine the contrast of a series from its names, checked against echo and inversion times.

    Args:
        stack: tags of the series.

    Returns:
        T1W, T1CE, FLAIR, T2W or OTHER.
    """
    names = plain_words(stack.names)
    words = {word.upper() for word in stack.image_type}
    if stack.modality != "MR" or words & NO_MAGNITUDE or NOT_AN_ANATOMY.search(names):
        return OTHER
    if ANOTHER_PART.search(names) and not HEAD.search(names):
        return OTHER
    echo, inversion = stack.echo_time, stack.inversion_time or None
    nulls_fluid = inversion is None or FLAIR_INVERSION_MS[0] <= inversion <= FLAIR_INVERSION_MS[1]
    short_echo = echo is None or echo < T1_ECHO_MS
    named_t1, named_flair = bool(T1_NAME.search(names)), bool(FLAIR_NAME.search(names))
    if named_flair and nulls_fluid and not (named_t1 and short_echo) and (echo is None or echo >= FLAIR_ECHO_MS):
        return FLAIR
    if named_t1 and short_echo and not PROTON_DENSITY.search(names):
        return _t1w(stack)
    if named_flair or named_t1:
        return OTHER  # names and times contradict each other
    if T2_NAME.search(names):
        return T2W if (echo is None or echo >= T2_ECHO_MS) and not _is(stack, "GR") else OTHER
    return _by_times(stack, names)


def _by_times(stack: Stack, names: str) -> str:
    echo, inversion, repetition = stack.echo_time, stack.inversion_time, stack.repetition_time
    if echo is None or PROTON_DENSITY.search(names):
        return OTHER
    if inversion and FLAIR_INVERSION_MS[0] <= inversion <= FLAIR_INVERSION_MS[1] and echo >= FLAIR_ECHO_MS:
        return FLAIR
    if inversion and MPRAGE_INVERSION_MS[0] <= inversion <= MPRAGE_INVERSION_MS[1] and echo < 10 and _is(stack, "GR"):
        return _t1w(stack)
    if not inversion and repetition and repetition < 1000 and echo < 25 and _is(stack, "SE") and not _is(stack, "GR"):
        return _t1w(stack)
    return T2W if echo >= T2_ECHO_MS and _is(stack, "SE") and not inversion else OTHER


def _is(stack: Stack, code: str) -> bool:
    return code in stack.sequence


def _t1w(stack: Stack) -> str:
    if stack.after_agent is not None:
        return T1CE if stack.after_agent else T1W
    return T1CE if _after_agent(stack, stack.contrast_agent) else T1W


def _after_agent(stack: Stack, flagged: bool) -> bool:
    """Decide by the series' own words, then its tags, which many sites set for a whole examination."""
    agent = says(stack.names)
    if agent in ("after", "before"):
        return agent == "after"
    started = stack.agent_started[:6]
    early = bool(stack.acquired and started.isdigit() and stack.acquired[8:14] < started)
    return flagged and not early


def settle_agent(stacks: Sequence[Stack]) -> None:
    """Decide for every T1w of a folder whether it was acquired after contrast agent, from all series of its study.

    A tag that is also set in series before the agent is ignored; series that follow one after the agent are after it
    too.

    Args:
        stacks: all series of the folder; `after_agent` of each T1w is set.
    """
    for study in {stack.study for stack in stacks}:
        candidates = [stack for stack in stacks if stack.study == study and stack.modality == "MR"]
        t1w = [stack for stack in candidates if contrast_of(stack) in (T1W, T1CE)]
        tags_tell = _tags_tell(candidates, t1w)
        for stack in t1w:
            stack.after_agent = _after_agent(stack, stack.contrast_agent and tags_tell)
        after = [stack for stack in t1w if stack.after_agent]
        for stack in t1w:
            if says(stack.names) != "before" and any(_later(stack, later) for later in after):
                stack.after_agent = True


def _tags_tell(candidates: Sequence[Stack], t1w: Sequence[Stack]) -> bool:
    """Check whether the agent's tag distinguishes series: not if one before the agent has it, or all have it."""
    flagged = [stack for stack in candidates if stack.contrast_agent]
    if any(says(stack.names) == "before" for stack in flagged):
        return False
    words = {says(stack.names) for stack in t1w}
    return len(flagged) < len(candidates) or not ("after" in words and len(words) > 1)


def _later(stack: Stack, other: Stack) -> bool:
    """Whether a series was acquired after another, by its time, else by its number."""
    if stack.acquired and other.acquired:
        return stack.acquired > other.acquired
    return stack.number is not None and other.number is not None and stack.number > other.number


def _series_title(stack: Stack) -> str:
    """Format one entry of a list: `3 "MPRAGE" (T1w, 3D, 176 slices)`."""
    kind = "3D" if _thin(stack) else "2D"
    contrast = contrast_of(stack) if contrast_of(stack) != OTHER else stack.modality or "?"
    title = f'{stack.label} "{stack.description}"' if stack.description else stack.label
    count = len(stack.frames)
    return f"{title} ({contrast}, {kind}, {count} slice{'' if count == 1 else 's'})"


def choose_stack(folder: Folder, what: str, number: str | None, where: str) -> tuple[Stack, tuple[str, ...]]:
    """Select the stack to read.

    T1w and FLAIR are identified by their tags; any other image only if there is no alternative.

    Args:
        folder: stacks of the folder.
        what: T1w, FLAIR or another name of the input.
        number: series chosen by the user, or None.
        where: description of the folder for messages.

    Returns:
        The stack, and notes.

    Raises:
        BadInput: the choice is ambiguous (the message lists series numbers and descriptions), or a folder mixes people
            or studies.
    """
    usable = [stack for stack in folder.stacks if len(stack.frames) >= MINIMUM_SLICES]
    if not usable:
        raise BadInput(f"{where} holds no series of {MINIMUM_SLICES} slices or more: {_list(folder.stacks)}.")
    if number is not None:
        return _series_numbered(usable, number, what, where)
    if not all(same_person(stack.person, other.person) for stack, other in itertools.combinations(usable, 2)):
        raise BadInput(f"{where} holds images of more than one person. Give the folder of one person.")
    matching = usable
    if what in (T1W, FLAIR):
        kinds = [contrast_of(stack) for stack in usable]
        matching = [stack for stack, kind in zip(usable, kinds) if kind == what]
        if not matching and what == T1W:
            matching = [stack for stack, kind in zip(usable, kinds) if kind == T1CE]
        if not matching:
            return _only_series(usable, kinds, what, where)
    if len({stack.study for stack in matching}) > 1:
        raise BadInput(f"{where} holds more than one study with a possible {what}. Give the folder of one visit.")
    best = max(map(_rank, matching))
    first = [stack for stack in matching if _rank(stack) == best] if what in (T1W, FLAIR) else matching
    if len(first) > 1:
        raise BadInput(f"{where} holds {len(first)} series that could be the {what}: {_list(first)}. {_how(first[0])}")
    doubtful = _might_be_after(first[0], matching) if what == T1W else []
    if doubtful:
        raise BadInput(
            f"{where} holds {len(matching)} series that could be the T1w, and the tags do not say whether "
            f"{first[0].label} was acquired after contrast agent: {_list(matching)}. {_how(doubtful[0])}"
        )
    notes = []
    if what == T1W and contrast_of(first[0]) == T1CE:
        notes.append("was acquired after contrast agent, by its tags; the folder holds no other T1w")
    if len(matching) > 1:
        notes.append(f"was chosen among {_list(matching)}. {_how(matching[0]).rstrip('.')}")
    return first[0], tuple(notes)


def _might_be_after(chosen: Stack, matching: list[Stack]) -> list[Stack]:
    """Return earlier candidates if the chosen series may follow contrast agent: its words are unknown, or say so."""
    if says(chosen.names) == "before" or contrast_of(chosen) != T1W:
        return []
    earlier = [stack for stack in matching if _later(chosen, stack)]
    unknown = unknown_words(chosen.names)
    return [stack for stack in earlier if says(stack.names) == "before" or unknown - unknown_words(stack.names)]


def _only_series(usable: list[Stack], kinds: list[str], what: str, where: str) -> tuple[Stack, tuple[str, ...]]:
    if len(usable) == 1 and kinds[0] == OTHER and usable[0].modality == "MR":
        return usable[0], (f"does not say in its tags that it is a {what}; it is the only series there",)
    raise BadInput(f"{where} holds no series whose tags say {what}: {_list(usable)}. {_how(usable[0])}")


def _series_numbered(usable: list[Stack], number: str, what: str, where: str) -> tuple[Stack, tuple[str, ...]]:
    matches = [stack for stack in usable if number in (stack.label, str(stack.number))]
    exact = [stack for stack in matches if stack.label == number]
    matches = exact or matches
    if not matches:
        raise BadInput(f"{where} holds no series {number}: {_list(usable)}. {_how(usable[0])}")
    strangers = not all(same_person(matches[0].person, other.person) for other in matches)
    if strangers or len({stack.study for stack in matches}) > 1:
        raise BadInput(f"{where} holds series {number} of more than one person or study. Give the folder of one visit.")
    if len(matches) > 1:
        raise BadInput(f"Series {number} in {where} holds several volumes: {_list(matches)}. {_how(matches[0])}")
    kind = contrast_of(matches[0])
    differs = what in (T1W, FLAIR) and kind not in (what, OTHER)
    return matches[0], ((f"says in its tags that it is a {kind}",) if differs else ())


def _rank(stack: Stack) -> tuple[bool, bool]:
    return ("ORIGINAL" in stack.image_type, _thin(stack))


def _thin(stack: Stack) -> bool:
    return stack.volumetric or (stack.thickness is not None and 0 < stack.thickness <= THIN_MM)


def _list(stacks: Iterable[Stack]) -> str:
    entries = [_series_title(stack) for stack in stacks]
    more = [f"and {len(entries) - LISTED} more"] if len(entries) > LISTED else []
    return ", ".join(entries[:LISTED] + more)


def _how(stack: Stack) -> str:
    return f"Choose one by adding its number to the folder's name, as in FOLDER#{stack.label}."
