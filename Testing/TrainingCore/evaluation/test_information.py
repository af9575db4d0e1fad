from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from TrainingCore.evaluation.information import as_table, caution, feature_table, information_ceiling
from TrainingCore.evaluation.lesion_features import image_features, rim_labels


def lesions_of(people: int, each: int, seed: int = 0) -> list[dict]:
    """Lesions whose loss MRI half knows and geometry does not; tissue knows it."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        for _ in range(each):
            loss, noise, size = random.uniform(0.0, 1.0), random.normal(0.0, 0.29), random.normal()
            rows.append(
                {
                    "person": f"A{person:02d}",
                    "visit": "1",
                    "volume_mm3": float(np.exp(size + 5.0)),
                    "measured": 1.2 - 0.4 * loss + random.normal(0.0, 0.05),
                    "clean": 1.2 - 0.4 * loss,
                    "myelin_loss": loss,
                    "geometry_log_volume": size,
                    "mri_t1w_mean": loss + noise,
                    "mri_empty": None,
                    "tissue_t1": loss + 0.1 * noise,
                }
            )
    return rows


@pytest.fixture(scope="module")
def ceiling():
    return information_ceiling(lesions_of(20, 12))


def r(ceiling, target: str, knows: str, model: str = "linear") -> float:
    return next(
        row["lesion_r"]
        for row in ceiling["rows"]
        if (row["target"], row["knows"], row["model"]) == (target, knows, model)
    )


def test_each_step_knows_more(ceiling) -> None:
    assert abs(r(ceiling, "myelin_loss", "geometry")) < 0.2
    assert r(ceiling, "myelin_loss", "mri") == pytest.approx(0.71, abs=0.07)
    assert r(ceiling, "myelin_loss", "tissue") > 0.95
    assert ceiling["best"]["myelin_loss"]["information"]["lesion_r"] > ceiling["best"]["myelin_loss"]["mri"]["lesion_r"]


def test_the_noise_free_map_bounds_measured_dvr(ceiling) -> None:
    assert r(ceiling, "measured", "noise-free DVR", "") > r(ceiling, "measured", "tissue") > 0.8


def test_a_regression_fitted_to_dvr_knows_less_of_the_loss_where_size_changes_dvr() -> None:
    rows = lesions_of(20, 12)
    for row in rows:  # as the PET's blur does: large lesions lose more DVR for the same loss of myelin
        row["clean"] -= 0.15 * row["geometry_log_volume"]
    blurred = information_ceiling(rows)
    direct, through = (r(blurred, target, "tissue") for target in ("myelin_loss", "loss_through_dvr"))
    assert through < direct - 0.2
    assert through == pytest.approx(r(blurred, "myelin_loss", "noise-free DVR", ""), abs=0.05)


def test_a_cohort_simulated_before_that_ceiling_existed_has_a_table_without_it(ceiling) -> None:
    older = ceiling | {"rows": [row for row in ceiling["rows"] if row["target"] != "loss_through_dvr"]}
    assert len(as_table(ceiling)[0]) == len(as_table(older)[0]) + 2 == 8


def test_the_table_has_a_line_for_everything_known(ceiling) -> None:
    table = as_table(ceiling)
    assert len(table) == 9
    assert len({len(line) for line in table}) == 1


def test_a_tiny_cohort_is_left_out_with_a_sentence() -> None:
    few = information_ceiling(lesions_of(4, 5))
    assert not few["rows"]
    assert "too few" in few["skipped"]
    assert "too few" in information_ceiling(lesions_of(19, 12))["skipped"]
    assert caution(few) == ""


def test_a_ceiling_of_few_people_is_said_to_be_too_low(ceiling) -> None:
    from TrainingCore.reporting.lesion_tables import ceiling_sentence
    from TrainingCore.simulate import SimulatedCohort

    assert caution(ceiling).startswith("The information ceiling of 240 lesions of 20 people is too low")
    assert caution(ceiling | {"people": 50, "lesions": 500}) == ""
    assert caution(ceiling) in ceiling_sentence({"noise": None, "information": ceiling})
    noise = {"lesions": 240, "lesion_level_r": 0.9, "patient_level_r": 0.9, "information": ceiling}
    assert caution(ceiling) in str(SimulatedCohort(Path("ms"), 20, 0, ["dvr"], noise))


def test_gaps_become_the_median_and_empty_columns_go() -> None:
    rows = [{"mri_a": 1.0, "mri_b": None}, {"mri_a": None, "mri_b": None}, {"mri_a": 3.0, "mri_b": None}]
    assert feature_table(rows, ["mri"]).tolist() == [[1.0], [2.0], [3.0]]


def test_image_features_are_relative_to_normal_appearing_white_matter() -> None:
    labels = np.zeros((20, 20, 20), int)
    labels[5:9, 5:9, 5:9] = 1
    labels[14:16, 14:16, 14:16] = 2
    brain = np.ones(labels.shape, bool)
    white = brain.copy()
    white[:, :, :2] = False
    image = np.full(labels.shape, 500.0)
    image[labels == 1], image[labels == 2] = 400.0, 600.0
    masks = {"white_matter": white, "grey_matter": ~white, "brain": brain}
    features = image_features(labels, {"t1w": image}, masks, np.ones(3))
    assert features["t1w_mean"] == pytest.approx([0.8, 1.2])
    assert features["t1w_rim"] == pytest.approx([1.0, 1.0])
    assert features["t1w_sd"] == pytest.approx([0.0, 0.0], abs=1e-9)
    rim = rim_labels(labels, brain, np.ones(3))
    assert set(np.unique(rim)) == {0, 1, 2}
    assert not (rim > 0)[labels > 0].any()


def test_lesions_of_a_few_real_masks_are_left_out_with_a_sentence() -> None:
    rows = [row | {"lesion_shapes_of": "one"} for row in lesions_of(20, 12)]
    assert "1 real masks only" in information_ceiling(rows)["skipped"]
    masks = [row | {"lesion_shapes_of": str(int(row["person"][1:]) % 6)} for row in lesions_of(20, 12)]
    assert information_ceiling(masks)["skipped"] is None
