"""What the user has chosen, kept in the scene by Slicer's parameter node wrapper."""

import enum
from typing import Annotated, Union

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from ..display.views import OPACITY
from ..run.devices import AUTOMATIC
from ..words import _

# (No `from __future__ import annotations`: the wrapper reads the types themselves.)
# Label maps are named although they are scalar volumes: the selector shows exactly the classes that are named.
MaskNode = Union[  # noqa: UP007
    slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLLabelMapVolumeNode, slicer.vtkMRMLScalarVolumeNode, None
]
# Registration modules and files give transforms of the general class, which may well be linear inside
TransformNode = Union[slicer.vtkMRMLLinearTransformNode, slicer.vtkMRMLTransformNode, None]  # noqa: UP007


class Alignment(enum.Enum):
    """How FLAIR and T1w come to lie on each other."""

    REGISTER = "register"
    ALIGNED = "aligned"
    TRANSFORM = "transform"

    def label(self) -> str:
        """What the choice is called."""
        return {
            Alignment.REGISTER: _("Register FLAIR to T1w"),
            Alignment.ALIGNED: _("Already aligned"),
            Alignment.TRANSFORM: _("Use this transform"),
        }[self]


class Under(enum.Enum):
    """The volume that lies under the map."""

    T1W = "t1w"
    FLAIR = "flair"

    def label(self) -> str:
        """What the choice is called."""
        return {Under.T1W: _("T1w"), Under.FLAIR: _("FLAIR")}[self]


@parameterNodeWrapper
class MyelinSynthParameterNode:
    """The choices of one scene. model: path of a bundle, empty for the first in the list; device: as for `--device`."""

    t1w: slicer.vtkMRMLScalarVolumeNode
    flair: slicer.vtkMRMLScalarVolumeNode
    lesions: MaskNode
    dvr: slicer.vtkMRMLScalarVolumeNode
    brain: MaskNode
    alignment: Alignment = Alignment.REGISTER
    transform: TransformNode
    device: str = AUTOMATIC
    flips: bool = False
    uncertainty: bool = False
    findLesions: bool = True
    opacity: Annotated[float, WithinRange(0, 1)] = OPACITY
    under: Under = Under.T1W
    model: str = ""
    run: str = ""
    comparing: bool = False
