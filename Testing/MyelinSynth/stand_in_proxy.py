"""Objects of Qt as PythonQt shows them: properties are attributes, `connect` takes a signature. Test-only code."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6 import QtGui, QtWidgets

if TYPE_CHECKING:
    from stand_in_host import Host


def native(given: typing.Iterable[Any], name: str) -> list[Any]:
    """What PythonQt hands to Qt: it takes Python's own numbers and texts, but none of numpy's, and no Path."""
    given = list(given)
    for one in [part for whole in given for part in (whole if isinstance(whole, (list, tuple)) else (whole,))]:
        known = isinstance(one, (Proxy, enum.Enum)) or hasattr(one, "IsA")
        if not (one is None or known or type(one) in (bool, int, float, str)):
            raise TypeError(f"in the application {name} takes no {type(one).__name__}")
    return [one._real if isinstance(one, Proxy) else one for one in given]


class Signal:
    """A signal of a proxied object."""

    def __init__(self, owner: Proxy, signature: str) -> None:
        self._owner, self._signature = owner, signature

    def connect(self, receiver: Callable[..., Any]) -> None:
        self._owner.connect(self._signature, receiver)

    def disconnect(self, receiver: Callable[..., Any]) -> None:
        self._owner.disconnect(self._signature, receiver)


class Proxy:
    """An object of Qt as PythonQt shows it."""

    def __init__(self, host: Host, real: Any, name: str) -> None:
        object.__setattr__(self, "_host", host)
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_class", name)
        object.__setattr__(self, "_known", host.described(name))
        object.__setattr__(self, "_slots", {})

    def __getattr__(self, name: str) -> Any:
        known = self._known
        if name in ("inherits", "property"):  # PythonQt gives them to every object
            return getattr(self._real, name)
        if name in known["properties"]:
            value = self._real.property(name)
            return value if value is not None else getattr(self._real, name)()
        if name in known["methods"] | {slot.split("(")[0] for slot in known["slots"]}:
            return lambda *given: self._call(name, given)
        signatures = [signal for signal in known["signals"] if signal.split("(")[0] == name]
        if signatures:
            return Signal(self, signatures[0])
        raise AttributeError(f"in the application a {self._class} has no {name}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._known["properties"]:
            raise AttributeError(f"in the application a {self._class} has no property {name}")
        self._real.setProperty(name, *native([value], name))

    def _call(self, name: str, given: tuple[Any, ...]) -> Any:
        found = getattr(self._real, name)(*native(given, name))
        kinds = (QtWidgets.QHeaderView, QtWidgets.QTableWidgetItem, QtGui.QAction, QtWidgets.QLayout)
        known = isinstance(found, kinds) or type(found) is QtWidgets.QWidget
        return Proxy(self._host, found, type(found).__name__) if known else found

    def connect(self, signature: str, receiver: Callable[..., Any]) -> None:
        listed = self._known["signals"] or {f"{name}({signature.split('(')[1]}" for name in self._known["methods"]}
        if signature not in listed:  # of some classes the description gives bare names alone
            raise AttributeError(f"in the application a {self._class} has no signal {signature}")
        slot = self._host.guarded(receiver)
        self._slots[signature, receiver] = slot
        getattr(self._real, signature.split("(")[0]).connect(slot)

    def disconnect(self, signature: str, receiver: Callable[..., Any]) -> None:
        getattr(self._real, signature.split("(")[0]).disconnect(self._slots.pop((signature, receiver)))
