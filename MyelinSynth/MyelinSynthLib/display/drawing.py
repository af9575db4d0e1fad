"""When views are drawn."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import slicer

Step = TypeVar("Step", bound=Callable[..., Any])


def drawnOnce(step: Step) -> Step:
    """Let a step that changes several things draw the views once, at its end.

    A view asked to be drawn a second time after more than a sixtieth of a second is drawn at once, half way.

    Args:
        step: function to wrap; not one that Qt calls, which counts the arguments it takes.
    """

    @functools.wraps(step)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        with slicer.util.RenderBlocker():
            return step(*arguments, **keywords)

    return wrapped  # type: ignore[return-value]
