"""The planner's prompt: tools from their declarations, demonstrations like the request, all within a token budget.

Demonstrations are chosen by likeness to the request (tf-idf of words and character trigrams, cosine) and so that the ops
that it seems to need are shown (M-ICL). The same request and registry always give the same prompt; the most similar
demonstration stands last, next to the request.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from .. import prompts
from ..prompts import Demonstration
from ..tools.declaration import Argument, Tool
from ..tools.registry import Registry
from ..tools.values import Image
from . import marks
from .records import Mark, Request

_CJK = "぀-ヿ㐀-鿿가-힣"
_TOKEN = re.compile(rf"[a-z0-9]+|[{_CJK}]")
_OVERLAP = 0.4  # weight of sharing the needed ops, beside likeness of words (0 to 1)
_COVER = 0.5  # what a demonstration gains, at most, for showing ops that no other chosen one shows
_ALWAYS = (
    "LOC",
    "COUNT",
    "FILTER",
    "VQA",
    "EVAL",
    "RESULT",
    "IF",
)  # tools whose arguments are always told in full


def tokens(text: str) -> int:
    """A text's tokens, estimated: one for four Latin characters, one for a Chinese, Japanese or Korean one."""
    wide = len(re.findall(f"[{_CJK}]", text))
    return wide + math.ceil((len(text) - wide) / 4)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A planner's prompt: the system text, (user, assistant) turns of demonstrations, and the request's own turn."""

    system: str
    turns: tuple[tuple[str, str], ...]
    request: str
    demonstrations: tuple[str, ...]  # ids, in the order shown
    tokens: int


class Prompter:
    """Assembles prompts.

    Args:
        registry: the tools that a program may use.
        most: demonstrations shown, at most.
        budget: estimated tokens of the whole prompt; demonstrations are left out first, then notes on arguments.
    """

    def __init__(self, registry: Registry, most: int = 8, budget: int = 5000) -> None:
        self.registry = registry
        self.most = most
        self.budget = budget

    @cached_property
    def demonstrations(self) -> tuple[Demonstration, ...]:
        """Those whose ops are all in force."""
        return tuple(
            d for d in prompts.demonstrations() if all(op in self.registry for op in ops_of(d.program))
        )

    @cached_property
    def _index(self) -> Likeness:
        return Likeness([d.request for d in self.demonstrations])

    def needed(self, question: str, pointed: bool = False) -> dict[str, float]:
        """The ops that a request seems to need, with weights from 0 to 1: by its words, and by similar demonstrations."""
        weights: defaultdict[str, float] = defaultdict(float)
        lowered = question.lower()
        for op, words in prompts.table("cues").items():
            if op in self.registry and (op != "SEGMENT" or pointed) and any(_has(lowered, w) for w in words):
                weights[op] += 1.0
        scores = self._index.scores(question)
        for index in sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:6]:
            for op in set(ops_of(self.demonstrations[index].program)):
                weights[op] += scores[index]
        if pointed and "SEGMENT" in self.registry:
            weights["SEGMENT"] += 1.0
        return {op: min(1.0, weight) for op, weight in sorted(weights.items()) if weight > 0.05}

    def _overlap(self, needed: Mapping[str, float], ops: set[str]) -> float:
        """How far a program's ops are the needed ones, 0 to 1; an op that few programs use weighs more."""
        rarity = self._rarity
        both = sum(rarity[op] * min(1.0, needed.get(op, 0.0)) for op in ops)
        either = sum(rarity[op] * max(needed.get(op, 0.0), float(op in ops)) for op in {*ops, *needed})
        return both / either if either else 0.0

    @cached_property
    def _rarity(self) -> Mapping[str, float]:
        used = Counter(op for d in self.demonstrations for op in set(ops_of(d.program)))
        return {
            item.name: math.log((1 + len(self.demonstrations)) / (1 + used[item.name]))
            for item in self.registry
        }

    def choose(self, request: Request) -> list[Demonstration]:
        """Up to `most` demonstrations, the most similar last."""
        pointed = request.mark is not None
        needed = self.needed(request.asked, pointed)
        likeness = self._index.scores(request.asked)
        pairs = min(len(request.pictures), 2)
        base = []
        for index, shown in enumerate(self.demonstrations):
            score = likeness[index] + _OVERLAP * self._overlap(needed, set(ops_of(shown.program)))
            score += 0.3 * (bool(shown.at) == pointed) + 0.3 * (min(shown.pictures, 2) == pairs)
            base.append(score)
        chosen: list[int] = []
        covered: set[str] = set()
        wanted = sum(needed.values()) or 1.0
        while len(chosen) < min(self.most, len(self.demonstrations)):
            best, best_gain = -1, -math.inf
            for index, score in enumerate(base):
                if index in chosen:
                    continue
                new = set(ops_of(self.demonstrations[index].program)) - covered
                gain = score + _COVER * sum(needed.get(op, 0.0) for op in new) / wanted
                if gain > best_gain:
                    best, best_gain = index, gain
            chosen.append(best)
            covered |= set(ops_of(self.demonstrations[best].program))
        chosen.sort(key=lambda i: (base[i], -i))
        return [self.demonstrations[i] for i in chosen]

    def plan(self, request: Request) -> Prompt:
        """The prompt for a program that answers the request."""
        asked = said(request)
        needed = self.needed(request.asked, request.mark is not None)
        chosen = self.choose(request)
        listing = tool_lines(self.registry.visible(), {*needed, *_ALWAYS})
        fixed = tokens(prompts.text("controller", tools="")) + tokens(asked)
        if fixed + tokens(listing) + 400 > self.budget:
            listing = tool_lines(self.registry.visible(), ())
        left = self.budget - fixed - tokens(listing)
        turns: list[tuple[str, str]] = []
        shown: list[str] = []
        for one in reversed(chosen):  # the most similar are kept longest
            turn = (_demonstrated(one), one.program)
            left -= tokens(turn[0]) + tokens(turn[1]) + 8
            if left < 0:
                break
            turns.insert(0, turn)
            shown.insert(0, one.id)
        system = prompts.text("controller", tools=listing)
        used = tokens(system) + tokens(asked) + sum(tokens(a) + tokens(b) + 8 for a, b in turns)
        return Prompt(system, tuple(turns), asked, tuple(shown), used)

    def tools_for(
        self, question: str, allowed: Sequence[Tool], most: int, pointed: bool = False
    ) -> list[Tool]:
        """At most `most` of the allowed tools, those that the question seems to need first; in the registry's order."""
        needed = self.needed(question, pointed)
        common = Counter(op for d in self.demonstrations for op in set(ops_of(d.program)))
        ranked = sorted(
            range(len(allowed)),
            key=lambda i: (
                -needed.get(allowed[i].name, 0.0) - (allowed[i].name in _ALWAYS),
                -common[allowed[i].name],
                i,
            ),
        )
        return [allowed[i] for i in sorted(ranked[:most])]


def said(request: Request) -> str:
    """A request as a language model reads it: earlier turns, question, names of the pictures, what is pointed at."""
    lines = [f"Earlier: {question} -> {answer}" for question, answer in request.history[-4:]]
    lines += [f"Request: {request.asked.strip()}", f"Pictures: {', '.join(request.picture_names)}"]
    if request.asked != request.question:
        lines.append(f"In the words used: {request.question.strip()}")
    if request.mark is not None:
        lines.append(marks.describe(request))
    return "\n".join(lines)


def _demonstrated(shown: Demonstration) -> str:
    mark = None
    if len(shown.at) == 2:
        mark = Mark(points=((shown.at[0], shown.at[1], True),))
    elif shown.at:
        mark = Mark(box=(shown.at[0], shown.at[1], shown.at[2], shown.at[3]))
    return said(Request(shown.request, (_blank(),) * shown.pictures, mark))


@cache
def _blank() -> Image:
    """Stands for a demonstration's picture, of which only the name is told."""
    return Image.from_array(np.zeros((1, 1, 3), np.uint8))


def ops_of(program: str) -> list[str]:
    """The ops of a program's text, in order."""
    return re.findall(r"^\w+=([A-Z][A-Z0-9_]*)\(", program, re.MULTILINE)


# -- tools in words ------------------------------------------------------------------------------------------------


def signature(item: Tool) -> str:
    """A tool in one line: NAME(argument: type, ...) -> type."""
    return f"{item.name}({', '.join(_argument(a) for a in item.arguments)}) -> {item.returns}"


def _argument(argument: Argument) -> str:
    kind = str(argument.type)
    if argument.choices:
        kind = "|".join(repr(choice) for choice in argument.choices)
    return f"{argument.name}: {kind}" + ("" if argument.required else f" = {argument.default!r}")


def tool_lines(tools: Iterable[Tool], in_full: Iterable[str]) -> str:
    """Tools for a prompt, a line each, from their declarations; those named `in_full` with notes on their arguments."""
    full = set(in_full)
    lines = []
    for item in tools:
        lines.append(f"{signature(item)}  # {item.summary}")
        if item.name in full:
            lines += [f"    {a.name}: {a.doc}" for a in item.arguments if a.doc]
    return "\n".join(lines)


# -- likeness ------------------------------------------------------------------------------------------------------


def _has(lowered: str, word: str) -> bool:
    if re.match(f"[{_CJK}]", word):
        return word in lowered
    return re.search(rf"\b{re.escape(word)}\b", lowered) is not None


def _features(text: str) -> Counter[str]:
    found = _TOKEN.findall(text.lower())
    features = Counter(found)
    features.update(f"{a} {b}" for a, b in itertools.pairwise(found))
    for word in found:
        if word.isascii():
            padded = f"^{word}$"
            features.update(f"~{padded[i : i + 3]}" for i in range(len(padded) - 2))
    return features


class Likeness:
    """Cosine of tf-idf vectors (words, word pairs, character trigrams of words; characters and pairs in Chinese)."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [_features(text) for text in texts]
        documents = Counter(feature for features in counted for feature in features)
        self._idf: Mapping[str, float] = {
            feature: math.log((1 + len(texts)) / (1 + n)) + 1 for feature, n in documents.items()
        }
        self._vectors = [self._vector(features) for features in counted]

    def scores(self, text: str) -> list[float]:
        """The likeness of `text` to each of the texts, 0 to 1."""
        query = self._vector(_features(text))
        return [sum(w * vector.get(f, 0.0) for f, w in query.items()) for vector in self._vectors]

    def _vector(self, features: Mapping[str, int]) -> dict[str, float]:
        weighted: dict[str, Any] = {
            f: (1 + math.log(n)) * self._idf[f] for f, n in sorted(features.items()) if f in self._idf
        }
        length = math.sqrt(sum(w * w for w in weighted.values())) or 1.0
        return {f: w / length for f, w in weighted.items()}
