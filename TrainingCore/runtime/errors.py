"""The two kinds of errors that commands report to users, each as one sentence."""

from __future__ import annotations


class MyelinSynthError(Exception):
    """A failure with a sentence a clinician understands: which file, what is wrong, what to do. Exit code 1."""

    exit_code = 1


class BadInput(MyelinSynthError):
    """An input cannot be used (a file, an option, a recipe, a bundle). Exit code 2."""

    exit_code = 2
