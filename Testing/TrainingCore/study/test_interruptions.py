"""bids_app is stopped, killed, loses a worker, or fills the disk; the same command again: complete, the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_head import AFFINE, make_head
from untrained import untrained_bundle

from TrainingCore.bids_app import bids_app
from TrainingCore.imaging.volumes import write_volume
from TrainingCore.patient.leftovers import CLAIM
from TrainingCore.runtime.cli import STOPPED
from TrainingCore.runtime.files import PARTIAL_SUFFIX

pytestmark = pytest.mark.slow
ON_REQUEST = pytest.mark.skipif(
    "MYELINSYNTH_STRIKES" not in os.environ, reason="strikes by the clock: MYELINSYNTH_STRIKES=1 runs it"
)
ROOT = Path(__file__).resolve().parents[3]
VISITS = ((0, 1), (1, 1))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw dataset of two visits, a model, and maps/ that no interruption touched."""
    folder = tmp_path_factory.mktemp("study")
    untrained_bundle(folder / "model")
    for number, session in VISITS:
        head, label = make_head(number + 10 * session), f"sub-P{number}_ses-{session}"
        anat = Path(f"sub-P{number}", f"ses-{session}", "anat")
        write_volume(folder / "raw" / anat / f"{label}_T1w.nii.gz", head["t1w"], AFFINE)
        write_volume(folder / "raw" / anat / f"{label}_FLAIR.nii.gz", head["flair"], AFFINE)
        mask = folder / "raw" / "derivatives" / "manual" / anat / f"{label}_space-T1w_label-lesion_mask.nii.gz"
        write_volume(mask, head["lesions"], AFFINE)
    about = json.dumps({"Name": "test", "BIDSVersion": "1.9.0"})
    for place in ("raw", "raw/derivatives/manual"):
        (folder / place / "dataset_description.json").write_text(about)
    words = folder / "raw", folder / "maps", "participant"
    made = bids_app(*words, model=str(folder / "model"), n_procs=1, device="cpu", progress="none")
    assert not made.failures
    return folder


def start(study: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    words = [study / "raw", out, "participant", "--model", study / "model", "--device", "cpu", "--progress", "none"]
    words = [*words, *(more or ("--n-procs", "1"))]
    command = [sys.executable, "-m", "TrainingCore.bids_app", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stderr=open(log_of(out), "ab"), preexec_fn=hear_ctrl_c)


def log_of(out: Path) -> Path:
    """Beside the disk of a run, which may be full."""
    return out.parent.parent / f"{out.parent.name}.log"


def wait_for(count: int, out: Path, run: subprocess.Popen[bytes]) -> None:
    """Until so many visits are complete."""
    until = time.monotonic() + 900
    while len(list(out.rglob("*_record.json"))) < count:
        assert time.monotonic() < until
        assert run.poll() is None, log_of(out).read_text()
        time.sleep(0.02)


def hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith("_record.json")  # it holds times of the inputs
    }


def assert_complete_again(study: Path, out: Path, *more: str) -> None:
    assert start(study, out, *more).wait() == 0, log_of(out).read_text()
    assert hashes(out) == hashes(study / "maps")


@pytest.fixture
def disk(study: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk that holds one of the two visits, as its first user finds it; as large as any without root's rights."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = {path.stat().st_ino: path.stat().st_size for path in (study / "maps").rglob("*") if path.is_file()}
    mount = ["mount", "-t", "tmpfs", "-o", f"size={int(0.75 * sum(size.values()))}", "tmpfs", str(folder)]
    small = shutil.which("mount") is not None and not subprocess.run(mount, capture_output=True, check=False).returncode
    yield folder
    if small:
        subprocess.run(["umount", str(folder)], check=False)


def test_killed_then_on_a_full_disk(study: Path, disk: Path) -> None:
    """One run after the other on the same output, so that every visit is made once."""
    out = disk / "out"
    kill_after(1, study, out)
    made = min(out.rglob("dvr.nii.gz")).stat().st_mtime_ns
    if disk.is_mount():
        run = start(study, out)
        assert run.wait() == 1
        said = log_of(out).read_text()
        assert "No space left" in said, said
        assert "Traceback" not in said, said
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
    assert_complete_again(study, out)
    assert min(out.rglob("dvr.nii.gz")).stat().st_mtime_ns == made, "what was complete was made again"
    if not disk.is_mount():
        pytest.skip("killed and resumed; a small disk can only be mounted by root")


def hear_ctrl_c() -> None:
    """A shell script ignores SIGINT for what it runs in the background, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(
    ("number", "code", "more"),
    [
        (signal.SIGTERM, 143, ("--n-procs", "1")),
        (signal.SIGINT, 130, ("--n-procs", "2")),
        (signal.SIGTERM, 143, ("--scheduler", "local:1")),
    ],
    ids=["SIGTERM", "Ctrl-C", "dask"],
)
def test_a_stopped_run_leaves_nothing_half_written(
    study: Path, tmp_path: Path, number: int, code: int, more: tuple[str, str]
) -> None:
    if "--scheduler" in more:
        pytest.importorskip("distributed", reason="pip install 'dask[distributed]' to try the cluster")
    out = tmp_path / "disk" / "out"
    out.parent.mkdir()
    run = start(study, out, *more)
    while not list(out.glob(f"results/.sub-*{PARTIAL_SUFFIX}/{CLAIM}")):  # until a child process is at work
        assert run.poll() is None, log_of(out).read_text()
        time.sleep(0.02)
    run.send_signal(number)
    assert run.wait(timeout=120) == code
    assert log_of(out).read_text().strip().endswith(STOPPED)
    assert not [path for path in out.rglob("*") if PARTIAL_SUFFIX in path.name]
    assert not list(out.glob("results/sub-*"))


@ON_REQUEST
def test_killed_before_the_first_visit(study: Path, tmp_path: Path) -> None:
    kill_after(0, study, tmp_path / "out")
    assert_complete_again(study, tmp_path / "out")


def kill_after(visits: int, study: Path, out: Path) -> None:
    """Start a run and kill it in the visit that follows so many."""
    run = start(study, out)
    wait_for(visits, out, run)
    time.sleep(0.5)
    run.kill()
    assert run.wait() == -signal.SIGKILL


@ON_REQUEST
@pytest.mark.parametrize("more", [("--n-procs", "2"), ("--scheduler", "local:2")], ids=["loky", "dask"])
def test_a_killed_worker(study: Path, tmp_path: Path, more: tuple[str, str]) -> None:
    if "--scheduler" in more:
        pytest.importorskip("distributed", reason="pip install 'dask[distributed]' to try the cluster")
    out = tmp_path / "out"
    run = start(study, out, *more)
    while not any(path.is_dir() for path in (out / "results").glob("*")):  # until a worker has begun its first Result
        assert run.poll() is None, log_of(out).read_text()
        time.sleep(0.02)
    marks = ("loky", "spawn_main", "distributed")
    children = [
        child
        for child in psutil.Process(run.pid).children(recursive=True)
        if any(mark in " ".join(child.cmdline()) for mark in marks)
        and "resource_tracker" not in " ".join(child.cmdline())
    ]
    busiest = max(children, key=lambda child: sum(child.cpu_times()[:2]))
    os.kill(busiest.pid, signal.SIGKILL)
    assert run.wait() == 0, log_of(out).read_text()
    assert hashes(out) == hashes(study / "maps")
    assert_complete_again(study, out, *more)
