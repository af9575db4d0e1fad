"""viewer.html: self-contained, small, true to the numbers; clicks and keys in a real browser where there is one."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from small_head import AFFINE, make_head

from TrainingCore.imaging.volumes import Volume
from TrainingCore.reporting.viewer_page import outlines, write_viewer

ROWS = [
    {
        "id": 1,
        "region": "deep </script> white matter",
        "volume_mm3": 900.0,
        "x_mm": 24.0,
        "y_mm": 9.0,
        "z_mm": 12.0,
        "mean_dvr": 0.9,
    },
    {
        "id": 2,
        "region": "periventricular",
        "volume_mm3": 800.0,
        "x_mm": -27.0,
        "y_mm": 18.0,
        "z_mm": 9.0,
        "mean_dvr": None,
    },
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    head = make_head()
    dvr = np.where(head["brain"], np.where(head["lesions"], 0.9, 1.2345), 0).astype(np.float32)
    volumes = {title: Volume(head[title.lower()], AFFINE, title) for title in ("T1w", "FLAIR")}
    path = tmp_path_factory.mktemp("viewer") / "viewer.html"
    labels = Volume(head["lesions"].astype(np.float32), AFFINE, "lesions")
    brain = Volume(head["brain"].astype(np.float32), AFFINE, "brain")
    write_viewer(
        path, volumes, Volume(dvr, AFFINE, "dvr"), brain, labels, ROWS, simulated=True, simulated_patient=False
    )
    return path


def content(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


def test_nothing_is_loaded_from_elsewhere_and_everything_is_said(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    own = text.split("<script>")[0] + text.split("</script>")[-2]
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', own)
    for sentence in ("Research use only, not for diagnosis.", "not measured by PET", "Simulated training data"):
        assert sentence in text
    assert "Simulated patient" not in text
    assert page.stat().st_size < 25e6


def test_the_map_keeps_its_values_and_nothing_lies_outside_the_brain(page: Path) -> None:
    images = {image["name"]: image for image in content(page)["images"]}
    assert list(images) == ["t1w", "flair", "dvr", "lesions"]
    raw = gzip.decompress(base64.b64decode(images["dvr"]["base64"]))
    dvr = nibabel.Nifti1Image.from_bytes(raw)
    values = dvr.get_fdata()
    assert np.median(values[values > 0]) == pytest.approx(1.2345, abs=1e-3)
    t1w = nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(images["t1w"]["base64"])))
    assert np.array_equal(t1w.get_fdata() > 0, values > 0)
    assert (images["dvr"]["low"], images["dvr"]["high"]) == (0.6, 1.4)


def test_rows_show_what_the_columns_say(page: Path) -> None:
    data = content(page)
    assert [column["name"] for column in data["columns"]][:3] == ["id", "region", "volume_mm3"]
    assert data["rows"][0]["shown"]["region"] == "deep </script> white matter"
    assert data["rows"][0]["shown"]["mean_dvr"] == "0.90"
    assert "mean_dvr" not in data["rows"][1]["shown"]


def test_outlines_lie_inside_each_lesion_and_part_neighbours() -> None:
    labels = np.zeros((12, 12, 3), np.int32)
    labels[2:6, 2:6, 1], labels[6:10, 2:6, 1] = 1, 2
    edge = outlines(labels)
    assert not edge[labels == 0].any()
    assert not edge[3:5, 3:5, 1].any()
    assert edge[5, 3, 1]
    assert edge[6, 3, 1]


@pytest.mark.slow
def test_a_lesion_of_two_parts_is_shown_in_one_of_them(tmp_path: Path) -> None:
    head = make_head()
    labels = head["lesions"].astype(np.float32)
    labels[labels > 0] = 1
    parts = np.argwhere(labels)
    middle = AFFINE[:3, :3] @ parts.mean(axis=0) + AFFINE[:3, 3]
    assert not labels[tuple(np.rint(parts.mean(axis=0)).astype(int))]
    brain = Volume(head["brain"].astype(np.float32), AFFINE, "brain")
    row = {"id": 1, "volume_mm3": 1700.0, **dict(zip(("x_mm", "y_mm", "z_mm"), middle.tolist()))}
    write_viewer(
        tmp_path / "v.html",
        {},
        brain,
        brain,
        Volume(labels, AFFINE, "lesions"),
        [row],
        simulated=True,
        simulated_patient=False,
    )
    [shown] = content(tmp_path / "v.html")["rows"]
    assert labels[tuple(np.rint(np.linalg.inv(AFFINE) @ [*shown["point_mm"], 1.0]).astype(int)[:3])] == 1


def test_keys_and_a_saved_review_in_a_browser(page: Path) -> None:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed")
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"):
        options.add_argument(word)
    options.add_argument("--window-size=900,700")
    driver = webdriver.Chrome(options=options)
    try:
        driver.get(page.as_uri())
        WebDriverWait(driver, 120).until(lambda one: one.execute_script("return document.body.dataset.ready") == "yes")
        ActionChains(driver).send_keys("a").send_keys("r").perform()
        assert driver.execute_script("return reviewCsv()").splitlines()[1:] == ["1,accepted,,", "2,rejected,,"]
        driver.execute_script(
            "loadReview(arguments[0])", 'id,state,comment,outline\n2,flagged,"a, ""b""",edited\n9,accepted,,\n'
        )
        assert driver.execute_script("return reviewCsv()").splitlines()[2] == '2,flagged,"a, ""b""",edited'
        slicers = "id,state,comment,outline\n1,accepted,'=odd,\n2,rejected,''tis,\n"  # marked against spreadsheets
        driver.execute_script("loadReview(arguments[0])", slicers)
        shown = driver.execute_script("return [...document.querySelectorAll('tr input')].map((one) => one.value)")
        assert shown == ["=odd", "'tis"]
        assert driver.execute_script("return reviewCsv()") == slicers
    finally:
        driver.quit()
