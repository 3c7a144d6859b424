"""One typed declaration per tool: the single source of its signature, schema, docs, batching and cache key.

A tool is one function. Its annotations are its types, its docstring its documentation with a worked example, and the
decorator says the rest:

    @tool
    def BRIGHTNESS(image: Image) -> float:
        \"\"\"Mean brightness of a picture, 0 (black) to 255 (white).

        Example: ANSWER0=BRIGHTNESS(image=IMAGE)
        \"\"\"
        return float(image.pixels.mean())

With `batch=N` the function is columnar: it gets a list per argument (`Column[T]`), all of one length up to N, and
returns a list of that length. An item of the returned list may be an exception: it fails that call alone. A keyword-only
parameter `models` receives the `Models` from which `roles` are taken.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, overload

from ..errors import ToolError
from . import types
from .types import ValueType

T = TypeVar("T")


class _ColumnMarker:
    """Marks an annotation as one argument's values over a batch."""


Column = Annotated[
    list[T], _ColumnMarker
]  # Column[Image]: the declared type is Image, the Python value a list

REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool. `default` is REQUIRED where it must be given."""

    name: str
    type: ValueType
    doc: str = ""
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()  # the only texts allowed, where there are such

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True)
class Tool:
    """A declared tool. `run` takes a batch of argument sets and returns a result or an exception for each."""

    name: str
    arguments: tuple[Argument, ...]
    returns: ValueType
    summary: str  # first line of the docstring
    doc: str  # the whole docstring without the example
    example: str  # one program line that uses it
    function: Callable[..., Any]
    roles: tuple[str, ...] = ()  # model roles it may use
    batch: int = 0  # calls taken at once; 0: one at a time, no model
    cache: bool = False  # whether its result is kept across runs
    volatile: bool = False  # declared `cache=False`: nothing that follows from its result is kept either
    version: int = 1  # raise it when the code changes what it gives
    cost: float = 0.05  # milliseconds a call, as a first guess for ordering and `explain`
    hidden: bool = False  # made by the compiler; planners do not see it
    control: bool = False  # run by the engine itself (EVAL, IF, RESULT)
    takes_models: bool = False

    def argument(self, name: str) -> Argument | None:
        return next((a for a in self.arguments if a.name == name), None)

    def run(self, calls: Sequence[dict[str, Any]], models: Any = None) -> list[Any]:
        """Results of `calls` (complete argument sets), in order; an exception instance where one call failed."""
        extra = {"models": models} if self.takes_models else {}
        if self.batch:
            columns = {a.name: [call[a.name] for call in calls] for a in self.arguments}
            results = list(self.function(**columns, **extra))
            if len(results) != len(calls):
                raise ToolError(f"{self.name} returned {len(results)} results for {len(calls)} calls")
            return results
        results = []
        for call in calls:
            try:
                results.append(self.function(**call, **extra))
            except Exception as error:  # a call fails alone; the engine records the traceback
                results.append(error)
        return results


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    roles: str | Sequence[str] = (),
    batch: int = 0,
    cache: bool | None = None,
    version: int = 1,
    cost: float | None = None,
    hidden: bool = False,
    control: bool = False,
    choices: dict[str, Sequence[str]] | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a tool.

    Its own result is kept across runs where it has a role or `cache` is True; with `cache=False`, for a tool whose result
    may differ from call to call, neither it nor what follows from it is ever kept.
    """
    if function is not None:
        return _declare(function)
    return lambda decorated: _declare(decorated, **options)


def _declare(
    function: Callable[..., Any],
    *,
    roles: str | Sequence[str] = (),
    batch: int = 0,
    cache: bool | None = None,
    version: int = 1,
    cost: float | None = None,
    hidden: bool = False,
    control: bool = False,
    choices: dict[str, Sequence[str]] | None = None,
) -> Tool:
    name = function.__name__
    role_names = (roles,) if isinstance(roles, str) else tuple(roles)
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise TypeError(f"tool {name}: a tool's name is upper case")
    if batch < 0:
        raise TypeError(f"tool {name}: batch is the most calls at once, 0 for one at a time, not {batch}")
    hints = typing.get_type_hints(function, include_extras=True)
    docstring = inspect.getdoc(function) or ""
    body, example, notes = _split_docstring(docstring)
    if not body or not example:
        raise TypeError(f"tool {name}: the docstring needs a sentence and a line 'Example: NAME=...'")
    arguments = []
    takes_models = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "models":
            takes_models = True
            continue
        annotation, columnar = _strip_column(hints[parameter.name])
        if columnar != bool(batch):
            raise TypeError(
                f"tool {name}: argument {parameter.name} must be {'a Column' if batch else 'plain'}"
            )
        default = parameter.default
        if batch and default is not REQUIRED:
            (default,) = default  # a columnar default is written as a list of one
        arguments.append(
            Argument(
                parameter.name,
                types.from_annotation(annotation),
                notes.get(parameter.name, ""),
                default,
                tuple((choices or {}).get(parameter.name, ())),
            )
        )
    returns, columnar = _strip_column(hints["return"])
    if columnar != bool(batch):
        raise TypeError(f"tool {name}: it must return {'a Column' if batch else 'a plain value'}")
    return Tool(
        name=name,
        arguments=tuple(arguments),
        returns=types.from_annotation(returns),
        summary=body.split("\n", 1)[0].strip(),
        doc=body,
        example=example,
        function=function,
        roles=role_names,
        batch=batch,
        cache=bool(role_names) if cache is None else cache,
        volatile=cache is False,
        version=version,
        cost=cost if cost is not None else (30.0 if role_names else 0.05),
        hidden=hidden,
        control=control,
        takes_models=takes_models,
    )


def _strip_column(annotation: Any) -> tuple[Any, bool]:
    """The declared item type, and whether the annotation was a Column."""
    if typing.get_origin(annotation) is Annotated:
        inner, *marks = typing.get_args(annotation)
        if _ColumnMarker in marks:
            return typing.get_args(inner)[0], True
    return annotation, False


def _split_docstring(text: str) -> tuple[str, str, dict[str, str]]:
    """A docstring's text, its `Example:` line, and the notes `name: ...` under `Args:`."""
    example = ""
    notes: dict[str, str] = {}
    body: list[str] = []
    in_args = False
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("Example:"):
            example = stripped.removeprefix("Example:").strip()
            in_args = False
        elif stripped == "Args:":
            in_args = True
        elif in_args and (match := re.match(r"(\w+): (.+)", stripped)):
            notes[match[1]] = match[2]
        elif in_args and stripped and notes:
            last = next(reversed(notes))
            notes[last] += " " + stripped
        elif not in_args:
            body.append(line)
    return "\n".join(body).strip(), example, notes
