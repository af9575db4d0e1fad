"""Maps that follow the published findings pass, maps that break one of them fail that one alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.evaluation.plausibility import plausibility, pooled
from TrainingCore.imaging.labelling import label_lesions

SIZE, AFFINE = 48, np.diag([2.0, 2.0, 2.0, 1.0])
CENTRES = [(14, 24, 24), (34, 24, 24), (24, 12, 24), (24, 36, 24), (24, 24, 12), (24, 24, 37)]


@pytest.fixture(scope="module")
def head() -> dict[str, np.ndarray]:
    """White matter around a ventricle, a shell of grey matter, six lesions, every other one dark in T1w."""
    grid = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij")).astype(float)
    radius = np.sqrt(((grid - 24) ** 2).sum(axis=0))
    ventricles, white, grey = radius < 4, (radius >= 4) & (radius < 18), (radius >= 18) & (radius < 22)
    depth = np.zeros(radius.shape)
    for centre in CENTRES:
        depth = np.maximum(depth, 3.2 - np.sqrt(((grid - np.array(centre)[:, None, None, None]) ** 2).sum(axis=0)))
    labels, _ = label_lesions(depth > 0, 8.0)
    dark = (labels > 0) & (labels % 2 == 0)
    dvr = np.where(white, 1.22, np.where(grey, 1.02, 0.65)) - 0.04 * np.clip(9 - radius, 0, 5) / 5 * white
    dvr = dvr - np.where(labels > 0, 0.1 + 0.05 * depth + 0.1 * dark, 0)
    t1w = np.where(white, 1.0, np.where(grey, 0.6, 0.2)) - 0.3 * dark
    return {
        "dvr": dvr,
        "labels": labels,
        "white_matter": white,
        "grey_matter": grey,
        "ventricles": ventricles,
        "t1w": t1w,
    }


def check(head: dict[str, np.ndarray], **changes: object) -> list[bool | None]:
    given = head | changes
    tissues = {name: given[name] for name in ("white_matter", "grey_matter")}
    found = plausibility(given["dvr"], given["labels"], tissues, AFFINE, given["t1w"], given["ventricles"])
    return [one.holds for one in found]


def test_a_map_with_all_five_findings_is_plausible(head) -> None:
    assert check(head) == [True] * 5


@pytest.mark.parametrize("broken", range(5))
def test_a_map_that_breaks_one_finding_fails_that_one(head, broken: int) -> None:
    dvr, lesional, dark = head["dvr"].copy(), head["labels"] > 0, (head["labels"] > 0) & (head["labels"] % 2 == 0)
    if broken == 0:
        dvr[head["grey_matter"]] = 1.3
    elif broken == 1:
        dvr[lesional] += 0.35
    elif broken == 2:
        dvr[lesional] = np.where(dark, 0.9, 1.0)[lesional] + 0.03 * (
            ndimage.distance_transform_edt(lesional)[lesional] > 1
        )
    elif broken == 3:
        dvr[dark] += 0.2
    else:
        dvr[head["white_matter"] & ~lesional] = 1.22
    holds = check(head, dvr=dvr)
    assert holds[broken] is False
    assert all(one for index, one in enumerate(holds) if index != broken)


def test_what_is_not_known_is_left_open(head) -> None:
    empty = np.zeros_like(head["labels"])
    assert check(head, labels=empty) == [True, None, None, None, True]
    assert check(head, t1w=None, ventricles=None) == [True, True, True, None, None]
    nothing = np.zeros_like(head["white_matter"])
    assert check(head, white_matter=nothing, grey_matter=nothing)[0] is None


def test_patients_are_pooled_by_finding(head) -> None:
    tissues = {name: head[name] for name in ("white_matter", "grey_matter")}
    one = plausibility(head["dvr"], head["labels"], tissues, AFFINE)
    rows = pooled([one, one])
    assert [(row["holds"], row["maps"]) for row in rows] == [(2, 2), (2, 2), (2, 2), (0, 0), (0, 0)]
    assert rows[0]["mean"] == pytest.approx(one[0].value)
    assert rows[3]["mean"] is None
    assert pooled([]) == []
    assert len(pooled([one, one[:2]])) == len(one)
