"""What a caller may hand to the agent, made into a request: pictures of any kind, a mark, a name for the trace."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ..errors import InputError
from ..tools.values import Image
from .records import Mark, Mode

MOST_PICTURES = 16
MOST_CHARACTERS = 4000  # of a question


def pictures_of(given: Any) -> tuple[Image, ...]:
    """One picture or several: Images, paths, bytes, open files, PIL pictures, or arrays [H, W, 3] uint8 RGB.

    Raises:
        InputError: none at all, or too many.
        ImageError: one that cannot be read.
    """
    many = list(given) if isinstance(given, list | tuple) else [given]
    if not many:
        raise InputError("no picture is given; give a path or an Image")
    if len(many) > MOST_PICTURES:
        raise InputError(f"{len(many)} pictures are given; a question takes {MOST_PICTURES} at most")
    return tuple(_picture(item) for item in many)


def _picture(item: Any) -> Image:
    if isinstance(item, Image):
        return item
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8:  # numbers from 0 to 1 would make a black picture
            raise InputError(
                f"an array of {item.dtype} is no picture; give uint8 from 0 to 255, [H, W, 3], RGB"
            )
        try:
            return Image.from_array(item)
        except ValueError as error:
            raise InputError(str(error)) from error
    if hasattr(item, "convert") and hasattr(item, "getbands"):  # a PIL picture, told without importing PIL
        return Image.from_array(np.asarray(item.convert("RGB")))
    if isinstance(item, str | Path | bytes) or hasattr(item, "read"):
        return Image.open(item)
    raise InputError(
        f"a {type(item).__name__} is no picture; give a path, an Image, a PIL picture or an array [H, W, 3]"
    )


def question_of(text: Any) -> str:
    """The question, checked; InputError where it is empty, too long or no text."""
    if not isinstance(text, str) or not text.strip():
        raise InputError("the question is empty; say what you want to know")
    if not any(char.isalnum() for char in text):
        raise InputError(f"the question {text.strip()[:20]!r} has no words; say what you want to know")
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"the question has {len(text)} characters; {MOST_CHARACTERS} are the most")
    return text.strip()


def mark_of(at: Any, pictures: Sequence[Image]) -> Mark | None:
    """The mark on one of the pictures; InputError where it names a picture that is not there or lies outside of it."""
    if at is None:
        return None
    if isinstance(at, Mark):
        if not 0 <= at.picture < len(pictures):
            raise InputError(f"the mark is on picture {at.picture}, and there are {len(pictures)} (from 0)")
        if not any(is_object for _, _, is_object in at.points) and at.box is None and at.mask is None:
            raise InputError("the mark points at nothing; give a click on the thing, a box or a mask")
        width, height = pictures[at.picture].size
        for x, y, _ in at.points:
            Mark.of((x, y), (width, height))
        if at.box is not None:
            Mark.of(at.box, (width, height))
        return at
    return Mark.of(at, pictures[0].size)


def mode_of(mode: str) -> Mode:
    """The mode by name; InputError lists those there are."""
    if mode not in get_args(Mode):
        raise InputError(f"mode {mode!r} is none of {', '.join(get_args(Mode))}")
    return mode  # type: ignore[return-value]


def new_trace_id(now: float | None = None) -> str:
    """A name that sorts by time and that no other answer has: 20260131-235959-123-9f3ac2e1."""
    moment = time.time() if now is None else now
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(moment))
    return f"{stamp}-{int(moment * 1000) % 1000:03d}-{secrets.token_hex(4)}"
