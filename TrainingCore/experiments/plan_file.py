"""plan.json: settings with which an experiment was started. Written once; resuming needs the same settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput
from ..runtime.files import read_json, refuse_file, write_json

PLAN, KIND = "plan.json", "kind"
MAX_NAMED = 3


def start_or_resume(folder: Path, plan: dict[str, Any], what: str) -> None:
    """Start a folder with a plan, or check that it was started with the same one.

    Several jobs may start one folder at the same time.

    Args:
        folder: folder of the experiment, which may not exist yet.
        plan: settings as JSON.
        what: kind of experiment, named in messages.

    Raises:
        BadInput: the folder holds another plan or other files; hidden files, left by a killed job or a file manager,
            are ignored.
    """
    refuse_file(folder)
    if not (folder / PLAN).is_file():
        others = folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir())
        if others and not (folder / PLAN).is_file():  # looked for again, as another job may just have begun
            raise BadInput(f"{folder} holds other files (it has no {PLAN}). Choose another --out.")
        if not others:
            write_json(folder / PLAN, {KIND: what, **plan})
    existing = read_plan(folder, what, list(plan))
    different = [_difference(key, existing[key], plan[key]) for key in plan if existing[key] != plan[key]]
    if different:
        raise BadInput(
            f"{folder} holds another {what}: its {', '.join(different)} differ. Give the same options and data to "
            "resume it, or choose another --out."
        )


def _difference(key: str, existing: Any, plan: Any) -> str:
    """Names of the settings that differ; for files, of the visits."""
    if key != "files" or not isinstance(existing, dict):
        return key
    whose = sorted(label for label in {*existing, *plan} if existing.get(label) != plan.get(label))
    return f"files ({', '.join(whose[:MAX_NAMED])}{', ...' if len(whose) > MAX_NAMED else ''})"


def read_plan(folder: Path, what: str, keys: Sequence[str]) -> dict[str, Any]:
    """Read the plan of a folder.

    Args:
        folder: folder of an experiment.
        what: kind of experiment that is expected.
        keys: keys that the plan must have.

    Returns:
        The plan.

    Raises:
        BadInput: the plan is missing or damaged, or that of another kind of experiment.
    """
    plan = read_json(folder / PLAN)
    if isinstance(plan, dict) and plan.get(KIND, what) != what:
        raise BadInput(f"{folder} holds a {plan[KIND]}, not a {what}. Choose another folder.")
    missing = [key for key in keys if key not in plan] if isinstance(plan, dict) else keys
    if missing:
        raise BadInput(
            f"{folder / PLAN} is damaged or of another version: it has no {', '.join(missing)}. Restore it, or choose "
            "another --out."
        )
    return plan
