"""Sending DICOM objects to an archive (DIMSE C-STORE), with the status of each of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...imaging.dicom_headers import is_dicom, quiet_pydicom
from ...runtime.errors import BadInput, MyelinSynthError
from .needs import check_installed

ADDRESS = re.compile(r"(?P<title>[^@:\s\\][^@:\\]{0,15})@(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:\s/]+):(?P<port>\d{1,5})")
TITLE = "MYELINSYNTH"
SECONDS = 30  # that an archive may take to answer (ours)
STORED, COERCED = 0x0000, 0xB000
REASONS = {  # first two digits of a C-STORE status (PS3.4, table B.2-1)
    0xA7: "it is out of space",
    0xA9: "it says that the object does not fit its class",
    0xC0: "it cannot understand the object",
    0x01: "it refuses such objects",
}


@dataclass(frozen=True)
class Archive:
    """Address of an archive: application entity title, host and port."""

    title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Archive:
        """Read an address.

        Args:
            text: `AET@HOST:PORT`; an IPv6 host is in brackets.

        Returns:
            The archive.

        Raises:
            BadInput: the text is no such address.
        """
        match = ADDRESS.fullmatch(text.strip())
        if match is None or not 0 < int(match["port"]) < 65536:
            raise BadInput(
                f"{text} is not the address of an archive. Write AET@HOST:PORT, as in ORTHANC@pacs.local:4242."
            )
        return cls(match["title"], match["host"].strip("[]"), int(match["port"]))

    def __str__(self) -> str:
        return f"{self.title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Sent:
    """Outcome for one object.

    Attributes:
        reason: why it was not stored, empty if it was.
    """

    file: str
    description: str
    reason: str = ""

    @property
    def stored(self) -> bool:
        """Whether the archive said that it stored it."""
        return not self.reason


def read_objects(folder: Path) -> dict[Path, Any]:
    """Read every DICOM object in a folder.

    Args:
        folder: DICOM folder of a result; subfolders are not read.

    Returns:
        pydicom data sets by file.

    Raises:
        BadInput: there is no DICOM, or a file is damaged.
    """
    import pydicom

    if not folder.is_dir():
        raise BadInput(f"The folder {folder} does not exist. Give the dicom folder of a result.")
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and is_dicom(path)]
    if not paths:
        raise BadInput(f"There is no DICOM in {folder}. Write it with: synthesize --dicom.")
    objects = {}
    with quiet_pydicom():
        for path in paths:
            try:
                objects[path] = pydicom.dcmread(path)
                _ = objects[path].SOPInstanceUID, objects[path].file_meta.TransferSyntaxUID
            except Exception as error:  # damaged files can raise anything in pydicom
                raise BadInput(f"{path.name} is damaged. Write the DICOM folder again; nothing was sent.") from error
    return objects


def send(
    objects: dict[Path, Any],
    archive: Archive,
    title: str = TITLE,
    seconds: float = SECONDS,
    report: Callable[[Sent], None] = lambda sent: None,
) -> list[Sent]:
    """Send objects over one association; the archive's answer to each is kept.

    Args:
        objects: by file, from `read_objects`.
        archive: where to.
        title: our own application entity title.
        seconds: to wait for an answer.
        report: called after each object.

    Raises:
        MyelinSynthError: the archive cannot be reached, or refuses to talk with us; nothing was sent.
    """
    check_installed("pynetdicom", "Sending DICOM")
    association = _associate(objects, archive, title, seconds)
    outcomes = []
    try:
        for path, data in objects.items():
            sent = Sent(path.name, str(data.get("SeriesDescription") or ""), _store(association, data, archive))
            outcomes.append(sent)
            report(sent)
    finally:
        if association.is_established:
            association.release()
    return outcomes


def _associate(objects: dict[Path, Any], archive: Archive, title: str, seconds: float) -> Any:
    from pynetdicom import AE, evt

    connected: list[bool] = []
    refusals: list[str] = []

    def received(event: Any) -> None:
        if type(event.pdu).__name__ == "A_ASSOCIATE_RJ":
            refusals.append(event.pdu.reason_str.lower())

    entity = AE(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = seconds
    kinds = {(stored.SOPClassUID, stored.file_meta.TransferSyntaxUID) for stored in objects.values()}
    for kind, syntax in sorted(kinds):
        entity.add_requested_context(kind, syntax)
    handlers: list[Any] = [(evt.EVT_CONN_OPEN, lambda event: connected.append(True)), (evt.EVT_PDU_RECV, received)]
    try:
        association = entity.associate(archive.host, archive.port, ae_title=archive.title, evt_handlers=handlers)
    except OSError as error:  # the host name cannot be resolved
        raise MyelinSynthError(f"Unknown host {archive.host} ({error.strerror}); nothing was sent.") from error
    if association.is_established:
        return association
    if not connected:
        raise MyelinSynthError(
            f"{archive} does not answer; nothing was sent. Check host and port, and that the archive is running."
        )
    if refusals:
        raise MyelinSynthError(
            f"{archive} refused the association ({refusals[0]}); nothing was sent. Ask its administrator to let "
            f"{title} in, and whether {archive.title} is its title."
        )
    raise MyelinSynthError(
        f"{archive} ended the association before anything was sent. It may not accept such objects, or may not be a "
        "DICOM archive."
    )


def _store(association: Any, data: Any, archive: Archive) -> str:
    """Why an object was not stored, empty if the archive said that it was."""
    if not association.is_established:
        return "the connection was lost before it was sent"
    try:
        status = association.send_c_store(data)
    except ValueError:  # no presentation context was accepted for it
        return f"{archive.title} takes no {data.SOPClassUID.name}"
    if "Status" not in status:
        return "the connection was lost, or no answer came in time"
    number = int(status.Status)
    if number == STORED or number >> 12 == COERCED >> 12:
        return ""
    comment = str(status.get("ErrorComment") or "")
    known = REASONS.get(number >> 8) or REASONS.get(0xC0 if number >> 12 == 0xC else -1, "it refused it")
    return f"{known} (status {number:04X}{', ' + comment if comment else ''})"
