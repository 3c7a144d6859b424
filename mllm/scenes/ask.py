"""Making one turn: the question from a template, the answer in its language, the rationale from the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from . import habits, phrasing, vocabulary
from .phrasing import Query, say
from .schema import Box, Scene, SceneObject, Turn
from .view import ASKED_CATEGORIES, View

T = TypeVar("T")
Evidence = tuple[Query | str, tuple[int, ...]]  # a phrase, or a label, and the objects that it points at

COLOR_NAMES: tuple[str, ...] = tuple(vocabulary.COLORS)


class Ask:
    """What every question maker is given: the scene, chance, the language and the split of the phrasings."""

    __slots__ = ("language", "objects", "pictures", "random", "rng", "split", "view")

    def __init__(
        self, scene: Scene, rng: Random, language: str, split: str, view: View | None = None
    ) -> None:
        self.view = view or View(scene)
        self.objects: tuple[SceneObject, ...] = scene.objects
        self.pictures = 1
        self.rng = rng
        self.random = rng.random
        self.language = language
        self.split = split

    def pick(self, values: Sequence[T]) -> T:
        """One of `values`, uniformly (several times faster than `Random.choice`)."""
        return values[int(self.random() * len(values))]

    def flip(self, chance: float = 0.5) -> bool:
        """True with the given chance."""
        return self.random() < chance

    def say(self, word: str | int) -> str:
        """An answer word in the language of this question."""
        return say(str(word), self.language)

    def label(self, what: Query | str) -> str:
        """A noun phrase or a plain label, as a rationale writes it."""
        return what if isinstance(what, str) else phrasing.forms(what, self.language)["n"]

    def point(self, evidence: Sequence[Evidence]) -> tuple[str, tuple[Box, ...], tuple[int, ...]]:
        """The rationale that points: "dog: <box:0> <box:1>; cat: none", with its boxes and their objects."""
        order: dict[int, int] = {}
        parts = []
        for what, indices in evidence:
            marks = [f"<box:{order.setdefault(i, len(order))}>" for i in indices]
            parts.append(f"{self.label(what)}: {' '.join(marks) if marks else self.say('none')}")
        return "; ".join(parts), tuple(self.objects[i].box for i in order), tuple(order)

    def named(self, query: Query) -> tuple[int, ...]:
        """Indices of what a phrase names, over all pictures of the question; empty too where that is open."""
        return self.view.find(query) or ()

    def turn(
        self,
        form: str,
        answer: str | int,
        queries: tuple[Query, ...] = (),
        *,
        evidence: Sequence[Evidence] | None = None,
        words: dict[str, str] | None = None,
        region: Box | None = None,
        steps: str = "",
        written: bool = False,
        frame: str | None = None,
        words_only: bool = False,
    ) -> Turn:
        """A finished turn.

        Args:
            form: the family of templates; its part before the dot is the task.
            answer: a world word, put into the language here, or the final text if `written`.
            queries: noun phrases for the slots; each must be decided by the scene.
            evidence: what the rationale points at; by default every phrase with the objects that it names.
            words: values of the other slots.
            region: the box or point that the question speaks of.
            steps: what the rationale says after pointing.
            written: `answer` is already text in the language.
            frame: a form with one slot, {claim}, that is put around the question.
            words_only: the answer follows from the words of the question; nothing is pointed at.
        """
        question, number, spans = phrasing.phrase(form, self.language, self.split, self.rng, queries, words)
        if frame is not None:
            question, shift = phrasing.framed(frame, question, self.language, self.split, self.rng)
            spans = [(a + shift, b + shift, i) for a, b, i in spans]
        found = [self.named(q) for q in queries]
        if evidence is None:
            evidence = list(zip(queries, found, strict=True))
        rationale, boxes, objects = self.point(evidence)
        if steps:
            rationale = f"{rationale}; {steps}" if rationale else steps
        return Turn(
            task=form.split(".", 1)[0],
            question=question,
            answer=str(answer) if written else self.say(answer),
            boxes=boxes,
            region=region,
            rationale=rationale or None,
            language=self.language,
            phrasing=number,
            nouns=tuple(q.kind or q.category or "object" for q in queries),
            mentions=tuple((a, b, found[i]) for a, b, i in spans),
            objects=objects,
            words_only=words_only,
            form=form,
            pictures=self.pictures,
        )

    def spot(self, index: int, points: float = 0.35) -> Box:
        """The region by which a question speaks of an object: its box, slightly off, or a point well inside it.

        A point is given only where no other object covers it.
        """
        x1, y1, x2, y2 = self.view.objects[index].box
        w, h = x2 - x1, y2 - y1
        if self.random() < points:
            x = x1 + w * (0.4 + 0.2 * self.random())
            y = y1 + h * (0.4 + 0.2 * self.random())
            others = (o.box for i, o in enumerate(self.view.objects) if i != index)
            if not any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in others):
                return (round(x, 1), round(y, 1), round(x, 1), round(y, 1))
        scene = self.view.scene
        jitter = [0.04 * (2 * self.random() - 1) for _ in range(4)]
        return (
            max(0.0, round(x1 + w * jitter[0], 1)),
            max(0.0, round(y1 + h * jitter[1], 1)),
            min(float(scene.width), round(x2 + w * jitter[2], 1)),
            min(float(scene.height), round(y2 + h * jitter[3], 1)),
        )

    def absent_kind(self) -> str:
        """A kind that no object of the scene has, hidden ones included; a trap half of the time.

        A trap is a kind of the same category as an object in the picture: what usually occurs with it (POPE's
        adversarial sampling, Li et al. 2023, asks for the most co-occurring absent object).
        """
        present = {o.kind for o in self.view.objects}
        if self.view.sure and self.flip():
            near = habits.among(vocabulary.CATEGORIES[self.view.objects[self.pick(self.view.sure)].category])
            for _ in range(3):
                kind = near.draw(self.random())
                if kind not in present:
                    return kind
        while True:
            kind = habits.table("kinds").draw(self.random())
            if kind not in present:
                return kind

    def phrase_for(self, index: int) -> Query:
        """A phrase of random detail that is true of an object (others may be so called too)."""
        o = self.view.objects[index]
        color = o.color if o.color in vocabulary.COLORS else None
        roll = self.random()
        if roll < 0.55 or o.kind in _PRINTED:
            return Query(o.kind)
        if roll < 0.8 and color:
            return Query(o.kind, None, color)
        if roll < 0.9:
            categories = [c for c in vocabulary.hypernyms(o.kind) if c in ASKED_CATEGORIES]
            if categories:
                return Query(None, self.pick(categories), color if color and self.flip(0.4) else None)
        if color and roll < 0.97:
            return Query(None, None, color)
        return Query(o.kind)

    def present(self, tries: int = 4) -> Query | None:
        """A phrase that names at least one object of the scene."""
        if not self.view.sure:
            return None
        for _ in range(tries):
            query = self.phrase_for(self.pick(self.view.sure))
            if self.view.find(query):
                return query
        return None

    def absent(self, tries: int = 6) -> Query | None:
        """A phrase that names nothing in the scene, made in the same proportions as those of `present`.

        A coloured phrase is often a recombination: the kind is there, and the colour is there, on something else.
        """
        for _ in range(tries):
            like = self.phrase_for(self.pick(self.view.sure)) if self.view.sure else Query("dog")
            if like.kind and like.color:
                colored = [i for i in self.view.colored() if self.view.objects[i].kind not in _PRINTED]
                if self.flip(0.75):
                    kind = self.view.objects[self.pick(colored)].kind
                    color = (
                        self.view.objects[self.pick(colored)].color
                        if self.flip(0.7)
                        else self.pick(COLOR_NAMES)
                    )
                else:
                    kind, color = habits.table("colored_kinds").draw(self.random()), self.pick(COLOR_NAMES)
                query = Query(kind, None, color)
            elif like.kind:
                query = Query(self.absent_kind())
            elif like.category:
                category = habits.table("categories").draw(self.random())
                query = Query(None, category, self.pick(COLOR_NAMES) if like.color else None)
            else:
                query = Query(None, None, habits.table("colors").draw(self.random()))
            if self.view.find(query) == ():
                return query
        return None


_PRINTED = frozenset({"sign", "word", "block"})
