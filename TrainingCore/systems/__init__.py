"""One file per published system. The trainer asks for a system by name and knows no paper."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..runtime.errors import BadInput

if TYPE_CHECKING:
    from .system import System

CLASSES = {  # by the name of the system, which is that of its file
    "curricular": "Curricular",
    "sketcher_refiner": "SketcherRefiner",
    "two_layer_dnn": "TwoLayerDNN",
    "joint_flair_wmh": "JointFlairWMH",
    "mask_weighted_pix2pix": "MaskWeightedPix2Pix",
    "contrast_enhancement": "ContrastEnhancement",
    "linear": "LinearVoxelwise",
    "geometry": "Geometry",
}


NAMES = tuple(CLASSES)


def system_class(name: str) -> type[System]:
    """The class of a system by its name; imports torch only now. Raises BadInput for an unknown name."""
    if name not in CLASSES:
        raise BadInput(f"There is no system called {name!r}. Known systems: {', '.join(CLASSES)}.")
    return getattr(import_module(f".{name}", __package__), CLASSES[name])
