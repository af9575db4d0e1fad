"""The exception whose message is shown to users."""

from __future__ import annotations


class SynthesisError(Exception):
    """Says in one or two sentences that a clinician understands what went wrong and what to do about it."""
