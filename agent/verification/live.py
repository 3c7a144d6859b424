"""POPE and CHAIR with a model's own words: on drawn scenes, or on a folder of photographs annotated in COCO's form.

POPE's questions are sampled as published (Li et al. 2023) from the pictures' objects: of each picture with three kinds or more,
three that are there and three that are not: any, the most frequent, or those that go most often with what is there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from ...errors import InputError
from ...mllm.evaluation.hallucination import chair
from ...mllm.evaluation.hallucination import pope as pope_protocol
from ...mllm.scenes import vocabulary
from ...programs.engine import Engine
from ...tools.models import Models
from ...tools.names import matched
from .scene_truth import Drawn
from .shown import SCENES, Collection, collection, kinds_of, of_scenes
from .verify import Verification, verify

Sampling = Literal["random", "popular", "adversarial"]
_EACH = 3  # questions a picture that are yes, and as many that are no


def questions(pictures: Sequence[Drawn], sampling: Sampling, seed: int = 0) -> list[tuple[int, str, bool]]:
    """`questions_about` for drawn scenes."""
    return questions_about(of_scenes(pictures), sampling, seed)


def questions_about(about: Collection, sampling: Sampling, seed: int = 0) -> list[tuple[int, str, bool]]:
    """(picture, kind, whether it is there), for pictures with three kinds or more."""
    named = [one.kinds for one in about.shown]
    frequent = Counter(kind for kinds in named for kind in kinds)
    pairs = Counter((a, b) for kinds in named for a in kinds for b in kinds if a != b)
    made = []
    for number, one in enumerate(about.shown):
        if len(one.kinds) < _EACH:
            continue
        absent = [k for k in about.names if k not in one.present]
        Random(f"pope/{seed}/{number}").shuffle(absent)
        if sampling == "popular":
            absent.sort(key=lambda k: -frequent[k])
        elif sampling == "adversarial":
            absent.sort(key=lambda k: -sum(pairs[k, other] for other in one.kinds))
        for there, away in zip(one.kinds[:_EACH], absent[:_EACH], strict=True):
            made += [(number, there, True), (number, away, False)]
    return made


def pope(
    models: Models,
    *,
    sampling: Sampling = "adversarial",
    pictures: int = 100,
    seed: int = 0,
    check: bool = False,
    on: str = SCENES,
) -> dict[str, Any]:
    """The pack's MLLM asked POPE's questions about held-out scenes, or a folder; with `check` each answer is verified.

    `blind` is the accuracy of its answers to the same questions about the next picture.
    """
    about = collection(on, pictures, seed)
    asked = questions_about(about, sampling, seed)
    if not asked:
        raise InputError(
            f"none of {pictures} pictures of {about.name} has {_EACH} kinds of things; take more pictures"
        )
    texts = [f"Is there {vocabulary.article(kind)} in the picture?" for _, kind, _ in asked]
    started = time.perf_counter()
    mllm = models.get("mllm", op="VQA")
    answers = mllm.answer([about.shown[n].image for n, _, _ in asked], texts)
    engine = Engine(models)
    results: list[Verification] = []
    if check:
        for (number, _, _), text, answer in zip(asked, texts, answers, strict=True):
            if answer.strip():
                results.append(
                    verify(about.shown[number].image, answer, engine=engine, question=text, speaker="mllm")
                )
        answers = [r.text for r in results]
    found = pope_protocol.score(
        [label for _, _, label in asked],
        [pope_protocol.said_yes(a) for a in answers],
        [str(n) for n, _, _ in asked],
        seed,
    )
    cost = _cost(results, len(asked), started)
    others = [about.shown[(n + 1) % len(about.shown)].image for n, _, _ in asked]
    blind = [pope_protocol.said_yes(a) for a in mllm.answer(others, texts)]
    right = sum(said == label for said, (_, _, label) in zip(blind, asked, strict=True))
    facts = {"on": about.name, "sampling": sampling, "verified": check, "seed": seed}
    return found | cost | {"blind": round(100 * right / len(asked), 2)} | facts


def captions(
    models: Models, *, pictures: int = 100, seed: int = 0, check: bool = False, on: str = SCENES
) -> dict[str, Any]:
    """The pack's MLLM describes held-out scenes, or a folder, scored by CHAIR; with `check` each caption is verified.

    The table of synonyms holds the kinds' own names, and the scenes world's for them ("television" for a tv, "duck" for a bird).
    `blind` scores the same captions against the next picture.
    """
    about = collection(on, pictures, seed)
    started = time.perf_counter()
    told = models.get("mllm", op="CAPTION").caption([one.image for one in about.shown])
    engine = Engine(models)
    results: list[Verification] = []
    if check:
        results = [
            verify(one.image, text, engine=engine, speaker="mllm")
            for one, text in zip(about.shown, told, strict=True)
            if text.strip()
        ]
        told = [r.text for r in results]
    cost = _cost(results, len(about.shown), started)
    table = chair.Synonyms(", ".join(_called(name)) for name in about.names)
    next_ones = (*about.shown[1:], *about.shown[:1])
    found, blind = (
        chair.summarise(
            [chair.judge(t, one.present, table) for one, t in zip(shown, told, strict=True)], seed
        )
        for shown in (about.shown, next_ones)
    )
    facts = {"on": about.name, "verified": check, "seed": seed}
    return found | cost | {"blind": {key: blind[key] for key in ("chair_s", "chair_i", "recall")}} | facts


def _called(name: str) -> list[str]:
    """A kind's name, and what the scenes world calls it."""
    meaning = matched(name, tuple(vocabulary.KINDS))
    others = meaning.classes if meaning.relation in ("same", "kinds") and name not in vocabulary.KINDS else ()
    return list(dict.fromkeys((name, name.lower(), *others)))


def _cost(results: Sequence[Verification], responses: int, started: float) -> dict[str, float]:
    """Calls and milliseconds a response, of the answer and of its verification together."""
    ms = (time.perf_counter() - started) * 1000
    return {
        "calls": round(1 + sum(r.usage.calls for r in results) / responses, 2),
        "passes": round(sum(r.passes for r in results) / responses, 2),
        "ms": round(ms / responses, 1),
    }  # fmt: skip


__all__ = ["captions", "kinds_of", "pope", "questions", "questions_about"]
