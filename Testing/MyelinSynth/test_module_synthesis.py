"""Nodes in, nodes out, through a child process; what goes wrong on the way is said, and nothing is left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from digital_result import LESIONS
from slicer_scene import Application, valueAt

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
if os.name == "nt":
    pytest.skip("the stand-in interpreter is a POSIX script", allow_module_level=True)

import slicer
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.run.childprocess import State, Step
from MyelinSynthLib.run.job import removeLeftovers
from MyelinSynthLib.run.synthesis import Synthesis
from MyelinSynthLib.scene import geometry
from test_module_childprocess import PATIENCE, gone
from test_module_scene import makePatient

TESTS = Path(__file__).parent
WORKS = f"""import runpy, sys
print("noise"); print('{{"step": "note", "fraction": null, "message": "Warning: be careful"}}')
print('{{"step": "register", "fraction": 0.4, "message": "Registering"}}', flush=True)
sys.argv = ["child"] + sys.argv[3:]
sys.path.insert(0, {str(TESTS)!r})
runpy.run_path({str(TESTS / "digital_result.py")!r}, run_name="__main__")
"""
FINDS = WORKS.replace("sys.argv[3:]", "sys.argv[3:] + ['--found']")
SLEEPS = """import subprocess, sys, time, pathlib
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
(out.parent / ".result.x.partial").mkdir()
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print('{"step": "pids", "fraction": 0.1, "message": "%d"}' % other.pid, flush=True)
time.sleep(600)
"""


def makeStandIn(folder: Path, code: str) -> str:
    """An interpreter that runs `code`, whatever it is asked for; returns its path."""
    script = folder / "stand-in-python"
    script.write_text(f"#!{sys.executable}\n{code}")
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    return str(script)


@pytest.fixture
def standIn(tmp_path: Path):
    """Makes an interpreter that does something else than TrainingCore when it is asked for `synthesize`."""

    return lambda code: makeStandIn(tmp_path, code)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder for temporary files with a name that is hard on programs."""
    folder = tmp_path / "tempörary files"
    folder.mkdir()
    return folder


def waitFor(synthesis: Synthesis, steps: list[Step]) -> None:
    limit = time.monotonic() + PATIENCE
    while not steps and time.monotonic() < limit:
        synthesis.pump()
        time.sleep(0.02)


def pumpToTheEnd(synthesis: Synthesis) -> None:
    while synthesis.pump():
        time.sleep(0.02)


def test_nodes_in_nodes_out(application: Application, scratch: Path, standIn) -> None:
    steps: list[Step] = []
    lines: list[str] = []
    synthesis = Synthesis(makePatient(), onStep=steps.append, onLog=lines.append, folder=scratch, python=standIn(WORKS))
    outputs = synthesis.run()
    assert valueAt(outputs.dvr, np.array(LESIONS[0][0])) == pytest.approx(LESIONS[0][2])
    assert synthesis.warnings == ["Warning: be careful"]
    assert [step.step for step in steps] == ["note", "register"]
    assert lines == ["noise"]
    assert synthesis.state is State.SUCCEEDED
    assert not list(scratch.iterdir())


def test_two_syntheses_of_one_patient_stay_apart(application: Application, scratch: Path, standIn) -> None:
    patient, python = makePatient(), standIn(WORKS)
    both = [Synthesis(patient, folder=scratch, python=python) for _ in range(2)]
    for synthesis in both:
        synthesis.start()
    for synthesis in both:
        pumpToTheEnd(synthesis)
    runs = {synthesis.outputs.run for synthesis in both}
    assert len(runs) == 2
    assert not list(scratch.iterdir())


def test_cancelling_half_way_leaves_no_process_file_or_node(application: Application, scratch: Path, standIn) -> None:
    steps: list[Step] = []
    synthesis = Synthesis(makePatient(), onStep=steps.append, folder=scratch, python=standIn(SLEEPS))
    synthesis.start()
    before = slicer.mrmlScene.GetNumberOfNodes()
    waitFor(synthesis, steps)
    synthesis.cancel()
    pumpToTheEnd(synthesis)
    assert synthesis.state is State.CANCELLED
    assert not list(scratch.iterdir())
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert gone(int(steps[0].message))


def test_stopping_for_a_closing_application_cleans_up_at_once(application: Application, scratch: Path, standIn) -> None:
    steps: list[Step] = []
    synthesis = Synthesis(makePatient(), onStep=steps.append, folder=scratch, python=standIn(SLEEPS))
    synthesis.start()
    waitFor(synthesis, steps)
    synthesis.stop()
    assert synthesis.state is State.CANCELLED
    assert not list(scratch.iterdir())
    assert not synthesis.pump()


def test_a_failure_says_why_and_the_next_attempt_works(application: Application, scratch: Path, standIn) -> None:
    patient = makePatient()
    fails = "import sys; print('error: The disk is full. Free some space.', file=sys.stderr); sys.exit(1)"
    with pytest.raises(SynthesisError, match=r"^The disk is full. Free some space.$"):
        Synthesis(patient, folder=scratch, python=standIn(fails)).run()
    assert not list(scratch.iterdir())
    assert Synthesis(patient, folder=scratch, python=standIn(WORKS)).run().dvr is not None


def test_success_without_a_result_is_not_called_success(application: Application, scratch: Path, standIn) -> None:
    synthesis = Synthesis(makePatient(), folder=scratch, python=standIn("print('done')"))
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(SynthesisError, match="not a complete result"):
        synthesis.run()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert not list(scratch.iterdir())


def test_a_patient_who_was_removed_meanwhile_is_noticed(application: Application, scratch: Path, standIn) -> None:
    patient = makePatient()
    synthesis = Synthesis(patient, folder=scratch, python=standIn(WORKS))
    synthesis.start()
    slicer.mrmlScene.RemoveNode(patient.t1w)
    with pytest.raises(SynthesisError, match="T1w was removed"):
        pumpToTheEnd(synthesis)
    assert not list(scratch.iterdir())


def test_bad_input_is_refused_before_anything_starts(application: Application, scratch: Path) -> None:
    patient = makePatient()
    patient.flair = patient.t1w
    synthesis = Synthesis(patient, folder=scratch)
    with pytest.raises(SynthesisError, match="same volume"):
        synthesis.start()
    assert synthesis.state is State.READY
    assert not list(scratch.iterdir())


def test_a_temporary_folder_that_cannot_be_written_is_said(application: Application, tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match="temporary folder"):
        Synthesis(makePatient(), folder=tmp_path / "not there").start()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
def test_a_full_disk_is_said(application: Application, tmp_path: Path) -> None:
    from MyelinSynthLib.patient.exchange import writeVolume

    patient = makePatient()
    (tmp_path / "t1w.nrrd").symlink_to("/dev/full")
    with pytest.raises(SynthesisError, match="disk full"):
        writeVolume(patient.t1w, geometry.ijkToRas(patient.t1w), tmp_path / "t1w.nrrd", "T1w")


@contextlib.contextmanager
def filesUpTo(size: int) -> Iterator[None]:
    """No file of this process may grow larger, as on a disk that is full."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_while_files_are_written_is_said(application: Application, scratch: Path) -> None:
    synthesis = Synthesis(makePatient(), folder=scratch)
    with filesUpTo(10_000), pytest.raises(SynthesisError, match="disk full"):
        synthesis.start()
    assert not list(scratch.iterdir())
    assert synthesis.state is State.READY


def test_a_disk_that_is_full_for_the_child_is_said(application: Application, scratch: Path, standIn) -> None:
    full = f"""import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sys.path.insert(0, {str(TESTS.parents[1])!r})
sys.argv = ["child"] + sys.argv[3:]
from TrainingCore.runtime.cli import run_command
def main(argv=None):
    from pathlib import Path
    from TrainingCore.runtime.files import atomic_folder
    with atomic_folder(Path(sys.argv[sys.argv.index("--out") + 1]), "provenance.json") as folder:
        (folder / "dvr.nii.gz").write_bytes(b"x" * 100000)
sys.exit(run_command(main))
"""
    with pytest.raises(SynthesisError, match=r"File too large.*Check the disk"):
        Synthesis(makePatient(), folder=scratch, python=standIn(full)).run()
    assert not list(scratch.iterdir())


def readOnlyFolder(tmp_path: Path) -> Path:
    """A folder that nobody can write to; the rights of a folder do not bind an administrator."""
    if os.geteuid():
        folder = tmp_path / "read-only"
        folder.mkdir(mode=0o500)
        return folder
    folder = Path("/sys/kernel")
    if not folder.is_dir() or sys.platform != "linux":
        pytest.skip("no folder here is closed to the administrator")
    return folder


def test_a_read_only_temporary_folder_is_said(application: Application, tmp_path: Path) -> None:
    before = slicer.mrmlScene.GetNumberOfNodes()
    patient = makePatient()
    with pytest.raises(SynthesisError, match="temporary folder could not be created"):
        Synthesis(patient, folder=readOnlyFolder(tmp_path)).start()
    assert slicer.mrmlScene.GetNumberOfNodes() >= before


@pytest.mark.skipif(importlib.util.find_spec("scipy") is None, reason="the command needs scipy")
def test_a_read_only_home_does_not_matter(
    application: Application, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(readOnlyFolder(tmp_path)))
    synthesis = Synthesis(makePatient(), folder=scratch, model="no such model")
    with pytest.raises(SynthesisError, match="no such model does not exist"):
        synthesis.run()


def test_a_missing_interpreter_is_said_and_leaves_nothing(application: Application, scratch: Path) -> None:
    with pytest.raises(SynthesisError, match="could not be started"):
        Synthesis(makePatient(), folder=scratch, python=str(scratch.parent / "gone" / "PythonSlicer")).start()
    assert not list(scratch.iterdir())


def test_accented_long_paths_with_spaces_work(application: Application, tmp_path: Path, standIn) -> None:
    deep = tmp_path / "Ünïté médicale – données" / ("très long dossier " * 8).strip() / "日本語 & $HOME 'quoted'"
    deep.mkdir(parents=True)
    outputs = Synthesis(makePatient(), folder=deep, python=standIn(WORKS)).run()
    assert outputs.dvr is not None
    assert not list(deep.iterdir())


def test_what_a_killed_slicer_left_is_removed_and_what_a_living_one_uses_stays(
    application: Application, scratch: Path, standIn
) -> None:
    python, steps = standIn(SLEEPS), []
    living = Synthesis(makePatient(), onStep=steps.append, folder=scratch, python=python)
    living.start()
    waitFor(living, steps)
    (used,) = scratch.iterdir()
    killed = scratch / "myelinsynth-run-killed"
    killed.mkdir()
    (killed / ".claim").touch()
    (scratch / "somebody else's").mkdir()
    removeLeftovers(scratch)
    assert used.is_dir()
    assert not killed.exists()
    living.stop()
    assert [path.name for path in scratch.iterdir()] == ["somebody else's"]


def test_a_child_whose_slicer_was_killed_ends_by_itself() -> None:
    """The pipe to a dead parent is broken: the next line of progress ends the command, which removes its files."""
    code = f"""import sys, time
sys.path[:0] = [{str(TESTS.parents[1])!r}]
from TrainingCore.runtime.cli import Progress, run_command
def main(argv=None):
    with Progress("json") as progress:
        for turn in range(600):
            progress.report("step", 0.1, str(__import__("os").getpid()))
            time.sleep(0.1)
sys.exit(run_command(main))
"""
    import subprocess

    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(json.loads(child.stdout.readline())["message"])
    child.stdout.close()
    assert child.wait(PATIENCE) == 1
    assert gone(pid)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed beside slicer-core")
@pytest.mark.skipif(importlib.util.find_spec("nilearn") is None, reason="the digital patient needs nilearn")
def test_a_digital_patient_through_the_real_command(application: Application, tmp_path: Path, scratch: Path) -> None:
    from MyelinSynthLib.patient.nodes import Patient
    from MyelinSynthLib.review.table import Review

    from TrainingCore.demo import simulate_example

    files = simulate_example(tmp_path / "cohort", 7, "none")
    nodes = {}
    for option, name in (("t1w", "T1w"), ("flair", "FLAIR"), ("lesions", "lesions"), ("dvr", "measured")):
        nodes[option] = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(files[option]))
        assert storage.ReadData(nodes[option])
    steps: list[Step] = []
    patient = Patient(nodes["t1w"], nodes["flair"], nodes["lesions"], nodes["dvr"])
    outputs = Synthesis(patient, device="cpu", onStep=steps.append, folder=scratch).run()
    review = Review(outputs.table)
    assert len(review) > 3
    assert outputs.segmentation.GetSegmentation().GetNumberOfSegments() == len(review)
    assert "measured_mean_dvr" in review.columns
    fractions = [step.fraction for step in steps if step.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    voxels = slicer.util.arrayFromVolume(outputs.dvr)
    brain = slicer.util.arrayFromVolume(outputs.brain) > 0
    assert voxels.shape == slicer.util.arrayFromVolume(nodes["t1w"]).shape
    assert (voxels[~brain] == 0).all()
    assert 0.7 < voxels[brain].mean() < 1.5
    assert not list(scratch.iterdir())
