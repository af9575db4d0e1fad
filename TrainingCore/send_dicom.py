"""Send the DICOM objects of a result to an archive (PACS) and check that it stored them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from .runtime.cli import Progress, run_command
from .runtime.errors import MyelinSynthError
from .runtime.signature import AtLeast, Option, ProgressMode, command

if TYPE_CHECKING:
    from .reporting.dicom.sending import Sent


def send_dicom(
    folder: Annotated[Path, Option("FOLDER", positional=True)],
    *,
    to: Annotated[str, Option("AET@HOST:PORT")],
    calling: Annotated[str, Option("AET")] = "MYELINSYNTH",
    timeout: Annotated[int, AtLeast(1)] = 30,
    progress: ProgressMode = "bar",
) -> list[Sent]:
    """Send the DICOM objects written by synthesize --dicom to an archive (PACS) by C-STORE.

    The command succeeds only if the archive confirms every object. Sending again is safe: a result keeps its unique
    identifiers. The objects hold the identity of the patient, and the connection is not encrypted.

    Args:
        folder: the dicom folder of a result.
        to: application entity title, host and port of the archive.
        calling: application entity title of this computer; some archives accept only known titles.
        timeout: seconds to wait for a response.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        For each object, whether the archive stored it, and the reason if not.

    Raises:
        BadInput: the folder holds no DICOM, or the address is invalid.
        MyelinSynthError: the archive cannot be reached, or did not store every object.

    Example:
        python -m TrainingCore.send_dicom result/dicom --to ORTHANC@pacs.local:4242
    """
    from .reporting.dicom.needs import check_installed
    from .reporting.dicom.sending import Archive, read_objects, send

    archive = Archive.parse(to)
    check_installed("pynetdicom", "Sending DICOM")
    objects = read_objects(Path(folder))
    outcomes: list[Sent] = []
    with Progress(progress, "send_dicom") as reporter:

        def report(sent: Sent) -> None:
            outcomes.append(sent)
            reporter.say(f"stored: {sent.file}" if sent.stored else f"not stored: {sent.file}: {sent.reason}")
            reporter.report("send", len(outcomes) / len(objects), f"{len(outcomes)} of {len(objects)} objects")

        send(objects, archive, calling, float(timeout), report)
        missing = [sent for sent in outcomes if not sent.stored]
        if missing:
            raise MyelinSynthError(
                f"{archive} did not store {len(missing)} of {len(outcomes)} objects: "
                f"{', '.join(sent.file for sent in missing)}. Solve the problem reported above and send again."
            )
        reporter.report("done", 1.0, f"{archive} stored all {len(outcomes)} objects")
    return outcomes


main = command(send_dicom, done=lambda sent: f"Stored {len(sent)} objects")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
