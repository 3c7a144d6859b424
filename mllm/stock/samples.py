"""Conversations to what a trainer reads: messages with pictures, token ids, and which of them are answers.

Answers are found by the chat template itself: what it adds when an answer follows the generation prompt is what the
model must write, so training and serving see the same text whatever the template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ImageError, InputError
from ..boxes import BoxCodec
from ..data import convert
from ..data.conversation import IMAGE, Conversation, Message, Picture
from .config import DataSection

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import ProcessorMixin

MAX_PIXELS = 80_000_000  # of a picture, so that a forged header cannot fill the memory
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_MARK = re.compile(r"<box:(\d+)>(?:\s*<box:\d+>)*")


@dataclass(frozen=True, slots=True)
class Sample:
    """One conversation as text: messages {"role", "content"} with `<image>` marks, and the pictures' paths in order."""

    id: str
    images: tuple[str, ...]
    messages: tuple[dict[str, str], ...]

    def row(self) -> dict[str, Any]:
        """A row of a `datasets.Dataset`."""
        return {
            "id": self.id,
            "images": list(self.images),
            "messages": json.dumps(self.messages, ensure_ascii=False),
        }

    @staticmethod
    def of(row: dict[str, Any]) -> Sample:
        return Sample(row["id"], tuple(row["images"]), tuple(json.loads(row["messages"])))


def read_samples(sections: Sequence[DataSection], style: str = "plain") -> list[Sample]:
    """All samples of the sources, boxes written in `style` ("plain": Shikra's, "qwen": JSON in thousandths)."""
    codec = BoxCodec(style)  # type: ignore[arg-type]
    samples: list[Sample] = []
    for section in sections:
        for n, conversation in enumerate(_conversations(section)):
            if n == section.limit:
                break
            samples.append(to_sample(conversation, section.images, codec))
    if not samples:
        raise InputError("the data sections hold no conversations; list files under data")
    return samples


def conversations(section: DataSection) -> list[Conversation]:
    """A source's conversations, with its limit applied."""
    return [c for _, c in zip(range(section.limit), _conversations(section), strict=False)] if section.limit else [
        *_conversations(section)
    ]  # fmt: skip


def _conversations(section: DataSection) -> Iterator[Conversation]:
    if section.format == "scenes":
        return _scenes(section)
    value = convert.read_json(section.path)
    if section.format == "conversations":
        return (Conversation.from_json(record) for record in value)
    if section.format == "llava":
        return convert.from_llava(value, section.images)
    if section.format == "shikra":
        return convert.from_shikra(value, section.images)
    second = convert.read_json(section.annotations) if section.annotations else None
    if section.format == "coco":
        return convert.from_coco(value, second, section.seed)
    if section.format == "vqa":
        return convert.from_vqa(value, second)
    return convert.from_scienceqa(value, "train")


def _scenes(section: DataSection) -> Iterator[Conversation]:
    """Drawn scenes with their questions; the pictures are written into the section's path."""
    from random import Random

    from PIL import Image as Pictures

    from ..scenes.questions import make_turns
    from ..scenes.render import render
    from ..scenes.world import SceneConfig, make_scene, split_seed

    shape = SceneConfig(curriculum=section.curriculum)
    folder = Path(section.path)
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(section.limit or 1000):
        seed = split_seed("train", section.seed, n)
        drawn = render(make_scene(seed, shape))
        turns = make_turns(drawn.scene, Random(seed), section.tasks, "en")
        turns = [t for t in turns if not t.words_only]
        if turns:
            path = folder / f"{seed}.png"
            Pictures.fromarray(drawn.image).save(path)
            yield convert.from_turns(turns, [drawn.scene], [str(path.resolve())])


def to_sample(conversation: Conversation, root: str | Path, codec: BoxCodec) -> Sample:
    """A conversation with its boxes written out; InputError if an answer is empty, so that nothing is left to learn."""
    pictures = [
        _sized(p, root) if any(m.boxes for m in conversation.messages) else p for p in conversation.images
    ]
    messages = tuple({"role": m.role, "content": _written(m, pictures, codec)} for m in conversation.messages)
    if not any(m["role"] == "assistant" and m["content"].strip() for m in messages):
        raise InputError(
            f"sample {conversation.id!r} ({conversation.source}): no answer has a word to learn from"
        )
    return Sample(conversation.id, tuple(str(Path(root) / p.path) for p in conversation.images), messages)


def _sized(picture: Picture, root: str | Path) -> Picture:
    return picture if picture.width and picture.height else convert.picture_of(picture.path, root)


def _written(message: Message, pictures: Sequence[Picture], codec: BoxCodec) -> str:
    def write(match: re.Match[str]) -> str:
        out = []
        for i in map(int, re.findall(r"\d+", match.group())):
            picture = pictures[message.box_pictures[i] if message.box_pictures else 0]
            if not picture.width or not picture.height:
                raise InputError(
                    f"{picture.path}: its size is not known, so its boxes cannot be written; is it there?"
                )
            out.append(codec.encode([message.boxes[i]], picture.width, picture.height))
        return " ".join(out)

    return _MARK.sub(write, message.text)


def open_picture(path: str) -> Image:
    """An RGB picture, upright; ImageError in one line if it is missing, damaged, too large or of another format."""
    from PIL import Image as Pictures
    from PIL import ImageOps, UnidentifiedImageError

    try:
        with Pictures.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ImageError(f"{path}: {picture.width} x {picture.height} pixels are over {MAX_PIXELS}")
            return ImageOps.exif_transpose(picture).convert("RGB")
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such picture; does the data section's images folder fit?") from error
    # ultralytics, once imported, swaps PIL's open for one that looks for a HEIF decoder: hence ImportError
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, ImportError) as error:
        raise ImageError(
            f"{path} is not a picture that can be read: {' '.join(str(error).split())[:150]}"
        ) from error


def parts(messages: Iterable[dict[str, str]]) -> list[dict[str, Any]]:
    """Messages with `<image>` marks -> messages whose content is a list of pictures and texts, as templates read it."""
    out = []
    for m in messages:
        content: list[dict[str, str]] = []
        for n, text in enumerate(m["content"].split(IMAGE)):
            if n:
                content.append({"type": "image"})
                text = text.removeprefix("\n")  # the template sets a picture off
            if text.strip():
                content.append({"type": "text", "text": text.rstrip("\n") if n == 0 else text})
        out.append({"role": m["role"], "content": content})
    return out


@dataclass(frozen=True, slots=True)
class Text:
    """A rendered conversation: its text, the spans [start, end) of its answers, its ids with one token a picture, and
    which of these ids are answers."""

    text: str
    ids: list[int]
    answers: list[bool]


def render(processor: ProcessorMixin, sample: Sample, last_only: bool = False) -> Text:
    """Writes a sample by the processor's chat template; `last_only` supervises the last answer alone (preferences)."""
    tokenizer = processor.tokenizer
    messages = parts(sample.messages)
    full: str = processor.apply_chat_template(messages, tokenize=False)
    spans = []
    for n, message in enumerate(messages):
        if message["role"] != "assistant" or (last_only and n != len(messages) - 1):
            continue
        before = processor.apply_chat_template(messages[:n], tokenize=False, add_generation_prompt=True)
        after = processor.apply_chat_template(messages[: n + 1], tokenize=False)
        if not after.startswith(before.rstrip()) or not full.startswith(after.rstrip()):
            raise InputError(
                f"sample {sample.id!r}: the chat template rewrites turns that it has written, so its answers cannot be "
                "told apart; give the model a template that only appends"
            )
        start = len(before) if after.startswith(before) else len(before.rstrip())
        spans.append((start, len(after.rstrip())))
    # A template without a token that ends a turn would teach the model never to stop.
    stop = tokenizer.eos_token
    tail = tuple(t for t in (stop, *tokenizer.all_special_tokens) if t and t != IMAGE)
    if spans and stop and not full[: spans[-1][1]].endswith(tail):
        pieces, at, moved = [], 0, []
        for n, (start, end) in enumerate(spans):
            pieces.append(full[at:end] + stop)
            at = end
            moved.append((start + n * len(stop), end + (n + 1) * len(stop)))
        full, spans = "".join([*pieces, full[at:]]), moved
    encoded = tokenizer(full, add_special_tokens=False, return_offsets_mapping=True)
    bos = tokenizer.bos_token
    if bos and not full.startswith(bos) and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id:
        full = bos + full
        spans = [(s + len(bos), e + len(bos)) for s, e in spans]
        encoded = tokenizer(full, add_special_tokens=False, return_offsets_mapping=True)
    marked = [
        any(s < end and start < e for s, e in spans) and end > start
        for start, end in encoded["offset_mapping"]
    ]
    ids = encoded["input_ids"]
    if not any(marked):
        raise InputError(
            f"sample {sample.id!r} has no supervised token: its answers are empty under this template"
        )
    return Text(full, ids, marked)


def media_ids(processor: ProcessorMixin) -> tuple[int, set[int]]:
    """The id of a picture's mark, and all ids that its expansion may hold."""
    tokenizer = processor.tokenizer
    mark = getattr(processor, "image_token_id", None)
    mark = tokenizer.convert_tokens_to_ids(IMAGE) if mark is None else mark
    names = [getattr(processor, name, None) for name in ("fake_image_token", "image_token")]
    return mark, {mark, *(tokenizer.convert_tokens_to_ids(n) for n in names if isinstance(n, str))}


def check(
    processor: ProcessorMixin,
    samples: Sequence[Sample],
    max_length: int,
    too_long: str = "refuse",
    last_only: bool = False,
) -> tuple[list[Sample], int]:
    """The samples that fit, and how many did not.

    Args:
        max_length: tokens of a sample, those of its pictures included.
        too_long: "refuse" raises an InputError that names the first too long sample; "drop" leaves them out.

    Raises:
        InputError: a sample has no supervised token, or is too long; ImageError: a picture is missing.
    """
    kept, sizes = [], PictureTokens(processor)
    for sample in samples:
        text = render(processor, sample, last_only)
        length = len(text.ids) + sum(sizes(path) - 1 for path in sample.images)
        if length <= max_length:
            kept.append(sample)
        elif too_long == "refuse":
            raise InputError(
                f"sample {sample.id!r} is {length} tokens long, its {len(sample.images)} pictures included, and max_length "
                f"is {max_length}; nothing is ever cut: raise max_length, or set too_long: drop"
            )
    if not kept:
        raise InputError(f"all {len(samples)} samples are longer than max_length ({max_length})")
    return kept, len(samples) - len(kept)


class PictureTokens:
    """How many tokens a processor writes for a picture, by the picture's size."""

    def __init__(self, processor: ProcessorMixin) -> None:
        self.processor = processor
        # These write the same for every picture, so no file need be opened.
        self.constant = type(processor).__name__ in ("LlavaProcessor", "Idefics2Processor")
        self.known: dict[tuple[int, int], int] = {}

    def __call__(self, path: str) -> int:
        from PIL import Image as Pictures

        size = (64, 64)
        if not self.constant:
            record = convert.picture_of(path, ".")
            if not record.width or not record.height:
                raise ImageError(f"{path}: no such picture; does the data section's images folder fit?")
            size = (record.width, record.height)
        if size not in self.known:
            mark = self.processor.image_token  # type: ignore[attr-defined]
            blank = Pictures.new("RGB", size)
            out = self.processor(images=[blank], text=[mark], add_special_tokens=False)
            self.known[size] = len(out["input_ids"][0])
        return self.known[size]


def encode(processor: ProcessorMixin, samples: Sequence[Sample], last_only: bool = False) -> dict[str, Any]:
    """A right-padded batch: what the processor returns for texts and pictures, and `answers` (bool [B, T])."""
    import torch

    texts = [render(processor, s, last_only) for s in samples]
    pictures = [open_picture(p) for s in samples for p in s.images]
    batch = processor(
        images=pictures or None, text=[t.text for t in texts], padding=True, padding_side="right",
        return_tensors="pt", add_special_tokens=False,
    )  # fmt: skip
    mark, media = media_ids(processor)
    answers = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
    for row, (sample, text) in enumerate(zip(samples, texts, strict=True)):
        ids = batch["input_ids"][row][batch["attention_mask"][row].bool()].tolist()
        at = 0
        for token, answer in zip(text.ids, text.answers, strict=True):
            if token == mark:  # one mark became the picture's tokens
                while at < len(ids) and ids[at] in media:
                    at += 1
                continue
            if at >= len(ids) or ids[at] != token:
                raise InputError(
                    f"sample {sample.id!r}: the processor wrote other tokens around a picture than its template; "
                    "let a line break follow each picture"
                )
            answers[row, at] = answer
            at += 1
    return {**batch, "answers": answers}
