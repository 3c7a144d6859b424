"""The core MLLM as verbs: look at pictures once, then ask, ground, caption, describe a region, or plan, many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError, ModelFileError
from .boxes import Box, BoxCodec

if TYPE_CHECKING:
    from .starter import Objects, StarterForConditionalGeneration, StarterProcessor
    from .words.tower import WordsTower

Mode = Literal["think", "answer", "plan"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that has been looked at: its objects, and its size in pixels."""

    objects: Objects  # [1, max_objects]
    size: tuple[int, int]  # width, height

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
class Question:
    """One thing to ask: the words, the pictures that it is about, and a box (pixels of the last) for <region>."""

    text: str
    pictures: tuple[Seen, ...] = ()
    region: Box | None = None
    mode: Mode = "think"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its text, the boxes that it names, those that it pointed at while thinking, and the raw tokens."""

    text: str
    boxes: list[Box] = field(default_factory=list)
    thought: str = ""
    pointed: list[Box] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)


class Answerer:
    """A starter and its processor behind plain verbs. Where there is a words tower, it answers what has no picture."""

    def __init__(
        self,
        model: StarterForConditionalGeneration,
        processor: StarterProcessor,
        words: WordsTower | None = None,
    ) -> None:
        self.model, self.processor, self.words = model.eval(), processor, words

    @classmethod
    def load(cls, folder: str | Path) -> Answerer:
        """Load a starter saved by `save_pretrained`; weights are widened to float32, which is faster for one question.

        Raises:
            ModelFileError: no such folder, a missing or damaged file, or weights of another shape.
        """
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        from . import starter

        folder = Path(folder)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            if not (folder / name).is_file():
                raise ModelFileError(
                    f"{folder} is no starter: {name} is missing; make one with `save_pretrained`"
                )
        try:
            with _quietly():
                model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
                processor = AutoProcessor.from_pretrained(folder)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelFileError(f"{folder} does not load as a starter: {reason}") from error
        if not isinstance(model, starter.StarterForConditionalGeneration):
            raise ModelFileError(f"{folder} holds a {type(model).__name__}, not a starter")
        words = None
        if (folder / "words").is_dir():
            from .words.tower import WordsTower

            with _quietly():
                words = WordsTower.load(folder / "words", processor.tokenizer)
        return cls(model, processor, words)

    def look(self, images: Sequence[Any], batch: int = 32) -> list[Seen]:
        """Encode pictures (PIL or RGB arrays); each may then be asked many questions."""
        from .starter.processor import picture_size

        seen: list[Seen] = []
        for at in range(0, len(images), batch):
            part = images[at : at + batch]
            objects = self.model.perceive(self.processor.image_processor(part)["pixel_values"])
            for i, image in enumerate(part):
                one = objects.map(lambda t, i=i: t[i : i + 1])
                seen.append(Seen(one, picture_size(image)))
        return seen

    def prompt(self, question: Question) -> str:
        """The prompt of a question; a box that the words do not place is put at their end."""
        text = question.text
        if question.region is not None and "<region>" not in text:
            text = f"{text} <region>"
        return f"{'<image>' * len(question.pictures)}<user>{text}<assistant><{question.mode}>"

    def ask(
        self, questions: Sequence[Question], batch: int = 64, max_new_tokens: int = 160, **generation: Any
    ) -> list[Reply]:
        """Answer questions in batches; further arguments go to `generate` (logits processors, sampling, beams)."""
        import torch

        if not questions:
            return []
        worded = [q for q in questions if self.words is not None and not q.pictures and q.region is None]
        if worded:
            spoken = iter(self._in_words(worded, batch, max_new_tokens, generation))
            looked = [q for q in questions if q.pictures or q.region is not None]
            seen = iter(self.ask(looked, batch, max_new_tokens, **generation))
            return [next(seen if q.pictures or q.region is not None else spoken) for q in questions]
        replies: list[Reply] = []
        generation.setdefault("do_sample", False)
        for at in range(0, len(questions), batch):
            part = questions[at : at + batch]
            prompts = [
                self.prompt(q).replace("<image>", "<image>" * self.processor.picture_tokens) for q in part
            ]
            inputs = self.processor.tokenizer(
                prompts, padding=True, add_special_tokens=False, return_tensors="pt"
            )
            regions = []
            for q in part:
                if q.region is not None:
                    if not q.pictures:
                        raise InputError(f"the question {q.text!r} has a region but no picture")
                    side = max(q.pictures[-1].size)
                    regions.append([v / side for v in q.region])
            pictures = [p for q in part for p in q.pictures]
            out = self.model.generate(
                inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                objects=_join([p.objects for p in pictures]) if pictures else None,
                region_boxes=torch.tensor(regions, dtype=torch.float32) if regions else None,
                max_new_tokens=max_new_tokens,
                **generation,
            )
            new = out[:, inputs["input_ids"].shape[1] :].tolist()
            per = len(new) // len(
                part
            )  # beams and samples return several a question; the first is the answer
            replies += [self._reply(q, new[i * per]) for i, q in enumerate(part)]
        return replies

    def _in_words(
        self, questions: Sequence[Question], batch: int, max_new_tokens: int, generation: dict[str, Any]
    ) -> list[Reply]:
        """Answers of the words tower, which thinks aloud in none."""
        assert self.words is not None
        rows = self.words.write_ids(
            [q.text for q in questions],
            [q.mode == "plan" for q in questions],
            batch=batch, max_new_tokens=max_new_tokens, **generation,
        )  # fmt: skip
        return [Reply(self.words.speller.decode(ids).strip(), ids=ids) for ids in rows]

    def _reply(self, question: Question, ids: list[int]) -> Reply:
        from .starter.config import ANSWER, EOS, PAD

        ids = [i for i in ids if i != PAD]
        if EOS in ids:
            ids = ids[: ids.index(EOS)]
        cut = ids.index(ANSWER) if question.mode == "think" and ANSWER in ids else -1
        decode = self.processor.tokenizer.decode
        thought, answer = (decode(ids[:cut]), decode(ids[cut + 1 :])) if cut >= 0 else ("", decode(ids))
        if not question.pictures:
            return Reply(answer.strip(), ids=ids, thought=thought.strip())
        objects, sizes = _join([p.objects for p in question.pictures]), [p.size for p in question.pictures]
        text, boxes = self.processor.expand(answer, objects, sizes)
        steps, pointed = self.processor.expand(thought, objects, sizes, BoxCodec("plain"))
        return Reply(text, boxes, steps, pointed, ids)

    def ground(self, picture: Seen, phrase: str) -> list[Box]:
        """The boxes, in pixels, of everything that the phrase names in the picture."""
        return self.ask([Question(f"Find all {phrase}.", (picture,), mode="answer")])[0].boxes

    def caption(self, picture: Seen, detailed: bool = False) -> str:
        """A sentence on the picture, or one on each thing in it."""
        text = "Describe the picture in detail." if detailed else "Describe the picture briefly."
        return self.ask([Question(text, (picture,))])[0].text

    def describe(self, picture: Seen, region: Box) -> str:
        """What is at a box or a point (x1 == x2, y1 == y2) of the picture."""
        return self.ask([Question("What is at <region>?", (picture,), region)])[0].text

    def plan(self, request: str, **generation: Any) -> str:
        """The program that answers a request; pass a grammar's logits processor to be sure that it is well formed."""
        return self.ask([Question(request, mode="plan")], max_new_tokens=240, **generation)[0].text


@contextmanager
def _quietly() -> Iterator[None]:
    """transformers without its progress bars and advice, which are not for the person who asks a question."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _join(parts: Sequence[Objects]) -> Objects:
    import torch

    from .starter import Objects

    return Objects(*(torch.cat([getattr(p, f) for p in parts]) for f in Objects.__dataclass_fields__))
