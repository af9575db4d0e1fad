"""One file per published system. The trainer asks for a system by name and knows no paper."""

from __future__ import annotations

from typing import Any

from ..errors import BadInput

NAMES = (
    "curricular",
    "sketcher_refiner",
    "two_layer_dnn",
    "joint_flair_wmh",
    "mask_weighted_pix2pix",
    "contrast_enhancement",
    "linear",
)


def system_class(name: str) -> type[Any]:
    """The class of a system by its name; imports torch only now."""
    if name == "curricular":
        from .curricular import Curricular

        return Curricular
    if name == "sketcher_refiner":
        from .sketcher_refiner import SketcherRefiner

        return SketcherRefiner
    if name == "two_layer_dnn":
        from .two_layer_dnn import TwoLayerDNN

        return TwoLayerDNN
    if name == "joint_flair_wmh":
        from .joint_flair_wmh import JointFlairWMH

        return JointFlairWMH
    if name == "mask_weighted_pix2pix":
        from .mask_weighted_pix2pix import MaskWeightedPix2Pix

        return MaskWeightedPix2Pix
    if name == "contrast_enhancement":
        from .contrast_enhancement import ContrastEnhancement

        return ContrastEnhancement
    if name == "linear":
        from .linear import LinearVoxelwise

        return LinearVoxelwise
    raise BadInput(f"There is no system called {name!r}. Known systems: {', '.join(NAMES)}.")
