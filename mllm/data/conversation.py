"""One conversation about pictures: what every data set is turned into before training or evaluation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...errors import InputError

Box = tuple[
    float, float, float, float
]  # x1, y1, x2, y2 in pixels of the original picture, x2 and y2 exclusive
Role = Literal["user", "assistant"]

IMAGE = "<image>"  # where a picture stands in the text
_MARK = re.compile(r"<box:(\d+)>")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by path; width and height in pixels where the source tells them."""

    path: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One side's words. `<box:i>` in `text` stands for `boxes[i]`; a box codec writes it for a model."""

    role: Role
    text: str
    boxes: tuple[Box, ...] = ()
    box_pictures: tuple[int, ...] = ()  # the picture of each box, by index; empty: all in the first

    def __post_init__(self) -> None:
        for mark in _MARK.findall(self.text):
            if int(mark) >= len(self.boxes):
                raise InputError(f"message {self.text[:60]!r}: <box:{mark}> but {len(self.boxes)} boxes")
        if self.box_pictures and len(self.box_pictures) != len(self.boxes):
            raise InputError(
                f"message {self.text[:60]!r}: {len(self.boxes)} boxes, {len(self.box_pictures)} box_pictures"
            )


@dataclass(frozen=True, slots=True)
class Conversation:
    """Pictures and messages in turn, the user first."""

    id: str
    images: tuple[Picture, ...]
    messages: tuple[Message, ...]
    source: str = ""  # the format it came from: "llava", "shikra", "coco", "vqa", "scienceqa", "scenes"
    extra: dict[str, Any] = field(
        default_factory=dict
    )  # facts to keep: question ids, all human answers, the task

    def __post_init__(self) -> None:
        if not self.messages:
            raise InputError(f"conversation {self.id!r} ({self.source}) has no messages")
        for n, message in enumerate(self.messages):
            if message.role != ("user", "assistant")[n % 2]:
                raise InputError(
                    f"conversation {self.id!r} ({self.source}): message {n + 1} is by the {message.role}; "
                    "user and assistant must alternate, the user first"
                )
        marks = sum(m.text.count(IMAGE) for m in self.messages)
        if marks != len(self.images):
            raise InputError(
                f"conversation {self.id!r} ({self.source}): {marks} {IMAGE} marks, {len(self.images)} pictures"
            )
        for message in self.messages:
            if any(not 0 <= p < len(self.images) for p in message.box_pictures):
                raise InputError(
                    f"conversation {self.id!r} ({self.source}): a box lies in a picture that is not there"
                )

    def to_json(self) -> dict[str, Any]:
        """Plain values, read back by `from_json`."""
        return {
            "id": self.id,
            "source": self.source,
            "images": [{"path": p.path, "width": p.width, "height": p.height} for p in self.images],
            "messages": [
                {
                    "role": m.role,
                    "text": m.text,
                    "boxes": [list(b) for b in m.boxes],
                    "box_pictures": list(m.box_pictures),
                }
                for m in self.messages
            ],
            "extra": self.extra,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Conversation:
        """The inverse of `to_json`; InputError where a field is missing or of a wrong shape."""
        try:
            return Conversation(
                id=str(value["id"]),
                images=tuple(Picture(p["path"], p.get("width"), p.get("height")) for p in value["images"]),
                messages=tuple(
                    Message(
                        m["role"],
                        m["text"],
                        tuple(box(b) for b in m.get("boxes", ())),
                        tuple(m.get("box_pictures", ())),
                    )
                    for m in value["messages"]
                ),
                source=value.get("source", ""),
                extra=dict(value.get("extra", {})),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a conversation record: {error!r} is missing or of a wrong type") from error


def box(values: Sequence[float]) -> Box:
    """Four numbers as a box; InputError if they are not four, or in the wrong order."""
    if len(values) != 4:
        raise InputError(f"a box has four numbers, got {list(values)}")
    x1, y1, x2, y2 = (float(v) for v in values)
    if x2 < x1 or y2 < y1:
        raise InputError(f"box {list(values)}: x2 and y2 must not be less than x1 and y1")
    return x1, y1, x2, y2


def exchange(pairs: Sequence[tuple[Message, Message]], pictures: int) -> tuple[Message, ...]:
    """Questions and answers in turn, with the picture marks before the first question."""
    out: list[Message] = []
    for n, (question, answer) in enumerate(pairs):
        if n == 0 and pictures:
            marks = "\n".join([IMAGE] * pictures)
            question = Message(
                question.role, f"{marks}\n{question.text}", question.boxes, question.box_pictures
            )
        out += [question, answer]
    return tuple(out)
