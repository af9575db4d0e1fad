"""Columns of the lesion table on screen: those of TrainingCore's list, plus state and comment."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ..run.childprocess import importTrainingCore
from ..words import _
from .table import COMMENT, ID, STATE

HIDDEN = {"x_mm", "y_mm", "z_mm", "sd_dvr", "min_dvr"}  # shown by the views, or only written to files


@dataclass(frozen=True)
class Column:
    """A column on screen.

    Attributes:
        name: name in the table node.
        title: header.
        tip: tooltip of the header.
        form: format of a number, such as `{:.2f}`; empty for text.
    """

    name: str
    title: str
    tip: str
    form: str = ""


@functools.lru_cache(maxsize=1)
def screenColumns() -> tuple[Column, ...]:
    """Return the columns on screen: lesion, state, the columns that TrainingCore displays, comment."""
    importTrainingCore()
    from TrainingCore.data.lesion_columns import change_columns, shown, titles

    ofLesions = [*shown(), *(column for column in change_columns() if column.name != "lesion")]
    titleOf = titles(ofLesions)
    measured = [
        Column(column.name, titleOf[column.name][:1].upper() + titleOf[column.name][1:], column.tooltip, column.form)
        for column in ofLesions
        if column.name not in HIDDEN
    ]
    lesion = [column for column in measured if column.name == ID]
    state = Column(STATE, _("State"), _("Review decision, and whether the outline was edited."))
    comment = Column(COMMENT, _("Comment"), _("Your remark."))
    return (*lesion, state, *(column for column in measured if column.name != ID), comment)
