"""slicer.parameterNodeWrapper, for the kinds of fields and widgets that the module has. Test-only code."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slicer

if TYPE_CHECKING:
    from stand_in_proxy import Proxy


@dataclass
class WithinRange:
    """An annotation of slicer.parameterNodeWrapper."""

    minimum: float
    maximum: float


class Field:
    """One typed field of a parameter node, kept in the node's parameters and references."""

    def __init__(self, name: str, kind: Any, default: Any) -> None:
        self.name, self.default = name, default
        self.range = next((one for one in typing.get_args(kind)[1:] if isinstance(one, WithinRange)), None)
        self.kind = typing.get_args(kind)[0] if self.range else kind
        options = typing.get_args(self.kind) if typing.get_origin(self.kind) is typing.Union else (self.kind,)
        self.nodes = [one for one in options if isinstance(one, type) and issubclass(one, slicer.vtkMRMLNode)]

    def __get__(self, holder: Any, _owner: Any = None) -> Any:
        node = holder.parameterNode
        if self.nodes:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if not text:
            return self.default
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return text == "True" if self.kind is bool else self.kind(text)

    def __set__(self, holder: Any, value: Any) -> None:
        if self.nodes:
            if value is not None and not isinstance(value, tuple(self.nodes)):
                raise ValueError(f"{self.name} takes no {type(value)}")
            holder.parameterNode.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        if not isinstance(value, self.kind):
            raise ValueError(f"{self.name} takes a {self.kind}, not {value!r}")
        holder.parameterNode.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))


def parameterNodeWrapper(kind: type) -> type:
    """The decorator of slicer.parameterNodeWrapper, for the kinds of fields and widgets that the module has."""
    fields = {
        name: Field(name, hint, getattr(kind, name, None))
        for name, hint in typing.get_type_hints(kind, include_extras=True).items()
    }
    for name, field in fields.items():
        setattr(kind, name, field)

    def start(self: Any, parameterNode: Any) -> None:
        self.parameterNode, self._guis, self._silent = parameterNode, {}, False

    def connectGui(self: Any, ui: Any) -> int:
        bound = []
        for widget in vars(ui).values():
            name = widget._real.property("SlicerParameterName")
            if name:
                bound.append(bind(self, fields[name], widget))
        tag = self.parameterNode.AddObserver("ModifiedEvent", lambda *_: update(self))
        self._guis[tag] = bound
        update(self)
        return tag

    def update(self: Any) -> None:
        if self._silent:
            return
        self._silent = True
        for bound in self._guis.values():
            for write, _end in bound:
                write()
        self._silent = False

    def disconnectGui(self: Any, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)
        for _write, end in self._guis.pop(tag):
            end()

    kind.__init__, kind.connectGui, kind.disconnectGui = start, connectGui, disconnectGui
    return kind


def bind(holder: Any, field: Field, widget: Proxy) -> tuple[Callable[[], None], Callable[[], None]]:
    """Connect one widget to one field: (field -> widget, disconnect)."""
    if field.nodes:
        widget.nodeTypes = [one.__name__ for one in field.nodes]
        signal, read, write = "currentNodeChanged(vtkMRMLNode*)", widget.currentNode, widget.setCurrentNode
        widget._real.refill()
    elif issubclass(field.kind, enum.Enum):
        options = list(field.kind)
        widget.clear()
        widget.addItems([option.label() for option in options])
        signal = "currentIndexChanged(int)"
        read, write = (
            (lambda: options[widget.currentIndex]),
            (lambda value: widget.setCurrentIndex(options.index(value))),
        )
    elif field.kind is bool:
        signal, read, write = "toggled(bool)", (lambda: widget.checked), widget.setChecked
    else:
        assert field.range is not None, "a ctkSliderWidget needs a range"
        signal, read, write = "valueChanged(double)", (lambda: widget.value), widget.setValue

    def changed(*_given: Any) -> None:
        if not holder._silent:
            setattr(holder, field.name, read())

    widget.connect(signal, changed)
    return (lambda: write(getattr(holder, field.name))), (lambda: widget.disconnect(signal, changed))
