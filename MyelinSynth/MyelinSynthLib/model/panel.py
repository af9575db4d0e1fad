"""What happens in the section Model: the list, the card, adding and removing models of one's own."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ..errors import SynthesisError
from ..words import _
from .bundles import Model, addModel, allModels, modelCard, removeModel, setUserModelFolder, userModelFolder


class ModelPanel:
    """The list of models and the card of the one that is chosen. `changed` gets its path when the user chooses one."""

    def __init__(self, ui: Any, changed: Callable[[str], None]) -> None:
        self.ui, self._changed = ui, changed
        self._models: list[Model] = []
        self._troubles: list[str] = []
        self._filling = False
        ui.modelBox.connect("currentIndexChanged(int)", self.onIndex)
        ui.addModelButton.connect("clicked(bool)", self.onAdd)
        ui.addModelFolderButton.connect("clicked(bool)", self.onAddFolder)
        ui.removeModelButton.connect("clicked(bool)", self.onRemove)
        ui.refreshModelsButton.connect("clicked(bool)", self.onRefresh)
        ui.modelFolderButton.directory = str(userModelFolder())
        ui.modelFolderButton.connect("directorySelected(QString)", self.onFolder)
        self.refresh()

    @property
    def model(self) -> Model | None:
        """The chosen model, or None where there is none at all."""
        index = self.ui.modelBox.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    def refresh(self, wished: str = "") -> None:
        """List the models again; `wished`: path of the one to choose, otherwise the one that is chosen."""
        wished = wished or (str(self.model.path) if self.model else "")
        self._models, broken = allModels(userModelFolder())
        self._troubles = [bundle.reason for bundle in broken]
        self._filling = True
        self.ui.modelBox.clear()
        self.ui.modelBox.addItems([_("{name} (yours)").format(name=m.name) if m.own else m.name for m in self._models])
        self._filling = False
        self.choose(wished)

    def choose(self, path: str) -> None:
        """Show the model at `path`; the first one, which comes with the extension, where it is empty or not there."""
        paths = [str(model.path) for model in self._models]
        missing = bool(path) and path not in paths
        self._filling = True
        self.ui.modelBox.setCurrentIndex(paths.index(path) if path in paths else 0)
        self._filling = False
        words = list(self._troubles)
        if missing and self.model:
            text = _("The model {path} of this scene is not here; {name} is chosen instead.")
            words.insert(0, text.format(path=path, name=self.model.name))
        if not self._models:
            words.append(_("There is no model. Add one, or reinstall the extension."))
        self._showCard("\n".join(words))

    def onIndex(self, _index: int = 0) -> None:
        """The user chose a model."""
        if not self._filling and self.model:
            self._showCard("\n".join(self._troubles))
            self._changed(str(self.model.path))

    def onRefresh(self, _checked: bool = False) -> None:
        """Look into the folders again."""
        self.refresh()

    def onFolder(self, folder: str) -> None:
        """Another folder of the user's."""
        setUserModelFolder(Path(folder))
        self.refresh()

    def onAdd(self, _checked: bool = False) -> None:
        """Add a model from a .zip that the user picks."""
        self._add(qt.QFileDialog.getOpenFileName(None, _("Add a model"), "", _("Model (*.zip)")))

    def onAddFolder(self, _checked: bool = False) -> None:
        """Add a model from a folder that the user picks."""
        self._add(qt.QFileDialog.getExistingDirectory(None, _("Add a model")))

    def onRemove(self, _checked: bool = False) -> None:
        """Delete the chosen model after asking, where it is the user's own."""
        model = self.model
        if model is None or not model.own:
            return
        question = _("Delete the model {name} from {path}?").format(name=model.name, path=model.path)
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("MyelinSynth")):
            return
        try:
            removeModel(model)
        except SynthesisError as error:
            self._say(error)
        logging.info(f"MyelinSynth: model {model.name} removed")
        self.refresh()
        self._tell()

    def _add(self, source: str) -> None:
        if not source:
            return  # the dialog was closed
        with slicer.util.tryWithErrorDisplay(_("The model could not be added."), waitCursor=True):
            try:
                added = addModel(Path(source), userModelFolder())
            except SynthesisError as error:
                self._say(error)
                return
            logging.info(f"MyelinSynth: model {added.name} added")
            self.refresh(str(added.path))
            self._tell()

    def _tell(self) -> None:
        if self.model:
            self._changed(str(self.model.path))

    def _say(self, error: SynthesisError) -> None:
        slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))

    def _showCard(self, note: str) -> None:
        card = ""
        if self.model:
            note = f"{self.model.trouble}\n{note}".strip()
            try:
                card = _compact(modelCard(self.model))
            except SynthesisError as error:
                note = f"{note}\n{error}".strip()
        self.ui.modelCard.text = card
        self.ui.modelNote.text = note
        self.ui.modelNote.visible = bool(note)
        self.ui.removeModelButton.enabled = self.model is not None and self.model.own


def _compact(card: str) -> str:
    """A card for a narrow panel: small headings, and hashes that do not make the panel wide."""
    card = re.sub(r"^#+ ", "##### ", card, flags=re.MULTILINE)
    return re.sub(r"`?([0-9a-f]{12})[0-9a-f]{52}`?", r"\1...", card)
