"""Cache of prepared visits; visits that do not fit into memory are read again when needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..data.case import ALL_MRI, Case
from ..data.cohort import Cohort, Visit
from ..data.recipe import grid_shape, grid_spacing
from ..imaging.preparation import load_visit, refuse_other_maps


def load_case(visit: Visit, recipe: dict[str, Any]) -> Case:
    """Read a visit and prepare it for a recipe: grid, intensity rule, inputs and target.

    Args:
        visit: a visit of a cohort.
        recipe: its group `data` is used.

    Returns:
        The prepared visit.

    Raises:
        BadInput: a file is missing or cannot be used, or the target is no DVR map.
    """
    data = recipe["data"]
    mri = [name for name in (*data["inputs"], data["target"]) if name in ALL_MRI]
    case = load_visit(visit, grid_shape(recipe), grid_spacing(recipe), data["intensity"], mri)
    if data["target"] == "dvr":
        refuse_other_maps(case, visit)
    return case


class CaseStore:
    """The visits of a cohort as prepared Cases, by index.

    Args:
        recipe: defines grid and intensity rule.
        memory_gb: size of the cache; the first visits that are read are kept.
    """

    def __init__(self, cohort: Cohort, recipe: dict[str, Any], memory_gb: float) -> None:
        self.cohort, self.recipe = cohort, recipe
        self._memory_gb, self._room = memory_gb, memory_gb * 1e9
        self._kept: dict[int, Case] = {}

    def __len__(self) -> int:
        return len(self.cohort)

    def __getitem__(self, index: int) -> Case:
        if index in self._kept:
            return self._kept[index]
        case = load_case(self.cohort.visits[index], self.recipe)
        size = sum(array.nbytes for array in case.volumes.values())
        if size <= self._room:
            self._room -= size
            self._kept[index] = case
        return case

    def for_one_of(self, workers: int) -> CaseStore:
        """An empty store of the same visits, with its share of the memory.

        Args:
            workers: number of processes that each get one.
        """
        return CaseStore(self.cohort, self.recipe, self._memory_gb / workers)

    def read_all(self, tell: Callable[[int, int], None]) -> None:
        """Read every visit once, so that a broken file is noticed before training starts.

        Args:
            tell: called with the number of visits read so far and of all visits.

        Raises:
            BadInput: a file is missing or cannot be used.
        """
        for index in range(len(self)):
            tell(index, len(self))
            self[index]
