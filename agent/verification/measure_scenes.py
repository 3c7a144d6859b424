"""Verification measured on drawn scenes: hallucinated claims by kind before and after, and what true words it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import numpy as np

from ...mllm.evaluation.bootstrap import interval, ratio
from ...programs.engine import Engine
from .claims import extract
from .reliability import Reliability
from .scene_truth import KINDS, Drawn, corrupted, true_caption, truth
from .verify import Verification, verify


def score(drawn: Drawn, draft: str, result: Verification) -> dict[str, Any]:
    """One text: false claims by kind before and after, true claims and how many of them were taken away."""
    before = extract(draft)
    after = extract(result.text)
    judged = [(c, truth(c, before, drawn.scene)) for c in before.claims]
    left = [(c, truth(c, after, drawn.scene)) for c in after.claims]
    wrongly = {v.claim for v in result.verdicts if v.label == "contradicted" and not v.because}
    struck = {v.claim for v in result.verdicts if v.label == "contradicted"}
    true_ids = {c.id for c, value in judged if value is True}
    false_kinds = {k: sum(c.kind == k and value is False for c, value in judged) for k in KINDS}
    return {
        "before": false_kinds,
        "after": {k: sum(c.kind == k and value is False for c, value in left) for k in KINDS},
        "true": len(true_ids), "harmed": len(true_ids & wrongly), "struck": len(true_ids & struck),
        "kept": sum(value is True for _, value in left), "claims": len(before.claims),
        "words": len(draft.split()), "words_after": len(result.text.split()),
        "passes": result.passes, "calls": result.usage.calls, "model_calls": result.usage.model_calls, "ms": result.usage.ms,
    }  # fmt: skip


def summarise(rows: Sequence[dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    """Means a response with 95% intervals, the reduction by kind, and the rates of harm and of true claims retained."""
    n = len(rows)
    found: dict[str, Any] = {"n": n, "kinds": {}}
    for kind in KINDS:
        pair = [(r["before"][kind], r["after"][kind]) for r in rows]
        total = np.sum(pair, axis=0)
        found["kinds"][kind] = {
            "before": round(float(total[0] / n), 4), "after": round(float(total[1] / n), 4),
            "reduction": round(float(1 - total[1] / total[0]), 4) if total[0] else None,
            "ci": interval(pair, lambda s: 1 - ratio(1, 0)(s), seed) if total[0] else None,
        }  # fmt: skip
    harm = [(r["harmed"], r["true"], r["kept"]) for r in rows]
    total = np.sum(harm, axis=0)
    found["mis_corrections"] = round(float(total[0] / max(1, total[1])), 5)
    found["mis_corrections_ci"] = interval(harm, ratio(0, 1), seed)
    found["true_claims_retained"] = round(float(total[2] / max(1, total[1])), 4)
    struck = [
        (r["struck"], r["true"]) for r in rows
    ]  # those that fall with a thing wrongly called absent, too
    found["true_claims_struck"] = round(float(ratio(0, 1)(np.asarray([np.sum(struck, axis=0)]))[0]), 5)
    for name in ("claims", "words", "words_after", "passes", "calls", "model_calls", "ms"):
        found[name] = round(float(np.mean([r[name] for r in rows])), 2)
    found["ms_per_claim"] = round(sum(r["ms"] for r in rows) / max(1, sum(r["claims"] for r in rows)), 2)
    return found


def run(
    pictures: Iterable[Drawn],
    engine_of: Callable[[Drawn], Engine],
    draft_of: Callable[[Drawn], str | None],
    reliability: Reliability | None = None,
    speaker: str = "",
) -> list[dict[str, Any]]:
    """Verify a draft about each picture; pictures without a draft are passed over. `speaker` as for `verify`."""
    rows = []
    for drawn in pictures:
        draft = draft_of(drawn)
        if not draft or not draft.strip():
            continue
        started = time.perf_counter()
        result = verify(drawn.image, draft, engine=engine_of(drawn), reliability=reliability, speaker=speaker)
        row = score(drawn, draft, result)
        row["ms"] = (time.perf_counter() - started) * 1000
        rows.append(row | {"draft": draft, "text": result.text, "seed": drawn.scene.seed})
    return rows


def injected(kind: str, seed: int) -> Callable[[Drawn], str | None]:
    """Drafts: a true caption with one claim of a kind made false; with kind '' a caption that is true throughout."""

    def draft(drawn: Drawn) -> str | None:
        rng = Random(f"{kind}/{seed}/{drawn.scene.seed}")
        caption = true_caption(drawn.scene, rng)
        return corrupted(caption, extract(caption), drawn.scene, kind, rng) if kind else caption

    return draft
