"""The estimate of a lesion's myelin loss: its features, the regression, its intervals, and what a bundle holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from TrainingCore.evaluation.lesion_myelin import (
    FEATURES,
    estimated_loss,
    fit_myelin,
    lesion_contrasts,
    myelin_of_bundle,
)
from TrainingCore.reporting.card import myelin_regression
from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.tables import write_csv

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def head(t1w_of_lesions: tuple[float, float]) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """White matter of 100 with two lesions, grey matter of 60, FLAIR of 50 with an SD of 2 and lesions of 60."""
    labels = np.zeros((30, 30, 30), int)
    labels[5:8, 14:17, 14:17], labels[15:18, 14:17, 14:17] = 1, 2
    brain = np.zeros(labels.shape, bool)
    brain[2:28, 2:28, 2:28] = True
    grey = brain & (np.indices(labels.shape)[2] < 6)
    t1w = np.where(grey, 60.0, 100.0) * brain
    flair = 50 + 2 * np.random.default_rng(0).standard_normal(labels.shape)
    for number, value in enumerate(t1w_of_lesions, start=1):
        t1w[labels == number] = value
    flair[labels > 0] = 60
    masks = {"brain": brain, "grey_matter": grey, "nawm": brain & ~grey}
    return labels, {"t1w": t1w, "flair": flair * brain}, masks


def test_contrasts_are_in_units_of_the_tissues_whatever_the_scanner() -> None:
    labels, images, masks = head((80.0, 60.0))
    found = lesion_contrasts(labels, images, masks, AFFINE)
    assert found["t1w_contrast"][1:] == pytest.approx([-0.5, -1.0], abs=0.02)
    assert found["flair_contrast"][1:] == pytest.approx([5.0, 5.0], rel=0.1)
    other = {name: 7 * image - 300 for name, image in images.items()}
    again = lesion_contrasts(labels, other, masks, AFFINE)
    assert all(np.allclose(again[name][1:], found[name][1:]) for name in found)
    without = lesion_contrasts(labels, {"t1w": images["t1w"]}, masks, AFFINE)
    assert np.isnan(without["flair_contrast"]).all()
    assert np.allclose(without["t1w_contrast"][1:], found["t1w_contrast"][1:])
    inverted = lesion_contrasts(labels, {"t1w": -images["t1w"]}, masks, AFFINE)
    assert np.isnan(inverted["t1w_contrast"]).all()  # grey matter above white matter: this is no T1w
    assert np.isnan(
        lesion_contrasts(labels, images, masks | {"nawm": np.zeros_like(labels)}, AFFINE)["t1w_contrast"][1]
    )


def lesions(seed: int, people: int = 30) -> list[dict[str, Any]]:
    """Lesions whose loss T1w and the corrected ratio know in part, and no other feature."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        for _ in range(20):
            loss = rng.uniform(0.05, 0.9)
            row = {name: float(rng.standard_normal()) for name in FEATURES}
            row["t1w_contrast"] = -loss + 0.2 * rng.standard_normal()
            row["corrected_ratio"] = 1 - 0.3 * loss + 0.06 * rng.standard_normal()
            row |= {"person": f"{seed} {person}", "site": "AB"[person % 2], "myelin_loss": loss}
            rows.append(row | {"volume_mm3": float(rng.choice([30, 70, 200, 500, 2000]))})
    return rows


def test_it_joins_what_its_features_know_and_its_intervals_hold_for_new_people() -> None:
    fitted = fit_myelin(lesions(1))
    new = lesions(2)
    rows = [row | estimated_loss(fitted, row) for row in new]
    truth, found = (np.array([row[name] for row in rows]) for name in ("myelin_loss", "estimated_loss"))
    r = np.corrcoef(truth, found)[0, 1]
    assert r > fitted["r_of_t1w_contrast"] + 0.03
    assert r == pytest.approx(fitted["r"], abs=0.03)
    inside = [row["estimated_loss_low"] <= row["myelin_loss"] <= row["estimated_loss_high"] for row in rows]
    assert 0.9 <= np.mean(inside) <= 0.99
    assert all(
        0 <= row["estimated_loss_low"] <= row["estimated_loss"] <= row["estimated_loss_high"] <= 1 for row in rows
    )
    assert (fitted["lesions"], fitted["people"], fitted["sites"]) == (600, 30, ["A", "B"])


def test_export_fits_it_to_the_tables_of_several_evaluations(tmp_path: Path) -> None:
    """Of one model among others, with cells that are not estimable, and people of one name in both."""
    about = {"weights_sha256": "a", "people": 15, "visits": 15, "lesions_in_correlation": 9, "minimum_mm3": 50.0}
    parts = [
        [row | {"person": str(number // 20), "model": "own"} for number, row in enumerate(lesions(seed, 15))]
        for seed in (1, 2)
    ]
    parts[0][0]["flair_contrast"] = None
    for number, rows in enumerate(parts):
        folder = tmp_path / str(number)
        folder.mkdir()
        models = {"own": about, "other": about | {"weights_sha256": "b"}}
        (folder / "summary.json").write_text(json.dumps({"simulated_data": True, "models": models}))
        write_csv(folder / "lesions.csv", [*rows, *(row | {"model": "other", "myelin_loss": 0.0} for row in rows)])
    fitted = myelin_regression([tmp_path / "0", tmp_path / "1"], "a")["myelin"]
    assert (fitted["lesions"], fitted["people"]) == (599, 30)
    assert fitted["measured on"].count("simulated cohort, 15 people") == 2
    assert fitted["r"] > 0.7
    with pytest.raises(BadInput, match="did not evaluate these weights"):
        myelin_regression([tmp_path / "0"], "c")


def test_people_left_out_are_really_left_out() -> None:
    """With as many features as lesions of a person, a regression on noise would reproduce what it was fitted to."""
    noise = [row | {"myelin_loss": float(np.random.default_rng(i).uniform())} for i, row in enumerate(lesions(3, 11))]
    assert abs(fit_myelin(noise)["r"]) < 0.2


def test_without_a_feature_or_a_regression_there_is_no_estimate() -> None:
    fitted, row = fit_myelin(lesions(1)), lesions(2)[0]
    nothing = dict.fromkeys(("estimated_loss", "estimated_loss_low", "estimated_loss_high"))
    assert estimated_loss(None, row) == nothing
    assert estimated_loss(fitted, row | {"flair_contrast": None}) == nothing
    assert estimated_loss(fitted, row | {"t1w_contrast": float("nan")}) == nothing
    narrow = fitted | {"half_width": [None] * 5}
    assert estimated_loss(narrow, row)["estimated_loss"] is not None
    assert estimated_loss(narrow, row)["estimated_loss_low"] is None


def test_too_few_lesions_are_refused() -> None:
    with pytest.raises(BadInput, match="known of 40 lesions"):
        fit_myelin(lesions(1, 2))
    with pytest.raises(BadInput, match="known of 0 lesions"):
        fit_myelin([row | {"myelin_loss": None} for row in lesions(1)])


def test_a_bundle_holds_it_as_json_and_broken_ones_are_refused() -> None:
    fitted, row = fit_myelin(lesions(1)), lesions(2)[0]
    stored = json.loads(json.dumps({"myelin": fitted}))
    assert myelin_of_bundle({}) is None
    assert estimated_loss(myelin_of_bundle(stored), row) == estimated_loss(fitted, row)
    for wrong in (
        {key: value for key, value in fitted.items() if key != "weights"},
        fitted | {"weights": [*fitted["weights"][:-1], float("nan")]},
        fitted | {"weights": fitted["weights"][:-1]},
        fitted | {"features": ["age"]},
        fitted | {"sd": [0.0] * len(FEATURES)},
        fitted | {"half_width": [0.1]},
        3,
    ):
        with pytest.raises(BadInput, match="bundle"):
            myelin_of_bundle({"myelin": wrong})
