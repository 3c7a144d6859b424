"""The core MLLM as verbs: look at pictures once, then ask, ground, caption, describe a region, or plan, many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, ModelFileError
from .asked import Demonstration, Mode, Question, Reply, Seen
from .boxes import Box, BoxCodec
from .cutoff import current, held, stopping
from .regions import Region
from .streaming import streamed

if TYPE_CHECKING:
    from .decoding import VisualContrast
    from .starter import Objects, StarterForConditionalGeneration, StarterProcessor
    from .words.tower import WordsTower

__all__ = ["Answerer", "Demonstration", "Mode", "Question", "Reply", "Seen"]


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

    def look(
        self, images: Sequence[Any], batch: int = 32, noise: int | None = None, seed: int = 0
    ) -> list[Seen]:
        """Encode pictures (PIL or RGB arrays); each may then be asked many questions.

        Args:
            noise: diffusion step (0..999) up to which the pictures are distorted first, for `Question.against`; the
                noise follows from `seed`.
        """
        from .decoding import diffused
        from .starter.processor import picture_size

        seen: list[Seen] = []
        for at in range(0, len(images), batch):
            part = images[at : at + batch]
            pixels = self.processor.image_processor(part)["pixel_values"]
            if noise is not None:
                pixels = diffused(pixels, noise, seed + at)
            objects = self.model.perceive(pixels)
            for i, image in enumerate(part):
                one = objects.map(lambda t, i=i: t[i : i + 1])
                seen.append(Seen(one, picture_size(image)))
        return seen

    def prompt(self, question: Question) -> str:
        """The prompt of a question; a box that the words do not place is put at their end."""
        text = question.text
        if question.region is not None and "<region>" not in text:
            text = f"{text} <region>"
        turns = [
            f"{'<image>' * len(d.pictures)}<user>{d.text}<assistant><answer>{_spaced(d.answer)}<eos>"
            for d in question.demonstrations
        ]
        after = f"{question.thought}<answer>" if question.thought is not None else ""
        asked = f"{'<image>' * len(question.pictures)}<user>{text}<assistant><{question.mode}>"
        return "".join(turns) + asked + after

    def ask(
        self,
        questions: Sequence[Question],
        batch: int = 64,
        max_new_tokens: int = 160,
        contrast: tuple[float, float] | None = None,
        **generation: Any,
    ) -> list[Reply]:
        """Answer questions in batches; further arguments go to `generate` (logits processors, sampling, beams).

        Args:
            contrast: alpha and beta of visual contrastive decoding (`decoding.VisualContrast`; the paper's are 1 and
                0.1), against the distorted pictures that each question names; None: decode as usual.

        Raises:
            CutOff: the cut-off in force (`cutoff`) came before the last token.
            InputError: `contrast` without as many distorted pictures as right ones.
        """
        if not questions:
            return []
        plain = contrast is None and not generation
        worded = [q for q in questions if self.words is not None and not q.shown and q.region is None]
        if worded:
            spoken = iter(self._in_words(worded, batch, max_new_tokens, stopping() | generation))
            looked = [q for q in questions if q.shown or q.region is not None]
            seen = iter(self.ask(looked, batch, max_new_tokens, contrast, **generation))
            return [next(seen if q.shown or q.region is not None else spoken) for q in questions]
        replies: list[Reply] = []
        generation = {"do_sample": False} | stopping() | generation
        for at in range(0, len(questions), batch):
            part = questions[at : at + batch]
            if plain and _of_one_picture(part):
                replies += self._ask_together(part, max_new_tokens)
                continue
            inputs = self._inputs(part)
            if contrast is not None:
                generation["logits_processor"] = [self._contrast(part, inputs, *contrast)]
            out = self.model.generate(**inputs, max_new_tokens=max_new_tokens, **generation)
            current().check()
            new = out[:, inputs["input_ids"].shape[1] :].tolist()
            per = len(new) // len(
                part
            )  # beams and samples return several a question; the first is the answer
            replies += [self._reply(q, new[i * per]) for i, q in enumerate(part)]
        return replies

    def stream(self, question: Question, max_new_tokens: int = 160, lock: Any = None) -> Iterator[str]:
        """The answer to a question about pictures, greedy, in pieces as it is written; what is thought before is left out.

        `lock` is held while the model is at work, however slowly the pieces are read.

        Raises:
            InputError: a question without a picture.
        """
        from .starter.config import ANSWER

        if not question.pictures:
            raise InputError("an answer in pieces is about a picture; give one")
        inputs = self._inputs([question])

        def read(ids: list[int], whole: bool) -> str:
            if question.mode == "think" and ANSWER not in ids and not whole:
                return ""
            return self._reply(question, ids).text

        def generate(streamer: Any) -> None:
            with held(lock) if lock is not None else nullcontext():
                self.model.generate(
                    **inputs, max_new_tokens=max_new_tokens, do_sample=False, streamer=streamer
                )

        return streamed(generate, read)

    def _ask_together(self, part: Sequence[Question], max_new_tokens: int) -> list[Reply]:
        """Greedy answers to questions about the very same pictures, which are read once."""
        from .starter.together import greedy_together

        inputs = self._inputs([replace(q, pictures=()) for q in part], self._regions(part))
        objects = _join([p.objects for p in part[0].pictures])
        written = greedy_together(
            self.model,
            **inputs | {"objects": objects},
            max_new_tokens=max_new_tokens,
            due=lambda: current().due,
        )
        current().check()
        return [self._reply(q, ids) for q, ids in zip(part, written, strict=True)]

    def _regions(self, part: Sequence[Question]) -> list[list[float]]:
        """The regions that questions speak of, in 0..1 of their last picture's longer side."""
        regions = []
        for q in part:
            if q.region is not None:
                if not q.pictures:
                    raise InputError(f"the question {q.text!r} has a region but no picture")
                side = max(q.pictures[-1].size)
                regions.append([v / side for v in q.pictures[-1].region(q.region)])
        return regions

    def _inputs(self, part: Sequence[Question], regions: list[list[float]] | None = None) -> dict[str, Any]:
        """What `generate` is given for questions of one batch."""
        import torch

        most = self.model.config.max_pictures
        for q in part:
            if len(q.shown) > most:
                raise InputError(
                    f"the question {q.text!r} comes with {len(q.shown)} pictures, demonstrations included; this model takes "
                    f"{most} in a prompt: let demonstrations share pictures, or give fewer"
                )
            if any("<region>" in d.text for d in q.demonstrations):
                raise InputError(
                    "a demonstration cannot speak of a <region>: say where the thing is in words"
                )
        prompts = [self.prompt(q).replace("<image>", "<image>" * self.processor.picture_tokens) for q in part]
        told = self.processor.tokenizer(prompts, padding=True, add_special_tokens=False, return_tensors="pt")
        regions = self._regions(part) if regions is None else regions
        pictures = [p for q in part for p in q.shown]
        return {
            "input_ids": told["input_ids"],
            "attention_mask": told["attention_mask"],
            "objects": _join([p.objects for p in pictures]) if pictures else None,
            "region_boxes": torch.tensor(regions, dtype=torch.float32) if regions else None,
        }

    def _contrast(
        self, part: Sequence[Question], inputs: dict[str, Any], alpha: float, beta: float
    ) -> VisualContrast:
        """The processor of one batch that holds its pictures against their distorted likes."""
        from .decoding import contrast_with

        for q in part:
            if not q.pictures or len(q.against) != len(q.shown):
                raise InputError(
                    f"contrast needs a distorted likeness of each picture: the question {q.text!r} has "
                    f"{len(q.shown)} pictures and {len(q.against)} in `against`; look at them again with `noise`"
                )
        objects = _join([p.objects for q in part for p in q.against])
        return contrast_with(self.model, inputs, objects, alpha, beta)

    def _in_words(
        self, questions: Sequence[Question], batch: int, max_new_tokens: int, generation: dict[str, Any]
    ) -> list[Reply]:
        """Answers of the words tower, which thinks aloud in none."""
        assert self.words is not None
        rows = self.words.write_ids(
            ["\n".join([*(f"{d.text}\n{d.answer}" for d in q.demonstrations), q.text]) for q in questions],
            [q.mode == "plan" for q in questions],
            batch=batch, max_new_tokens=max_new_tokens, **generation,
        )  # fmt: skip
        current().check()
        return [Reply(self.words.speller.decode(ids).strip(), ids=ids) for ids in rows]

    def _reply(self, question: Question, ids: list[int]) -> Reply:
        from .starter.config import ANSWER, EOS, PAD

        ids = [i for i in ids if i != PAD]
        if EOS in ids:
            ids = ids[: ids.index(EOS)]
        cut = ids.index(ANSWER) if question.mode == "think" and ANSWER in ids else -1
        decode = self.processor.tokenizer.decode
        thought, answer = (decode(ids[:cut]), decode(ids[cut + 1 :])) if cut >= 0 else ("", decode(ids))
        if not question.shown:
            return Reply(answer.strip(), ids=ids, thought=thought.strip())
        objects, sizes = _join([p.objects for p in question.shown]), [p.size for p in question.shown]
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

    def describe(self, picture: Seen, region: Region) -> str:
        """What is at a box, a point (x1 == x2, y1 == y2) or a mask [height, width] of the picture."""
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


def _of_one_picture(part: Sequence[Question]) -> bool:
    """Whether several questions are about the very same pictures, so that these need be read only once."""
    first = part[0]
    return (
        len(part) > 1
        and bool(first.pictures)
        and all(
            not q.demonstrations
            and len(q.pictures) == len(first.pictures)
            and all(a is b for a, b in zip(q.pictures, first.pictures, strict=True))
            for q in part
        )
    )


def _spaced(answer: str) -> str:
    """An answer as it was trained: a Latin first word has the tokens that it has inside a sentence."""
    return f" {answer}" if answer[:1].isascii() and answer[:1].isalnum() else answer


def _join(parts: Sequence[Objects]) -> Objects:
    import torch

    from .starter import Objects

    return Objects(*(torch.cat([getattr(p, f) for p in parts]) for f in Objects.__dataclass_fields__))
