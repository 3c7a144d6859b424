"""A trace as one HTML page that opens from disk: no server, no network, nothing in it but the trace.

Everything visible stands in the page without scripts; the script only lights up what belongs together. A content security
policy names the one script and the one style sheet by their digests, so that nothing else could run or be fetched even if a
text got past the escaping.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from .album import Album, file_name, mark_overlay
from .claims import answer_part, claims_part, costs_part
from .markup import Markup, fit, join, script_json, tag
from .pieces import Stage, seconds
from .story import story
from .trace import Trace

_MOST_EVENTS = 4_000_000  # characters of events that the page carries; more stay in the trace's file alone


def render(trace: Trace) -> str:
    """The page of a trace."""
    album = Album(trace)
    stage = Stage(album)
    happened = story(trace, stage)
    claims = claims_part(trace, stage)
    style, script = _part("page.css"), _part("page.js")
    return Template(_part("page.html")).substitute(
        policy=f"default-src 'none'; img-src data: blob:; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        title=tag("title", f"{trace.question or trace.id} · Sightline trace"),
        style=style,
        script=script,
        head=_head(trace),
        question=tag("h1", trace.question or "(no question was recorded)", dir="auto"),
        pointed=_meanings(trace),
        answer=answer_part(trace, album),
        facts=_facts(trace),
        stage=_stage(trace, stage),
        claims=claims or "",
        story=happened,
        costs=costs_part(trace),
        weights=_weights(trace),
        store=album.defs(),  # last: only now is it known what the page shows
        events=_events(trace),
    )


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _head(trace: Trace) -> Markup:
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(trace.time))
    return join(
        tag("span", trace.status, class_=f"chip status {trace.status}"),
        tag("span", trace.id, class_="id"),
        tag("time", when, datetime=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(trace.time))),
    )


def _meanings(trace: Trace) -> Markup | str:
    alone = str(trace.ask.get("alone") or "")
    if not alone or alone == trace.question:
        return ""
    return tag("p", "Understood as: ", tag("q", alone, dir="auto"), class_="soft")


def _facts(trace: Trace) -> Markup:
    chosen = trace.last("mode")
    mode = trace.mode or "none"
    rows: list[tuple[str, Any]] = [("mode", mode)]
    if chosen.get("why"):
        asked = chosen.get("chosen")
        why = str(chosen["why"]) if asked == mode else f"{asked} was tried first: {chosen['why']}"
        rows.append(("why", why))
    rows += [
        ("controller", trace.ask.get("controller")),
        ("pack", trace.ask.get("pack")),
        ("session", trace.ask.get("session")),
    ]
    rows.append(("took", seconds(trace.ms)))
    told = [tag("div", tag("dt", name), tag("dd", str(value), dir="auto")) for name, value in rows if value]
    lost = None
    if trace.lost:
        lost = tag(
            "p", f"{trace.lost} damaged line(s) of the trace's file could not be read.", class_="error"
        )
    return join(tag("dl", told, class_="facts"), lost)


def _stage(trace: Trace, stage: Stage) -> Markup:
    """The question's pictures with everything that can light up on them."""
    at = trace.ask.get("at")
    figures = []
    for asked in stage.album.asked:
        width, height = asked.size
        drawn = stage.album.picture(asked.hash)
        mark = None
        if isinstance(at, Mapping) and at.get("picture", 0) == asked.number:
            mark = tag(
                "g", tag("title", "what the question points at"), mark_overlay(asked, at), class_="mark"
            )
        name = file_name(asked.source)
        caption = " · ".join(part for part in (asked.name, f"{width} × {height}", name) if part)
        picture = tag(
            "svg", tag("title", caption), drawn or tag("rect", width=width, height=height, class_="missing"),
            stage.overlays(asked.number), mark, viewBox=f"0 0 {width} {height}", role="img",
            class_="tall" if height > 1.15 * width else "wide",
        )  # fmt: skip
        missing = None if drawn else tag("p", "This picture was not kept.", class_="error")
        figures.append(tag("figure", picture, missing, tag("figcaption", caption)))
    if not figures:
        return tag("p", "No picture was recorded.", class_="soft")
    shown = tag(
        "p",
        "Point at a line, a node or a claim to see its boxes.",
        class_="says",
        aria_live="polite",
        id="says",
    )
    every = (
        tag("button", "Show all boxes", type="button", id="all", aria_pressed="false")
        if stage.boxes
        else None
    )
    return join(
        tag("div", figures, class_=f"figures of{min(len(figures), 4)}"),
        tag("div", shown, every, class_="under"),
    )


def _weights(trace: Trace) -> Markup | str:
    """The digests of the models that looked."""
    found: dict[str, str] = {}
    for event in trace.of("graph"):
        told = event.data.get("weights")
        if isinstance(told, Mapping):
            found.update({str(role): str(digest) for role, digest in told.items()})
    if not found:
        return ""
    rows = [
        tag("div", tag("dt", role), tag("dd", tag("code", digest))) for role, digest in sorted(found.items())
    ]
    return tag(
        "details",
        tag("summary", "Weights of the models that looked"),
        tag("dl", rows, class_="facts"),
        class_="quiet",
    )


def _events(trace: Trace) -> Markup:
    """All events as JSON, for whoever reads the page with a program; paths of pictures are cut to their names."""
    rows = []
    for event in trace.events:
        row = event.to_json()
        if event.kind == "ask":
            pictures = [
                {**p, "source": file_name(p.get("source")) or None} for p in row["data"].get("pictures") or ()
            ]
            row["data"]["pictures"] = pictures
        rows.append(row)
    data = script_json({"trace": trace.id, "time": trace.time, "events": rows})
    if len(data) > _MOST_EVENTS:
        data = script_json({"trace": trace.id, "time": trace.time, "events": None})
    return Markup(f'<script type="application/json" id="events">{fit(data)}</script>')
