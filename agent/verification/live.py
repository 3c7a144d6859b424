"""POPE and CHAIR on drawn scenes, with a model's own words: the public protocols where no annotated photographs are at hand.

POPE's questions are sampled as published (Li et al. 2023) from the scenes' objects: of each picture with three kinds or more,
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
from ...mllm.scenes.view import View
from ...programs.engine import Engine
from ...tools.models import Models
from .scene_truth import Drawn, scenes
from .verify import Verification, verify

Sampling = Literal["random", "popular", "adversarial"]
_EACH = 3  # questions a picture that are yes, and as many that are no


def kinds_of(drawn: Drawn) -> list[str]:
    """The kinds in plain view, from the left."""
    view = View(drawn.scene)
    order = sorted(view.sure, key=lambda i: view.objects[i].box[0])
    return list(dict.fromkeys(view.objects[i].kind for i in order if view.objects[i].category != "text"))


def questions(pictures: Sequence[Drawn], sampling: Sampling, seed: int = 0) -> list[tuple[int, str, bool]]:
    """(picture, kind, whether it is there), for pictures with three kinds or more."""
    named = [kinds_of(d) for d in pictures]
    frequent = Counter(kind for kinds in named for kind in kinds)
    pairs = Counter((a, b) for kinds in named for a in kinds for b in kinds if a != b)
    made = []
    for number, kinds in enumerate(named):
        if len(kinds) < _EACH:
            continue
        hidden = {o.kind for o in pictures[number].scene.objects}
        absent = [k for k in vocabulary.KINDS if k not in hidden and vocabulary.KINDS[k].category != "text"]
        Random(f"pope/{seed}/{number}").shuffle(absent)
        if sampling == "popular":
            absent.sort(key=lambda k: -frequent[k])
        elif sampling == "adversarial":
            absent.sort(key=lambda k: -sum(pairs[k, other] for other in kinds))
        for there, away in zip(kinds[:_EACH], absent[:_EACH], strict=True):
            made += [(number, there, True), (number, away, False)]
    return made


def pope(
    models: Models,
    *,
    sampling: Sampling = "adversarial",
    pictures: int = 100,
    seed: int = 0,
    check: bool = False,
) -> dict[str, Any]:
    """The pack's MLLM asked POPE's questions about held-out scenes; with `check` each answer is verified."""
    drawn = list(scenes("test", seed, pictures))
    asked = questions(drawn, sampling, seed)
    if not asked:
        raise InputError(f"none of {pictures} scenes has {_EACH} kinds of things; take more pictures")
    texts = [f"Is there {vocabulary.article(kind)} in the picture?" for _, kind, _ in asked]
    started = time.perf_counter()
    answers = models.get("mllm", op="VQA").answer([drawn[n].image for n, _, _ in asked], texts)
    engine = Engine(models)
    results: list[Verification] = []
    if check:
        for (number, _, _), text, answer in zip(asked, texts, answers, strict=True):
            if answer.strip():
                results.append(verify(drawn[number].image, answer, engine=engine, question=text))
        answers = [r.text for r in results]
    found = pope_protocol.score(
        [label for _, _, label in asked],
        [pope_protocol.said_yes(a) for a in answers],
        [str(n) for n, _, _ in asked],
        seed,
    )
    return (
        found | _cost(results, len(asked), started) | {"sampling": sampling, "verified": check, "seed": seed}
    )


def synonyms() -> chair.Synonyms:
    """CHAIR's table for the scenes: each kind and its plural."""
    return chair.Synonyms(", ".join(dict.fromkeys((kind, kind.lower()))) for kind in vocabulary.KINDS)


def captions(models: Models, *, pictures: int = 100, seed: int = 0, check: bool = False) -> dict[str, Any]:
    """The pack's MLLM describes held-out scenes, scored by CHAIR; with `check` each caption is verified."""
    drawn = list(scenes("test", seed, pictures))
    started = time.perf_counter()
    told = models.get("mllm", op="CAPTION").caption([d.image for d in drawn])
    engine = Engine(models)
    results: list[Verification] = []
    if check:
        results = [
            verify(d.image, text, engine=engine) for d, text in zip(drawn, told, strict=True) if text.strip()
        ]
        told = [r.text for r in results]
    table = synonyms()
    judged = [
        chair.judge(t, kinds_of(d) + [o.kind for o in d.scene.objects], table)
        for d, t in zip(drawn, told, strict=True)
    ]
    return (
        chair.summarise(judged, seed)
        | _cost(results, len(drawn), started)
        | {"verified": check, "seed": seed}
    )


def _cost(results: Sequence[Verification], responses: int, started: float) -> dict[str, float]:
    """Calls and milliseconds a response, of the answer and of its verification together."""
    ms = (time.perf_counter() - started) * 1000
    return {
        "calls": round(1 + sum(r.usage.calls for r in results) / responses, 2),
        "passes": round(sum(r.passes for r in results) / responses, 2),
        "ms": round(ms / responses, 1),
    }  # fmt: skip
