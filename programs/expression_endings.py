"""How to end an EVAL expression from wherever it stands."""

from __future__ import annotations

from .expression_automaton import (
    Expression,
    Names,
    chars,
    closes,
    done,
    fits,
    number_ended,
    signs,
    step,
    words,
)


def ending(e: Expression, names: Names) -> str:
    """A shortest-first way to end the expression from here; taking its first character leaves its rest as the ending."""
    parts: list[str] = []
    while not done(e):
        piece = _next_piece(e, names)
        parts.append(piece)
        for char in piece:
            following = step(e, char, names)
            if following is None:  # a fault of this module: the tests walk through every kind of state
                raise AssertionError(f"the ending {piece!r} cannot follow {e}")
            e = following
    return "".join(parts)


def _next_piece(e: Expression, names: Names) -> str:
    at, written = e.at, e.written
    if at == "start":
        if fits(e, "N"):
            return "0"
        if fits(e, "S"):
            return "''"
        return "[" if "[" in chars(e, names) else _slot(e, names, "")
    if at == "word":
        return min((word for word in words(e) if word.startswith(written)), key=by_length)[len(written) :]
    if at == "slot":
        return _slot(e, names, written)[1:]
    if at == "inner":
        return min((f"{name}}}" for name in names if name.startswith(written)), key=by_length)[len(written) :]
    if at == "text":
        return e.mark
    if at == "escape":
        return "\\"
    if at == "index":
        return "]" if written[-1:].isdigit() else "0]"
    if at == "comma":
        return " "
    if at == "sign":
        usual = _next_piece(e._replace(at="after", written=""), names)
        if usual.startswith(written):
            return usual[len(written) :]
        return min((sign for sign in signs(e.frame) if sign.startswith(written)), key=by_length)[
            len(written) :
        ]
    if at == "number" and written.endswith("."):
        return "0"
    frame = (number_ended(e) or e).frame if at == "number" else e.frame
    single = frame.branched or "L" not in frame.wants
    if frame.indexing or (frame.sort == "L" and single and not frame.truth and not frame.compared):
        return "[0]"
    if frame.truth and not frame.compared and frame.sort == "S":
        return " == 0"
    if frame.condition:
        return " else "
    if frame.value not in frame.wants and " == " in signs(frame):
        return " == 0"
    if frame.kind in ("min", "max", "sum") and not closes(frame):
        return ", 0"
    return "]" if frame.kind == "list" else ")"


def by_length(word: str) -> tuple[int, str]:
    return len(word), word


def _slot(e: Expression, names: Names, written: str) -> str:
    fitting = [name for name, sort in names.items() if name.startswith(written) and fits(e, sort)]
    return "{" + min(fitting, key=by_length)[len(written) :] + "}"
