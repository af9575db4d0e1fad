"""What the checks of inputs say about real files, right and wrong, and about simulated ones: the confusion table.

python -m Testing.benchmarks.input_checks                                # real files
python -m Testing.benchmarks.input_checks --cohort COHORT --people 12    # and people of a simulated cohort
python -m Testing.benchmarks.input_checks --only contrasts               # one table
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from Testing.motion import moved
from Testing.real_data import DATA
from TrainingCore.imaging.brain_mask import find_brain
from TrainingCore.imaging.checks import check_pair
from TrainingCore.imaging.contrasts import DVR, FLAIR, LABELS, T1CE, T1W, T2W, ghosting, is_label_map, look
from TrainingCore.imaging.registration import register
from TrainingCore.imaging.volumes import Volume, read_volume
from TrainingCore.runtime.errors import MyelinSynthError

KINDS = (T1W, T1CE, FLAIR, T2W, DVR, LABELS)
GHOSTS = 0.08


def kind_of(path: Path) -> str:
    """What a BIDS name says."""
    name = path.name
    if name.endswith(("_mask.nii.gz", "_dseg.nii.gz")):
        return LABELS
    if "mimap" in name:
        return DVR
    if name.endswith("T1w.nii.gz"):
        return T1CE if "_ce-" in name else T1W
    return FLAIR if name.endswith("FLAIR.nii.gz") else T2W


def files(cohort: Path | None, people: int) -> Iterator[tuple[Path, Path | None]]:
    """Every image and label map, with a brain mask where the data set has one."""
    yield from ((path, None) for path in sorted(DATA.rglob("*.nii.gz")) if "ms_lesion_masks" not in str(path))
    yield from ((path, None) for path in sorted((DATA / "ms_lesion_masks_mni").glob("*.nii.gz"))[:5])
    for person in sorted(cohort.glob("sub-*"))[-people:] if cohort else []:
        below = next((cohort / "derivatives").glob(f"*/{person.name}"))
        brain = next(below.rglob("*desc-brain_mask.nii.gz"))
        yield from ((path, brain) for path in sorted(person.rglob("*_T1w.nii.gz"))[:1])
        yield from ((path, brain) for path in sorted(person.rglob("*_FLAIR.nii.gz"))[:1])
        yield from ((path, brain) for path in sorted(below.rglob("*desc-measured_mimap.nii.gz"))[:1])


def contrasts(cohort: Path | None, people: int) -> None:
    """Print what each file is and what it is taken for."""
    table: Counter = Counter()
    for path, given in files(cohort, people):
        truth, image = kind_of(path), read_volume(path, mask=False) if kind_of(path) != LABELS else _plain(path)
        if is_label_map(image.data):
            found = LABELS
        else:
            brain = find_brain(image).mask if given is None else read_volume(given, mask=True)
            found = look(image, brain).contrast
        table[truth, found] += 1
        if found != truth:
            print(f"{path.name}: {truth} taken for {found or 'nothing'}", flush=True)
    print("| truth \\ found | " + " | ".join(KINDS) + " |\n|" + "---|" * (len(KINDS) + 1))
    for truth in KINDS:
        print(f"| {truth} | " + " | ".join(str(table[truth, found]) for found in KINDS) + " |")


def _plain(path: Path) -> Volume:
    import nibabel as nib

    image = nib.load(path)
    return Volume(np.asarray(image.dataobj, np.float32), image.affine, path.name)


def visits() -> dict[str, dict[str, Path]]:
    """Raw and skull-stripped visits: label -> contrast -> file."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(DATA.rglob("*.nii.gz")):
        if kind_of(path) != LABELS and "ms_lesion" not in str(path):
            label = path.name.split("_")[0] + ("_" + path.parts[-3] if path.parts[-3].startswith("ses") else "")
            found.setdefault(label + (" stripped" if "desc-brain" in path.name else ""), {})[kind_of(path)] = path
    return found


def pairs() -> None:
    """Print what is said about right pairs and about wrong ones made of the same files."""
    everyone = visits()
    read = {key: {kind: read_volume(path, kind) for kind, path in of.items()} for key, of in everyone.items()}
    brains = {key: find_brain(of[T1W]).mask for key, of in read.items()}
    names = list(read)
    print("| T1w given | FLAIR given | said |\n|---|---|---|")
    for key, of in read.items():
        _row(key, of[T1W], of[FLAIR], brains[key], "right")
        _row(key, of[FLAIR], of[T1W], find_brain(of[FLAIR]).mask, "swapped")
        for kind in (T2W, T1CE):
            if kind in of:
                _row(key, of[T1W], of[kind], brains[key], f"{kind} as FLAIR")
        if T1CE in of:
            _row(key, of[T1CE], of[FLAIR], brains[key], "T1w after agent as T1w")
        stranger = next(
            other for other in names[names.index(key) + 1 :] + names
            if other.split("_")[0].split()[0] != key.split("_")[0].split()[0] and ("str" in other) == ("str" in key)
        )  # fmt: skip
        _row(key, of[T1W], read[stranger][FLAIR], brains[key], f"FLAIR of {stranger}")


def simulated_pairs(cohort: Path, people: int) -> None:
    """Print what is said about right and swapped pairs of simulated people (in register as they are)."""
    said: Counter = Counter()
    for person in sorted(cohort.glob("sub-*"))[-people:]:
        below = next((cohort / "derivatives").glob(f"*/{person.name}"))
        brain = read_volume(next(below.rglob("*desc-brain_mask.nii.gz")), mask=True)
        t1w, flair = (read_volume(next(person.rglob(f"*_{kind}.nii.gz")), kind) for kind in ("T1w", "FLAIR"))
        for what, pair in (("right", (t1w, flair)), ("swapped", (flair, t1w))):
            sentences = " ".join(check_pair(*pair, brain, np.eye(4)))
            said[what, "swapped" in sentences or "second" in sentences, sentences != ""] += 1
            if what == "right" and sentences:
                print(f"{person.name}: {sentences}", flush=True)
    for (what, named, anything), count in sorted(said.items()):
        print(f"{cohort.name}, {what} pairs: {count} with {'the mistake named' if named else 'no mistake named'}, "
              f"{'something' if anything else 'nothing'} said", flush=True)  # fmt: skip


def _row(key: str, t1w: Volume, flair: Volume, brain: Volume, what: str) -> None:
    try:
        said = check_pair(t1w, flair, brain, register(t1w, flair, brain).matrix)
    except MyelinSynthError as error:
        said = [f"refused: {error}"]
    for name in {t1w.name, flair.name}:
        said = [sentence.replace(f" {name}", "") for sentence in said]
    print(f"| {key} | {what} | {' '.join(said)[:170] or 'nothing'} |", flush=True)


def motion() -> None:
    """Print how the copies of the head in the air grow with simulated motion."""
    print("| image | still | 1 mm, 1 degree | 2, 2 | 4, 4 |\n|---|---|---|---|---|")
    for key, of in visits().items():
        if "stripped" in key:
            continue
        for kind in (T1W, FLAIR):
            image = read_volume(of[kind], kind)
            brain = find_brain(image).mask
            levels = [ghosting(image, brain)]
            levels += [ghosting(moved(image, size, size, seed=5), brain) for size in (1, 2, 4)]
            shown = ["cannot say" if v is None else f"{v:.3f}{' warned' if v > GHOSTS else ''}" for v in levels]
            print(f"| {key} {kind} | " + " | ".join(shown) + " |", flush=True)


def main() -> int:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cohort", type=Path, help="a simulated cohort")
    options.add_argument("--people", type=int, default=8, help="how many of its last people")
    options.add_argument("--only", choices=("contrasts", "simulated", "pairs", "motion"))
    given = options.parse_args()
    if given.only in (None, "contrasts"):
        contrasts(given.cohort, given.people)
    if given.only in (None, "simulated") and given.cohort:
        simulated_pairs(given.cohort, given.people)
    if given.only in (None, "pairs"):
        pairs()
    if given.only in (None, "motion"):
        motion()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
