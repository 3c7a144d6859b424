"""What is asked of the core MLLM, and what comes back: pictures that were looked at, questions about them, replies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError
from .boxes import Box
from .regions import Region, region_of_mask

if TYPE_CHECKING:
    from .starter import Objects, StarterForConditionalGeneration, StarterProcessor

Mode = Literal["think", "answer", "plan"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that has been looked at: its objects, and its size in pixels."""

    objects: Objects  # [1, max_objects]
    size: tuple[int, int]  # width, height

    def region(self, region: Region) -> Box:
        """A box as it is; a mask [height, width] as the box of the thing that it lies on.

        Raises:
            InputError: a mask of another size than the picture, or an empty one.
        """
        if isinstance(region, tuple | list):
            x1, y1, x2, y2 = region
            return (x1, y1, x2, y2)
        if tuple(region.shape) != self.size[::-1]:
            raise InputError(
                f"the mask has the shape {list(region.shape)}, the picture [height, width] {list(self.size[::-1])}"
            )
        side = max(self.size)
        boxes = [tuple(float(v) * side for v in b) for b in self.objects.box[0, self.objects.valid[0]]]
        return region_of_mask(region, boxes)  # type: ignore[arg-type]

    def found(
        self, processor: StarterProcessor, model: StarterForConditionalGeneration
    ) -> list[dict[str, Any]]:
        """What perception found, in pixels: kind, colour, size word, box, score of the kind, and the printed word."""
        from .starter.connector import decode_word

        o, c = self.objects, model.config
        out = []
        for j in o.valid[0].nonzero().squeeze(1).tolist():
            _, boxes = processor.expand(f"<obj{j}>", o, [self.size])
            score, kind = o.kind[0, j].max(0)
            out.append(
                {
                    "kind": c.kinds[int(kind)], "color": c.colors[int(o.color[0, j].argmax())],
                    "size": c.sizes[int(o.size[0, j].argmax())], "box": boxes[0], "score": float(score),
                    "word": decode_word(o.word[0, j]) or None,
                }
            )  # fmt: skip
        return out


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A question with its answer, and the pictures that it is about, shown before what is asked (M-ICL)."""

    text: str
    answer: str
    pictures: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask: the words, the pictures that it is about, and a region of the last one for <region>.

    A region is a box in pixels, a point (x1 == x2, y1 == y2), or a free-form mask, an array [height, width] of the picture.

    `against` are the same pictures distorted (`Answerer.look` with `noise`), for contrastive decoding. `thought` is a
    rationale to answer after, in the model's own notation, instead of one that it thinks of. `demonstrations` come first.
    """

    text: str
    pictures: tuple[Seen, ...] = ()
    region: Region | None = None
    mode: Mode = "think"
    against: tuple[Seen, ...] = ()
    thought: str | None = None
    demonstrations: tuple[Demonstration, ...] = ()

    @property
    def shown(self) -> tuple[Seen, ...]:
        """All pictures of the prompt in order, those of the demonstrations first."""
        return (*(p for d in self.demonstrations for p in d.pictures), *self.pictures)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its text, the boxes that it names, those that it pointed at while thinking, and the raw tokens."""

    text: str
    boxes: list[Box] = field(default_factory=list)
    thought: str = ""
    pointed: list[Box] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
