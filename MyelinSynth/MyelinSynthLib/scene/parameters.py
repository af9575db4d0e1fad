"""What the user has chosen, kept in the scene by Slicer's parameter node wrapper."""

import enum
import typing
from typing import Annotated, Union

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from ..display.views import OPACITY
from ..run.devices import AUTOMATIC
from ..words import _

INPUT_REFERENCE = "input_"  # and the name of the input, as t2w

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


def inputNode(parameterNode: typing.Any, name: str) -> typing.Any:
    """The volume that is chosen for an input which only some models need, or None."""
    return parameterNode.parameterNode.GetNodeReference(INPUT_REFERENCE + name)


def setInputNode(parameterNode: typing.Any, name: str, node: typing.Any) -> None:
    """Choose the volume of such an input; the scene keeps it whichever model is chosen."""
    parameterNode.parameterNode.SetNodeReferenceID(INPUT_REFERENCE + name, None if node is None else node.GetID())
