"""Recipes are read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from TrainingCore.data.recipe import available, grid_shape, grid_spacing, load_recipe
from TrainingCore.data.run import Run
from TrainingCore.describe import main as describe
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems import NAMES
from TrainingCore.systems.checks import check_recipe


def test_the_paper_is_unchanged_in_its_recipe() -> None:
    recipe = load_recipe("curricular")
    assert recipe["epochs"] == 150
    assert recipe["patches"] == 48
    assert recipe["labels"] == {"real": 0.8, "fake": 0.2, "sd": 0.3}
    assert grid_shape(recipe) == (128, 128, 128)
    assert grid_spacing(recipe) == 1.5
    assert not any(recipe["augmentation"].values())
    assert recipe["ema"] == 0


def test_every_recipe_loads() -> None:
    assert {"curricular", "anticurricular", "l1_only", "linear", "demonstration"} <= set(available())
    for name in available():
        recipe = load_recipe(name)
        assert recipe["system"] in NAMES
        check_recipe(recipe)


def test_describe_lists_every_recipe_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert describe([]) == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert listed == {name: load_recipe(name)["description"] for name in available()}


def test_describe_refuses_a_recipe_that_cannot_be_used() -> None:
    with pytest.raises(BadInput, match="strides must be whole numbers"):
        describe(["curricular", "--set", "discriminator.strides=[3,3,3]"])


def test_a_key_given_twice_is_refused_and_a_base_lies_beside_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("base: l1_only\nepochs: 3\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\ngenerator: {width: 4}\n")
    recipe = load_recipe(str(tmp_path / "second.yaml"))
    assert (recipe["epochs"], recipe["generator"]["width"]) == (3, 4)
    for text, key in (("epochs: 3\nepochs: 30\n", "epochs"), ("generator:\n  width: 4\n  width: 8\n", "width")):
        (tmp_path / "first.yaml").write_text(text)
        with pytest.raises(BadInput, match=rf"first.yaml has {key} twice"):
            load_recipe(str(tmp_path / "first.yaml"))


def test_short_keys_and_types() -> None:
    recipe = load_recipe(
        "curricular", ["width=8", "size=64", "generator_rate=1e-3", "schedule.name=fixed", "share=0.2"]
    )
    assert recipe["generator"]["width"] == 8
    assert grid_shape(recipe) == (64, 64, 64)
    assert recipe["optimizer"]["generator_rate"] == 1e-3
    assert load_recipe("curricular", ["size=[96, 128, 96]"])["data"]["size"] == [96, 128, 96]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("wdth=8", "Did you mean 'width'"),
        ("epochs=many", "takes a value like 150"),
        ("epochs", "key=value"),
        ("real_label=1", "no recipe key"),
        ("epochs=1.5", "takes a value like"),
        ("checkpointing=3", "takes a value like"),
        ("size=[1, 2]", "takes a value like"),
    ],
)
def test_what_it_does_not_know_is_bad_input(change: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        load_recipe("curricular", [change])


def test_unknown_recipe_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no recipe called 'curicular'\. Is curricular or anticurricular meant"):
        load_recipe("curicular")
    for text, sentence in (
        ("system: [", "not valid YAML"),
        ("just text", "not a list"),
        ("base: x.yaml", "does not exist"),
        ("generator: {widht: 3}", "widht"),
    ):
        path = tmp_path / "own.yaml"
        path.write_text(text)
        with pytest.raises(BadInput, match=sentence):
            load_recipe(str(path))
    with pytest.raises(BadInput, match="does not exist"):
        load_recipe(str(tmp_path / "absent.yaml"))


def test_a_run_of_an_older_version_has_the_settings_gained_since_at_the_values_of_the_root(tmp_path: Path) -> None:
    wanted = load_recipe("sketcher_refiner", ["width=8", "epochs=3"])
    older = {key: dict(value) if isinstance(value, dict) else value for key, value in wanted.items()}
    del older["stages"], older["optimizer"]["decay"]
    run = Run.create(tmp_path / "run", older, {"people": {}})
    assert Run.open(run.path).recipe == wanted
    (run.path / "recipe.yaml").write_text("curricular", encoding="utf-8")
    with pytest.raises(BadInput, match=r"recipe.yaml holds no recipe"):
        Run.open(run.path)
