"""Every bad input ends with exit code 2 and one sentence, before torch is imported wherever that can be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.imaging.volumes import write_volume

AFFINE = np.array([[-3.0, 0, 0, 88], [0, 3, 0, -100], [0, 0, 3, -70], [0, 0, 0, 1]])  # of the small head

ROOT = Path(__file__).resolve().parents[3]
SHIFTED = AFFINE + np.array([[0, 0, 0, 900.0], [0] * 4, [0] * 4, [0] * 4])


def _nifti(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def _bad(kind: str, folder: Path, head: dict[str, np.ndarray], patient: dict[str, Path]) -> dict[str, Path]:
    """Options that differ from a good call."""
    t1w, path = head["t1w"], folder / "bad.nii.gz"
    if kind == "missing":
        return {"--t1": folder / "nowhere.nii.gz"}
    if kind == "truncated":
        path.write_bytes(patient["flair"].read_bytes()[:-20000])
        return {"--flair": path}
    if kind == "text":
        path.write_text("<html>404 not found</html>")
        return {"--flair": path}
    if kind == "text_nii":
        path = folder / "bad.nii"
        path.write_text("this is no image" * 100)
        return {"--t1": path}
    if kind == "folder":
        return {"--t1": folder}
    if kind == "dicom":
        (folder / "IM0001.dcm").write_bytes(bytes(200))
        return {"--t1": folder / "IM0001.dcm"}
    if kind == "nothing":
        path.touch()
        return {"--t1": path}
    if kind == "nan":
        broken = t1w.copy()
        broken[:30] = np.nan
        return {"--t1": _nifti(path, broken)}
    if kind == "lying":
        image = nib.Nifti1Image(t1w, AFFINE)
        content = bytearray(image.to_bytes())
        content[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
        path = folder / "bad.nii"
        path.write_bytes(bytes(content))
        return {"--t1": path}
    arrays = {
        "4d": ("--t1", np.stack([t1w, t1w], -1)),
        "zeros": ("--flair", np.zeros_like(t1w)),
        "slice_2d": ("--t1", t1w[:, :, 26]),
        "slice_3d": ("--t1", t1w[:, :, 26:27]),
        "constant_dvr": ("--dvr", head["brain"].astype(np.float32)),
        "no_brain_mask": ("--brain-mask", np.zeros(t1w.shape, np.uint8)),
    }
    if kind in arrays:
        return {arrays[kind][0]: _nifti(path, arrays[kind][1])}
    if kind == "lesions_stretched":
        stretched = AFFINE @ np.diag([1.5, 1.5, 1.5, 1])  # one of three lesions stays in the brain
        stretched[:3, 3] += (AFFINE @ [45, 40, 29, 1] - stretched @ [21, 40, 29, 1])[:3]
        return {"--lesions": _nifti(path, head["lesions"].astype(np.uint8), stretched)}
    elsewhere = {
        "flair_elsewhere": ("--flair", head["flair"]),
        "lesions_elsewhere": ("--lesions", head["lesions"].astype(np.uint8)),
        "brain_elsewhere": ("--brain-mask", head["brain"].astype(np.uint8)),
        "dvr_elsewhere": ("--dvr", head["t1w"] / 500),
    }
    option, data = elsewhere[kind]
    return {option: _nifti(path, data, SHIFTED)}


SENTENCES = {
    "missing": "does not exist",
    "truncated": "truncated",
    "text": "is not a NIfTI file",
    "text_nii": "is not a NIfTI file",
    "folder": "no DICOM series",
    "dicom": "dcm2niix",
    "nothing": "empty file",
    "nan": "50 %) that are NaN or infinite within the head",
    "lying": "incomplete",
    "4d": "4D: it holds 2 volumes",
    "zeros": "zero in every voxel",
    "slice_2d": "is a slice, not a volume",
    "slice_3d": "is a slice, not a volume",
    "no_brain_mask": "is empty",
    "constant_dvr": "The measured DVR bad.nii.gz is 1 in the whole brain, so it is no DVR map",
    "flair_elsewhere": "does not overlap",
    "lesions_elsewhere": "its header was lost or changed",
    "lesions_stretched": "67 % of the lesion mask bad.nii.gz lie outside the brain in the T1w t1w.nii.gz (world "
    "coordinates). It has the shape of the T1w t1w.nii.gz (60 x 68 x 52 voxels) but another header, which was "
    "probably lost or changed: export it again",
    "brain_elsewhere": "its header was lost or changed",
    "dvr_elsewhere": "its header was lost or changed",
}


@pytest.mark.parametrize("kind", SENTENCES)
def test_a_bad_image_ends_with_code_2_and_its_sentence(kind, head, patient, bundle, tmp_path, command, capsys):
    folder = tmp_path / "given"
    folder.mkdir()
    options = {"--t1": patient["t1w"], "--flair": patient["flair"], "--model": bundle, "--progress": "none"}
    options |= _bad(kind, folder, head, patient) | {"--out": tmp_path / "out" / "result"}
    assert command(*[part for pair in options.items() for part in pair]) == 2
    said = capsys.readouterr().err
    assert SENTENCES[kind] in said
    assert "Traceback" not in said
    assert said.strip().count("\n") == 0
    assert list((tmp_path / "out").iterdir()) == []


def _change_hash(folder: Path) -> None:
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(weights))


def _add_pickle(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"\x80\x04.")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [(_change_hash, "SHA-256"), (_add_pickle, "can run code"), (shutil.rmtree, "does not exist")],
    ids=["wrong_hash", "pickle", "missing"],
)
def test_a_bad_bundle_ends_with_code_2_and_its_sentence(spoil, sentence, patient, bundle, tmp_path, command, capsys):
    model = tmp_path / "model"
    shutil.copytree(bundle, model)
    spoil(model)
    code = command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", model, "--out", tmp_path / "result")
    assert code == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "result").exists()


def test_bad_images_are_found_before_torch_is_imported(patient, bundle, tmp_path):
    script = (
        "import sys; from TrainingCore.runtime.cli import run_command; from TrainingCore.synthesize import main\n"
        "code = run_command(main, sys.argv[1:]); print(code, 'torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    arguments = ["--t1", tmp_path / "nowhere.nii", "--flair", patient["flair"], "--model", bundle, "--progress", "none"]
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments), "--out", str(tmp_path / "result")],
        capture_output=True, text=True, cwd=ROOT, timeout=900,
    )  # fmt: skip
    assert run.stdout.split() == ["2", "False", "False"]


AS_NOBODY = """
import os, sys
import TrainingCore.patient.leftovers, TrainingCore.patient.inputs
from TrainingCore.runtime.cli import run_command
from TrainingCore.synthesize import main
if os.geteuid() == 0:  # root may write everywhere
    os.seteuid(65534)
raise SystemExit(run_command(main, sys.argv[1:]))
"""


@pytest.mark.parametrize("inside", [True, False], ids=["in_a_locked_folder", "the_folder_itself_locked"])
def test_an_output_folder_that_cannot_be_written_is_refused_before_anything_slow(inside, patient, bundle):
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        locked, model = Path(scratch) / "locked", Path(scratch) / "model"
        shutil.copytree(bundle, model)
        locked.mkdir()
        os.chmod(locked, 0o555)
        arguments = ["--t1", patient["t1w"], "--flair", patient["flair"], "--model", model, "--progress", "json"]
        arguments += ["--out", locked / "result" if inside else locked]
        run = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *map(str, arguments)],
            capture_output=True, text=True, cwd=ROOT, timeout=900,
        )  # fmt: skip
        assert run.returncode == 2, run.stderr
        assert "Cannot write to" in run.stderr
        assert run.stdout == ""
        assert list(locked.iterdir()) == []


def test_an_output_below_a_file_is_refused(patient, bundle, tmp_path, command, capsys):
    (tmp_path / "file").touch()
    code = command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "none",
                   "--out", tmp_path / "file" / "result")  # fmt: skip
    assert code == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["nowhere.tfm", "text.tfm"])
def test_a_transform_that_is_none_is_refused(given, patient, bundle, tmp_path, command, capsys):
    (tmp_path / "text.tfm").write_text("no transform")
    code = command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "none",
                   "--flair-to-t1", tmp_path / given, "--out", tmp_path / "result")  # fmt: skip
    assert code == 2
    assert "transform" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(patient, bundle, tmp_path, command, capsys):
    code = command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "none",
                   "--device", "cuda:99", "--out", tmp_path / "result")  # fmt: skip
    assert code == 2
    assert "--device" in capsys.readouterr().err


def test_a_single_volume_stored_as_4d_is_read(patient, head, bundle, tmp_path, command):
    path = _nifti(tmp_path / "t1w.nii.gz", head["t1w"][..., None])
    assert command("--t1", path, "--flair", patient["flair"], "--model", bundle, "--progress", "none",
                   "--out", tmp_path / "result") == 0  # fmt: skip


def test_an_older_result_stays_when_a_new_run_fails(patient, bundle, tmp_path, command):
    out = tmp_path / "result"
    out.mkdir()
    (out / "dvr.nii.gz").write_text("older")
    write_volume(tmp_path / "zeros.nii.gz", np.zeros((20, 20, 20), np.float32), AFFINE)
    assert command("--t1", tmp_path / "zeros.nii.gz", "--flair", patient["flair"], "--model", bundle, "--out", out) == 2
    assert (out / "dvr.nii.gz").read_text() == "older"
