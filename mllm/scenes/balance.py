"""Is any answer guessable from the words alone? A blind baseline, and streams of questions with even answers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log
from random import Random

from .pairs import PAIR_FORMS, make_pair, make_pair_turns
from .questions import TASKS, make_turns
from .schema import Scene, Turn
from .world import DEFAULT, SceneConfig, make_scene, split_seed

Features = tuple[str, ...]
_TOKEN = re.compile(r"[a-z0-9]+|[\u4e00-\u9fff]")
FREE_TASKS = frozenset(
    {"ground", "caption", "claims", "compose", "subquestion"}
)  # answers are texts or boxes, not classes


def answer_class(turn: Turn) -> str:
    """The answer as a class; a choice between things named in the question becomes the place of the chosen one."""
    if turn.form in _CHOICES:
        named = [turn.question[a:b].lower() for a, b, _ in sorted(turn.mentions)]
        for place, text in enumerate(named):
            if _bare(text) == _bare(turn.answer.lower()):
                return f"<{place}>"
        plural = [text for text in named if turn.answer.lower()[:3] == _bare(text)[:3]]
        return f"<{named.index(plural[0])}>" if len(plural) == 1 else turn.answer
    return turn.answer


_CHOICES = frozenset({"compare.which", "compare.larger", "compare.smaller", "compare.closer"})


def _bare(text: str) -> str:
    for start in ("the ", "a ", "an "):
        if text.startswith(start):
            return text[len(start) :]
    return text


def features(turn: Turn) -> Features:
    """What a reader of the question alone may go by: its form, its words, its nouns and their order."""
    nouns = turn.nouns
    out = [
        turn.form,
        *(f"{n}={noun}" for n, noun in enumerate(nouns)),
        *_TOKEN.findall(turn.question.lower()),
    ]
    if turn.region is not None:
        out.append("point" if turn.region[0] == turn.region[2] else "box")
    return tuple(out)


class Blind:
    """Naive Bayes over the words of the question, and the majority answer by form: the better of both on its own data.

    Stronger than the majority per template and nouns: it can tell that "exactly 5" is mostly wrong.
    """

    def __init__(self, turns: Iterable[Turn]) -> None:
        self.answers: Counter[str] = Counter()
        self.by_form: dict[str, Counter[str]] = defaultdict(Counter)
        self.words: dict[str, Counter[str]] = defaultdict(Counter)
        self.by_nouns: dict[Features, Counter[str]] = defaultdict(Counter)
        for turn in turns:
            answer = answer_class(turn)
            self.answers[answer] += 1
            self.by_form[f"{turn.language}|{turn.form}"][answer] += 1
            self.by_nouns[(turn.form, *turn.nouns)][answer] += 1
            for word in set(features(turn)):
                self.words[answer][word] += 1

    def majority(self, turn: Turn) -> str:
        """The most frequent answer to questions of this form."""
        seen = self.by_form.get(f"{turn.language}|{turn.form}") or self.answers
        return seen.most_common(1)[0][0]

    def memory(self, turn: Turn, least: int = 8) -> str:
        """The most frequent answer to this form with these nouns, where both were seen often enough."""
        seen = self.by_nouns.get((turn.form, *turn.nouns))
        return seen.most_common(1)[0][0] if seen and sum(seen.values()) >= least else self.majority(turn)

    def guess(self, turn: Turn) -> str:
        """The answer that the words make most probable."""
        possible = self.by_form.get(f"{turn.language}|{turn.form}") or self.answers
        words = set(features(turn))
        best, score = "", float("-inf")
        for answer in possible:
            total = self.answers[answer]
            counts = self.words[answer]
            value = log(total) + sum(log((counts[w] + 0.5) / (total + 1)) for w in words)
            if value > score:
                best, score = answer, value
        return best


@dataclass(frozen=True, slots=True)
class BlindScore:
    """How far the words alone go on one task or form; `chance` is one over the number of usual answers."""

    n: int
    chance: float
    majority: float
    blind: float  # the better of naive Bayes and the memory of (form, nouns)


def blind_scores(train: Iterable[Turn], test: Iterable[Turn], by: str = "task") -> dict[str, BlindScore]:
    """Accuracy of blind guessing, by "task" or by "form".

    Args:
        train: turns to learn the words' habits from (tens of thousands for steady figures).
        test: other turns, of other seeds.
        by: the attribute of Turn to group by.
    """
    models: dict[str, Blind] = {}
    groups: dict[str, list[Turn]] = defaultdict(list)
    for turn in train:
        groups[turn.task].append(turn)
    for task, turns in groups.items():
        models[task] = Blind(turns)
    tested: dict[str, list[Turn]] = defaultdict(list)
    for turn in test:
        if turn.task in models:
            tested[str(getattr(turn, by))].append(turn)
    scores = {}
    for name, turns in sorted(tested.items()):
        answers = [answer_class(t) for t in turns]
        hits = [
            sum(models[t.task].majority(t) == a for t, a in zip(turns, answers, strict=True)),
            sum(models[t.task].memory(t) == a for t, a in zip(turns, answers, strict=True)),
            sum(models[t.task].guess(t) == a for t, a in zip(turns, answers, strict=True)),
        ]
        chance = sum(1 / _usual(models[t.task].by_form[f"{t.language}|{t.form}"]) for t in turns) / len(turns)
        scores[name] = BlindScore(len(turns), chance, hits[0] / len(turns), max(hits) / len(turns))
    return scores


def _usual(answers: Counter[str]) -> int:
    least = 0.01 * sum(answers.values())
    return max(1, sum(n >= least for n in answers.values()))


def question_stream(
    task: str,
    seed: int,
    config: SceneConfig = DEFAULT,
    scenes: str = "test",
    language: str | None = None,
    phrasing: str = "train",
) -> Iterator[tuple[tuple[Scene, ...], Turn]]:
    """Endless questions of one task, one a scene (a pair of scenes for "pair"); a pure function of the arguments.

    Args:
        task: one of TASKS, or "pair".
        seed: the user's seed, a stream of the split of scenes.
        config: which scenes.
        scenes: the split of scene seeds, "train", "val" or "test".
        language: "en" or "zh"; None: mostly English.
        phrasing: which phrasings, "train", "test" or "all".
    """
    index = 0
    while True:
        number = split_seed(scenes, seed, index)
        scene, rng = make_scene(number, config), Random(number ^ 0x5EED)
        index += 1
        pictures: tuple[Scene, ...] = (scene,)
        if task == "pair":
            if rng.random() < 0.75:
                pictures = make_pair(scene, rng)
            else:
                pictures = (scene, make_scene(split_seed(scenes, seed, index), config))
                index += 1
            form = PAIR_FORMS[int(rng.random() * len(PAIR_FORMS))]
            turns = make_pair_turns(*pictures, rng, (form,), language, phrasing, count=1)
        else:
            turns = make_turns(scene, rng, (task,), language, phrasing)
        if turns:
            yield pictures, turns[0]


def balanced_stream(
    task: str,
    seed: int,
    config: SceneConfig = DEFAULT,
    scenes: str = "test",
    language: str | None = None,
    phrasing: str = "train",
) -> Iterator[tuple[tuple[Scene, ...], Turn]]:
    """As `question_stream`, with the answers of every form and number of nouns kept even as the stream goes on.

    A question is passed over if its answer is already ahead of the rarest answer seen to that form. The answer sets
    are those met so far; tasks with free answers pass unchanged.
    """
    given: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for pictures, turn in question_stream(task, seed, config, scenes, language, phrasing):
        answer = answer_class(turn)
        if turn.task not in FREE_TASKS and turn.form not in _OPEN_FORMS:
            counts = given[turn.form, turn.language]
            rarest = min(counts.values(), default=0)
            if counts[answer] > rarest + 1 and len(counts) > 1:
                continue
            counts[answer] += 1
        yield pictures, turn


_OPEN_FORMS = frozenset(
    {"region.what", "region.describe", "relation.what", "word.what", "word.any", "word.region", "negative.sentence",
     "subquestion.ask", "subquestion.fill"}
)  # fmt: skip


def sample_turns(
    task: str, seed: int, count: int, scenes: str = "train", phrasing: str = "train"
) -> list[Turn]:
    """The first `count` turns of `question_stream`."""
    stream = question_stream(task, seed, scenes=scenes, phrasing=phrasing)
    return [next(stream)[1] for _ in range(count)]


BLIND_TASKS: tuple[str, ...] = (*(t for t in TASKS if t not in FREE_TASKS), "pair")
