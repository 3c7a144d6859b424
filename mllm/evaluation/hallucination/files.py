"""Reading predictions and annotations: JSON or JSON lines, with the file, line and field named where one is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....errors import InputError


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, or of a JSON file that holds one list of objects.

    Raises:
        InputError: no such file, or a line that is no JSON object.
    """
    text = _text(path)
    if text.lstrip().startswith("["):
        rows = _parse(text, f"{path}")
        return [_mapping(row, f"{path}, item {i}") for i, row in enumerate(rows, 1)]
    return [
        _mapping(_parse(line, f"{path}, line {i}"), f"{path}, line {i}")
        for i, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]


def read_object(path: str | Path) -> dict[str, Any]:
    """A JSON file that holds one object."""
    return _mapping(_parse(_text(path), f"{path}"), f"{path}")


def field(row: dict[str, Any], names: Sequence[str], where: str) -> Any:
    """The value under the first of several names that the row has (files in the wild differ)."""
    for name in names:
        if name in row:
            return row[name]
    raise InputError(
        f"{where}: a row lacks the field {' or '.join(map(repr, names))}; it has {', '.join(row) or 'none'}"
    )


def yes_or_no(text: Any, where: str) -> bool:
    """A label of an annotation file: yes or no, in any case, or a JSON boolean."""
    if isinstance(text, bool):
        return text
    word = str(text).strip().lower()
    if word not in ("yes", "no"):
        raise InputError(f"{where}: the label is {text!r}; it must be yes or no")
    return word == "yes"


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: no valid JSON ({error.msg}, column {error.colno})") from error


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: a JSON object is needed, not {type(value).__name__}")
    return value
