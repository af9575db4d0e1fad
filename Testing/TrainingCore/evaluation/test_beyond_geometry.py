"""Geometry of lesions, and what a map knows beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.evaluation.beyond_geometry import beside_geometry, geometry_predictions, partial_correlation
from TrainingCore.evaluation.lesion_geometry import FARTHEST_MM, FEATURES, lesion_geometry
from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.systems.loading import load_system


@pytest.fixture(scope="module")
def slab() -> dict[str, np.ndarray]:
    """Grey matter left, white matter right, a deep block of fluid; two cubes of lesion, one beside the grey matter."""
    masks = {name: np.zeros((40, 40, 40), bool) for name in ("brain", "white_matter", "grey_matter", "lesion")}
    masks["brain"][2:38, 2:38, 2:38] = True
    masks["grey_matter"][2:12, 2:38, 2:38] = True
    masks["white_matter"][12:38, 2:38, 2:38] = True
    masks["white_matter"][18:22, 18:22, 18:22] = False
    masks["lesion"][12:14, 20:22, 20:22] = True
    masks["lesion"][26:30, 20:24, 20:24] = True
    return masks


def features_of(masks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    labels, _ = label_lesions(masks["lesion"], 8.0)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    table = lesion_geometry(labels, masks["brain"], masks["white_matter"], masks["grey_matter"], affine)
    return dict(zip(FEATURES, table.T))


def test_geometry_tells_size_depth_and_place(slab) -> None:
    found = features_of(slab)
    np.testing.assert_allclose(np.exp(found["log_volume"]), [64 * 8, 8 * 8])
    np.testing.assert_allclose(found["depth_mm"], [4, 2])
    assert found["grey_matter_mm"][1] == pytest.approx((2 + 4) / 2)
    assert found["grey_matter_mm"][0] > 28
    assert found["grey_matter_5mm"][1] > 0.15 > found["grey_matter_5mm"][0]
    assert found["lesion_5mm"][0] > found["lesion_5mm"][1]
    assert (found["ventricle_mm"] < FARTHEST_MM).all()


def test_geometry_without_a_tissue_is_far_and_without_lesions_empty(slab) -> None:
    found = features_of(slab | {"grey_matter": np.zeros_like(slab["brain"]), "white_matter": slab["brain"]})
    assert (found["grey_matter_mm"] == FARTHEST_MM).all()
    assert (found["ventricle_mm"] == FARTHEST_MM).all()
    assert features_of(slab | {"lesion": np.zeros_like(slab["brain"])})["depth_mm"].size == 0


@pytest.fixture(scope="module")
def lesions() -> dict[str, np.ndarray]:
    """600 lesions of 30 people: DVR is geometry plus myelin plus noise."""
    random = np.random.default_rng(3)
    features, myelin = random.standard_normal((600, 4)), random.standard_normal(600)
    place = features @ np.array([1.0, -0.5, 0.3, 0.0])
    return {
        "features": features,
        "place": place,
        "myelin": myelin,
        "measured": place + 0.6 * myelin + 0.3 * random.standard_normal(600),
        "people": np.repeat(np.arange(30), 20),
    }


def test_a_map_of_geometry_alone_correlates_but_knows_nothing_beyond(lesions) -> None:
    measured, people = lesions["measured"], lesions["people"]
    copied = lesions["place"] + 0.1 * np.random.default_rng(0).standard_normal(600)
    found = beside_geometry(measured, copied, lesions["features"], people)
    assert np.corrcoef(measured, copied)[0, 1] > 0.8
    assert found["partial"]["r_low"] < 0 < found["partial"]["r_high"]
    assert found["alone"]["r"] == pytest.approx(np.corrcoef(measured, lesions["place"])[0, 1], abs=0.01)
    assert found["beats"] is False


def test_a_map_that_sees_myelin_beats_geometry(lesions) -> None:
    seen = lesions["place"] + 0.6 * lesions["myelin"]
    found = beside_geometry(lesions["measured"], seen, lesions["features"], lesions["people"])
    residuals = [
        values - np.column_stack([np.ones(600), lesions["features"]]) @ np.linalg.lstsq(
            np.column_stack([np.ones(600), lesions["features"]]), values, rcond=None)[0]
        for values in (lesions["measured"], seen)
    ]  # fmt: skip
    assert found["partial"]["r"] == pytest.approx(np.corrcoef(*residuals)[0, 1], abs=1e-4)
    assert found["partial"]["r_low"] > 0.7
    assert found["beats"] is True
    assert found["difference"]["low"] > 0


def test_each_person_is_predicted_from_the_others(lesions) -> None:
    measured = lesions["measured"].copy()
    before = geometry_predictions(measured, lesions["features"], lesions["people"])
    measured[:20] += 100.0
    after = geometry_predictions(measured, lesions["features"], lesions["people"])
    np.testing.assert_allclose(after[:20], before[:20])
    assert np.abs(after[20:] - before[20:]).max() > 1


def test_too_few_lesions_and_constant_features_are_no_error(lesions) -> None:
    few = {name: values[:12] for name, values in lesions.items()}
    found = beside_geometry(few["measured"], few["myelin"], few["features"], few["people"])
    assert found["partial"]["r"] is None
    assert found["beats"] is None
    constant = np.column_stack([lesions["features"], np.ones(600), lesions["features"][:, 0]])
    plain = partial_correlation(lesions["measured"], lesions["myelin"], lesions["features"], lesions["people"])
    again = partial_correlation(lesions["measured"], lesions["myelin"], constant, lesions["people"])
    assert again["r"] == pytest.approx(plain["r"], abs=1e-3)


def test_the_geometry_recipe_learns_lesions_and_makes_maps_of_their_means(slab, tmp_path, bundle, make_case) -> None:
    import torch

    from TrainingCore.data.bundle import Bundle
    from TrainingCore.data.recipe import load_recipe
    from TrainingCore.evaluation.cases import evaluate_case
    from TrainingCore.evaluation.task import ModelImages
    from TrainingCore.runtime.errors import BadInput
    from TrainingCore.systems import system_class
    from TrainingCore.systems.samples import make_sample
    from TrainingCore.systems.training_progress import TrainingProgress

    recipe = load_recipe("geometry", ["size=40", "field_of_view=120"])
    system = system_class("geometry")(recipe)
    cases = [make_case(f"A{n:02d}", "1", seed=n) for n in range(6)]
    for case in cases:
        masks = [case.volumes[name] for name in ("brain", "white_matter", "grey_matter")]
        labels, _ = label_lesions(case.volumes["lesions"], 27.0)
        table = lesion_geometry(labels, *masks, case.affine)
        level = 0.9 + 0.02 * table[:, FEATURES.index("log_volume")] - 0.1 * table[:, FEATURES.index("fluid_10mm")]
        case.volumes["dvr"] = np.where(labels > 0, np.append(0, level)[labels], case.volumes["dvr"]).astype(np.float32)
        system.training_step(
            [make_sample(case, ["t1w", "flair"], "dvr")], TrainingProgress(0, 1, 0.0), np.random.default_rng(0)
        )
    path = bundle(tmp_path / "geometry", "geometry", system.weights(), architecture=system.architecture())
    rebuilt = load_system(Bundle.open(path))
    blind = cases[0]
    blind.volumes["t1w"] = np.zeros_like(blind.volumes["t1w"])
    visit, rows = evaluate_case(blind, ModelImages({"synthetic": rebuilt.predict_case(blind)}))
    assert all(abs(row["mean_dvr"] - row["measured_mean_dvr"]) < 1e-3 for row in rows)
    assert visit["synthetic_grey"] == pytest.approx(visit["measured_grey"], abs=0.01)
    with pytest.raises(BadInput, match="uses masks only, not MRI"):
        rebuilt.predict(torch.zeros(1, 2, 8, 8, 8))
