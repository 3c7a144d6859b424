"""Writes programs step by step in canonical form, with names numbered by kind as VisProg numbers them."""

from __future__ import annotations

from ...programs.printer import quote

# What a step's value is called, by op; ops not listed give ANSWERs.
_KINDS = {
    "BOX": ("LOC",),
    "OBJ": (
        "FACEDET",
        "SEG",
        "SEGMENT",
        "SELECT",
        "CLASSIFY",
        "FILTER",
        "RELATE",
        "LABEL",
        "PANELS",
        "GROUP",
        "HAVING",
    ),
    "TEXT": ("OCR",),
    "LIST": ("LIST", "LABELS", "TEXTS", "NUMBERS", "COLORS", "TALLY"),
    "IMAGES": ("CROPS",),
    "IMAGE": (
        *(
            "CROP",
            "CROP_LEFTOF",
            "CROP_RIGHTOF",
            "CROP_ABOVE",
            "CROP_BELOW",
            "CROP_FRONTOF",
            "CROP_INFRONTOF",
        ),
        *(
            "CROP_INFRONT",
            "CROP_BEHIND",
            "CROP_AHEAD",
            "COLORPOP",
            "BGBLUR",
            "BLUR",
            "HIGHLIGHT",
            "TAG",
            "EMOJI",
        ),
        "REPLACE",
    ),
}
KIND_OF = {op: kind for kind, ops in _KINDS.items() for op in ops}


class Ref(str):
    """A name of an earlier step or input: written bare, where any other text is quoted."""


IMAGE, LEFT, RIGHT = Ref("IMAGE"), Ref("LEFT"), Ref("RIGHT")


class Builder:
    """Collects steps; `add` returns the new step's name; an identical step is not written twice."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._next: dict[str, int] = {}
        self._seen: dict[str, Ref] = {}

    def add(self, op: str, **arguments: object) -> Ref:
        call = f"{op}({','.join(f'{key}={_write(value)}' for key, value in arguments.items())})"
        if call in self._seen:
            return self._seen[call]
        kind = KIND_OF.get(op, "ANSWER")
        number = self._next.get(kind, 0)
        self._next[kind] = number + 1
        name = Ref(f"{kind}{number}")
        self.lines.append(f"{name}={call}")
        self._seen[call] = name
        return name

    # The steps that families share.

    def loc(self, noun: str, image: Ref = IMAGE) -> Ref:
        return self.add("LOC", image=image, object=noun)

    def count(self, regions: Ref) -> Ref:
        return self.add("COUNT", box=regions)

    def expression(self, expression: str) -> Ref:
        return self.add("EVAL", expr=expression)

    def verdict(self, condition: str) -> Ref:
        """'yes' or 'no' by a condition over `{NAME}`s."""
        return self.expression(f"'yes' if {condition} else 'no'")

    def masks(self, regions: Ref, image: Ref = IMAGE) -> Ref:
        """The regions with masks, for edits that follow outlines."""
        return self.add("SEGMENT", image=image, box=regions)

    def finish(self, result: Ref) -> str:
        """The program's text, ending with RESULT and a line break."""
        return "\n".join([*self.lines, f"FINAL_RESULT=RESULT(var={result})"]) + "\n"


def _write(value: object) -> str:
    if isinstance(value, Ref):
        return value
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_write(item) for item in value)}]"
    return repr(value)
