"""Every command as a typed function: `from TrainingCore.api import synthesize`.

The command line is generated from these functions (`python -m TrainingCore.synthesize --help`), so every argument is
also an option: `t1=` is `--t1`, `changes=["epochs=20"]` is `--set epochs=20`.
"""

from __future__ import annotations

from .ablate import ablate
from .bids_app import bids_app
from .change import change
from .crossvalidate import crossvalidate
from .demo import demo
from .describe import describe
from .evaluate import evaluate
from .export import export
from .learning_curve import learning_curve
from .list_dicom import list_dicom
from .preprocess import preprocess
from .send_dicom import send_dicom
from .simulate import simulate
from .synthesize import synthesize
from .train import train
from .tune import tune

__all__ = [
    "ablate",
    "bids_app",
    "change",
    "crossvalidate",
    "demo",
    "describe",
    "evaluate",
    "export",
    "learning_curve",
    "list_dicom",
    "preprocess",
    "send_dicom",
    "simulate",
    "synthesize",
    "train",
    "tune",
]
