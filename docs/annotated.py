"""Griffe extension: API pages show the type of an `Annotated[type, ...]` parameter, not what the command line adds."""

from __future__ import annotations

from typing import Any

from griffe import Expr, ExprSubscript, ExprTuple, Extension, Function


class UnwrapAnnotated(Extension):
    """Replace `Annotated[type, ...]` by `type` in the parameters of every function."""

    def on_function(self, *, func: Function, **_: Any) -> None:
        """Unwrap the annotations of a function's parameters.

        Args:
            func: function that griffe has loaded; changed in place.
        """
        for parameter in func.parameters:
            parameter.annotation = _unwrapped(parameter.annotation)


def _unwrapped(annotation: str | Expr | None) -> str | Expr | None:
    if isinstance(annotation, ExprSubscript) and str(annotation.left) == "Annotated":
        parts = annotation.slice
        return parts.elements[0] if isinstance(parts, ExprTuple) else parts
    return annotation
