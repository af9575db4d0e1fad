"""Visit: where the files of one visit of one person lie, and how they become a Case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import BadInput
from .case import ALL_MRI, MASKS, MRI, VOLUME_NAMES, label_of

MAY_BE_EMPTY = ("myelin_loss",)  # nobody but a patient with lesions has lost any

if TYPE_CHECKING:
    from .case import Case


@dataclass
class Visit:
    """The files of one visit of one person; `load` reads them onto a grid.

    files: volume name -> file; info: participant columns; spaces: the BIDS `space` of a file whose name has one;
    transforms: volume name -> `identity` or an ITK transform file that a table gave; notes: what was chosen among
    several files, or not used, in sentences; prepared: whether `preprocess` made the files.
    """

    person: str
    visit: str
    files: dict[str, Path] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    spaces: dict[str, str] = field(default_factory=dict)
    transforms: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    prepared: bool = False

    @property
    def label(self) -> str:
        """See `case.label_of`."""
        return label_of(self.person, self.visit)

    def load(
        self,
        shape: tuple[int, int, int],
        spacing: float,
        intensity: dict[str, Any],
        inputs: Sequence[str] | None = None,
    ) -> Case:
        """Read, resample and rescale this visit for a network (see imaging.preparation.prepare_case).

        shape: voxels of the grid; spacing: mm; intensity: the rule of a recipe or bundle; inputs: the MRI that must be
        there (T1w and FLAIR where None); MRI that is there besides is read only where None. Everything must lie in one
        space. Raises BadInput naming the file where one cannot be used.
        """
        from ..imaging.grid import brain_grid
        from ..imaging.preparation import prepare_case
        from ..imaging.volumes import read_volume

        needed = {"brain", *(MRI if inputs is None else inputs)}
        missing = [name for name in VOLUME_NAMES if name in needed - set(self.files)]
        if missing:
            raise BadInput(f"{self.label} has no {', '.join(missing)}; a registered, brain-masked visit is needed.")
        unwanted = set() if inputs is None else set(ALL_MRI) - needed
        read = {
            name: read_volume(self.files[name], what=name, mask=name in MASKS, may_be_empty=name in MAY_BE_EMPTY)
            for name in VOLUME_NAMES
            if name in self.files and name not in unwanted
        }
        brain = read["brain"]
        try:
            grid = brain_grid(brain.data > 0.5, brain.affine, shape, spacing)
            case = prepare_case(read, grid, intensity, self.person, self.visit)
        except ValueError as error:
            raise BadInput(f"{self.label} cannot be prepared: {error}. Check {self.files['brain']}.") from error
        case.info.update(self.info)
        return case
