# ruff: noqa: PT009, PT027 - checks of a unittest that runs in the application
"""Self-test of patient, model and child process, in the application as well as under pytest.

Each check takes the running test case; none needs PyTorch, internet or a main window.
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

SCRIPT = """import json, sys
print('{"step": "greet", "fraction": 0.5, "message": "Gr\\u00fc\\u00dfe"}')
print("words", file=sys.stderr)
"""


def checkSamplePatient(case: Any) -> None:
    """Check that the sample patient loads offline, can be exported, and that swapping its images is noticed.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
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
    """Check that registering twice offers the patient once in the Sample Data module.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    try:
        import SampleData
    except ImportError:
        return  # not everywhere
    for _turn in range(2):
        registerSampleData(SampleData.SampleDataLogic)
    case.assertEqual(len(SampleData.SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)), 1)


def checkModels(case: Any) -> None:
    """Check that the extension's model is listed, has a card, and cannot be added a second time.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    with tempfile.TemporaryDirectory() as folder:
        models, broken = allModels(Path(folder))
        case.assertTrue(models)
        case.assertEqual(broken, [])
        case.assertIn("not for diagnosis", modelCard(models[0]))
        with case.assertRaises(SynthesisError):
            addModel(models[0].path, Path(folder))
        case.assertEqual(list(Path(folder).iterdir()), [])


def checkChildProcess(case: Any) -> None:
    """Check that Slicer's Python runs, reports its steps, imports TrainingCore, and stops when asked to.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    steps: list[Step] = []
    lines: list[str] = []
    child = ChildProcess([pythonExecutable(), "-c", SCRIPT], steps.append, lines.append)
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
