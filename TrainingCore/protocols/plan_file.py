"""plan.json: what a folder of results was begun as. Written once; going on means to be asked for the same again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..files import read_json, write_json

PLAN = "plan.json"


def begin_or_go_on(folder: Path, wanted: dict[str, Any], what: str) -> None:
    """Begin a folder with this plan, or find that it was begun with the same; `what` names it in messages.

    Raises BadInput where the folder holds another plan, or something else.
    """
    if (folder / PLAN).is_file():
        found = read_json(folder / PLAN)
        different = [key for key in wanted if found.get(key) != wanted[key]]
        if different:
            raise BadInput(
                f"{folder} holds another {what}: its {', '.join(different)} differ. Give the same options to go on "
                "with it, or choose another --out."
            )
    elif folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} holds something else (it has no {PLAN}). Choose another --out.")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / PLAN, wanted)
