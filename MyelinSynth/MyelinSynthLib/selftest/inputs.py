# ruff: noqa: PT009, PT027 - checks of a unittest that runs in the application
"""What the module's self-test checks of patient, model and child process, in the real application as well as elsewhere.

Each check takes the running unittest case; none needs PyTorch, internet or a main window.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from ..errors import SynthesisError
from ..model.bundles import addModel, allModels, modelCard
from ..patient.checks import findProblems
from ..patient.contrast import swappedWarning
from ..patient.exchange import ALIGNED, exportPatient
from ..patient.sampledata import CATEGORY, loadSamplePatient, registerSampleData
from ..run.childprocess import ChildProcess, State, Step, pythonExecutable, trainingCommand

SAYS = """import json, sys
print('{"step": "greet", "fraction": 0.5, "message": "Gr\\u00fc\\u00dfe"}')
print("words", file=sys.stderr)
"""


def checkSamplePatient(case: Any) -> None:
    """It is loaded without internet, has no problems, is written for the command, and swapping is noticed."""
    patient = loadSamplePatient()
    case.assertEqual(findProblems(patient), [])
    case.assertEqual(swappedWarning(patient.t1w, patient.flair), "")
    case.assertNotEqual(swappedWarning(patient.flair, patient.t1w), "")
    patient.flairToT1 = ALIGNED
    with tempfile.TemporaryDirectory() as folder:
        options = exportPatient(patient, Path(folder))
        case.assertIn("--lesions", options)
        case.assertTrue(all(Path(option).is_file() for option in options if option.endswith(".nrrd")))


def checkSampleData(case: Any) -> None:
    """The Sample Data module offers the patient, once."""
    try:
        import SampleData
    except ImportError:
        return  # not everywhere
    for _turn in range(2):
        registerSampleData(SampleData.SampleDataLogic)
    case.assertEqual(len(SampleData.SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)), 1)


def checkModels(case: Any) -> None:
    """The model of the extension is there, has a card, and is not taken for a new one."""
    with tempfile.TemporaryDirectory() as folder:
        models, broken = allModels(Path(folder))
        case.assertTrue(models)
        case.assertEqual(broken, [])
        case.assertIn("not for diagnosis", modelCard(models[0]))
        with case.assertRaises(SynthesisError):
            addModel(models[0].path, Path(folder))
        case.assertEqual(list(Path(folder).iterdir()), [])


def checkChildProcess(case: Any) -> None:
    """Slicer's Python is found, is heard while it runs, finds TrainingCore, and stops when it is told to."""
    steps: list[Step] = []
    lines: list[str] = []
    child = ChildProcess([pythonExecutable(), "-c", SAYS], steps.append, lines.append)
    child.start()
    case.assertTrue(child.wait(60))
    case.assertEqual(child.state, State.SUCCEEDED, child.reason)
    case.assertEqual(steps, [Step("greet", 0.5, "Gr\u00fc\u00dfe")])
    case.assertIn("words", lines)
    child = ChildProcess(trainingCommand("synthesize", ["--help"]), onLog=lines.append)
    child.start()
    case.assertTrue(child.wait(60))
    case.assertEqual(child.state, State.SUCCEEDED, child.reason)
    case.assertTrue(any("--flair-to-t1" in line for line in lines))
    child = ChildProcess([pythonExecutable(), "-c", "import time; time.sleep(600)"])
    child.start()
    before = time.monotonic()
    child.stop()
    case.assertEqual(child.state, State.CANCELLED)
    case.assertLess(time.monotonic() - before, 20)


CHECKS = (checkSamplePatient, checkSampleData, checkModels, checkChildProcess)
