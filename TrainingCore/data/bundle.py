"""Bundle: a trained model as a folder or .zip of two files, `weights.safetensors` and `bundle.json`.

Nothing in a bundle is unpickled or executed: weights are safetensors, everything else is JSON, and the hash of the
weights is verified before they are used. Only these two members of an archive are read.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import __version__
from ..runtime.errors import BadInput
from ..runtime.files import atomic_folder, write_json, write_text
from .model_card import FITTED_IMAGES, TRAINED_IMAGES, model_card
from .recipe import leaves

DESCRIPTION, WEIGHTS = "bundle.json", "weights.safetensors"
FORMAT = 1
REQUIRED = (
    "format",
    "name",
    "system",
    "architecture",
    "inputs",
    "output",
    "intensity",
    "grid",
    "training_data",
    "simulated_training_data",
    "performance",
    "licence",
    "intended_use",
    "weights_sha256",
    "created_with",
)
KINDS = {  # types of the entries of bundle.json that have no other check
    **dict.fromkeys(("name", "system", "output", "training_data", "licence", "intended_use", "weights_sha256"), str),
    **dict.fromkeys(("architecture", "intensity", "grid", "performance"), dict),
    "inputs": list,
    "simulated_training_data": bool,
}
MAX_VOXELS, MAX_MM, LARGEST_SETTING = (
    1024,
    100.0,
    4096,
)  # along an axis; of a voxel; width, levels, kernel, ... (ours)
LARGEST_DESCRIPTION, LARGEST_WEIGHTS = 4 << 20, 2 << 30
DEMONSTRATION = "demonstration"
LESION_FINDER = "lesion_finder"
NO_BUNDLES = {  # file that identifies another kind of folder: advice for the message
    "run.json": "It is a training run. Give its bundles/best, or write a bundle with export.",
    "plan.json": "It is a cross-validation or a search. Write a bundle with export --crossvalidation.",
}
RESULT_ENTRIES = (
    *("intensity", "grid", "intervals", "uncertainty", "myelin", "repeatability"),
    *("lesion_threshold", "smallest_lesion_mm3"),
)
MAX_MEMBERS = 100
DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError)
MEMBER = "member-"  # an ensemble's weights are named member-1/..., member-2/...


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: folder or .zip file.
        description: content of bundle.json.
        raw_weights: weights in safetensors format.
    """

    path: Path
    description: dict[str, Any]
    raw_weights: bytes

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read and verify a bundle.

        Args:
            path: folder, .zip file, or name of a model that comes with the package.

        Returns:
            The bundle.

        Raises:
            BadInput: the bundle is missing, incomplete or damaged, or holds formats other than safetensors and JSON.
        """
        path = find_bundle(path)
        description = _check_description(_read(path, DESCRIPTION, LARGEST_DESCRIPTION), path)
        raw = _read(path, WEIGHTS, LARGEST_WEIGHTS)
        if sha256(raw).hexdigest() != description["weights_sha256"]:
            raise BadInput(
                f"The model {path} is damaged or was changed: its weights do not have the SHA-256 that "
                f"{DESCRIPTION} gives. Get the bundle again from its source."
            )
        return cls(path, description, raw)

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights."""
        return self.description["weights_sha256"]

    @property
    def sha256_of_results(self) -> str:
        """SHA-256 of the weights and of all entries that change what is written for a patient."""
        entries = {name: self.description.get(name) for name in RESULT_ENTRIES}
        return sha256(json.dumps([self.sha256, entries], sort_keys=True).encode()).hexdigest()

    @property
    def simulated(self) -> bool:
        """Whether the model was trained on simulated data."""
        return bool(self.description["simulated_training_data"])

    def weights(self) -> dict[str, Any]:
        """Tensors by name, on the CPU."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return load(self.raw_weights)
        except SafetensorError as error:
            raise BadInput(
                f"The model {self.path} holds weights that are not safetensors ({error}). "
                "Other formats are refused because they can run code."
            ) from error

    def members(self) -> list[Bundle]:
        """Bundles of the members of an ensemble; for any other bundle, the bundle itself.

        Raises:
            BadInput: a tensor belongs to no member.
        """
        count = self.description.get("members", 1)
        if count == 1:
            return [self]
        weights = self.weights()
        parts: list[dict[str, Any]] = [{} for _ in range(count)]
        for name, tensor in weights.items():
            number, _, own = name.removeprefix(MEMBER).partition("/")
            if not (name.startswith(MEMBER) and number.isdecimal() and 1 <= int(number) <= count):
                raise BadInput(
                    f"The model {self.path} has weights that belong to no member: {name}. Get the bundle again."
                )
            parts[int(number) - 1][own] = tensor
        description = {**self.description, "members": 1}
        return [Bundle(self.path, description, encode_weights(part)) for part in parts]


def find_bundle(path: str | Path) -> Path:
    """Locate a bundle.

    Args:
        path: folder, .zip file, or name of a bundle in Resources/models.

    Returns:
        Path of the bundle.

    Raises:
        BadInput: there is no such bundle.
    """
    folder_or_zip = Path(path)
    if folder_or_zip.exists():
        return folder_or_zip
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "Resources" / "models", package / "Resources" / "models"):
        if folder_or_zip.name == str(path) and (folder / folder_or_zip).is_dir():
            return folder / folder_or_zip
    raise BadInput(
        f"The model {path} does not exist. Give a bundle folder, a .zip, or the name of a model that comes with "
        "MyelinSynth (demonstration, lesion_finder)."
    )


def read_description(path: Path) -> dict[str, Any]:
    """Read and check bundle.json without the weights.

    Args:
        path: bundle folder or .zip file.

    Returns:
        Content of bundle.json.

    Raises:
        BadInput: see `Bundle.open`.
    """
    return _check_description(_read(path, DESCRIPTION, LARGEST_DESCRIPTION), path)


def _read(path: Path, member: str, largest: int) -> bytes:
    try:
        if path.is_dir():
            strangers = [
                p.name for p in path.iterdir() if p.suffix in {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"}
            ]
            if strangers:
                raise BadInput(
                    f"The model {path} holds {strangers[0]}, a format that can run code when it is opened. "
                    "A bundle holds weights.safetensors and bundle.json only."
                )
            if not (path / member).is_file():  # reading a named pipe would block
                raise FileNotFoundError(member)
            if (path / member).stat().st_size > largest:
                raise BadInput(f"The model {path} is too large: {member} has more than {largest >> 20} MiB.")
            return (path / member).read_bytes()
        return _read_from_zip(path, member, largest)
    except FileNotFoundError as error:
        advice = next((hint for name, hint in NO_BUNDLES.items() if (path / name).is_file()), "Get the bundle again.")
        raise BadInput(f"The model {path} is incomplete: it has no {member}. {advice}") from error


def _read_from_zip(path: Path, member: str, largest: int) -> bytes:
    if not zipfile.is_zipfile(path):
        raise BadInput(f"The model {path} is neither a bundle folder nor a .zip of one.")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.replace("\\", "/").rsplit("/", 1)[-1] == member]
            if len(names) != 1:
                raise BadInput(f"The model {path} must hold exactly one {member}; it holds {len(names)}.")
            if archive.getinfo(names[0]).file_size > largest:
                raise BadInput(f"The model {path} is too large: {member} has more than {largest >> 20} MiB.")
            return archive.read(names[0])
    except DAMAGED as error:
        raise BadInput(f"The model {path} is a damaged archive ({error}). Get the bundle again.") from error


def _check_description(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        description = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The model {path} has a {DESCRIPTION} that is not JSON. Get the bundle again.") from error
    missing = [key for key in REQUIRED if key not in description] if isinstance(description, dict) else list(REQUIRED)
    if missing:
        raise BadInput(f"The model {path} is incomplete: {DESCRIPTION} lacks {', '.join(missing)}.")
    if description["format"] != FORMAT:
        raise BadInput(
            f"The model {path} has bundle format {description['format']}; this version reads {FORMAT}. "
            "Update MyelinSynth, or get another bundle."
        )
    wrong = [key for key, kind in KINDS.items() if not isinstance(description[key], kind)]
    if wrong:
        raise BadInput(
            f"The model {path} has a {DESCRIPTION} with an invalid {', '.join(wrong)}. Get the bundle again."
        )
    from ..imaging.intensities import can_be_applied  # imports NumPy, which `--help` need not wait for

    inputs = description["inputs"]
    if not inputs or not all(isinstance(name, str) for name in inputs) or len(inputs) != len(set(inputs)):
        raise BadInput(f"The model {path} describes invalid inputs: {inputs}. Get the bundle again.")
    if not can_be_applied(description["intensity"]):
        raise BadInput(
            f"The model {path} describes an intensity rule unknown to this version: "
            f"{description['intensity']}. Get the bundle again, or update MyelinSynth."
        )
    _check_images(description, path)
    _check_numbers(description, path)
    return description


def _check_images(description: dict[str, Any], path: Path) -> None:
    fitted = description.get(FITTED_IMAGES, {})
    if not (_are_images(description.get(TRAINED_IMAGES, {})) and isinstance(fitted, dict)):
        raise BadInput(f"The model {path} has a {DESCRIPTION} with an invalid {TRAINED_IMAGES}. Get the bundle again.")
    if not all(_are_images(images) for images in fitted.values()):
        raise BadInput(f"The model {path} has a {DESCRIPTION} with an invalid {FITTED_IMAGES}. Get the bundle again.")


def _are_images(images: Any) -> bool:
    listed = isinstance(images, dict) and all(isinstance(marks, list) for marks in images.values())
    return listed and all(isinstance(mark, str) for marks in images.values() for mark in marks)


def _check_numbers(description: dict[str, Any], path: Path) -> None:
    """Raise BadInput for implausible sizes, before anything is allocated from them."""
    members = description.get("members", 1)
    if not (_whole(members) and 1 <= members <= MAX_MEMBERS):
        raise BadInput(f"The model {path} describes an invalid number of members: {members!r}. Get the bundle again.")
    grid = description["grid"]
    sizes, spacing = grid.get("shape"), grid.get("spacing_mm")
    good = isinstance(sizes, list) and len(sizes) == 3 and all(_whole(n) and 1 <= n <= MAX_VOXELS for n in sizes)
    if not (good and isinstance(spacing, (int, float)) and not isinstance(spacing, bool) and 0 < spacing <= MAX_MM):
        raise BadInput(f"The model {path} describes an invalid grid: {grid}. Get the bundle again.")
    large = [key for key, value in leaves(description["architecture"]) if _largest(value) > LARGEST_SETTING]
    if large:
        raise BadInput(f"The model {path} describes an invalid network: {large[0]}. Get the bundle again.")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _largest(value: Any) -> float:
    if isinstance(value, list):
        return max((_largest(item) for item in value), default=0)
    return value if isinstance(value, (int, float)) else 0


def encode_weights(weights: dict[str, Any]) -> bytes:
    """Encode tensors as safetensors; the SHA-256 of these bytes identifies the model.

    Args:
        weights: tensors by name, on any device; written in the order of their names.

    Returns:
        Content of weights.safetensors.
    """
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in sorted(weights.items())})


def fitted_sha256(description: Mapping[str, Any]) -> dict[str, str | None]:
    """Hash what is fitted to a model's errors afterwards, to know whether a result was measured with it.

    Args:
        description: content of bundle.json.

    Returns:
        {intervals, myelin}: SHA-256 of the entry as JSON, None without it.
    """
    written = {kind: json.dumps(description.get(kind), sort_keys=True).encode() for kind in ("intervals", "myelin")}
    return {kind: sha256(text).hexdigest() if text != b"null" else None for kind, text in written.items()}


def save_bundle(folder: Path, description: dict[str, Any], weights: dict[str, Any]) -> Bundle:
    """Write a bundle folder atomically and read it back.

    Args:
        folder: bundle folder to write.
        description: content of bundle.json, without format, hash and version.
        weights: tensors by name.

    Returns:
        The bundle.
    """
    raw = encode_weights(weights)
    full = {
        "format": FORMAT,
        **description,
        "weights_sha256": sha256(raw).hexdigest(),
        "created_with": f"MyelinSynth {__version__}",
    }
    with atomic_folder(folder, DESCRIPTION) as temporary:
        (temporary / WEIGHTS).write_bytes(raw)
        write_json(temporary / DESCRIPTION, full)
        (temporary / "README.md").write_text(model_card(full), encoding="utf-8")
    return Bundle.open(folder)


def add_to_bundle(folder: Path, entries: dict[str, Any]) -> Bundle:
    """Add entries to the description and the card of a bundle; the weights are not changed.

    Args:
        folder: bundle folder.
        entries: entries of bundle.json to add or replace.

    Returns:
        The updated bundle.

    Raises:
        BadInput: the folder holds no bundle.
    """
    bundle = Bundle.open(folder)
    if not bundle.path.is_dir():
        raise BadInput(f"{folder} is an archive. Unpack it and give the folder.")
    described = {**bundle.description, **entries}
    write_text(bundle.path / "README.md", model_card(described))
    write_json(bundle.path / DESCRIPTION, described)
    return Bundle.open(folder)
