"""Programs by name: the shipped library, and how any program file says what it does and which words it lets you choose.

A `.vp` file may open with lines `#:` that describe it:

    #: Count the things of one kind.
    #: OBJECT = person -- what to count
    #: Example: sightline run count street.jpg --set OBJECT=bicycle
    BOX0=LOC(image=IMAGE,object=OBJECT)

A setting is put in as a value, never as program text, so it cannot add a step. One that an EVAL mentions as `{NAME}`
becomes a constant step of that name.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import InputError
from ..limits import SOURCE_BYTES
from ..syntax import Argument, ListOf, Literal, Name, Program, Scalar, Step

FOLDER = Path(__file__).resolve().parent
SUFFIX = ".vp"
_SETTING = re.compile(r"([A-Z][A-Z0-9_]*)\s*=\s*(.+?)\s+--\s+(.+)")


@dataclass(frozen=True)
class Setting:
    """A word or number that a program lets its user choose."""

    name: str
    default: Scalar
    doc: str


@dataclass(frozen=True)
class ProgramFile:
    """A program file: what it does, its settings, an example call, and its text."""

    name: str
    description: str
    settings: tuple[Setting, ...]
    example: str
    text: str

    def program(self, given: Mapping[str, str] | None = None) -> Program:
        """The parsed program with its settings put in; `given` overrides defaults, read as the default's type.

        Raises InputError for a setting that the program does not have, ProgramError for a text that does not parse.
        """
        chosen = {setting.name: setting.default for setting in self.settings}
        for name, text in (given or {}).items():
            if name not in chosen:
                raise InputError(self._unknown(name))
            chosen[name] = _typed(name, text, chosen[name])
        program = Program.parse(self.text)
        steps = tuple(
            replace(step, args=tuple((key, _put(argument, chosen)) for key, argument in step.args))
            for step in program.steps
        )
        mentioned = {name for step in steps for name in step.references}
        return replace(
            program, steps=(*(_constant(name, chosen[name]) for name in chosen if name in mentioned), *steps)
        )

    def _unknown(self, name: str) -> str:
        names = [setting.name for setting in self.settings]
        if not names:
            return f"program {self.name} has no settings, so {name} cannot be set"
        return f"program {self.name} has no setting {name}; it has {', '.join(names)}"


def _typed(name: str, text: str, default: Scalar) -> Scalar:
    """A setting's text as the type of its default."""
    if isinstance(default, bool):
        if text.lower() in ("yes", "true", "no", "false"):
            return text.lower() in ("yes", "true")
        raise InputError(f"setting {name} is yes or no, not {text!r}")
    if isinstance(default, int | float):
        try:
            return (
                int(text)
                if isinstance(default, int) and re.fullmatch(r"[+-]?\d{1,15}", text)
                else float(text)
            )
        except ValueError:
            raise InputError(f"setting {name} is a number, not {text!r}") from None
    return text


def _constant(name: str, value: Scalar) -> Step:
    """A step that is a setting's value; the optimiser folds it away."""
    return Step(
        name, "IF", (("condition", Literal(True)), ("then", Literal(value)), ("otherwise", Literal(value)))
    )


def _put(argument: Argument, chosen: Mapping[str, Scalar]) -> Argument:
    if isinstance(argument, Name) and argument.id in chosen:
        return Literal(chosen[argument.id])
    if isinstance(argument, ListOf):
        return ListOf(tuple(
            Literal(chosen[item.id]) if isinstance(item, Name) and item.id in chosen else item for item in argument.items
        ))  # fmt: skip
    return argument


def library() -> list[ProgramFile]:
    """The shipped programs, by name."""
    return [read(path) for path in sorted(FOLDER.glob(f"*{SUFFIX}"))]


def find(name_or_path: str | Path) -> ProgramFile:
    """A program of the library by name, or a program file by path."""
    text = str(name_or_path)
    shipped = FOLDER / f"{text}{SUFFIX}"
    if re.fullmatch(r"[\w-]+", text) and shipped.is_file():
        return read(shipped)
    path = Path(text)
    if path.is_file():
        return read(path)
    names = [item.stem for item in FOLDER.glob(f"*{SUFFIX}")]
    near = difflib.get_close_matches(Path(text).stem, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "`sightline programs` lists the library"
    raise InputError(f"no program {text!r}: neither a file nor in the library; {hint}")


def read(path: Path) -> ProgramFile:
    """A program file; InputError where it cannot be read or its header is malformed."""
    try:
        if path.stat().st_size > SOURCE_BYTES:
            raise InputError(f"{path} is over the limit of {SOURCE_BYTES // 1024} KiB for a program")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a program: {error}") from error
    description: list[str] = []
    settings: list[Setting] = []
    example = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("#:"):
            continue
        note = line[2:].strip()
        if note.startswith("Example:"):
            example = note.removeprefix("Example:").strip()
        elif match := _SETTING.fullmatch(note):
            settings.append(Setting(match[1], _literal(match[2], path, number), match[3]))
        else:
            description.append(note)
    return ProgramFile(path.stem, " ".join(description), tuple(settings), example, text)


def _literal(text: str, path: Path, line: int) -> Scalar:
    """A default as written: a number, True or False, a quoted text, or bare words."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InputError(f"{path}, line {line}: a setting's default is a number, yes/no or a text, not {text!r}")
