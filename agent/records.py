"""The records at the agent's doors: what is asked, within which limits, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import InputError
from ..tools.values import Box, Image, Mask, Region, Regions

Mode = Literal["auto", "program", "react", "decompose", "direct"]
MOST_SUB_QUESTIONS = 64
Status = Literal[
    "done", "partial", "failed"
]  # partial: a limit cut it off, and this is what was known by then


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person pointed at, in pixels of the picture: points (x, y, is_object), a box, or a mask."""

    points: tuple[tuple[float, float, bool], ...] = ()
    box: Box | None = None
    mask: Mask | None = None
    picture: int = 0  # which of the pictures

    def region(self, image: Image) -> Region | None:
        """The box or mask as a region of its picture; None for points."""
        if self.mask is not None:
            return Region(box=self.mask.box, mask=self.mask, tool="MARK", picture=image.picture)
        if self.box is not None and not self.points:
            return Region(box=self.box, tool="MARK", picture=image.picture)
        return None

    def to_json(self) -> dict[str, Any]:
        """For the trace: points, box, mask and picture, only what is set."""
        data: dict[str, Any] = {"picture": self.picture}
        if self.points:
            data["points"] = [[x, y, is_object] for x, y, is_object in self.points]
        if self.box is not None:
            data["box"] = list(self.box)
        if self.mask is not None:
            data["mask"] = self.mask.to_json()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Mark | None:
        """The inverse of `to_json`."""
        if data is None:
            return None
        box = data.get("box")
        return cls(
            points=tuple((float(x), float(y), bool(o)) for x, y, o in data.get("points", ())),
            box=None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            mask=Mask.from_json(data["mask"]) if data.get("mask") else None,
            picture=int(data.get("picture", 0)),
        )

    @classmethod
    def of(cls, at: Any, size: tuple[int, int]) -> Mark | None:
        """(x, y) is a point, (x1, y1, x2, y2) a box, a Mask a mask, a Mark itself, None nothing.

        Raises:
            InputError: another shape, not numbers, or outside the picture of `size` (width, height).
        """
        if at is None or isinstance(at, Mark):
            return at
        if isinstance(at, Mask):
            return cls(mask=at)
        try:
            numbers = [float(v) for v in at]
        except (TypeError, ValueError):
            numbers = []
        width, height = size
        if len(numbers) == 2:
            x, y = numbers
            if not (0 <= x < width and 0 <= y < height):
                raise InputError(
                    f"the point ({x:g}, {y:g}) lies outside the picture, which is {width} x {height} pixels"
                )
            return cls(points=((x, y, True),))
        if len(numbers) == 4:
            x1, y1, x2, y2 = numbers
            if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
                raise InputError(
                    f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) must be x1, y1, x2, y2 inside the picture, "
                    f"which is {width} x {height} pixels"
                )
            return cls(box=(x1, y1, x2, y2))
        raise InputError(f"at={at!r}: give a point (x, y), a box (x1, y1, x2, y2) in pixels, or a Mask")


@dataclass(frozen=True, slots=True)
class Style:
    """How an answer is worded: language ("en", "zh" or another BCP 47 tag; "auto" is the question's), length, tone."""

    language: str = "auto"
    length: Literal["short", "sentence", "paragraph"] = "sentence"
    tone: Literal["neutral", "friendly", "formal"] = "neutral"
    audience: str = "anyone"


@dataclass(frozen=True, slots=True)
class Limits:
    """Where an answer is cut off: rounds of reasoning, tool calls, language-model tokens, seconds. None: no limit."""

    rounds: int = 6
    calls: int = 64
    tokens: int | None = 20_000
    seconds: float | None = 120.0


@dataclass(frozen=True, slots=True)
class Decomposition:
    """How mode "decompose" takes a question apart.

    Args:
        shape: "chain" answers one sub-question a round; "tree" all of a round whose needs are met, together.
        stop: "adaptive" ends when the controller asks nothing more; "fixed" asks it for `length` sub-questions in all.
        length: sub-questions in all where the length is fixed; else the most.
        pattern: "predict" asks for the next steps from what is known; "infill" answers the first and the last step of the
            chain and then asks for what is missing between them, each checked against both sides. It ends when nothing is
            missing, and is always a chain.

    Raises:
        InputError: another word for one of them, no length, or a fixed length with "infill".
    """

    shape: Literal["chain", "tree"] = "tree"
    stop: Literal["adaptive", "fixed"] = "adaptive"
    length: int = 8
    pattern: Literal["predict", "infill"] = "predict"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("shape", ("chain", "tree")),
            ("stop", ("adaptive", "fixed")),
            ("pattern", ("predict", "infill")),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"decomposition: {name} {getattr(self, name)!r} is none of {', '.join(allowed)}"
                )
        if not isinstance(self.length, int) or not 1 <= self.length <= MOST_SUB_QUESTIONS:
            raise InputError(
                f"decomposition: length {self.length!r} is no number from 1 to {MOST_SUB_QUESTIONS}"
            )
        if self.pattern == "infill" and self.stop == "fixed":
            raise InputError(
                "decomposition: infill ends when nothing is missing; give a set length to predict"
            )


@dataclass(slots=True)
class Usage:
    """What an answer cost: tool calls, of them from the cache, language-model calls and tokens, milliseconds."""

    calls: int = 0
    cached: int = 0
    model_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    ms: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {name: round(getattr(self, name), 2) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Request:
    """One question as the controller sees it: pictures, mark, the session's earlier turns, style and limits.

    `alone` is the question with what it leaves to the earlier turns filled in ("and the red ones?" -> "how many red dogs
    are there?"), '' where nothing is left open: for models that were never shown a conversation. `marked` names the thing
    at the mark, where it was looked up.
    """

    question: str
    pictures: tuple[Image, ...]
    mark: Mark | None = None
    history: tuple[tuple[str, str], ...] = ()  # (question, answer), oldest first
    style: Style = Style()
    limits: Limits = Limits()
    alone: str = ""
    marked: str = ""
    decomposition: Decomposition = Decomposition()

    @property
    def asked(self) -> str:
        """The question as it can be understood without the earlier turns."""
        return self.alone or self.question

    @property
    def inputs(self) -> dict[str, Any]:
        """What a program reads by name: IMAGE; LEFT and RIGHT for two pictures; IMAGE1 ... for more; IMAGES, all of several.

        MARK is the region of a mark that is a box or a mask; a click becomes one by SEGMENT(point=...).
        """
        named: dict[str, Any] = {"IMAGE": self.pictures[0]}
        if len(self.pictures) == 2:
            named |= {"LEFT": self.pictures[0], "RIGHT": self.pictures[1]}
        elif len(self.pictures) > 2:
            named |= {f"IMAGE{i}": p for i, p in enumerate(self.pictures, 1)}
        if len(self.pictures) > 1:
            named["IMAGES"] = list(self.pictures)
        if (
            self.mark is not None
            and (region := self.mark.region(self.pictures[self.mark.picture])) is not None
        ):
            named["MARK"] = region
        return named

    @property
    def picture_names(self) -> tuple[str, ...]:
        """The names of the pictures, one each, in their order."""
        if len(self.pictures) == 2:
            return ("LEFT", "RIGHT")
        if len(self.pictures) > 2:
            return tuple(f"IMAGE{i}" for i in range(1, len(self.pictures) + 1))
        return ("IMAGE",)


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back. `text` is the answer after verification, `draft` before it; boxes are in the pictures' pixels.

    `grounded` is `text` with the boxes of every entity that was seen behind its mention. `evidence` are the regions that
    the answer rests on, `claims` the checked claims (JSON, as the trace holds them). `falls` says of each mode of the
    ladder that came to nothing why it did.
    """

    status: Status
    text: str
    grounded: str
    mode: str
    draft: str = ""
    value: Any = None
    program: str | None = None
    thoughts: tuple[str, ...] = ()
    evidence: Regions = field(default_factory=Regions)
    claims: tuple[dict[str, Any], ...] = ()
    usage: Usage = field(default_factory=Usage)
    trace: str = ""
    error: str | None = None
    falls: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields of `sightline ask --json`."""
        return {
            "status": self.status, "answer": self.text, "grounded": self.grounded, "mode": self.mode,
            "program": self.program, "claims": list(self.claims), "regions": [r.to_json() for r in self.evidence],
            "calls": self.usage.calls, "tokens": self.usage.tokens_in + self.usage.tokens_out,
            "ms": round(self.usage.ms, 1), "trace": self.trace, "error": self.error, "falls": list(self.falls),
        }  # fmt: skip
