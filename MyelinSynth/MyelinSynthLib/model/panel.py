"""The Model section: the list of models, the card, adding and removing models."""

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
    """List of models and card of the chosen one; `changed` is called with its path when the user chooses one."""

    def __init__(self, ui: Any, changed: Callable[[str], None]) -> None:
        self.ui, self._changed = ui, changed
        self._models: list[Model] = []
        self._troubles: list[str] = []
        self._filling = False
        self._note = ""  # of the list of models
        ui.modelBox.connect("currentIndexChanged(int)", self._onIndex)
        ui.addModelButton.connect("clicked(bool)", self._onAdd)
        ui.addModelFolderButton.connect("clicked(bool)", self._onAddFolder)
        ui.removeModelButton.connect("clicked(bool)", self._onRemove)
        ui.refreshModelsButton.connect("clicked(bool)", self._onRefresh)
        ui.wholeCardButton.connect("toggled(bool)", self._onWholeCard)
        ui.modelFolderButton.directory = str(userModelFolder())
        ui.modelFolderButton.connect("directorySelected(QString)", self._onFolder)
        self._refresh()

    @property
    def model(self) -> Model | None:
        """The chosen model; None if there is no model at all."""
        index = self.ui.modelBox.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    def _refresh(self, selected: str = "") -> None:
        """List the models again, keeping the choice or selecting the model at the path `selected`."""
        selected = selected or (str(self.model.path) if self.model else "")
        self._models, broken = allModels(userModelFolder())
        self._troubles = [bundle.reason for bundle in broken]
        self._filling = True
        self.ui.modelBox.clear()
        self.ui.modelBox.addItems([_("{name} (yours)").format(name=m.name) if m.own else m.name for m in self._models])
        self._filling = False
        self.choose(selected)

    def choose(self, path: str) -> None:
        """Show a model without calling `changed`.

        Args:
            path: path of a bundle. If it is empty or not listed, the first model is shown, which comes with the
                extension; a path that is not listed is reported in the note.
        """
        paths = [str(model.path) for model in self._models]
        missing = bool(path) and path not in paths
        self._filling = True
        self.ui.modelBox.setCurrentIndex(paths.index(path) if path in paths else 0)
        self._filling = False
        words = list(self._troubles)
        if missing and self.model:
            text = _("The model {path} of this scene was not found; {name} is used instead.")
            words.insert(0, text.format(path=path, name=self.model.name))
        if not self._models:
            words.append(_("There is no model. Add one, or reinstall the extension."))
        self._showCard("\n".join(words))

    def _onIndex(self, _index: int = 0) -> None:
        """Show the card of the model the user chose, and report the choice."""
        if not self._filling and self.model:
            self._showCard("\n".join(self._troubles))
            self._changed(str(self.model.path))

    def _onWholeCard(self, _checked: bool = False) -> None:
        """Show the whole card of the chosen model, or its main lines."""
        self._showCard(self._note)

    def _onRefresh(self, _checked: bool = False) -> None:
        """Read the folders again."""
        self._refresh()

    def _onFolder(self, folder: str) -> None:
        """Use another folder for the user's models."""
        setUserModelFolder(Path(folder))
        self._refresh()

    def _onAdd(self, _checked: bool = False) -> None:
        """Add a model from a .zip file that the user picks."""
        self._add(qt.QFileDialog.getOpenFileName(None, _("Add a model"), "", _("Model (*.zip)")))

    def _onAddFolder(self, _checked: bool = False) -> None:
        """Add a model from a folder that the user picks."""
        self._add(qt.QFileDialog.getExistingDirectory(None, _("Add a model")))

    def _onRemove(self, _checked: bool = False) -> None:
        """Delete the chosen model after asking, if it is the user's own."""
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
        self._refresh()
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
            self._refresh(str(added.path))
            self._tell()

    def _tell(self) -> None:
        if self.model:
            self._changed(str(self.model.path))

    def _say(self, error: SynthesisError) -> None:
        slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))

    def _showCard(self, note: str) -> None:
        self._note = note
        card, trouble = self._card()
        note = "\n".join(words for words in (self.model.trouble if self.model else "", note, trouble) if words)
        self.ui.modelCard.text = card
        self.ui.modelNote.text = note
        self.ui.modelNote.visible = bool(note)
        self.ui.wholeCardButton.enabled = self.model is not None
        self.ui.removeModelButton.enabled = self.model is not None and self.model.own

    def _card(self) -> tuple[str, str]:
        """The card of the chosen model, whole or in short, and what is wrong with it."""
        if self.model is None:
            return "", ""
        try:
            return _compact(modelCard(self.model, whole=self.ui.wholeCardButton.checked)), ""
        except SynthesisError as error:
            return "", str(error)


def _compact(card: str) -> str:
    """Adapt a card to the narrow panel: small headings and shortened hashes."""
    card = re.sub(r"^#+ ", "##### ", card, flags=re.MULTILINE)
    return re.sub(r"`?([0-9a-f]{12})[0-9a-f]{52}`?", r"\1...", card)
