"""The exception that the module shows to users."""

from __future__ import annotations


class SynthesisError(Exception):
    """What went wrong and what to do about it, in one or two sentences a clinician understands."""
