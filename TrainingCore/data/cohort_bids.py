"""Assign the files of a BIDS dataset (raw + derivatives) to visits. Only names are read, no image is opened."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput
from .case import ALL_MRI, MASKS, word_of
from .cohort_unused import NIFTI, OTHER_IMAGES, Unused, contradiction, reason_unused
from .inputs import bids_names
from .lesion_names import is_lesion_mask
from .table_text import read_text, separator_of
from .visit import Visit

PREPARED_BY = "MyelinSynth preprocess"  # GeneratedBy of datasets whose volumes are aligned and on one grid
SYNTHESIZED_BY = "MyelinSynth bids_app"  # of datasets whose maps nobody measured

# File names by volume: suffixes, and entities the name must have. One matching line of a volume is enough.
NAMES: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    *bids_names(),
    ("brain", ("mask",), {"desc": "brain"}),
    ("enhancing", ("mask",), {"label": "(?i:enhancing|ET)"}),
    ("white_matter", ("mask",), {"label": "WM"}),
    ("grey_matter", ("mask",), {"label": "GM"}),
    ("csf", ("mask",), {"label": "CSF"}),
    ("nawm", ("mask",), {"label": "NAWM"}),
    ("dvr", ("mimap",), {"stat": "(?i:dvr)", "desc": "measured"}),
    ("dvr_clean", ("mimap",), {"stat": "(?i:dvr)", "desc": "noisefree"}),
    ("dvr", ("mimap",), {"stat": "(?i:dvr)", "desc": "(?i)(?!synthetic).*"}),
    ("myelin_loss", ("map",), {"param": "(?i:myelinloss)"}),
    ("label_map", ("dseg",), {"desc": "aseg|aparcaseg|synthseg"}),
)
FILE = re.compile(r"^sub-(?P<person>[0-9A-Za-z]+)_(?P<rest>[^.]+)\.nii(?:\.gz)?$")
SKIPPED_FOLDERS = {"func", "fmap", "eeg", "meg", "ieeg", "beh", "nirs", "motion", "micr"}
SPACES = {"t1w": "T1w", "flair": "FLAIR", "t2w": "T2w", "t1ce_low": "T1w", "t1ce": "T1w"}  # as BIDS calls them
SPACE_NAMES = {"t1w": "T1w", "t1": "T1w", "flair": "FLAIR", "t2w": "T2w"}  # however they are written
LIKE_A_PERSON = re.compile(r"(?i)sub[-_]")
UNUSABLE_PARTS = {"phase", "real", "imag"}
DEEPEST = 4  # folders below sub-*: ses-*/anat/ and one or two more


CHOOSE = "--choose run-1 or --choose acq-LABEL takes another"


@dataclass(frozen=True)
class ImageFile:
    """One image file.

    Attributes:
        path: absolute or relative path.
        volume: volume name, see case.VOLUME_NAMES.
        entities: BIDS entities of the name.
        dataset: empty for raw data, else the folder's name below derivatives/.
    """

    path: str
    person: str
    visit: str
    volume: str
    entities: dict[str, str]
    dataset: str

    @property
    def name(self) -> str:
        """The file's name."""
        return os.path.basename(self.path)


def index(root: Path, raw: bool, choose: Sequence[str] = ()) -> tuple[list[Visit], list[str]]:
    """List every visit of a dataset with the file selected for each volume.

    Args:
        root: folder of the dataset.
        raw: select images as acquired (for `preprocess`), else those ready for a network, if the dataset has them.
        choose: entities such as `acq-mprage` or `run-1` that are preferred among several images of one kind, or
            `flair:run-1` for one kind only.

    Returns:
        Visits sorted by person and visit, and sentences about files that are not used.
    """
    groups: dict[tuple[str, str], list[ImageFile]] = defaultdict(list)
    prepared: set[str] = set()
    unused = Unused()
    for dataset, folder in _datasets(root):
        generators = _generators(folder)
        if dataset and SYNTHESIZED_BY in generators:
            continue
        if PREPARED_BY in generators:
            if raw and dataset:
                continue
            prepared.add(dataset)
        for image in _images(folder, dataset, unused):
            groups[image.person, image.visit].append(image)
    _share_session_free(groups)
    visits = [_visit(key, groups[key], prepared, choose) for key in sorted(groups)]
    for visit in visits:
        _left_over(groups[visit.person, visit.visit], visit, unused)
    return visits, unused.sentences()


def _datasets(root: Path) -> Iterator[tuple[str, Path]]:
    """List the raw dataset and its derivatives.

    Args:
        root: folder of the raw dataset.

    Yields:
        (name, folder): ("", root), then every folder below derivatives/, sorted by name.
    """
    yield "", root
    derivatives = root / "derivatives"
    if derivatives.is_dir():
        for entry in sorted(os.scandir(derivatives), key=lambda entry: entry.name):
            if entry.is_dir() and not entry.name.startswith("."):
                yield entry.name, Path(entry.path)


def made_by_preprocess(folder: Path) -> bool:
    """Check whether `preprocess` wrote a dataset: its volumes are aligned, masked and on one grid.

    Args:
        folder: dataset; one without a readable description was not written by `preprocess`.
    """
    return PREPARED_BY in _generators(folder)


def _generators(folder: Path) -> set[str]:
    """Names of the programs that wrote a dataset; empty without a readable description."""
    try:
        about = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))
        return {str(entry.get("Name")) for entry in about["GeneratedBy"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _left_over(candidates: list[ImageFile], visit: Visit, unused: Unused) -> None:
    """Report the usable files of a visit that were not selected because others were."""
    taken = {str(path) for path in visit.files.values()}
    noted = " ".join(visit.notes)
    for image in candidates:
        if image.path not in taken and image.name not in noted and not visit.prepared:
            instead = visit.files.get(image.volume)
            word = word_of(image.volume)
            reason = f"{instead.name} was taken as {word}" if instead else f"no {word} there"
            unused.add(image.path, image.dataset, reason, f"another file was taken as {word_of(image.volume)}")


def _images(folder: Path, dataset: str, unused: Unused) -> Iterator[ImageFile]:
    """List the image files below the sub-* folders of one dataset, from names alone.

    Args:
        folder: folder of the dataset.
        dataset: its name below derivatives/, empty for raw data.
        unused: collects the files that cannot be used, with the reason.

    Yields:
        Usable files, in no particular order.
    """
    with os.scandir(folder) as entries:
        folders = [entry.path for entry in entries if LIKE_A_PERSON.match(entry.name) and entry.is_dir()]
    people = [path for path in folders if os.path.basename(path).startswith("sub-")]
    for path in sorted(set(folders) - set(people)):
        unused.add(path, dataset, "the folder of a person begins with sub-: rename it")
    for person in people:
        for path, session in _files(person, "", 0):
            reason = contradiction(path, os.path.basename(person), session)
            image = None if reason else _recognise(path, session, dataset)
            if image is not None:
                yield image
            else:
                unused.add(path, dataset, reason or reason_unused(path))


def _files(folder: str, session: str, depth: int) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith(NIFTI) or (name.startswith("sub-") and name.endswith(OTHER_IMAGES)):
                if not name.startswith("."):
                    yield entry.path, session
            elif "." not in name and depth < DEEPEST and name not in SKIPPED_FOLDERS and entry.is_dir():
                yield from _files(entry.path, name[4:] if name.startswith("ses-") else session, depth + 1)


def _recognise(path: str, session: str, dataset: str) -> ImageFile | None:
    match = FILE.match(os.path.basename(path))
    if match is None:
        return None
    parts = match["rest"].split("_")
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    words = [part for part in parts if "-" not in part]
    suffix = words.pop() if "-" not in parts[-1] else ""
    visit = entities.pop("ses", session)
    if entities.get("part") in UNUSABLE_PARTS:
        return None
    if "space" in entities:
        entities["space"] = SPACE_NAMES.get(entities["space"].casefold(), entities["space"])
    volume = _volume_of(entities, words, suffix)
    if volume in MASKS:  # sub-01_T1w_label-lesion_roi: the image that the mask was drawn on
        drawn_on = [SPACE_NAMES[word.casefold()] for word in words if word.casefold() in SPACE_NAMES]
        if drawn_on and "space" not in entities:
            entities["space"] = drawn_on[0]
    return ImageFile(path, match["person"], visit, volume, entities, dataset) if volume else None


def _volume_of(entities: dict[str, str], words: list[str], suffix: str) -> str:
    for volume, suffixes, needed in NAMES:
        if suffix in suffixes and all(re.fullmatch(pattern, entities.get(key, "")) for key, pattern in needed.items()):
            return volume
    return "lesions" if is_lesion_mask(entities, words, suffix) else ""


def _share_session_free(groups: dict[tuple[str, str], list[ImageFile]]) -> None:
    """Assign derivatives without a session (FreeSurfer style) to a person's session if there is only one."""
    for person, visit in list(groups):
        sessions = [key for key in groups if key[0] == person and key[1]] if not visit else []
        if len(sessions) == 1:
            groups[sessions[0]] += groups.pop((person, visit))


def _visit(key: tuple[str, str], candidates: list[ImageFile], prepared: set[str], choose: Sequence[str]) -> Visit:
    visit = Visit(*key)
    ready = sorted({image.dataset for image in candidates if image.dataset in prepared})
    if ready:
        visit.prepared = True
        candidates = [image for image in candidates if image.dataset == ready[0]]
        if len(ready) > 1:
            visit.notes.append(f"{visit.label} was prepared {len(ready)} times: took derivatives/{ready[0]}")
    by_volume: dict[str, list[ImageFile]] = defaultdict(list)
    for image in candidates:
        by_volume[image.volume].append(image)
    first = next((name for name in ALL_MRI if name in by_volume), "t1w")  # the T1w if the visit has one
    spaces = sorted({SPACES[name] for name in by_volume if name in SPACES})  # without a T1w, the space of any MRI
    own = ["T1w"] if first == "t1w" or not spaces else spaces
    reference = _best(by_volume.pop(first, []), choose, visit)
    home = reference.entities.get("space") if reference else None
    if reference:
        _take(visit, reference)
    for volume in sorted(by_volume):
        fitting = by_volume[volume] if visit.prepared else _in_space(by_volume[volume], volume, home, own, visit)
        best = _best(fitting, choose, visit)
        if best is not None:
            _take(visit, best)
    return visit


def _take(visit: Visit, image: ImageFile) -> None:
    visit.files[image.volume] = Path(image.path)
    if "space" in image.entities:
        visit.spaces[image.volume] = image.entities["space"]


def _in_space(
    candidates: list[ImageFile], volume: str, home: str | None, own: list[str], visit: Visit
) -> list[ImageFile]:
    """Select the files that can be used with a T1w of space `home` (None: its native space); note if there are none.

    MRI and DVR are registered to the T1w, so they may lie in a space of their own; a mask belongs to the image it was
    drawn on. Files in the T1w's space are preferred. own: BIDS names of that space, or of the other MRI without a T1w.
    """
    spaces = {home, "orig", *own} if home is None else {home}
    same = [image for image in candidates if image.entities.get("space") in spaces]
    if same:
        return same
    if volume in ALL_MRI or volume == "dvr":
        allowed: set[str | None] = {None, "orig", volume.upper()}
    else:
        allowed = {None, "orig"} | ({"FLAIR", "flair"} if volume == "lesions" else set())
        allowed |= {"T1w"} if home is None else set()  # without a T1w, a mask in its space is better than none
    fitting = [image for image in candidates if image.entities.get("space") in allowed]
    if not fitting and volume in {*ALL_MRI, *MASKS, "dvr"}:
        space = f"the space of its {' or '.join(own)}" + (f" ({home})" if home else "")
        visit.notes.append(f"{visit.label}: {candidates[0].name} was not used, it is not in {space}")
    return fitting


def _best(candidates: list[ImageFile], choose: Sequence[str], visit: Visit) -> ImageFile | None:
    """Select raw before derived, unprocessed before processed, then by `choose`, then the simplest name and last run.

    A scan is usually repeated because the previous one was not good, so the last run is selected (ours), with a note.
    """
    if not candidates:
        return None

    def class_of(image: ImageFile) -> tuple[Any, ...]:
        named = [f"{key}-{value}" for key, value in image.entities.items()]
        preferred = sum(name in choose or f"{image.volume}:{name}" in choose for name in named)
        derived = image.volume in {"t1w", "flair"} and "desc" in image.entities
        return (image.dataset != "", "space" in image.entities and image.volume in ALL_MRI, derived, -preferred)

    def plainness(image: ImageFile) -> tuple[Any, ...]:
        others = len(set(image.entities) - {"run", "ce"})
        run = re.sub(r"\D", "", image.entities.get("run", "")) or "0"
        return (others, -int(run), image.name)

    ranked = sorted(candidates, key=lambda image: (class_of(image), plainness(image)))
    rivals = [image for image in ranked if class_of(image) == class_of(ranked[0])]
    if len(rivals) > 1 and ranked[0].volume in {*ALL_MRI, "dvr", "lesions"}:
        distinct = len({rival.name for rival in rivals}) == len(rivals)
        names = [rival.name if distinct else f"{rival.dataset}: {rival.name}" for rival in rivals]
        left = ", ".join(names[1:])
        visit.notes.append(
            f"{visit.label} has {len(rivals)} images that could be its {ranked[0].volume}: took {names[0]}, "
            f"not {left} ({CHOOSE})"
        )
    return ranked[0]


def participants(path: Path) -> dict[str, dict[str, Any]]:
    """Read participants.tsv.

    Args:
        path: the file.

    Returns:
        Columns by person (label without `sub-`); empty if there is no such file.

    Raises:
        BadInput: the file is not a table, or has no column participant_id.
    """
    return _rows(path, "participant_id", "sub-")


def sessions(root: Path, person: str) -> dict[str, dict[str, Any]]:
    """Read a person's sessions.tsv.

    Args:
        root: folder of the dataset.
        person: label without `sub-`.

    Returns:
        Columns by session (label without `ses-`); empty if there is no such file.

    Raises:
        BadInput: the file is not a table, or has no column session_id.
    """
    return _rows(root / f"sub-{person}" / f"sub-{person}_sessions.tsv", "session_id", "ses-")


def _rows(path: Path, first: str, prefix: str) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    text = read_text(path)
    separator, before = separator_of(text, "\t;,")
    try:
        rows = list(csv.DictReader(text.split("\n")[before:], delimiter=separator))
    except csv.Error as error:
        raise BadInput(
            f"{path} is not a tab-separated table in UTF-8 ({error}). Save it again in this format."
        ) from error
    if rows and first not in {(key or "").strip() for key in rows[0]}:
        raise BadInput(f"{path} has no column {first}. Name the column with the labels {first}.")
    by_label: dict[str, dict[str, Any]] = {}
    for row in rows:
        named = {key.strip(): value for key, value in row.items() if key and key.strip()}
        label = (named.pop(first, "") or "").strip().removeprefix(prefix)
        if label and by_label.setdefault(label, named) != named:
            raise BadInput(f"{path} has two different rows of {prefix}{label}. Keep one of them.")
    return by_label
