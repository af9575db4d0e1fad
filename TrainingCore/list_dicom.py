"""What is in a DICOM folder: every series, the contrast its tags say, and which would be taken as T1w and as FLAIR."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from .runtime.cli import run_command
from .runtime.errors import BadInput
from .runtime.signature import Shown, command


def list_dicom(folder: Annotated[Path, Shown("FOLDER", positional=True)]) -> None:
    """List the series of a DICOM folder (recursively), without anything that names the patient.

    Where a command takes an image, give the folder, or FOLDER#NUMBER to choose a series yourself.

    Args:
        folder: folder (or one file) of DICOM.

    Raises:
        BadInput: there is no such folder, or no DICOM in it.

    Example:
        python -m TrainingCore.list_dicom DICOM_FOLDER
    """
    from .imaging.dicom import scan
    from .imaging.dicom_choice import FLAIR, T1W, choose, contrast_of

    if not folder.exists():
        raise BadInput(f"The folder {folder} does not exist. Check the path.")
    found = scan(folder)
    print(f"{'number':>8}  {'contrast by tags':<26}{'slices':>6}  {'in-plane mm':<14}{'slice mm':<10}description")
    for stack in found.stacks:
        plane = " x ".join(f"{mm:.3g}" for mm in stack.spacing)
        thick = "?" if stack.thickness is None else f"{stack.thickness:.3g}"
        contrast = contrast_of(stack) if stack.modality == "MR" else stack.modality
        line = f"{stack.label:>8}  {contrast:<26}{len(stack.frames):>6}  {plane:<14}{thick:<10}{stack.description}"
        print(line.rstrip())
    if found.unreadable:
        print(f"{found.unreadable} DICOM files hold no slice that can be read.")
    for what in (T1W, FLAIR):
        try:
            chosen, notes = choose(found, what, None, f"The folder {folder.name}")
            print(f"{what}: {chosen.title}" + "".join(f"; it {note}" for note in notes))
        except BadInput as error:
            print(f"{what}: not certain. {error}")


main = command(list_dicom)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
