"""A dataclass of options read from a YAML file: an unknown key, a wrong type or a missing file is one clear line."""

from __future__ import annotations

import difflib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from ...errors import InputError
from .loop import LoopOptions

T = TypeVar("T")


def read_options(path: str | Path, cls: type[T]) -> T:
    """The record that a YAML file describes; fields without a default must stand in it.

    Args:
        path: a YAML file of keys and values, among them `loop` where the record has that field.
        cls: a dataclass whose fields are str, int, float, bool or dict[str, ...].
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no config file {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} should hold keys and values, not a {type(values).__name__}")
    hints = get_type_hints(cls)
    read: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            raise InputError(f"{path}: no option {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        wanted = dict if str(hints[key]).startswith("dict") else hints[key]
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise InputError(f"{path}: {key} should be a {wanted.__name__}, not {value!r}")
        read[key] = value
    for f in fields(cls):  # type: ignore[arg-type]
        if f.default is MISSING and f.default_factory is MISSING and not read.get(f.name):
            raise InputError(f"{path}: `{f.name}` is missing")
    known = {f.name for f in fields(LoopOptions)}
    for key in read.get("loop", {}):
        if key not in known:
            raise InputError(f"{path}: loop has no option {key!r}; it has {', '.join(sorted(known))}")
    return cls(**read)
