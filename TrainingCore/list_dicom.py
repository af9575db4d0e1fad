"""List the series of a DICOM folder, the contrast of each by its tags, and the choice for T1w and FLAIR."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from .runtime.cli import run_command
from .runtime.errors import BadInput
from .runtime.signature import Option, command

if TYPE_CHECKING:
    from .imaging.dicom_headers import Stack


def list_dicom(folder: Annotated[Path, Option("FOLDER", positional=True)]) -> None:
    """List the series of a DICOM folder and its subfolders, without patient identifiers.

    Commands that take an image also take such a folder, or FOLDER#NUMBER for one of its series.

    Args:
        folder: DICOM folder (or a single file).

    Raises:
        BadInput: the folder does not exist or holds no DICOM.

    Example:
        python -m TrainingCore.list_dicom DICOM_FOLDER
    """
    from .imaging.dicom import scan
    from .imaging.dicom_choice import FLAIR, T1W, choose_stack
    from .imaging.volumes import read_volume

    if not folder.exists():
        raise BadInput(f"The folder {folder} does not exist. Check the path.")
    series = scan(folder)
    print(f"{'number':>8}  {'contrast by tags':<26}{'slices':>6}  {'in-plane mm':<14}{'slice mm':<10}description")
    lines = Counter(_line(stack) for stack in series.stacks)
    for line, count in lines.items():
        print(line + (f" ({count} such series)" if count > 1 else ""))
    if series.unreadable:
        single = series.unreadable == 1
        print(f"{series.unreadable} DICOM file{'' if single else 's'} hold{'s' if single else ''} no readable slice.")
    for what in (T1W, FLAIR):
        try:
            chosen, notes = choose_stack(series, what, None, f"The folder {folder.name}")
            read = read_volume(folder, what)  # a choice counts only if the series can be read
            notes = tuple(dict.fromkeys((*notes, *read.notes)))
            print(f"{what}: {chosen.title}" + "".join(f"; it {note}" for note in notes))
        except BadInput as error:
            print(f"{what}: not certain. {error}")


def _line(stack: Stack) -> str:
    """Format one series as a row of the list."""
    from .imaging.dicom_choice import contrast_of

    plane = " x ".join(f"{mm:.3g}" for mm in stack.spacing)
    thick = "?" if stack.thickness is None else f"{stack.thickness:.3g}"
    contrast = contrast_of(stack) if stack.modality == "MR" else stack.modality
    text = f"{stack.label:>8}  {contrast:<26}{len(stack.frames):>6}  {plane:<14}{thick:<10}{stack.description}"
    return text.rstrip()


main = command(list_dicom)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
