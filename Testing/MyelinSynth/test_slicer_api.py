"""Every name of Qt, CTK and Slicer that the module uses is one that the application answers to (slicer_api.json)."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "MyelinSynth"
UI = MODULE / "Resources" / "UI" / "MyelinSynth.ui"
SCRIPTS = sorted(MODULE.rglob("*.py"))
API = Path(__file__).with_name("slicer_api.json")
LAYOUTS = {"QVBoxLayout", "QHBoxLayout", "QFormLayout", "QGridLayout"}
DYNAMIC = {"SlicerParameterName"}
# What the API description names under a module of its own
DESCRIBED = {
    "slicer.util": "slicer.util",
    "slicer.app": "slicer.app",
    "slicer.packaging": "slicer.packaging",
    "slicer.parameterNodeWrapper": "slicer.parameterNodeWrapper",
    "slicer.ScriptedLoadableModule": "slicer.ScriptedLoadableModule",
}
NOT_DESCRIBED = {"slicer.i18n"}  # tr and translate, as in Slicer's own module template
QT_ENUMS = {
    "Qt::Vertical",
    "Qt::PlainText",
    "Qt::MarkdownText",
    "Qt::TextSelectableByKeyboard",
    "Qt::TextSelectableByMouse",
}
QT_ENUMS |= {"Qt::WidgetWithChildrenShortcut"}
OWN = {
    "_timer": "QTimer",
    "_namesTimer": "QTimer",
    "_segmentsTimer": "QTimer",
    "_header": "QHeaderView",
    "shortcut": "QShortcut",
    "button": "QPushButton",
    "selector": "qMRMLNodeComboBox",
}  # what the module makes, by name


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    """What the application answers."""
    return json.loads(API.read_text(encoding="utf-8"))


def described(api: dict[str, Any], name: str) -> dict[str, set[str]]:
    """Properties, signals, slots and methods of a class, those of QWidget included where it is one."""
    full = next((key for key in api["classes"] if key.split(".", 1)[1] == name), None)
    assert full, f"the application has no class {name}"
    found = {"properties": set(), "signals": set(), "slots": set(), "methods": set()}
    parts = [api["classes"][full]] + ([api["classes"]["qt.QWidget"]] if api["classes"][full].get("widget") else [])
    for part in parts:
        for kind in found:
            found[kind] |= set(part.get(kind, ()))
        found["methods"] |= set(part.get("attributes", ()))
    return found


def widgets() -> dict[str, str]:
    """Class by object name of every widget in the .ui file; actions are found like widgets."""
    tree = ElementTree.parse(UI)
    actions = {node.get("name"): "QAction" for node in tree.iter("action")}
    return {node.get("name"): node.get("class") for node in tree.iter("widget")} | actions


def names(kinds: dict[str, set[str]]) -> set[str]:
    """Everything Python may ask of an object: properties, methods, and signals and slots by their bare names."""
    bare = {signature.split("(")[0] for kind in ("signals", "slots") for signature in kinds[kind]}
    return kinds["properties"] | kinds["methods"] | bare


def trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in SCRIPTS]


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain, or the empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def test_every_class_and_property_of_the_ui_file_exists(api: dict[str, Any]) -> None:
    for node in ElementTree.parse(UI).iter("widget"):
        name = node.get("class")
        properties = described(api, name)["properties"]
        for entry in node.findall("property"):
            if entry.get("name") in DYNAMIC:
                assert entry.get("stdset") == "0"
            elif entry.get("name") != "buddy":  # a QLabel's, which uic sets by a method
                assert entry.get("name") in properties, f"{name} {node.get('name')} has no {entry.get('name')}"
    for node in ElementTree.parse(UI).iter("action"):
        assert {entry.get("name") for entry in node.findall("property")} <= described(api, "QAction")["properties"]
    assert {node.get("class") for node in ElementTree.parse(UI).iter("layout")} <= LAYOUTS


def test_every_custom_class_is_declared() -> None:
    tree = ElementTree.parse(UI)
    used = {name for name in widgets().values() if not name.startswith("Q")}
    assert used == {node.findtext("class") for node in tree.iter("customwidget")}


def test_every_connection_of_the_ui_file_exists(api: dict[str, Any]) -> None:
    known = widgets()
    connections = list(ElementTree.parse(UI).iter("connection"))
    for connection in connections:
        sender, receiver = (known[connection.findtext(end)] for end in ("sender", "receiver"))
        assert connection.findtext("signal") in described(api, sender)["signals"]
        assert connection.findtext("slot") in described(api, receiver)["slots"]
    reached = {connection.findtext("receiver") for connection in connections}
    assert reached == {name for name, kind in known.items() if kind.startswith("qMRML") and name != "MyelinSynth"}


def test_enums_of_the_ui_file_exist(api: dict[str, Any]) -> None:
    for node in [*ElementTree.parse(UI).iter("enum"), *ElementTree.parse(UI).iter("set")]:
        for value in node.text.split("|"):
            scope, name = value.split("::")
            if scope == "Qt":
                assert value in QT_ENUMS
            else:
                assert name in names(described(api, scope)) | set(api["classes"]["qt.QTableWidget"]["methods"]), value


def test_parameter_names_are_fields_of_the_parameter_node() -> None:
    given = [
        node.findtext("string")
        for node in ElementTree.parse(UI).iter("property")
        if node.get("name") == "SlicerParameterName"
    ]
    tree = ast.parse((MODULE / "MyelinSynthLib" / "scene" / "parameters.py").read_text())
    holder = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "MyelinSynthParameterNode")
    fields = {entry.target.id for entry in holder.body if isinstance(entry, ast.AnnAssign)}
    assert len(given) == len(set(given))
    assert set(given) <= fields


def test_every_use_of_a_widget_exists(api: dict[str, Any]) -> None:
    known, seen = widgets(), 0
    for path, tree in trees():
        for node in ast.walk(tree):
            chain = dotted(node).removeprefix("self.") if isinstance(node, ast.Attribute) else ""
            if not chain.startswith("ui."):
                continue
            parts = chain.split(".")
            assert parts[1] in known, f"{path.name}:{node.lineno} {chain}: no such widget in the .ui file"
            if len(parts) > 2:
                seen += 1
                assert parts[2] in names(described(api, known[parts[1]])), f"{path.name}:{node.lineno} {chain}"
    assert seen > 30


def test_every_connect_names_a_signal_with_its_signature(api: dict[str, Any]) -> None:
    known, seen = widgets(), 0
    for path, tree in trees():
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "connect"
            ):
                continue
            chain = dotted(node.func).removeprefix("self.").split(".")
            if chain[:2] == ["slicer", "app"]:
                if isinstance(node.args[0], ast.Name):  # a constant that connect and disconnect share
                    continue
                assert node.args[0].value.split("(")[0] in api["modules"]["slicer.app"]
                continue
            name = known[chain[1]] if chain[0] == "ui" else OWN[chain[0]]
            signal, kinds = node.args[0].value, described(api, name)
            bare = (
                not kinds["signals"] and signal.split("(")[0] in kinds["methods"]
            )  # all that is known of some classes
            assert bare or signal in kinds["signals"], f"{path.name}:{node.lineno} {name} has no {signal}"
            seen += 1
    assert seen >= 10


def test_every_name_of_qt_and_slicer_exists(api: dict[str, Any]) -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            chain = dotted(node).split(".")
            where = f"{path.name}:{node.lineno} {'.'.join(chain)}"
            if chain[0] in {"qt", "ctk"} and len(chain) > 1 and chain[1] != "Qt":
                described(api, chain[1])
            key = ".".join(chain[:2])
            if key in DESCRIBED and len(chain) > 2:
                assert chain[2] in api["modules"][DESCRIBED[key]], where


def test_every_name_that_is_imported_from_slicer_exists(api: dict[str, Any]) -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("slicer."):
                if node.module in NOT_DESCRIBED:
                    assert {alias.name for alias in node.names} <= {"tr", "translate"}
                    continue
                for alias in node.names:
                    assert alias.name in api["modules"][node.module], f"{path.name}: {node.module}.{alias.name}"


def test_methods_of_the_base_classes_exist(api: dict[str, Any]) -> None:
    files = {"Widget": "MyelinSynth.py", "Logic": "MyelinSynthLib/logic.py", "Test": "MyelinSynthLib/selftest/cases.py"}
    for kind, file in files.items():
        tree = ast.parse((MODULE / file).read_text())
        holder = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == f"MyelinSynth{kind}")
        own = {n.name for n in holder.body if isinstance(n, ast.FunctionDef)}
        own |= {
            n.attr
            for n in ast.walk(holder)
            if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) and dotted(n.value) == "self"
        }
        inherited = set(api["modules"][f"ScriptedLoadableModule{kind}"])
        mixin = {"addObserver", "removeObserver", "removeObservers", "parent", "layout"} if kind == "Widget" else set()
        for node in ast.walk(holder):
            chain = dotted(node).split(".") if isinstance(node, ast.Attribute) else []
            if chain[:1] == ["self"]:
                assert chain[1] in own | inherited | mixin, f"{kind}: self.{chain[1]}"


def test_every_sentence_for_people_is_translated() -> None:
    """Text that is assigned to a widget, or raised, goes through `_`."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Raise)
                and isinstance(node.exc, ast.Call)
                and dotted(node.exc.func) == "SynthesisError"
            ):
                assert not isinstance(node.exc.args[0], (ast.Constant, ast.JoinedStr)), f"{path.name}:{node.lineno}"
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Attribute)
                and node.targets[0].attr == "text"
            ):
                literal = isinstance(node.value, ast.Constant) and node.value.value != ""
                assert not literal, f"{path.name}:{node.lineno}"


def test_no_collection_of_nodes_is_asked_of_the_scene_itself() -> None:
    """Python never lets go of what `scene.GetNodesByClass` returns, nor of the images in it; slicer.util's does."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("GetNodesByClass", "GetNodesByName"), f"{path.name}:{node.lineno}"


def test_tab_order_follows_the_panel() -> None:
    """Qt goes from widget to widget as they are made, in the order of the file: here the order on the screen."""
    tree = ElementTree.parse(UI)
    assert tree.find("tabstops") is None, "a list of its own would have to be kept up to date"
    for layout in tree.iter("layout"):
        places = [(int(item.get("row", 0)), int(item.get("column", 0))) for item in layout.findall("item")]
        assert places == sorted(places), layout.get("name")


def test_everything_to_click_or_to_read_has_a_tooltip() -> None:
    kinds = r"Q(PushButton|CheckBox|ComboBox|LineEdit|TableWidget|PlainTextEdit|ProgressBar)|qMRMLNode|ctk(Slider|Dir)"
    for node in ElementTree.parse(UI).iter("widget"):
        if re.match(kinds, node.get("class")) or node.get("name").endswith("Note"):
            tip = [entry for entry in node.findall("property") if entry.get("name") == "toolTip"]
            assert tip, f"{node.get('name')} has no tooltip"


def test_nothing_heavy_is_imported_when_the_module_is_opened() -> None:
    heavy = {"torch", "SimpleITK", "nibabel", "scipy", "matplotlib", "TrainingCore", "pandas"}
    for path, tree in trees():
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                roots = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
                roots |= {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
                assert not roots & heavy, f"{path.name}:{node.lineno}"
