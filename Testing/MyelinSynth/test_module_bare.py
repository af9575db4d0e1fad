"""The module in a 3D Slicer as it is delivered: without the packages that the first synthesis installs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

from test_slicer_api import API, ROOT

HERE = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "MyelinSynth" / "Resources" / "requirements.txt"
IMPORTED_AS = {"PyYAML": "yaml", "Jinja2": "jinja2"}  # others as pip calls them
BUNDLED = {"pydicom"}  # comes with Slicer, and is named for its version
OPENED = """
import sys, tempfile, unittest
from pathlib import Path
missing, api = sys.argv[1].split(","), Path(sys.argv[2])
for name in missing:
    sys.modules[name] = None
from slicer_scene import Application, addModuleToPath
addModuleToPath()
application = Application()
from stand_in_host import Host, readApi
host = Host(readApi(api), Path(tempfile.mkdtemp(dir=sys.argv[3])))
import MyelinSynth
widget = MyelinSynth.MyelinSynthWidget()
widget.setup()
widget.enter()
widget.ui.samplePatientButton.click()
assert widget.ui.synthesizeButton.enabled, "the sample patient cannot be synthesized"
assert "not for diagnosis" in widget.ui.modelCard.text and not widget.ui.modelNote.text
widget.cleanup()
result = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromTestCase(MyelinSynth.MyelinSynthTest).run(result)
assert result.testsRun >= 10 and result.wasSuccessful(), result.errors + result.failures
assert not host.errors and not host.messages, host.errors + host.messages
host.close()
application.close()
print("all of it works")
"""


def installedLater() -> list[str]:
    """What pip installs before the first synthesis, as Python imports it."""
    names = [re.split(r"[<>=]", line)[0] for line in REQUIREMENTS.read_text().splitlines() if line[:1].isalpha()]
    return ["torch", *(IMPORTED_AS.get(name, name) for name in names if name not in BUNDLED)]


def test_panel_sample_patient_and_self_test_need_nothing_but_slicer(tmp_path: Path) -> None:
    paths = [str(HERE), str(ROOT / "MyelinSynth"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", OPENED, ",".join(installedLater()), str(API), str(tmp_path)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    assert "all of it works" in found.stdout
