"""Programs character by character: an automaton that lets through only what the checker accepts, and nothing it refuses.

A state knows the steps so far with their types, the arguments given and missing, and what is being written. It says which
characters may come next, whether the program is complete, and how to end it from here. States are values: cheap, hashable,
equal where the same characters may follow. `mllm.constrained` turns them into masks over a tokenizer's vocabulary.

What it writes is canonical (see `printer`) but for the choice of quotes: no nested calls, no spaces, upper-case names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from ..errors import InputError
from ..tools.registry import Registry
from ..tools.types import ValueType
from . import limits
from .checker import DEFAULT_INPUTS
from .endings import Endings
from .places import State
from .scope import Scope

# Soft limits: beyond them only what ends the text or the program may follow. A token and an ending fit above each.
TEXT_CHARS = 900  # also below limits.EXPRESSION_TOKENS
SOURCE_CHARS = limits.SOURCE_BYTES // 8  # characters take up to 4 bytes


class ProgramState:
    """A state of `ProgramAutomaton`; `advance` gives the next one. Counts stay out of equality."""

    __slots__ = ("_chars", "automaton", "length", "state", "text_length")

    def __init__(
        self, automaton: ProgramAutomaton, state: State, length: int = 0, text_length: int = 0
    ) -> None:
        self.automaton = automaton
        self.state = state
        self.length = length  # characters so far
        self.text_length = text_length  # characters of the text being written
        self._chars: frozenset[str] | None = None

    def __hash__(self) -> int:
        return hash(self.state)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProgramState) and self.state == other.state

    @property
    def chars(self) -> frozenset[str]:
        """The characters that may follow, beside those of an open text."""
        if self._chars is None:
            self._chars = self.automaton.chars(self.state)
        return self._chars

    @property
    def open(self) -> frozenset[str] | None:
        """Inside a quoted text: every printable character but these may follow and changes nothing. Else None."""
        return self.automaton.open_text(self.state)

    @property
    def is_complete(self) -> bool:
        """Whether the text so far is a whole program."""
        return self.state.place in ("complete", "done")

    @property
    def completion(self) -> str:
        """Text that ends the program from here; after its first character its rest is the completion."""
        return self.automaton.completion(self.state)

    @property
    def shortest_completion_length(self) -> int:
        """Characters of `completion`."""
        return len(self.completion)

    def advance(self, char: str) -> ProgramState | None:
        """The state after one more character; None where it may not follow."""
        outside = self.open
        if outside is None and self.state.full:  # a token that began below the limit may end above it
            outside = self.automaton.open_text(self.state._replace(full=False))
        if outside is not None and char not in outside and char.isprintable():
            state = self.state
            if self.text_length + 1 >= TEXT_CHARS or self.length + 1 >= SOURCE_CHARS:
                state = state._replace(full=True)
            return ProgramState(self.automaton, state, self.length + 1, self.text_length + 1)
        if char not in self.chars:
            return None
        state = self.automaton.step(self.state, char)
        length = self.text_length + 1 if state.literal is not None else 0
        full = length >= TEXT_CHARS or self.length + 1 >= SOURCE_CHARS
        if full != state.full:
            state = state._replace(full=full)
        return ProgramState(self.automaton, state, self.length + 1, length)


class ProgramAutomaton(Endings):
    """Well-formed programs over a registry's tools.

    Args:
        registry: the tools that may be called; hidden ones may not.
        inputs: names that the caller supplies and their types; by default IMAGE, LEFT, RIGHT and IMAGES.
        most_steps: steps of a program, RESULT included; at most `limits.STEPS`.
    """

    _SCOPES = 2048  # scopes remembered

    def __init__(
        self, registry: Registry, inputs: Mapping[str, ValueType] | None = None, most_steps: int = 64
    ) -> None:
        if "RESULT" not in registry:
            raise InputError(
                "the registry has no RESULT, with which every program ends; add tools.ops.reason's"
            )
        if not 1 <= most_steps <= limits.STEPS:
            raise InputError(f"most_steps={most_steps}; give 1 to {limits.STEPS}")
        self.registry = registry
        self.inputs = dict(DEFAULT_INPUTS if inputs is None else inputs)
        self.most_steps = most_steps
        self._scopes: OrderedDict[tuple[tuple[str, ValueType], ...], Scope] = OrderedDict()

    def start(self) -> ProgramState:
        """The state before the first character."""
        return ProgramState(self, State(self.scope(())))

    def read(self, text: str) -> ProgramState | None:
        """The state after `text`; None where no program starts so."""
        state: ProgramState | None = self.start()
        for char in text:
            if state is None:
                break
            state = state.advance(char)
        return state

    def accepts(self, text: str) -> bool:
        """Whether `text` is a whole program of the automaton."""
        state = self.read(text)
        return state is not None and state.is_complete

    def scope(self, steps: tuple[tuple[str, ValueType], ...]) -> Scope:
        """The scope after these steps, one object as long as it is remembered."""
        found = self._scopes.get(steps)
        if found is None:
            found = self._scopes[steps] = Scope(self.registry, self.inputs, steps, self.most_steps)
            if len(self._scopes) > self._SCOPES:
                self._scopes.popitem(last=False)
        return found
