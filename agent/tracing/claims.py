"""The head of a trace's page: the answer, what verification made of it, its claims with their evidence, and its costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .album import Album, pictures_of, regions_of
from .markup import Markup, tag
from .pieces import Stage, milliseconds, percent
from .trace import Trace, number_of
from .wording import Piece, edited, word_diff

_MOST_RESULTS = 4  # pictures shown as the answer
_NO_ANSWER = {
    "done": "The answer was empty.",
    "failed": "No answer came of it.",
    "running": "The answer is still being worked on.",
    "unfinished": "The process ended before the answer was there.",
}


def answer_part(trace: Trace, album: Album) -> Markup:
    """The answer in large type, with the pictures that it is; where verification changed it, the draft with every change."""
    text = trace.answer
    if not text:
        reason = next(
            (str(e.data.get("message", "")) for e in reversed(trace.events) if e.kind == "error"), ""
        )
        told = [tag("p", _NO_ANSWER.get(trace.status, "There is no answer."), class_="answer none")]
        return tag("div", told, tag("p", reason, class_="error", dir="auto") if reason else None)
    parts = [tag("p", text, class_="answer", dir="auto")]
    made = [step for run in trace.runs()[-1:] for step in run.steps if step.get("op") == "RESULT"]
    hashes = [content for step in made for content in pictures_of(step.get("value"))]
    if hashes:
        parts.append(
            tag("div", [album.thumbnail(content) for content in hashes[:_MOST_RESULTS]], class_="results")
        )
    draft = str(trace.last("draft").get("text", ""))
    claims, edits = [e.data for e in trace.of("claim")], [e.data for e in trace.of("edit")]
    if draft and (draft != text or claims):
        pieces = edited(draft, claims, edits) if claims or edits else word_diff(draft, text)
        if (
            "".join(p.text for p in pieces if p.change != "gone") != text
        ):  # the edits told do not make this text: what changed is shown by words
            pieces = word_diff(draft, text)
        changed = any(p.change != "same" for p in pieces)
        label = "The draft, and what was corrected" if changed else "Its claims"
        parts.append(
            tag("div", tag("h3", label), tag("p", [_piece(p) for p in pieces], class_="draft", dir="auto"))
        )
    grounded = str(trace.last("answer").get("grounded", ""))
    if grounded and grounded != text:
        parts.append(
            tag(
                "details",
                tag("summary", "With boxes, as text"),
                tag("p", grounded, class_="said", dir="auto"),
                class_="quiet",
            )
        )
    return tag("div", parts)


def _piece(piece: Piece) -> Markup:
    name = {"gone": "del", "new": "ins"}.get(piece.change, "span")
    keys = " ".join(f"k{claim}" for claim in piece.claims)
    lights = " ".join(f"k{claim} k{claim}b" for claim in piece.claims)
    return tag(
        name, piece.text, data_key=keys or None, data_lights=lights or None, class_="claimed" if keys else None,
        tabindex=0 if keys else None, data_says=piece.text[:200] if keys else None,
    )  # fmt: skip


def claims_part(trace: Trace, stage: Stage) -> Markup | None:
    """A row for each claim: its words, its verdict with the confidence, why, and the boxes that speak for or against it."""
    claims = [e.data for e in trace.of("claim")]
    if not claims:
        return None
    verdicts = {str(e.data.get("claim")): e.data for e in trace.of("verdict")}
    edits = [e.data for e in trace.of("edit")]
    rows = [_claim(claim, verdicts.get(str(claim.get("id"))), edits, stage) for claim in claims]
    counts: dict[str, int] = {}
    for verdict in verdicts.values():
        counts[str(verdict.get("label"))] = counts.get(str(verdict.get("label")), 0) + 1
    told = ", ".join(f"{n} {label}" for label, n in counts.items()) or "no verdicts"
    return tag(
        "section", tag("h2", "Verification", tag("span", told, class_="soft")), tag("ul", rows, class_="claims"),
        aria_label="Verification",
    )  # fmt: skip


def _claim(
    claim: Mapping[str, Any],
    verdict: Mapping[str, Any] | None,
    edits: Sequence[Mapping[str, Any]],
    stage: Stage,
) -> Markup:
    name = str(claim.get("id", ""))
    key = f"k{name}"
    label = str(verdict.get("label", "")) if verdict else "no verdict"
    lights = [key]
    if verdict is not None:
        found = regions_of(list(verdict.get("evidence") or ()), verdict)
        if stage.put(f"{key}b", found, f"{claim.get('text')}: {label}", [key]):
            lights.append(f"{key}b")
    probability = verdict.get("probability") if verdict else None
    sure = f"{percent(probability)} sure" if isinstance(probability, int | float) else None
    mine = [e for e in edits if name in {str(c) for c in e.get("claims") or ()}]
    changes = [
        tag(
            "p",
            tag("del", str(e.get("before", ""))),
            " → ",
            tag("ins", str(e.get("after", ""))),
            class_="change",
        )
        for e in mine
    ]
    denied = tag("span", "denied", class_="chip") if claim.get("polarity") is False else None
    button = tag(
        "button", tag("span", str(claim.get("text", "")), dir="auto"), type="button", class_="question",
        data_lights=" ".join(lights), data_says=f"{claim.get('text')}: {label}"[:300],
    )  # fmt: skip
    chips = [
        tag("span", label, class_=f"chip verdict {_class(label)}"), tag("span", sure, class_="chip") if sure else None,
        tag("span", str(claim.get("kind", "")), class_="chip"), denied,
    ]  # fmt: skip
    why = tag("p", str(verdict["why"]), class_="soft", dir="auto") if verdict and verdict.get("why") else None
    return tag("li", tag("div", button, tag("span", chips, class_="chips")), why, changes, data_key=key)


def _class(label: str) -> str:
    return label if label in ("supported", "contradicted", "unverifiable") else "other"


def costs_part(trace: Trace) -> Markup:
    """Where the time went, and what was counted."""
    usage = trace.usage
    spent = {
        "language model": sum(number_of(e.data.get("ms")) for e in trace.of("thought")),
        "tools": sum(number_of(e.data.get("ms")) for e in trace.of("step", "observation")),
    }
    total = max(trace.ms, sum(spent.values()), 0.001)
    spent["the rest"] = max(0.0, total - sum(spent.values()))
    bars, at = [], 0.0
    for number, ms in enumerate(spent.values()):
        width = 100 * ms / total
        bars.append(tag("rect", x=f"{at:.2f}", y=0, width=f"{width:.2f}", height=4, class_=f"part{number}"))
        at += width
    said = ", ".join(f"{name} {milliseconds(ms)}" for name, ms in spent.items())
    legend = [
        tag("li", tag("span", class_=f"swatch part{n}"), f"{name} ", tag("b", milliseconds(ms)))
        for n, (name, ms) in enumerate(spent.items())
    ]
    bar = tag(
        "svg",
        bars,
        viewBox="0 0 100 4",
        preserveAspectRatio="none",
        class_="bar",
        role="img",
        aria_label=said,
    )
    counted = [
        ("tool calls", usage.get("calls")), ("of them from the cache", usage.get("cached")),
        ("language-model calls", usage.get("model_calls")), ("tokens read", usage.get("tokens_in")),
        ("tokens written", usage.get("tokens_out")), ("all together", milliseconds(trace.ms)),
    ]  # fmt: skip
    rows = [
        tag("div", tag("dt", name), tag("dd", "–" if value is None else value)) for name, value in counted
    ]
    return tag(
        "section", tag("h2", "Costs"), bar, tag("ul", legend, class_="legend"), tag("dl", rows, class_="facts"),
        aria_label="Costs",
    )  # fmt: skip
