from __future__ import annotations

import csv
import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from TrainingCore.data.lesion_columns import COLUMNS, MRI, column_names
from TrainingCore.data.result import CONTEXT, FILES, LESION_LABELS, PLACES, UNCERTAINTY, Result
from TrainingCore.evaluation.lesion_context import decode_context
from TrainingCore.evaluation.lesions import lesion_table
from TrainingCore.imaging.volumes import Volume, read_volume, write_volume
from TrainingCore.prediction.inference import TILE, predict_maps

AFFINE = np.array([[-3.0, 0, 0, 88], [0, 3, 0, -100], [0, 0, 3, -70], [0, 0, 0, 1]])  # of the small head


@pytest.fixture(scope="module")
def made(tmp_path_factory, patient, bundle):
    """One complete result, with lesions and a measured map."""
    from TrainingCore.synthesize import main

    out = tmp_path_factory.mktemp("made") / "result"
    options = ["--t1", patient["t1w"], "--flair", patient["flair"], "--lesions", patient["lesions"], "--dvr"]
    options += [patient["dvr"], "--model", bundle, "--progress", "none", "--out", out]
    assert main([str(option) for option in options]) == 0
    return Result.open(out)


def test_a_result_holds_exactly_its_files(made):
    without_regions = any("does not fit the atlas" in text for text in made.provenance["warnings"])
    regions = () if without_regions else (PLACES,)  # which of them depends on the CPU for a made-up head
    assert {path.name for path in made.path.iterdir()} == {*FILES, LESION_LABELS, CONTEXT, *regions}
    assert bool(made.lesions()[0].get("region")) is not without_regions
    assert sorted(path.name for path in made.path.parent.iterdir()) == ["result"]


def test_the_map_lies_on_the_t1w_grid_and_is_zero_outside_the_brain(made, head):
    image = nib.load(made.path / "dvr.nii.gz")
    assert image.shape == head["t1w"].shape
    assert np.allclose(image.affine, AFFINE, atol=1e-5)
    values = np.asarray(image.dataobj)
    assert (values[~head["brain"]] == 0).all()
    assert np.isfinite(values).all()
    assert (values[head["brain"]] != 0).mean() > 0.999


def test_the_lesion_table_describes_the_lesions_of_the_mask(made, head):
    rows = made.lesions()
    assert len(rows) == 3
    assert sum(row["volume_mm3"] for row in rows) == pytest.approx(27 * head["lesions"].sum(), rel=1e-3)
    dvr = read_volume(made.path / "dvr.nii.gz", "map").data
    x = np.argwhere(head["lesions"]) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    centres = np.array([[row["x_mm"], row["y_mm"], row["z_mm"]] for row in rows])
    assert np.linalg.norm(x[:, None] - centres, axis=2).min(axis=1).max() < 8
    volumes = np.array([row["volume_mm3"] for row in rows])
    means = np.array([row["mean_dvr"] for row in rows])
    assert (volumes * means).sum() / volumes.sum() == pytest.approx(dvr[head["lesions"]].mean(), rel=1e-3)


def test_measured_values_stand_beside_the_synthetic_ones(made):
    with open(made.path / "lesions.csv", encoding="utf-8") as stream:
        assert tuple(csv.DictReader(stream).fieldnames) == column_names(measured=True)
    assert all(row["measured_mean_dvr"] == pytest.approx(0.9, abs=0.05) for row in made.lesions())
    assert made.provenance["summary"]["lesion_correlation"]["n"] == 3


def test_lesions_of_a_calibrated_model_have_intervals(made):
    for row in made.lesions():
        width = 0.1 if row["volume_mm3"] >= 1000 else 0.2
        assert row["volume_mm3"] >= 100
        assert row["dvr_low"] == pytest.approx(row["mean_dvr"] - width, abs=1e-4)
        assert row["dvr_high"] == pytest.approx(row["mean_dvr"] + width, abs=1e-4)
    assert "95 % interval of DVR" in (made.path / "report.html").read_text(encoding="utf-8")


def test_the_report_says_which_published_findings_the_map_shows(made):
    checks = made.provenance["summary"]["plausibility"]
    assert len(checks) == 5
    assert checks[0]["value"] is not None
    page = (made.path / "report.html").read_text(encoding="utf-8")
    assert all(check["check"].replace("'", "&#39;") in page for check in checks)


def test_the_columns_of_the_table_are_those_the_evaluation_computes():
    labels = np.zeros((4, 4, 4), np.int32)
    labels[1, 1, 1] = 1
    rows = lesion_table(labels, np.ones(labels.shape), labels == 0, np.eye(4))
    later = {"region", "confidence", "uncertainty", "dvr_low", "dvr_high", "noise_free_low", "noise_free_high"}
    later |= {column.name for column in COLUMNS if column.group == MRI}
    assert tuple(rows[0]) == tuple(name for name in column_names() if name not in later)


def test_lesions_have_contrasts_and_without_a_regression_no_estimated_loss(made):
    rows = made.lesions()
    large = [row for row in rows if row["volume_mm3"] >= 50]
    assert large
    assert all(np.isfinite([row["t1w_contrast"], row["flair_contrast"]]).all() for row in large)
    assert {row["estimated_loss"] for row in rows} == {None}


def test_contrasts_of_outlines_are_measured_again_from_the_files_alone(made):
    rows = made.lesions()
    coded, labels = (nib.load(made.path / name) for name in (CONTEXT, LESION_LABELS))
    context = decode_context(np.asarray(coded.dataobj), coded.affine)
    bare = [{"id": row["id"], "volume_mm3": row["volume_mm3"]} for row in rows]
    again = context.estimates(np.asarray(labels.dataobj), labels.affine, bare, None)
    for name in ("t1w_contrast", "flair_contrast"):
        before = [np.nan if row[name] is None else row[name] for row in rows]
        assert [row[name] or np.nan for row in again] == pytest.approx(before, rel=5e-3, abs=2e-3, nan_ok=True)


def test_the_provenance_names_no_file_and_no_folder(made, patient):
    text = (made.path / "provenance.json").read_text(encoding="utf-8")
    assert str(patient["t1w"].parent) not in text
    assert patient["t1w"].name not in text
    assert len(made.provenance["inputs"]["t1w"]["sha256"]) == 64
    assert "not for diagnosis" in made.provenance["note"]
    assert "Simulated" in made.provenance["note"]


def test_the_report_is_one_file_with_its_warnings(made):
    page = (made.path / "report.html").read_text(encoding="utf-8")
    assert "Research use only, not for diagnosis." in page
    assert "Simulated training data" in page
    assert page.count("data:image/png") == 3
    assert "http://" not in page
    assert "https://" not in page


def test_the_transform_can_be_read_by_itk_and_given_back(made, patient, bundle, command, tmp_path):
    transform = sitk.ReadTransform(str(made.path / "flair_to_t1.tfm"))
    assert transform.TransformPoint((1.0, 2.0, 3.0)) == pytest.approx((1.0, 2.0, 3.0))
    out = tmp_path / "again"
    code = command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "none",
                   "--flair-to-t1", made.path / "flair_to_t1.tfm", "--out", out)  # fmt: skip
    assert code == 0
    assert Result.open(out).provenance["registration"]["how"] == "given"
    assert np.array_equal(read_volume(out / "dvr.nii.gz").data, read_volume(made.path / "dvr.nii.gz").data)


def test_json_progress_prints_nothing_but_json_objects_on_stdout(patient, bundle, command, tmp_path, capfd):
    out = tmp_path / "result"
    code = command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "json",
                   "--flips", "--lesions", "none", "--out", out)  # fmt: skip
    assert code == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert all(set(line) == {"step", "fraction", "message"} for line in lines)
    fractions = [line["fraction"] for line in lines if line["fraction"] is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert Result.open(out).lesions() == []


def test_a_flair_on_another_grid_gives_nearly_the_same_map(made, patient, bundle, command, tmp_path, head):
    from TrainingCore.imaging.volumes import resample

    flair = read_volume(patient["flair"])
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-92, -104, -74]
    write_volume(tmp_path / "flair.nii", resample(flair, (92, 104, 80), affine, interpolation="linear"), affine)
    out = tmp_path / "result"
    code = command("--t1", patient["t1w"], "--flair", tmp_path / "flair.nii", "--model", bundle, "--progress", "none",
                   "--flair-to-t1", "identity", "--out", out)  # fmt: skip
    assert code == 0
    one, other = (read_volume(path / "dvr.nii.gz").data[head["brain"]] for path in (made.path, out))
    assert np.corrcoef(one, other)[0, 1] > 0.8  # an untrained network exaggerates the blur of the resampling


def test_a_given_brain_mask_bounds_the_map(patient, bundle, command, tmp_path, head):
    half = head["brain"].copy()
    half[:, :, :20] = False
    write_volume(tmp_path / "mask.nii.gz", half, AFFINE)
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "none",
                   "--brain-mask", tmp_path / "mask.nii.gz", "--out", out) == 0  # fmt: skip
    assert np.array_equal(read_volume(out / "dvr.nii.gz").data != 0, half)


def test_swapped_images_are_warned_of(patient, bundle, command, tmp_path, capsys):
    out = tmp_path / "result"
    assert command("--t1", patient["flair"], "--flair", patient["t1w"], "--model", bundle, "--progress", "none",
                   "--out", out) == 0  # fmt: skip
    assert "look swapped" in capsys.readouterr().err
    assert any("look swapped" in sentence for sentence in Result.open(out).provenance["warnings"])
    assert "look swapped" in (out / "report.html").read_text(encoding="utf-8")


def test_images_that_are_not_swapped_are_not_warned_of(made):
    # the egg has no anatomy that an atlas could fit, and that is said; nothing else is
    assert [warning for warning in made.provenance["warnings"] if "atlas" not in warning] == []


def test_an_empty_lesion_mask_and_the_same_file_twice_are_warned_of(patient, bundle, command, tmp_path, capsys, head):
    write_volume(tmp_path / "empty.nii.gz", np.zeros_like(head["lesions"]), AFFINE)
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["t1w"], "--model", bundle, "--progress", "none",
                   "--lesions", tmp_path / "empty.nii.gz", "--out", out) == 0  # fmt: skip
    said = capsys.readouterr().err
    assert "is empty" in said
    assert "same file" in said
    assert Result.open(out).lesions() == []


@pytest.mark.parametrize(("kept", "said"), [(slice(None), ""), (slice(4, None), "follows the T1w")])
def test_a_turned_or_cropped_lesion_mask_is_placed_by_the_world(
    kept, said, patient, bundle, command, tmp_path, capsys, head
):
    turned = nib.as_closest_canonical(nib.Nifti1Image(head["lesions"].astype(np.uint8), AFFINE))
    nib.save(turned.slicer[:, kept], tmp_path / "turned.nii.gz")
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "none",
                   "--lesions", tmp_path / "turned.nii.gz", "--out", out) == 0  # fmt: skip
    assert said in (err := capsys.readouterr().err)
    assert ("follows" in err) == bool(said)
    assert sum(row["volume_mm3"] for row in Result.open(out).lesions()) == pytest.approx(27 * head["lesions"].sum())


class Fails:
    """A system that runs out of memory until what it is given is small enough, or lies on the wished device."""

    def __init__(self, largest: int, always: bool = False) -> None:
        self.largest, self.always, self.seen = largest, always, []

    def predict(self, inputs):
        import torch

        self.seen.append(tuple(inputs.shape))
        if self.always or inputs.numel() > self.largest:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return inputs.mean(dim=1, keepdim=True)


def test_out_of_memory_on_the_gpu_falls_back_to_tiles_and_says_so():
    import torch

    inputs = np.random.default_rng(0).standard_normal((2, 128, 112, 96)).astype(np.float32)
    system, said = Fails(2 * TILE**3), []
    found, _scales, run_on = predict_maps(lambda _: system, [(inputs, False)], torch.device("cuda:0"), said.append)
    assert np.allclose(found[0][0], inputs.mean(axis=0), atol=1e-5)
    assert run_on == "tiles on cuda:0"
    assert len(said) == 1
    assert "tiles" in said[0]


def test_out_of_memory_even_in_tiles_falls_back_to_the_cpu_and_says_so():
    import torch

    inputs = np.random.default_rng(0).standard_normal((2, 32, 32, 32)).astype(np.float32)
    systems = {"cuda": Fails(0, always=True), "cpu": Fails(10**9)}
    said: list[str] = []
    given = [(inputs, False), (inputs[:, ::-1], True)]
    found, _scales, run_on = predict_maps(lambda where: systems[where.type], given, torch.device("cuda:0"), said.append)
    assert len(found) == 2
    assert np.allclose(found[0][0], found[1][0])
    assert np.allclose(found[0][0], inputs.mean(axis=0), atol=1e-6)
    assert run_on == "the whole volume on cpu"
    assert "cpu" in said[-1]


def test_other_errors_of_a_network_are_not_taken_for_memory():
    import torch

    class Broken:
        def predict(self, inputs):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        predict_maps(lambda _: Broken(), [(np.zeros((2, 8, 8, 8), np.float32), False)], torch.device("cpu"), print)


def test_flip_averaging_of_a_symmetric_head_is_symmetric():
    import torch

    class Ramp:
        def predict(self, inputs):
            return inputs[:, :1] + torch.arange(inputs.shape[2], dtype=torch.float32)[None, None, :, None, None]

    from itertools import islice

    from TrainingCore.prediction.uncertainty import variants

    given = islice(variants(np.ones((2, 8, 8, 8), np.float32), np.ones((8, 8, 8), bool)), 2)
    found = predict_maps(lambda _: Ramp(), given, torch.device("cpu"), print).maps
    mean = (found[0][0] + found[1][0]) / 2
    assert not np.allclose(found[0][0], found[0][0][::-1])
    assert np.allclose(mean, mean[::-1])


def test_uncertainty_is_the_spread_of_six_predictions_and_of_each_lesions_mean(patient, bundle, command, tmp_path):
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--lesions", patient["lesions"], "--model",
                   bundle, "--uncertainty", "--progress", "none", "--out", out) == 0  # fmt: skip
    result = Result.open(out)
    spread = read_volume(out / UNCERTAINTY).data
    brain = read_volume(out / "brain_mask.nii.gz", mask=True).data > 0.5
    assert result.provenance["network"]["predictions"] == 6
    assert "not calibrated" in result.provenance["uncertainty"]
    assert (spread[~brain] == 0).all()
    assert (spread[brain] > 0).mean() > 0.99
    labels = read_volume(out / LESION_LABELS).data.astype(int)
    for row in result.lesions():
        voxels = spread[labels == row["id"]]
        assert 0 < row["uncertainty"] <= voxels.max()  # what differs from voxel to voxel cancels out in the mean
        assert len(voxels) * 27 == pytest.approx(row["volume_mm3"])


def test_a_calibrated_model_says_the_error_to_be_expected(patient, bundle, command, tmp_path):
    from TrainingCore.data.bundle import Bundle, save_bundle

    one = Bundle.open(bundle)
    fitted = {"lesions": {"floor": 0.05, "slope": 0.0}, "voxels": {"floor": 0.09, "slope": 2.0}, "predictions": 6}
    about = {**one.description, "uncertainty": {**fitted, "measured on": "simulated cohort, 18 people"}}
    calibrated = save_bundle(tmp_path / "calibrated", about, one.weights()).path
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--lesions", patient["lesions"], "--model",
                   calibrated, "--uncertainty", "--progress", "none", "--out", out) == 0  # fmt: skip
    result = Result.open(out)
    assert {row["uncertainty"] for row in result.lesions()} == {0.05}
    voxels, brain = read_volume(out / UNCERTAINTY).data, read_volume(out / "brain_mask.nii.gz", mask=True).data > 0.5
    assert (voxels[~brain] == 0).all()
    assert voxels[brain].min() >= 0.09 - 1e-6
    assert voxels[brain].max() > 0.0901
    assert "calibrated on a simulated cohort, 18 people" in result.provenance["uncertainty"]
    assert "calibrated on a simulated cohort" in (out / "report.html").read_text(encoding="utf-8")


def _ensemble(bundle, folder, shifts):
    """A model whose members are `bundle` with the DVR higher by each of the shifts."""
    from TrainingCore.data.bundle import Bundle, save_bundle

    one = Bundle.open(bundle)
    weights = {}
    for member, shift in enumerate(shifts, start=1):
        own = one.weights()
        last = next(name for name in own if name.endswith("last.bias"))
        own[last] = own[last] + shift
        weights |= {f"member-{member}/{name}": tensor for name, tensor in own.items()}
    return save_bundle(folder, {**one.description, "members": len(shifts)}, weights).path


def test_an_ensemble_gives_the_mean_of_its_members_and_their_spread(patient, bundle, command, tmp_path):
    ensemble = _ensemble(bundle, tmp_path / "three", (0.0, 0.1, 0.2))
    maps = {}
    for name, model in (("one", bundle), ("ensemble", ensemble)):
        assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--lesions", patient["lesions"], "--model",
                       model, "--progress", "none", "--out", tmp_path / name) == 0  # fmt: skip
        maps[name] = read_volume(tmp_path / name / "dvr.nii.gz").data
    brain = maps["one"] != 0
    assert np.allclose(maps["ensemble"][brain], maps["one"][brain] + 0.1, atol=1e-5)
    assert np.allclose(read_volume(tmp_path / "ensemble" / UNCERTAINTY).data[brain], 0.1, atol=1e-5)
    assert all(
        row["uncertainty"] == pytest.approx(0.1, abs=1e-4) for row in Result.open(tmp_path / "ensemble").lesions()
    )
    assert not (tmp_path / "one" / UNCERTAINTY).exists()


def test_two_networks_and_their_mirrored_predictions_are_no_uncertainty(patient, bundle, command, tmp_path):
    """Nobody asked for it, and no calibration is over four maps."""
    pair = _ensemble(bundle, tmp_path / "two", (0.0, 0.1))
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--lesions", patient["lesions"], "--model",
                   pair, "--flips", "--progress", "none", "--out", tmp_path / "out") == 0  # fmt: skip
    assert not (tmp_path / "out" / UNCERTAINTY).exists()
    assert all(row["uncertainty"] is None for row in Result.open(tmp_path / "out").lesions())


def test_the_spread_of_a_label_is_that_of_its_mean():
    from TrainingCore.evaluation.calibration import spread_by_label

    labels = np.array([[[0, 1, 1, 2]]])
    maps = [np.array([[[9.0, 1.0, 3.0, 5.0]]]), np.array([[[0.0, 3.0, 1.0, 7.0]]])]
    assert spread_by_label(maps, labels)[1:] == pytest.approx([0.0, np.sqrt(2)])


def test_contrast_variants_keep_the_order_of_intensities_and_everything_outside_the_brain():
    from TrainingCore.prediction.uncertainty import variants

    inputs = np.random.default_rng(0).normal(size=(2, 6, 7, 8)).astype(np.float32)
    inside = np.zeros((6, 7, 8), bool)
    inside[2:5, 2:5, 2:6] = True
    found = list(variants(inputs, inside))
    assert [mirrored for _, mirrored in found] == [False, True, False, False, False, False]
    for changed, _mirrored in found[2:]:
        assert (changed[:, ~inside] == inputs[:, ~inside]).all()
        assert (np.argsort(changed[0][inside]) == np.argsort(inputs[0][inside])).all()
        assert not np.allclose(changed, inputs)


def test_t1w_before_and_after_an_agent_change_their_contrast_together():
    from TrainingCore.prediction.uncertainty import channels_of_one_sequence, variants

    names = ["t1w", "flair", "adc", "t1ce_low"]
    assert channels_of_one_sequence(names) == [[0, 3], [1], [2]]
    inputs = np.random.default_rng(0).random((4, 6, 7, 8), np.float32)
    inputs[3] = inputs[0]  # nothing taken up
    inside = np.ones((6, 7, 8), bool)
    found = [changed for changed, mirrored in variants(inputs, inside, names) if not mirrored]
    assert len(found) == 1 + 2 * 3
    assert all((changed[3] == changed[0]).all() for changed in found)
    assert not np.allclose(found[1][0], inputs[0])


def test_mapping_back_keeps_places_whatever_the_orientation():
    from TrainingCore.imaging.grid import Grid
    from TrainingCore.prediction.volume import maps_to_t1w

    shape, affine = (40, 40, 40), np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -80
    i, j, k = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    world = np.stack([i, j, k], -1) * 4.0 - 80
    inside = np.linalg.norm(world, axis=-1) < 60
    found = (1 + 0.01 * world[..., 0] - 0.005 * world[..., 2]).astype(np.float32)
    brain = Volume(np.ones((60, 68, 52), np.float32), AFFINE)
    back = maps_to_t1w([found], inside, Grid(shape, affine), brain)[0]
    place = AFFINE @ [25, 30, 20, 1]
    assert back[25, 30, 20] == pytest.approx(1 + 0.01 * place[0] - 0.005 * place[2], abs=1e-4)


def test_lesions_are_found_where_no_mask_is_given(patient, bundle, head, command, tmp_path, capsys):
    out = tmp_path / "result"
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "none",
                   "--out", out) == 0  # fmt: skip
    result = Result.open(out)
    assert result.provenance["lesion_source"] == "found"
    assert "lesions" in result.provenance["synthetic_inputs"]
    from TrainingCore.data.bundle import Bundle

    shipped = Bundle.open("lesion_finder").description["lesion_threshold"]
    assert result.provenance["inputs"]["lesions_found_by"]["lesion_threshold"] == shipped
    assert result.lesions()
    assert all(0 < row["confidence"] <= 1 for row in result.lesions())
    probability = nib.load(out / "lesions_probability.nii.gz")
    values, brain = probability.get_fdata(), nib.load(out / "brain_mask.nii.gz").get_fdata() > 0.5
    assert values.shape == head["t1w"].shape
    assert 0.5 < values.max() <= 1
    assert not values[~brain].any()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "found automatically, to be reviewed" in page
    assert "segmented automatically" in capsys.readouterr().err


def test_another_model_as_lesion_finder_is_refused(patient, bundle, command, tmp_path, capsys):
    assert command("--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--lesion-finder", bundle,
                   "--progress", "none", "--out", tmp_path / "result") == 2  # fmt: skip
    assert "cannot segment lesions" in capsys.readouterr().err
    assert not (tmp_path / "result").exists()
