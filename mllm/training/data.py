"""From scenes and turns to batches: every turn a sequence of its own behind its pictures, as it is when asked alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ..scenes import vocabulary as vocabulary_of_the_world
from ..scenes.schema import Scene, SceneObject, Turn
from ..starter.config import ANSWER, ASSISTANT, CHARSET, EOS, IMAGE, PLAN, REGION, THINK, USER, StarterConfig
from .rationale import FIELDS, Step, steps

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_BOX = re.compile(r"<box:(\d+)>")
_LABEL = re.compile(r"(?:^|(?<=; ))[^:;<]*: ")


@dataclass
class Slots:
    """The object tokens of one picture: arrays over slots, and which scene object each slot shows (-1: none)."""

    kind: np.ndarray  # [N, kinds]
    color: np.ndarray  # [N, colors]
    size: np.ndarray  # [N, sizes]
    box: np.ndarray  # [N, 4] in 0..1
    word: np.ndarray  # [N, L]
    of: list[int]  # scene object shown by each slot


@dataclass
class Sample:
    """One turn as tokens: ids, per-token loss weights, and what its nouns and its evidence should match."""

    ids: list[int]
    weights: list[float]
    regions: list[tuple[float, float, float, float]]
    matches: list[tuple[int, tuple[int, ...]]]  # token index -> pointer numbers, for the first match
    evidence: tuple[int, tuple[int, ...]] | None  # the mode token -> pointer numbers, for the second match
    task: str
    answer_at: int  # index of the first answer token
    think: bool
    sees: bool = True  # whether it is asked with the picture
    fields: list[int] = field(default_factory=list)  # what each token says, an index into FIELDS


@dataclass
class Row:
    """The pictures of one scene (or a pair of scenes) and the turns asked about them."""

    pictures: list[Slots]
    samples: list[Sample] = field(default_factory=list)


class Vocabulary:
    """What the encoder needs of the tokenizer: cached ids of short strings, and the reserved ids."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, config: StarterConfig) -> None:
        self.tokenizer, self.config = tokenizer, config
        self._backend = tokenizer.backend_tokenizer
        self.ids = lru_cache(maxsize=200_000)(self._ids)

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._backend.encode(text, add_special_tokens=False).ids)

    def spans(self, text: str) -> Any:
        """The encoding with its character offsets."""
        return self._backend.encode(text, add_special_tokens=False)

    def pointer(self, number: int) -> int:
        return self.config.pointer_start + number

    def reading(self, number: int) -> int:
        return self.config.reading_start + number


def compact(rationale: str) -> str:
    """A rationale without its labels: "dog: <box:0>; cat: none" -> "<box:0>; none"."""
    return _LABEL.sub("", rationale)


def pieces(
    text: str, vocabulary: Vocabulary, numbers: Sequence[int | None], words: dict[str, int], lead: bool
) -> list[int]:
    """Token ids of an answer or a rationale, boxes written as pointers and printed words as readings.

    Args:
        text: may hold `<box:i>`.
        numbers: pointer number of box i; None where the object has no token (the box is then left out).
        words: printed word -> pointer number of the object that shows it.
        lead: put a space before a Latin first word, so that it has the tokens that it has inside a sentence.
    """
    ids: list[int] = []
    run: list[
        int
    ] = []  # pointers side by side name a set: they are written in order, or their order would be chance
    for i, part in enumerate(_BOX.split(text)):
        if i % 2:
            number = numbers[int(part)]
            if number is not None:
                run.append(vocabulary.pointer(number))
            continue
        part = part if i == 0 else part.strip()
        if not part:
            continue
        ids += sorted(run)
        run = []
        cut = re.split(rf"\b({'|'.join(map(re.escape, words))})\b", part) if words else [part]
        for j, piece in enumerate(cut):
            if j % 2:
                ids.append(vocabulary.reading(words[piece]))
            elif piece:
                spaced = lead and i == 0 and j == 0 and piece[0].isascii() and piece[0].isalnum()
                ids.extend(vocabulary.ids(f" {piece}" if spaced else piece))
    return ids + sorted(run)


_ATTRIBUTES = {name: ("color", name) for name in vocabulary_of_the_world.COLORS}
_ATTRIBUTES |= {
    zh: ("color", name) for name, zh in vocabulary_of_the_world.COLOR_ZH.items() if name in _ATTRIBUTES
}
_ATTRIBUTES |= {name: ("size", name) for name in vocabulary_of_the_world.SIZES}
_ATTRIBUTES |= {f"{zh}的": ("size", name) for name, zh in vocabulary_of_the_world.SIZE_ZH.items()}
# A colour or size in either language, or print: two capitals or more.
_ATTRIBUTE = re.compile(
    "|".join(rf"\b{k}\b" if k.isascii() else k for k in sorted(_ATTRIBUTES, key=len, reverse=True))
    + r"|\b[A-Z]{2,}\b"
)


def attribute_matches(question: str, objects: Sequence[SceneObject]) -> list[tuple[int, tuple[int, ...]]]:
    """Where a question speaks of a colour, a size or a printed word: (last character, objects that have it)."""
    out = []
    for found in _ATTRIBUTE.finditer(question):
        name, value = _ATTRIBUTES.get(found.group(), ("word", found.group()))
        out.append((found.end() - 1, tuple(i for i, o in enumerate(objects) if getattr(o, name) == value)))
    return out


def encode_turn(
    turn: Turn,
    scenes: Sequence[Scene],
    numbers: dict[int, int],
    vocabulary: Vocabulary,
    think: bool,
    rationale: str | None = None,
    relate: bool = True,
) -> Sample:
    """One turn as tokens with its labels, from the template: nothing is ever searched for in the finished text.

    Args:
        turn: the question and its answer.
        scenes: the scenes that it is about (none for words only).
        numbers: scene object (counted over the scenes) -> pointer number, for objects that have a token.
        think: whether the rationale comes before the answer.
        rationale: replaces the turn's own (a corrupted one, for instance).
        relate: let the rationale say what holds between the things that it points at.
    """
    width, height = (scenes[0].width, scenes[0].height) if scenes else (1, 1)
    objects = [o for s in scenes for o in s.objects]
    encoding = vocabulary.spans(turn.question)
    ids = [USER, *encoding.ids, ASSISTANT]
    planned = turn.words_only and turn.task.startswith("plan")
    mode = PLAN if planned else THINK if think and turn.rationale else ANSWER
    ids.append(mode)
    mode_at = len(ids) - 1
    matches: list[tuple[int, tuple[int, ...]]] = []
    for _start, end, found in turn.mentions:
        token = encoding.char_to_token(end - 1)
        if token is not None:
            matches.append((token + 1, tuple(numbers[i] for i in found if i in numbers)))
    taken = {at for at, _ in matches}
    for at, found in attribute_matches(turn.question, objects) if objects else ():
        token = encoding.char_to_token(at)
        if token is not None and token + 1 not in taken:
            matches.append((token + 1, tuple(numbers[i] for i in found if i in numbers)))
    regions = []
    if turn.region is not None:
        x1, y1, x2, y2 = turn.region
        for at, token in enumerate(ids):
            if token == REGION:
                regions.append((x1 / width, y1 / height, x2 / width, y2 / height))
                if turn.objects and turn.objects[0] in numbers:
                    matches.append((at, (numbers[turn.objects[0]],)))
    words = {word: numbers[i] for i in turn.objects if i in numbers and (word := objects[i].word)}
    if turn.task == "statement" or turn.answer in ("yes", "no"):
        words = {}
    of_box = [numbers.get(i) for i in turn.objects]
    weights, fields = [0.0] * len(ids), [0] * len(ids)
    if mode == THINK:
        if rationale is not None:
            said = pieces(compact(rationale), vocabulary, of_box, {}, True)
            told = [FIELDS.index("point")] * len(said)
        else:
            planned_steps = steps(turn, scenes, relate)
            if any(i not in numbers for step in planned_steps for i in step.objects):
                planned_steps = steps(turn, scenes, False)  # of what was not seen nothing can be said
            said, told = spoken(planned_steps, vocabulary, numbers)
        ids += [*said, ANSWER]
        fields += [*told, FIELDS.index("stop")]
        weights += [1.0] * (len(said) + 1)
    answer_at = len(ids)
    answer = [*pieces(turn.answer, vocabulary, of_box, words, not planned), EOS]
    if len(answer) == 1:
        raise InputError(f"a {turn.task} turn has no supervised token: its answer {turn.answer!r} is empty")
    ids += answer
    # A long answer weighs more than a short one, but not in proportion to its length.
    each = max(1.0, (len(answer) - 1) ** 0.5) / (len(answer) - 1)
    weights += [each] * (len(answer) - 1) + [0.5 * each]
    fields += [FIELDS.index("answer")] * (len(answer) - 1) + [FIELDS.index("end")]
    sees = bool(scenes) and not turn.words_only
    evidence = (mode_at, tuple(n for n in of_box if n is not None)) if sees else None
    return Sample(
        ids, weights, regions, matches if sees else [], evidence, turn.task, answer_at, mode == THINK, sees, fields
    )  # fmt: skip


def spoken(
    said: Sequence[Step], vocabulary: Vocabulary, numbers: dict[int, int]
) -> tuple[list[int], list[int]]:
    """Steps as token ids, and the field of each; two sets of pointers side by side have a ";" between them."""
    ids: list[int] = []
    fields: list[int] = []
    pointed = False
    for step in said:
        place = FIELDS.index(step.field)
        tokens = list(vocabulary.ids(f" {step.word}" if step.word[:1].isascii() else step.word))
        if step.objects:
            tokens = [vocabulary.pointer(numbers[i]) for i in step.objects if i in numbers]
            if not step.ordered:  # the order of a set would be chance
                tokens.sort()
            if pointed:
                ids += vocabulary.ids(";")
                fields.append(FIELDS.index("stop"))
        pointed = bool(step.objects)
        ids += tokens
        fields += [place] * len(tokens)
    return ids, fields


def _soft(rng: Random, size: int, index: int, sure: float) -> np.ndarray:
    """A distribution around `index` as a detector gives it: mostly sure, sometimes shared with one other."""
    out = np.full(size, 0.002 / size, dtype=np.float32)
    mass = 1.0 if rng.random() < sure else rng.uniform(0.4, 1.0)
    out[index] += mass
    out[rng.randrange(size)] += 1.0 - mass
    return out / out.sum()


class SymbolicEye:
    """Object slots straight from a scene, with a detector's faults: misses, doubts, loose boxes, phantom objects."""

    def __init__(
        self, config: StarterConfig, miss: float = 0.008, phantom: float = 0.008, sure: float = 0.93
    ) -> None:
        self.config, self.miss, self.phantom, self.sure = config, miss, phantom, sure
        self.kinds = {k: i for i, k in enumerate(config.kinds)}
        self.colors = {c: i for i, c in enumerate(config.colors)}
        self.sizes = {s: i for i, s in enumerate(config.sizes)}

    def look(self, scene: Scene, rng: Random) -> Slots:
        """The slots of one scene, from left to right."""
        found: list[tuple[float, int, SceneObject, list[float]]] = []
        for i, o in enumerate(scene.objects):
            if o.visible < 0.15 or rng.random() < self.miss + 0.3 * max(0.0, 0.5 - o.visible):
                continue
            w, h = o.box[2] - o.box[0], o.box[3] - o.box[1]
            box = [v + rng.gauss(0.0, 0.02) * s for v, s in zip(o.box, (w, h, w, h), strict=True)]
            found.append((box[0] + box[2], i, o, box))
        if scene.objects and rng.random() < self.phantom:
            o = rng.choice(scene.objects)
            dx, dy = rng.uniform(0, scene.width - 1), rng.uniform(0, scene.height - 1)
            box = [
                dx,
                dy,
                min(scene.width, dx + rng.uniform(8, 40)),
                min(scene.height, dy + rng.uniform(8, 40)),
            ]
            found.append((box[0] + box[2], -1, o, box))
        found.sort(key=lambda f: f[0])
        found = found[: self.config.max_objects]
        c, n = self.config, len(found)
        slots = Slots(
            np.zeros((n, len(c.kinds)), np.float32), np.zeros((n, len(c.colors)), np.float32),
            np.zeros((n, len(c.sizes)), np.float32), np.zeros((n, 4), np.float32),
            np.zeros((n, c.max_word), np.int64), [f[1] for f in found],
        )  # fmt: skip
        scale = np.array([scene.width, scene.height] * 2, np.float32)
        for j, (_x, _i, o, box) in enumerate(found):
            slots.kind[j] = _soft(rng, len(c.kinds), self.kinds[o.kind], self.sure)
            slots.color[j] = _soft(rng, len(c.colors), self.colors[o.color], 0.97)
            slots.size[j] = _soft(rng, len(c.sizes), self.sizes[o.size], 0.95)
            slots.box[j] = np.clip(np.array(box, np.float32) / scale, 0, 1)
            if o.word:
                slots.word[j] = word_codes(o.word, c.max_word)
        return slots


def word_codes(word: str, length: int) -> np.ndarray:
    """A printed word as [length] indices into CHARSET plus one."""
    codes = [CHARSET.index(ch) + 1 for ch in word if ch in CHARSET][:length]
    return np.array([*codes, *[0] * (length - len(codes))], np.int64)


def pointer_numbers(
    pictures: Sequence[Slots], scenes: Sequence[Scene], config: StarterConfig
) -> dict[int, int]:
    """Scene object (counted over the scenes) -> pointer number."""
    numbers: dict[int, int] = {}
    base = 0
    for p, (slots, scene) in enumerate(zip(pictures, scenes, strict=True)):
        for j, i in enumerate(slots.of):
            if i >= 0:
                numbers[base + i] = p * config.max_objects + j
        base += len(scene.objects)
    return numbers


def collate(rows: Sequence[Row], config: StarterConfig, parts: int = 4) -> list[dict[str, Any]]:
    """Rows -> `parts` batches of single turns, short ones with short ones, each turn behind its own pictures.

    A sequence is what the model is given when the turn is asked alone: global token and objects of each picture, then
    the words. Keys: ids, weights, positions, slot [N, T] (slot: pointer number of an object's token, -1 - picture for a
    global token, -1000 elsewhere), regions [R, 4] in order, objects (kind, color, size, box, word, valid: [N, M, ..]),
    gate_at: for each of the two supervised matches [G, 2] (sequence, token), gate_of: their targets [G, M], share: this
    batch's part of the step's weight, fields [N, T] (what each token says, an index into FIELDS), tasks and think [N].
    """
    turns = [(row, sample) for row in rows for sample in row.samples]
    if not turns:
        raise InputError("a batch holds no turns: the scenes gave no questions")
    turns.sort(key=lambda t: _length(*t))
    chunks = [turns[a:b] for a, b in pairwise(cuts([_length(*t) for t in turns], parts))]
    total = sum(sum(s.weights) for _, s in turns)
    return [_batch(chunk, config, total) for chunk in chunks]


def cuts(lengths: Sequence[int], parts: int) -> list[int]:
    """Where to cut sequences, sorted by length, into at most `parts` batches with the least padding; from 0 to the end."""
    n = len(lengths)
    first = np.arange(n + 1)
    area = (first[None, :] - first[:, None]) * np.array(
        [0, *lengths], np.float64
    )  # of a batch from row to column
    area[np.tril_indices(n + 1)] = np.inf
    least, back = area[0], []
    for _ in range(min(parts, n) - 1):
        options = least[:, None] + area
        back.append(options.argmin(0))
        least = options.min(0)
    out = [n]
    for choice in reversed(back):
        out.append(int(choice[out[-1]]))
    return [0, *reversed(out)]


def _length(row: Row, sample: Sample) -> int:
    return len(sample.ids) + (sum(1 + len(p.of) for p in row.pictures) if sample.sees else 0)


def _batch(turns: Sequence[tuple[Row, Sample]], config: StarterConfig, total: float) -> dict[str, Any]:
    import torch

    n, t = len(turns), max(_length(*turn) for turn in turns)
    pictures = [row.pictures if sample.sees else [] for row, sample in turns]
    m = config.max_objects * max(1, *map(len, pictures))
    ids, positions = np.zeros((n, t), np.int64), np.zeros((n, t), np.int64)
    weights, slot = np.zeros((n, t), np.float32), np.full((n, t), -1000, np.int64)
    said = np.zeros((n, t), np.int64)
    objects: dict[str, Any] = {
        "kind": np.zeros((n, m, len(config.kinds)), np.float32), "color": np.zeros((n, m, len(config.colors)), np.float32),
        "size": np.zeros((n, m, len(config.sizes)), np.float32), "box": np.zeros((n, m, 4), np.float32),
        "word": np.zeros((n, m, config.max_word), np.int64), "valid": np.zeros((n, m), bool),
    }  # fmt: skip
    regions: list[tuple[float, float, float, float]] = []
    gates: list[tuple[list[tuple[int, int]], list[np.ndarray]]] = [([], []), ([], [])]
    for r, (_row, sample) in enumerate(turns):
        at = 0
        for p, slots in enumerate(pictures[r]):
            count, start = len(slots.of), p * config.max_objects
            for key in ("kind", "color", "size", "box", "word"):
                objects[key][r, start : start + count] = getattr(slots, key)
            objects["valid"][r, start : start + count] = True
            ids[r, at : at + count + 1] = IMAGE
            slot[r, at] = -1 - p
            slot[r, at + 1 : at + count + 1] = np.arange(start, start + count)
            at += count + 1
        size = len(sample.ids)
        ids[r, at : at + size], weights[r, at : at + size] = sample.ids, sample.weights
        said[r, at : at + size] = sample.fields
        positions[r, at : at + size] = np.arange(1, size + 1)
        regions += sample.regions
        marks = [(0, token, found) for token, found in sample.matches]
        if sample.evidence is not None:
            marks.append((1, *sample.evidence))
        for which, token, found in marks:
            target = np.zeros(m, np.float32)
            target[list(found)] = 1.0
            gates[which][0].append((r, at + token))
            gates[which][1].append(target)
    return {
        "ids": torch.from_numpy(ids), "weights": torch.from_numpy(weights), "slot": torch.from_numpy(slot),
        "positions": torch.from_numpy(positions), "fields": torch.from_numpy(said),
        "regions": torch.tensor(regions, dtype=torch.float32).reshape(-1, 4),
        "objects": {k: torch.from_numpy(v) for k, v in objects.items()},
        "gate_at": [torch.tensor(a, dtype=torch.long).reshape(-1, 2) for a, _ in gates],
        "gate_of": [torch.from_numpy(np.array(g, np.float32).reshape(-1, m)) for _, g in gates],
        "share": float(weights.sum()) / total,
        "tasks": [s.task for _, s in turns], "think": [s.think for _, s in turns],
    }  # fmt: skip
