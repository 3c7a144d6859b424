"""Which picture goes by which name: pictures on a command line, bound to the names that a program reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InputError
from .syntax import Program


def bind(program: Program, pictures: Sequence[Any]) -> list[dict[str, Any]]:
    """One mapping of input names to pictures per run.

    A program of one picture (IMAGE) runs once for each; one of several (LEFT and RIGHT; IMAGE1, IMAGE2 ...) runs once on
    all, in the order of the names; IMAGES takes all as a list. InputError where the numbers do not fit.
    """
    names = program.inputs
    if not names:
        if pictures:
            raise InputError("the program reads no picture; give it none")
        return [{}]
    if not pictures:
        raise InputError(f"the program reads {', '.join(names)}; give the path of a picture")
    if names == ("IMAGES",):
        return [{"IMAGES": list(pictures)}]
    if len(names) == 1:
        return [{names[0]: picture} for picture in pictures]
    if len(names) != len(pictures):
        raise InputError(
            f"the program reads {len(names)} pictures ({', '.join(sorted(names))}), {len(pictures)} given"
        )
    return [dict(zip(sorted(names), pictures, strict=True))]
