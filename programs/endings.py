"""How to end a program from wherever it stands: the text to which a decoder that runs out of tokens is held."""

from __future__ import annotations

from collections.abc import Mapping

from . import expression_automaton as expression
from .expression_endings import by_length, ending
from .places import Places, State, escapes, is_number
from .quoting import quote
from .scope import Scope

_FINAL = "FINAL_RESULT"


class Endings(Places):
    """Endings by the shortest arguments, then a RESULT of the last step. After its first character the rest is the ending."""

    def completion(self, s: State) -> str:
        """Text that ends the program from here."""
        place, scope = s.place, s.scope
        if place in ("complete", "done"):
            return ""
        if place == "end":
            return "\n" + self._final(scope, "")
        if place == "name":
            return self._final(scope, s.written)
        if place == "op":
            fitting = [op for op in scope.ops if op.startswith(s.written)]
            op = (
                "RESULT"
                if "RESULT" in fitting
                else min(fitting, key=lambda op: (len(scope.call(scope.ops[op])), op))
            )
            tool = scope.ops[op]
            return f"{op[len(s.written) :]}({scope.call(tool)}{self._then(s, op)}"
        return self._rest(s) + self._then(s, s.call.op)

    def _then(self, s: State, op: str) -> str:
        """What follows the call being written."""
        if op == "RESULT":
            return ""
        taken = {*s.scope.names, s.call.name}
        name = _fresh(_FINAL, taken)
        return f"\n{name}=RESULT(var={s.call.name})"

    def _final(self, scope: Scope, written: str) -> str:
        """The last step, of whose name `written` stands already."""
        stem = _FINAL if _FINAL.startswith(written) else written
        name = _fresh(stem, scope.names)
        result = scope.registry["RESULT"]
        return f"{name[len(written) :]}=RESULT({scope.call(result)}"

    def _rest(self, s: State) -> str:
        """The rest of the call being written, with its closing bracket."""
        place, scope, tool = s.place, s.scope, self.tool(s)
        if place == "first":
            return scope.call(tool)
        if place == "key":
            keys = [key for key in self.keys(s) if key.startswith(s.written)]
            missing = [a.name for a in self.missing(s)]
            key = next((key for key in missing if key in keys), "") or min(
                keys, key=lambda key: (len(key) + len(self._written(s, key)), key)
            )
            after = self.after_argument(s._replace(key=key), None)
            return f"{key[len(s.written) :]}={self._written(s, key)}{self._rest(after)}"
        if place == "after":
            if s.items >= 0:
                return "]" + self._rest(self.after_argument(s._replace(items=-1), None))
            pairs = [f",{a.name}={scope.written(tool, a)}" for a in self.missing(s)]
            return "".join(pairs) + ")"
        if place == "value" and s.items < 0:
            return self._written(s, s.key) + self._rest(self.after_argument(s, None))
        if place == "value":
            return scope.item(self.value(s)) + self._rest(s._replace(place="after"))
        piece = self._literal_rest(s)
        return piece + self._rest(
            s._replace(place="after", items=s.items) if s.items >= 0 else self.after_argument(s, None)
        )

    def _written(self, s: State, key: str) -> str:
        tool = self.tool(s)
        argument = tool.argument(key)
        assert argument is not None
        return s.scope.written(tool, argument)

    def _literal_rest(self, s: State) -> str:
        if s.place == "word":
            fitting = [word for word in self.words(s) if word.startswith(s.written)]
            last = s.scope.last if s.call.op == "RESULT" and s.scope.last in fitting else ""
            return (last or min(fitting, key=by_length))[len(s.written) :]
        if s.place == "number":
            return (
                "" if is_number(s.written) else next(d for d in ("0", "1", ".1") if is_number(s.written + d))
            )
        literal = s.literal
        assert literal is not None
        if literal.inner is not None:
            if literal.escape is None:
                return _encoded(ending(literal.inner, s.scope.sorts), literal.mark) + literal.mark
            allowed = self._text_chars(s)
            first = ending(literal.inner, s.scope.sorts)[:1]
            char = first if first in allowed else min(allowed)
            inner = expression.step(literal.inner, char, s.scope.sorts)
            assert inner is not None
            return char + _encoded(ending(inner, s.scope.sorts), literal.mark) + literal.mark
        if literal.escape is not None:
            fitting = [text for text in escapes()[0] if text.startswith(literal.escape)]
            return min(fitting, key=by_length)[len(literal.escape) :] + literal.mark
        if choices := self.choices(s):
            quoted = [quote(choice)[1:] for choice in choices if quote(choice)[0] == literal.mark]
            fitting = [choice for choice in quoted if choice.startswith(literal.written)]
            return min(fitting, key=by_length)[len(literal.written) :]
        return literal.mark


def _encoded(text: str, mark: str) -> str:
    """A piece of an expression as it is written inside the outer quotes."""
    return "".join("\\" + char if char in (mark, "\\") else char for char in text)


def _fresh(stem: str, taken: Mapping[str, object] | set[str]) -> str:
    """The stem, or the stem with the shortest digits that make a new name."""
    if stem not in taken:
        return stem
    for size in range(1, 4):
        for number in range(10**size):
            name = f"{stem}{number:0{size}d}"
            if name not in taken:
                return name
    raise AssertionError("more names than steps")
