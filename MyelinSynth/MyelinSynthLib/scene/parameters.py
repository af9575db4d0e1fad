"""The user's choices, stored in the scene by Slicer's parameter node wrapper."""

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
    """How the FLAIR is brought onto the T1w."""

    REGISTER = "register"
    ALIGNED = "aligned"
    TRANSFORM = "transform"

    def label(self) -> str:
        """Return the text of the choice."""
        return {
            Alignment.REGISTER: _("Register FLAIR to T1w"),
            Alignment.ALIGNED: _("Already aligned"),
            Alignment.TRANSFORM: _("Use this transform"),
        }[self]


class Under(enum.Enum):
    """The volume shown under the map."""

    T1W = "t1w"
    FLAIR = "flair"

    def label(self) -> str:
        """Return the text of the choice."""
        return {Under.T1W: _("T1w"), Under.FLAIR: _("FLAIR")}[self]


@parameterNodeWrapper
class MyelinSynthParameterNode:
    """Choices of one scene.

    Attributes:
        model: path of a bundle; empty for the first in the list.
        device: as for `--device`.
        run: run of the synthesis shown in the panel (`provenance.sign`); empty for none.
        comparing: whether the views show the change from an earlier visit.
    """

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
    """Return the volume chosen for an input that only some models need.

    Args:
        parameterNode: MyelinSynthParameterNode of the scene.
        name: name in the table of inputs, such as t2w.

    Returns:
        The scalar volume, or None if none is chosen.
    """
    return parameterNode.parameterNode.GetNodeReference(INPUT_REFERENCE + name)


def setInputNode(parameterNode: typing.Any, name: str, node: typing.Any) -> None:
    """Choose the volume of an input that only some models need; the scene keeps it when another model is chosen.

    Args:
        parameterNode: MyelinSynthParameterNode of the scene.
        name: name in the table of inputs, such as t2w.
        node: scalar volume, or None for no choice.
    """
    parameterNode.parameterNode.SetNodeReferenceID(INPUT_REFERENCE + name, None if node is None else node.GetID())
