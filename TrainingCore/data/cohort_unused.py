"""Files of a BIDS dataset that are not used, with the reason, summarised in a few sentences."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

from .table_text import without_content

NIFTI = (".nii", ".nii.gz")
OTHER_IMAGES = (".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd", ".img", ".dcm")
MAX_LISTED = 30  # kinds of files; a dataset with more has its reasons elsewhere (ours)
KNOWN_SUFFIXES = ("T1w", "FLAIR", "T2w", "MTRmap", "MTR", "mask", "mimap", "dwimap", "dseg", "probseg")


class Unused:
    """Files that were not used; similar files of many visits are reported in one sentence."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)

    def add(self, path: str, dataset: str, reason: str, general: str = "") -> None:
        """Record a file that is not used.

        Args:
            path: path of the file; only its name is kept.
            dataset: name below derivatives/, empty for raw data.
            reason: why this file is not used.
            general: wording of the reason for several similar files, if it differs.
        """
        kind = re.sub(r"(?i)(sub|ses|run)[-_][0-9A-Za-z]+_?", "", os.path.basename(path))
        self._files[dataset, kind, general or reason].append((os.path.basename(path), reason))

    def sentences(self) -> list[str]:
        """`NAME (and 3 like it): reason`, at most MAX_LISTED of them."""
        sentences = []
        for (dataset, _, general), files in self._files.items():
            where = f" in derivatives/{dataset}" if dataset else ""
            more = f" and {len(files) - 1} like it" if len(files) > 1 else ""
            sentences.append(f"{files[0][0]}{where}{more}: {general if more else files[0][1]}")
        rest = sum(len(files) for files in list(self._files.values())[MAX_LISTED:])
        return sentences[:MAX_LISTED] + ([f"and {rest} more files"] if rest else [])


def contradiction(path: str, person: str, session: str) -> str:
    """Check a file's name against its folder.

    Args:
        path: path of the file.
        person: the folder's name (`sub-01`).
        session: the label of its session folder, empty without one.

    Returns:
        Why the file cannot be used (other person or session than its folder's, no content), or an empty string.
    """
    name = os.path.basename(path)
    entities = dict(part.split("-", 1) for part in name.split(".")[0].split("_") if "-" in part)
    if "sub" in entities and f"sub-{entities['sub']}" != person:
        return f"it is in the folder of {person}, but its name has sub-{entities['sub']}"
    if session and "ses" in entities and entities["ses"] != session:
        return f"it is in the folder of ses-{session}, but its name has ses-{entities['ses']}"
    return without_content(Path(path))


def reason_unused(path: str) -> str:
    """Explain why a file that matches no volume is not used.

    Args:
        path: path of the file.

    Returns:
        Reason without a full stop, with a suggestion if the name is close to a BIDS name.
    """
    name = os.path.basename(path)
    stem, ending = name.split(".", 1)
    if f".{ending}" not in NIFTI:
        return f"BIDS images end in .nii.gz, not .{ending}"
    if not stem.startswith("sub-"):
        return "its name does not begin with sub-<label>_"
    parts = stem.split("_")
    label = parts[0].removeprefix("sub-")
    if not re.fullmatch("[0-9A-Za-z]+", label):
        return f"the label {label!r} has other characters than letters and digits: rename its folder and files"
    suffix = parts[-1]
    if set(parts) & {"part-phase", "part-real", "part-imag"}:
        return "it is not a magnitude image"
    near = next((known for known in KNOWN_SUFFIXES if known.casefold() == suffix.casefold()), "")
    if near and near != suffix:
        return f"BIDS writes _{near}, not _{suffix}: rename it"
    if suffix in ("mask", "roi", "seg", "dseg", "probseg"):
        return "its name does not identify the mask (label-lesion_mask, desc-brain_mask, label-WM_mask, ...)"
    return f"_{suffix} is not a kind of image that MyelinSynth uses"
