"""LLaVA, Shikra, COCO, VQA v2, ScienceQA and scene turns to conversations, from the files as they are published."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from ...errors import InputError
from ..scenes import phrasing
from ..scenes.phrasing import Query
from ..scenes.schema import Scene, Turn
from .conversation import IMAGE, Box, Conversation, Message, Picture, box, exchange

_BOXES = re.compile(r"\[\s*((?:[01](?:\.\d+)?\s*[,;]\s*){3,}[01](?:\.\d+)?)\s*\]")


def read_json(path: str | Path) -> Any:
    """A .json file's value, or the list of a .jsonl file's lines; InputError names the file and the line."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix != ".jsonl":
            return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: line {error.lineno}, column {error.colno} is not JSON ({error.msg})"
        ) from error
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line.strip():
                rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: line {number} is not JSON ({error.msg})") from error
    return rows


def _need(record: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(record, dict):
        raise InputError(f"{where}: an object expected, got {type(record).__name__}")
    missing = [k for k in keys if k not in record]
    if missing:
        raise InputError(
            f"{where}: no {', '.join(map(repr, missing))}; it has {', '.join(map(repr, list(record)[:8])) or 'nothing'}"
        )


def _pixels(values: Sequence[float], width: int, height: int, square: bool) -> Box:
    """A box in parts of the picture (or of its padded square) to pixels, cut to the picture."""
    side = max(width, height)
    w, h, dx, dy = (
        (side, side, (side - width) / 2, (side - height) / 2) if square else (width, height, 0.0, 0.0)
    )
    x1, y1, x2, y2 = values[0] * w - dx, values[1] * h - dy, values[2] * w - dx, values[3] * h - dy
    return box((max(0.0, x1), max(0.0, y1), min(float(width), max(x1, x2)), min(float(height), max(y1, y2))))


def unbox(text: str, width: int, height: int, square: bool = False) -> tuple[str, tuple[Box, ...]]:
    """Boxes written as `[0.123,0.456,0.789,0.900]` (Shikra; `;` joins several) to marks and pixel boxes.

    Args:
        text: a message.
        width, height: of the picture, in pixels.
        square: the numbers are parts of the picture padded to a square, as in LLaVA-1.5's data.
    """
    boxes: list[Box] = []

    def mark(match: re.Match[str]) -> str:
        groups = [[float(v) for v in part.split(",")] for part in match.group(1).split(";")]
        if any(len(g) != 4 for g in groups):
            return match.group(0)
        start = len(boxes)
        boxes.extend(_pixels(g, width, height, square) for g in groups)
        return " ".join(f"<box:{n}>" for n in range(start, len(boxes)))

    return _BOXES.sub(mark, text), tuple(boxes)


def picture_of(path: str, root: str | Path | None) -> Picture:
    """The picture's record; its size is read from the file's header where `root` is given and the file is there."""
    if root is None or not (Path(root) / path).is_file():
        return Picture(path)
    from PIL import Image

    with Image.open(Path(root) / path) as image:
        width, height = image.size
        if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # turned by a quarter: sizes are told upright
            width, height = height, width
    return Picture(path, width, height)


def from_llava(
    records: Iterable[Any], root: str | Path | None = None, square: bool = True
) -> Iterator[Conversation]:
    """LLaVA's instruction files: `{"id", "image", "conversations": [{"from": "human", "value"}, ...]}`.

    Args:
        records: the file's list.
        root: folder of the pictures; with it, boxes in the text become pixel boxes.
        square: boxes are parts of the padded square (LLaVA-1.5); False: of the picture (Shikra in LLaVA's layout).
    """
    for n, record in enumerate(records):
        where = f"LLaVA record {n + 1}"
        _need(record, ("conversations",), where)
        images = record.get("image") or []
        pictures = tuple(picture_of(p, root) for p in ([images] if isinstance(images, str) else images))
        messages = []
        for m, side in enumerate(record["conversations"]):
            _need(side, ("from", "value"), f"{where}, message {m + 1}")
            role = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}.get(
                side["from"]
            )
            if role is None:
                raise InputError(
                    f"{where}, message {m + 1}: 'from' is {side['from']!r}; human or gpt expected"
                )
            text: str = side["value"]
            boxes: tuple[Box, ...] = ()
            if len(pictures) == 1 and pictures[0].width and pictures[0].height:
                text, boxes = unbox(text, pictures[0].width, pictures[0].height, square)
            messages.append(Message(role, text, boxes))  # type: ignore[arg-type]
        yield Conversation(str(record.get("id", n)), pictures, tuple(messages), "llava")


def from_shikra(records: Iterable[Any], root: str | Path | None = None) -> Iterator[Conversation]:
    """Shikra's own files: referring expressions (`img_path`, `expression`, `bbox`) and boxed chains of thought.

    The latter hold `question` and `answer` or `cot_with_ans` with a `<boxes>` mark per entry of
    `question_boxes_seq` and `answer_boxes_seq`, which index `boxes` (pixels).
    """
    for n, record in enumerate(records):
        where = f"Shikra record {n + 1}"
        _need(record, ("img_path",), where)
        size = (record.get("width"), record.get("height"))
        picture = Picture(record["img_path"], *size) if all(size) else picture_of(record["img_path"], root)
        if "expression" in record:
            _need(record, ("bbox",), where)
            question = Message("user", f"Where is {record['expression']}?")
            answer = Message("assistant", "<box:0>", (box(record["bbox"]),))
        else:
            _need(record, ("question", "boxes"), where)
            text = record.get("cot_with_ans", record.get("answer"))
            if text is None:
                raise InputError(f"{where}: neither 'answer' nor 'cot_with_ans'")
            question = _boxed(
                "user", record["question"], record["boxes"], record.get("question_boxes_seq", ()), where
            )
            answer = _boxed("assistant", text, record["boxes"], record.get("answer_boxes_seq", ()), where)
        yield Conversation(str(record.get("id", n)), (picture,), exchange([(question, answer)], 1), "shikra")


def _boxed(
    role: Any, text: str, boxes: Sequence[Any], sequence: Sequence[Sequence[int]], where: str
) -> Message:
    parts = text.split("<boxes>")
    if len(parts) - 1 != len(sequence):
        raise InputError(
            f"{where}: {len(parts) - 1} <boxes> marks in {text[:40]!r}, {len(sequence)} box lists"
        )
    out = [parts[0]]
    chosen: list[Box] = []
    for indices, rest in zip(sequence, parts[1:], strict=True):
        marks = []
        for i in indices:
            if not 0 <= i < len(boxes):
                raise InputError(f"{where}: box {i} of {len(boxes)}")
            marks.append(f"<box:{len(chosen)}>")
            chosen.append(box(boxes[i]))
        out += [" ".join(marks), rest]
    return Message(role, "".join(out), tuple(chosen))


def from_coco(
    instances: dict[str, Any] | None = None,
    captions: dict[str, Any] | None = None,
    seed: int = 0,
    split: str = "train",
) -> Iterator[Conversation]:
    """COCO's instances and captions: per picture existence, count, regions, grounding and a caption.

    Every present class is asked about with an absent one beside it, drawn from the classes of other pictures by their
    frequency. Classes with crowd regions are neither counted nor grounded.

    Args:
        instances: `instances_*.json` as read; captions: `captions_*.json`; at least one of them.
        seed: of the choice of phrasings, regions and absent classes.
        split: which phrasings, "train", "test" or "all".
    """
    if instances is None and captions is None:
        raise InputError("from_coco: give the instances, the captions or both")
    pictures: dict[Any, dict[str, Any]] = {}
    for name, file in (("instances", instances), ("captions", captions)):
        if file is not None:
            _need(file, ("images", "annotations"), f"COCO {name}")
            pictures |= {i["id"]: i for i in file["images"]}
    names = {c["id"]: c["name"] for c in (instances or {}).get("categories", ())}
    things: dict[Any, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    pool: list[str] = []
    for a in (instances or {}).get("annotations", ()):
        if a["category_id"] not in names:
            raise InputError(
                f"COCO annotation {a.get('id')}: category {a['category_id']} is not in the file's list"
            )
        if names[a["category_id"]] not in things[a["image_id"]]:
            pool.append(names[a["category_id"]])
        things[a["image_id"]][names[a["category_id"]]].append(a)
    told: dict[Any, list[str]] = defaultdict(list)
    for a in (captions or {}).get("annotations", ()):
        told[a["image_id"]].append(" ".join(a["caption"].split()))
    for key, info in pictures.items():
        rng = Random(f"{seed}/{key}")
        pairs = _coco_pairs(rng, things.get(key, {}), pool, split) + [
            _pair(rng, "caption.short", text, split) for text in told.get(key, ())[:1]
        ]
        if pairs:
            picture = Picture(info["file_name"], info.get("width"), info.get("height"))
            extra = {"captions": told[key]} if key in told else {}
            yield Conversation(str(key), (picture,), exchange(pairs, 1), "coco", extra)


def _pair(
    rng: Random, form: str, answer: str, split: str, queries: tuple[Query, ...] = (), boxes: Sequence[Box] = (),
    region: Box | None = None,
) -> tuple[Message, Message]:  # fmt: skip
    text = phrasing.phrase(form, "en", split, rng, queries)[0].replace("<region>", "<box:0>")
    return Message("user", text, (region,) if region else ()), Message("assistant", answer, tuple(boxes))


def _coco_pairs(
    rng: Random, found: dict[str, list[dict[str, Any]]], pool: Sequence[str], split: str
) -> list[tuple[Message, Message]]:
    pairs = []
    for name, instances in found.items():
        query = (Query(name),)
        pairs.append(_pair(rng, "existence", "yes", split, query))
        for _ in range(20):
            other = pool[int(rng.random() * len(pool))]
            if other not in found:
                pairs.append(_pair(rng, "existence", "no", split, (Query(other),)))
                break
        if any(a.get("iscrowd") for a in instances):
            continue
        boxes = [_corners(a["bbox"]) for a in instances]
        pairs.append(_pair(rng, "count", str(len(boxes)), split, query))
        form = "ground.one" if len(boxes) == 1 else "ground.all"
        pairs.append(_pair(rng, form, " ".join(f"<box:{n}>" for n in range(len(boxes))), split, query, boxes))
        pairs.append(_pair(rng, "region.what", name, split, region=boxes[int(rng.random() * len(boxes))]))
    rng.shuffle(pairs)
    return pairs


def _corners(xywh: Sequence[float]) -> Box:
    x, y, w, h = xywh
    return box((x, y, x + w, y + h))


def from_vqa(
    questions: dict[str, Any], annotations: dict[str, Any] | None = None, pattern: str | None = None
) -> Iterator[Conversation]:
    """VQA v2: one conversation per picture; the answer is `multiple_choice_answer`, all ten are kept in `extra`.

    Args:
        questions: `v2_OpenEnded_mscoco_*_questions.json` as read.
        annotations: `v2_mscoco_*_annotations.json`; without them (a test split) every answer is empty.
        pattern: file name of a picture from `{subtype}` and `{image_id}`; default COCO 2014's names.
    """
    _need(questions, ("questions",), "VQA questions")
    subtype = questions.get("data_subtype", "")
    pattern = pattern or "COCO_{subtype}_{image_id:012d}.jpg"
    answers: dict[Any, dict[str, Any]] = {}
    if annotations is not None:
        _need(annotations, ("annotations",), "VQA annotations")
        answers = {a["question_id"]: a for a in annotations["annotations"]}
    by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for n, q in enumerate(questions["questions"]):
        _need(q, ("image_id", "question", "question_id"), f"VQA question {n + 1}")
        if annotations is not None and q["question_id"] not in answers:
            raise InputError(
                f"VQA question {q['question_id']}: no annotation; are the two files of one split?"
            )
        by_image[q["image_id"]].append(q)
    for image_id, asked in by_image.items():
        pairs, people = [], {}
        for q in asked:
            a = answers.get(q["question_id"], {})
            pairs.append(
                (Message("user", q["question"]), Message("assistant", a.get("multiple_choice_answer", "")))
            )
            people[str(q["question_id"])] = [x["answer"] for x in a.get("answers", ())]
        picture = Picture(pattern.format(subtype=subtype, image_id=image_id))
        yield Conversation(str(image_id), (picture,), exchange(pairs, 1), "vqa", {"answers": people})


def from_scienceqa(
    problems: dict[str, Any], split: str | None = None, ids: Sequence[str] | None = None
) -> Iterator[Conversation]:
    """ScienceQA's `problems.json`: question, context and lettered choices; the answer is its rationale, then the letter.

    Args:
        problems: the file as read.
        split: only this split ("train", "val", "test"); None: all.
        ids: only these, e.g. one list of `pid_splits.json`.
    """
    for key in ids if ids is not None else problems:
        if key not in problems:
            raise InputError(f"ScienceQA: no problem {key!r} in the file")
        p = problems[key]
        _need(p, ("question", "choices", "answer"), f"ScienceQA problem {key}")
        if split is not None and p.get("split") != split:
            continue
        if not 0 <= p["answer"] < len(p["choices"]):
            raise InputError(f"ScienceQA problem {key}: answer {p['answer']} of {len(p['choices'])} choices")
        choices = " ".join(f"({chr(65 + n)}) {c}" for n, c in enumerate(p["choices"]))
        context = f"Context: {p['hint']}\n" if p.get("hint") else ""
        letter = chr(65 + p["answer"])
        steps = " ".join(s.strip() for s in (p.get("lecture"), p.get("solution")) if s and s.strip())
        pictures = (Picture(f"{p.get('split', 'all')}/{key}/{p['image']}"),) if p.get("image") else ()
        question = Message("user", f"{context}Question: {p['question']}\nOptions: {choices}")
        answer = Message("assistant", f"{steps} The answer is {letter}.".strip())
        yield Conversation(
            key, pictures, exchange([(question, answer)], len(pictures)), "scienceqa", {"letter": letter}
        )


def from_turns(
    turns: Sequence[Turn], scenes: Sequence[Scene], paths: Sequence[str], rationale: bool = False
) -> Conversation:
    """Scene turns as one conversation over the rendered files of their scenes.

    Args:
        turns: about the same scenes, in this order.
        scenes, paths: the scenes and where each was drawn.
        rationale: put a turn's rationale before its answer, on a line of its own.
    """
    if len(scenes) != len(paths) or not scenes:
        raise InputError(
            f"from_turns: {len(scenes)} scenes, {len(paths)} paths; one path for each scene expected"
        )
    first = len(scenes[0].objects)
    pairs = []
    for t in turns:
        region = (t.region,) if t.region is not None else ()
        question = Message("user", t.question.replace("<region>", "<box:0>"), region)
        text = f"{t.rationale}\n{t.answer}" if rationale and t.rationale else t.answer
        where = tuple(int(i >= first) for i in t.objects) if len(scenes) > 1 else ()
        pairs.append((question, Message("assistant", text, t.boxes, where)))
    pictures = tuple(Picture(p, s.width, s.height) for p, s in zip(paths, scenes, strict=True))
    return Conversation(
        f"scene-{scenes[0].seed}",
        pictures,
        exchange(pairs, len(pictures)),
        "scenes",
        {"tasks": [t.task for t in turns]},
    )


CONVERTERS = {
    "llava": from_llava,
    "shikra": from_shikra,
    "coco": from_coco,
    "vqa": from_vqa,
    "scienceqa": from_scienceqa,
}

__all__ = ["CONVERTERS", "IMAGE", "from_coco", "from_llava", "from_scienceqa", "from_shikra", "from_turns", "from_vqa",
           "picture_of", "read_json", "unbox"]  # fmt: skip
