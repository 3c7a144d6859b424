"""The errors a user may meet: one clear line each, saying what was wrong, where, and what to do."""

from __future__ import annotations


class SightlineError(Exception):
    """Base of every error that Sightline raises on purpose; `str(error)` is one line fit to show."""


class InputError(SightlineError):
    """What the user gave cannot be used: a bad file, argument, program text or value."""


class ImageError(InputError):
    """A picture is missing, unreadable, of a refused format, or over a limit."""


class LimitError(InputError):
    """A declared limit (bytes, steps, depth, list length, arithmetic) was exceeded."""


class RoleError(SightlineError):
    """A model role cannot be filled; names the op, the role and the command that would fill it."""


class ToolError(SightlineError):
    """A tool could not do what it was asked with the values it was given."""


class ModelFileError(SightlineError):
    """A weights file or checkpoint is missing, damaged, of the wrong shape, or of a refused kind."""
