"""Sending to an archive: a real Orthanc over DIMSE and DICOMweb, and every way in which it can fail."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom")
pytest.importorskip("pynetdicom")

import pydicom

from TrainingCore.reporting.dicom.export import MAP
from TrainingCore.runtime.cli import run_command
from TrainingCore.send_dicom import main

PLUGINS = Path("/usr/share/orthanc/plugins")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer(url: str, kind: str = "application/json") -> bytes:
    """What a web server says."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": kind}), timeout=20) as response:
        return response.read()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """A running Orthanc with DICOMweb: its address for DIMSE and its URL."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None or not (PLUGINS / "libOrthancDicomWeb.so").is_file():
        pytest.skip("Orthanc is not installed (apt install orthanc orthanc-dicomweb)")
    folder, dimse, web = tmp_path_factory.mktemp("orthanc"), free_port(), free_port()
    settings = {
        "Name": "test", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")], "DicomAet": "ORTHANC", "DicomPort": dimse,
        "DicomCheckCalledAet": True, "HttpPort": web, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "HttpThreadsCount": 2, "DicomWeb": {"Enable": True},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        for _ in range(120):
            try:
                answer(f"http://127.0.0.1:{web}/system")
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.5)
        yield f"ORTHANC@127.0.0.1:{dimse}", f"http://127.0.0.1:{web}"
    finally:
        process.terminate()
        process.wait(30)


def send(*arguments: object) -> int:
    """Run the command as a shell would."""
    return run_command(main, [*map(str, arguments), "--progress", "none"])


def test_orthanc_stores_what_is_sent_and_gives_it_back_over_dicomweb(written, orthanc, capsys):
    folder, _ = written
    address, url = orthanc
    assert send(folder, "--to", address) == 0
    assert send(folder, "--to", address) == 0  # again: no copies
    assert capsys.readouterr().err.count("stored: dvr_map.dcm") == 2
    ours = {path: pydicom.dcmread(path) for path in folder.glob("*.dcm")}
    study = next(iter(ours.values())).StudyInstanceUID
    listed = json.loads(answer(f"{url}/dicom-web/studies/{study}/instances"))
    uids = {one["00080018"]["Value"][0] for one in listed}
    assert {data.SOPInstanceUID for data in ours.values()} <= uids
    for data in ours.values():
        path = f"studies/{study}/series/{data.SeriesInstanceUID}/instances/{data.SOPInstanceUID}"
        body = answer(f"{url}/dicom-web/{path}", "multipart/related; type=application/dicom")
        start = body.index(b"\r\n\r\n") + 4
        (folder.parent / "back.dcm").write_bytes(body[start : body.rindex(b"\r\n--")])
        back = pydicom.dcmread(folder.parent / "back.dcm")
        assert back == data
    stored = pydicom.dcmread(folder / MAP)
    assert np.frombuffer(stored.FloatPixelData, "<f4").max() > 1


def test_a_wrong_title_is_refused_by_orthanc(written, orthanc, capsys):
    assert send(written[0], "--to", orthanc[0].replace("ORTHANC", "NOBODY")) == 1
    said = capsys.readouterr().err
    assert "refused the association (called ae title not recognised); nothing was sent" in said


def test_an_archive_that_is_away_is_one_sentence(written, capsys):
    assert send(written[0], "--to", f"PACS@127.0.0.1:{free_port()}", "--timeout", 5) == 1
    assert "does not answer; nothing was sent" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["PACS", "PACS@host", "PACS@host:0", "PACS@host:99999", "@host:104", "a\\b@host:104"]
)
def test_an_address_that_is_none_is_refused(written, address, capsys):
    assert send(written[0], "--to", address) == 2
    assert "not the address of an archive" in capsys.readouterr().err


def test_a_folder_without_dicom_is_refused(tmp_path, capsys):
    assert send(tmp_path, "--to", "PACS@127.0.0.1:104") == 2
    assert "no DICOM" in capsys.readouterr().err
    assert send(tmp_path / "missing", "--to", "PACS@127.0.0.1:104") == 2
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\x08\x00")
    assert send(tmp_path, "--to", "PACS@127.0.0.1:104") == 2
    assert "damaged" in capsys.readouterr().err


@pytest.fixture
def archive():
    """Starts archives of pynetdicom that answer a C-STORE with what a function of the data set says."""
    from pynetdicom import AE, evt

    servers = []

    def start(respond, kinds) -> str:
        entity = AE("TEST")
        for kind in kinds:
            entity.add_supported_context(kind)
        handlers = [(evt.EVT_C_STORE, lambda event: respond(event))]
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        servers.append(server)
        return f"TEST@127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()


SEGMENTATIONS, MAPS, REPORTS = (
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.30",
    "1.2.840.10008.5.1.4.1.1.88.33",
)


def test_what_an_archive_does_not_store_is_named_with_its_reason(written, archive, capsys):
    address = archive(lambda event: 0xA700 if event.request.AffectedSOPClassUID == SEGMENTATIONS else 0,
                      [SEGMENTATIONS, MAPS])  # fmt: skip
    assert send(written[0], "--to", address) == 1
    said = capsys.readouterr().err.splitlines()
    assert "stored: dvr_map.dcm" in said
    assert "not stored: lesions.dcm: it is out of space (status A700)" in said
    assert "not stored: lesion_report.dcm: TEST takes no Comprehensive SR Storage" in said
    assert "did not store 2 of 3 objects: lesion_report.dcm, lesions.dcm." in said[-1]


def test_a_connection_that_is_lost_half_way_is_not_called_done(written, archive, capsys):
    def respond(event) -> int:
        if event.request.AffectedSOPClassUID != MAPS:
            event.assoc.abort()
        return 0

    assert send(written[0], "--to", archive(respond, [SEGMENTATIONS, MAPS, REPORTS]), "--timeout", 5) == 1
    said = capsys.readouterr().err
    assert "stored: dvr_map.dcm" in said
    assert "did not store 2 of 3 objects" in said


def test_an_archive_that_takes_no_such_objects_is_one_sentence(written, archive, capsys):
    assert send(written[0], "--to", archive(lambda event: 0, ["1.2.840.10008.1.1"])) == 1
    assert "ended the association before anything was sent" in capsys.readouterr().err
