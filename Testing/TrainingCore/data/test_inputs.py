"""One table of inputs: a further contrast is a row and a recipe, and reaches training, card and `synthesize`."""

from __future__ import annotations

from pathlib import Path

import pytest

from TrainingCore import synthesize as command
from TrainingCore.api import simulate, synthesize, train
from TrainingCore.data import inputs
from TrainingCore.data.bundle import Bundle
from TrainingCore.data.cohort import Cohort
from TrainingCore.runtime.errors import BadInput

SMALL = ["size=32", "generator.width=4", "generator.levels=3", "epochs=1", "data.validation_people=0", "patches=2"]


def test_options_and_names_are_unique_and_documented() -> None:
    for attribute in ("name", "option", "title"):
        values = [getattr(row, attribute) for row in inputs.INPUTS]
        assert len(set(values)) == len(values)
    assert inputs.option_of("t1w") == "--t1"
    assert inputs.option_of("t1ce_low") == "--t1ce-low"
    assert inputs.option_of("lesions") == "--lesions"
    assert set(command.MORE_IMAGES) == {row.option for row in inputs.INPUTS} - {"t1", "flair"}


def test_the_more_particular_bids_name_comes_first() -> None:
    names = [name for name, suffixes, _ in inputs.bids_names() if "T1w" in suffixes]
    assert names == ["t1ce_low", "t1ce", "t1w"]


def test_t2w_joins_the_curricular_system_by_its_recipe_alone(tmp_path: Path) -> None:
    simulate(tmp_path / "cohort", patients=2, visits=1, contrasts="t1w,flair,t2w,dvr", size=32, progress="none")
    changes = ["data.inputs=[t1w,flair,t2w]", "losses.adversarial=0", *SMALL]
    run = train(tmp_path / "run", data=tmp_path / "cohort", recipe="curricular", changes=changes, progress="none")
    bundle = Bundle.open(run.path / "bundles" / "last")
    assert bundle.description["inputs"] == ["t1w", "flair", "t2w"]
    files = Cohort.read(tmp_path / "cohort").visits[0].files
    given = {"t1": files["t1w"], "flair": files["flair"], "brain_mask": files["brain"], "model": str(bundle.path)}
    with pytest.raises(BadInput, match="needs the T2w"):
        synthesize(tmp_path / "result", **given, device="cpu", progress="none")
    result = synthesize(tmp_path / "result", t2=files["t2w"], **given, device="cpu", progress="none")
    assert result.map().shape == (32, 32, 32)
    assert (result.path / "t2w_to_t1.tfm").is_file()
    assert set(result.provenance["registrations"]) == {"flair", "t2w"}
    assert "T2w to T1w" in result.report.read_text(encoding="utf-8")


def test_an_input_that_is_not_in_the_table_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no input 'swi'"):
        synthesize(tmp_path / "result", t1=tmp_path / "a.nii.gz", swi=tmp_path / "b.nii.gz")
