"""The type algebra of programs: which values an argument takes, and what broadcasting makes of a result."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Any

from .values import Image, Region, Regions

# Atom -> its plural: what an op gives when an argument of the singular type is handed the plural.
PLURAL = {"Image": "Images", "Region": "Regions", "Text": "Texts", "Number": "Numbers", "Flag": "Flags"}
SINGULAR = {plural: single for single, plural in PLURAL.items()}
ATOMS = frozenset([*PLURAL, *SINGULAR, "Nothing"])


@dataclass(frozen=True, slots=True)
class ValueType:
    """A union of atoms (Image, Images, Region, Regions, Text, ...). All atoms together is `ANY`."""

    atoms: frozenset[str]

    def __str__(self) -> str:
        return "Any" if self.atoms == ATOMS else " or ".join(sorted(self.atoms))

    def accepts(self, given: ValueType) -> bool:
        """Whether some value of `given` fits without broadcasting (a Region stands for Regions of one)."""
        return any(atom in self.atoms or PLURAL.get(atom) in self.atoms for atom in given.atoms)

    def broadcasts(self, given: ValueType) -> bool:
        """Whether `given` fits only by running the op once for each of its items."""
        return not self.accepts(given) and any(SINGULAR.get(atom) in self.atoms for atom in given.atoms)

    def plural(self) -> ValueType:
        """The type of a list of values of this type (a list of plurals has no type of its own: it stays)."""
        return ValueType(frozenset(PLURAL.get(atom, atom) for atom in self.atoms))


ANY = ValueType(ATOMS)


def of(*atoms: str) -> ValueType:
    return ValueType(frozenset(atoms))


_PYTHON = {Image: "Image", Region: "Region", Regions: "Regions", str: "Text", int: "Number", float: "Number",
           bool: "Flag", type(None): "Nothing"}  # fmt: skip


def from_annotation(annotation: Any) -> ValueType:
    """The ValueType of a Python annotation: Image, Regions, str, float, bool, None, list[...] of them, unions, Any."""
    if annotation is Any:
        return ANY
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [from_annotation(part) for part in typing.get_args(annotation)]
        return ValueType(frozenset().union(*(part.atoms for part in parts)))
    if origin is list:
        (item,) = typing.get_args(annotation)
        return from_annotation(item).plural()
    if annotation in _PYTHON:
        return of(_PYTHON[annotation])
    raise TypeError(f"{annotation!r} is no type of the program language")


def of_value(value: Any) -> ValueType:
    """The type of a value at run time. An empty list may be any plural."""
    if isinstance(value, bool):  # before int: a bool is one
        return of("Flag")
    for python, atom in _PYTHON.items():
        if isinstance(value, python):
            return of(atom)
    if isinstance(value, list | tuple):
        if not value:
            return of(*SINGULAR)
        kinds = {of_value(item) for item in value}
        return ValueType(frozenset().union(*(kind.plural().atoms for kind in kinds)))
    raise TypeError(f"a {type(value).__name__} is no value of the program language")
