"""The body of a trace's page: how the answer came about, block by block in the order in which it happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..events import Event
from .album import Found, four, pictures_of, regions_of
from .graphs import draw_graph
from .markup import Markup, tag
from .pieces import Stage, chips_of, code_block, cut_out, highlight, milliseconds, seconds, thumbs, value_of
from .trace import Run, Trace

# told at the head of the page, or with what they belong to
_TOLD = frozenset(
    {
        "ask",
        "mode",
        "draft",
        "claim",
        "verdict",
        "edit",
        "answer",
        "end",
        "start",
        "step",
        "graph",
        "observation",
    }
)


def story(trace: Trace, stage: Stage) -> Markup:
    """Every event that is not told at the head of the page, grouped into blocks."""
    teller = _Teller(trace, stage)
    for event in trace.events:
        try:
            teller.tell(event)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            teller.blocks.append(_raw(event))  # of another hand or another time: shown as it was recorded
    teller.close_round()
    if not teller.blocks:
        return tag("p", "Nothing was recorded between the question and its answer.", class_="soft")
    return tag("ol", teller.blocks, class_="story")


class _Teller:
    """Makes blocks of events as they come."""

    def __init__(self, trace: Trace, stage: Stage) -> None:
        self.trace = trace
        self.stage = stage
        self.blocks: list[Markup] = []
        self._runs = {run.seq: (number, run) for number, run in enumerate(trace.runs())}
        self._ran = {run.text for _, run in self._runs.values()}
        self._round: list[Event] = []
        self._tree_told = False

    def tell(self, event: Event) -> None:
        if event.kind not in ("call", "graph", "start", "step"):
            self.close_round()
        if event.seq in self._runs:
            number, run = self._runs[event.seq]
            self.blocks.append(_run(number, run, event, self.stage))
        elif event.kind == "plan":
            if not (event.data.get("ok") and str(event.data.get("program", "")) in self._ran):
                self.blocks.append(_plan(event))
        elif event.kind == "call":
            self._round.append(event)
        elif event.kind in ("question", "finding"):
            if not self._tree_told:
                self.blocks.append(_questions(self.trace, event, self.stage))
            self._tree_told = True
        elif event.kind in _SIMPLE:
            self.blocks.append(_SIMPLE[event.kind](event))
        elif event.kind not in _TOLD:
            self.blocks.append(_raw(event))

    def close_round(self) -> None:
        """The calls since the last observation belong together."""
        if self._round:
            calls, self._round = self._round, []
            self.blocks.append(_calls(calls, self.trace, self.stage))


def _block(event: Event, title: str, *children: Any, **attributes: Any) -> Markup:
    head = tag(
        "h3", tag("span", title), tag("span", seconds(event.ms), class_="at", title="since the question")
    )
    return tag("li", head, children, class_=attributes.pop("class_", "block"), **attributes)


def _thought(event: Event) -> Markup:
    data = event.data
    said = str(data.get("said", ""))
    role = str(data.get("role", "model"))
    repair = (
        f", attempt {data['attempt'] + 1}" if isinstance(data.get("attempt"), int) and data["attempt"] else ""
    )
    cost = (
        f"{data.get('tokens_in') or 0} → {data.get('tokens_out') or 0} tokens, {milliseconds(data.get('ms'))}"
    )
    glimpse = " ".join(said.split())
    body: list[Markup] = []
    if data.get("asked"):
        body += [tag("h4", "It was asked"), tag("pre", data["asked"], class_="said asked")]
        body += [tag("h4", "It said, word for word")]
    body.append(tag("pre", said, class_="said") if said else tag("p", "It said nothing.", class_="soft"))
    summary = tag("summary", tag("span", glimpse[:160], class_="glimpse"), tag("span", cost, class_="cost"))
    return _block(
        event, f"Thought of the {role}{repair}", tag("details", summary, body), class_="block thought"
    )


def _plan(event: Event) -> Markup:
    data = event.data
    text = str(data.get("program", ""))
    attempt = data.get("attempt")
    number = attempt + 1 if isinstance(attempt, int) else 1
    if data.get("ok"):
        return _block(event, f"Plan, attempt {number}: fit to run", code_block(text))
    wrong = [
        tag(
            "li", tag("code", str(p.get("code", ""))), f" line {p.get('line')}, column {p.get('column')}: {p.get('message')}",
            f"; {p['suggestion']}" if p.get("suggestion") else None,
        )
        for p in data.get("errors") or () if isinstance(p, Mapping)
    ]  # fmt: skip
    summary = tag("summary", f"{len(wrong)} {'error' if len(wrong) == 1 else 'errors'} sent back for repair")
    body = tag("details", summary, code_block(text), tag("ul", wrong, class_="problems"))
    return _block(event, f"Plan, attempt {number}: cannot run", body, class_="block bad")


def _run(number: int, run: Run, event: Event, stage: Stage) -> Markup:
    """A program as it ran: lines with their values, and the graph, each lighting up the other and its boxes."""
    texts = run.text.splitlines()
    nodes_of = {
        line: [n["id"] for n in run.nodes if line in (n.get("lines") or ())]
        for line in range(1, 1 + len(texts))
    }
    left = dict(enumerate(run.steps))
    rows = []
    for line, text in enumerate(texts, 1):
        name = text.partition("=")[0].strip()
        place = next((i for i, step in left.items() if str(step.get("name")) == name), -1)
        rows.append(_line(number, line, text, nodes_of[line], place, left.pop(place, None), run, stage))
    for place, step in left.items():
        rows.append(_line(number, 0, f"{step.get('name')} = {step.get('op')}", [], place, step, run, stage))
    graph = None
    if run.nodes:
        by_node = {n["id"]: _node_lights(number, n, run) for n in run.nodes}
        graph = tag(
            "div", draw_graph(run.nodes, run.edges, number, by_node), tag("p", tag("em", "Plan"), " as the engine ran it"),
            [tag("p", note, class_="note") for note in run.notes], class_="graph",
        )  # fmt: skip
    title = (
        "Evidence for the claims"
        if run.checking
        else "Program"
        if run.number >= 0
        else "Looked up at the mark"
    )
    body = tag("div", tag("ol", rows, class_="lines"), graph, class_="run")
    return _block(event, title, body, class_="block program")


def _node_lights(number: int, node: Mapping[str, Any], run: Run) -> str:
    lines = node.get("lines") or ()
    texts = run.text.splitlines()
    names = {texts[line - 1].partition("=")[0].strip() for line in lines if 0 < line <= len(texts)}
    keys = [f"r{number}n{node['id']}", *(f"r{number}l{line}" for line in lines)]
    keys += [f"r{number}s{i}" for i, step in enumerate(run.steps) if step.get("name") in names]
    return " ".join(keys)


def _line(
    number: int,
    line: int,
    text: str,
    nodes: Sequence[int],
    place: int,
    step: Mapping[str, Any] | None,
    run: Run,
    stage: Stage,
) -> Markup:
    keys = [f"r{number}l{line}"] if line else []
    lights = [*keys, *(f"r{number}n{n}" for n in nodes)]
    result: list[Markup | None] = []
    says = text
    status = "unknown"
    if step is not None:
        status = str(step.get("status", ""))
        key = f"r{number}s{place}"
        says = f"{step.get('name')}: {step.get('shown') or status}"
        found = regions_of(step.get("value"), step)
        if stage.put(key, found, says, lights) and not run.checking:
            stage.default = key
        hashes = pictures_of(step.get("value"))
        cuts = [cut for content in hashes if (cut := cut_out(content, stage)) is not None]
        if cuts and not found:
            stage.put(key, cuts, says, lights)
        lights.append(key)
        result = [value_of(step), thumbs(hashes, stage, lights), chips_of(step)]
        if step.get("error"):
            result.append(tag("p", str(step["error"]), class_="error"))
    button = tag(
        "button", tag("span", line or "·", class_="no"), tag("code", highlight(text)), type="button", class_="code",
        data_lights=" ".join(lights), data_says=says[:300],
    )  # fmt: skip
    return tag(
        "li", button, tag("div", result, class_="result") if result else None, data_key=" ".join(keys) or None,
        class_=f"line {status}",
    )  # fmt: skip


def _calls(calls: Sequence[Event], trace: Trace, stage: Stage) -> Markup:
    """Tool calls that a model made together, with what each gave."""
    last = calls[-1].seq
    observations: dict[str, Mapping[str, Any]] = {}
    for event in trace.of("observation"):
        if event.seq > last:  # ids begin anew with each mode that was tried
            observations.setdefault(str(event.data.get("id")), event.data)
    thoughts = dict.fromkeys(str(e.data["thought"]) for e in calls if e.data.get("thought"))
    rows = []
    for event in calls:
        data = event.data
        key = f"c{event.seq}"
        seen = observations.get(str(data.get("id")))
        arguments = data.get("arguments")
        given = (
            ", ".join(f"{k}={v!r}" for k, v in arguments.items())
            if isinstance(arguments, Mapping)
            else str(arguments)
        )
        text = f"{data.get('tool')}({given})"
        lights = [key]
        result: list[Markup | None] = [tag("span", "no observation", class_="chip skipped")]
        status = "unknown"
        says = text
        if seen is not None:
            status = "done" if seen.get("ok") else "failed"
            says = f"{seen.get('name') or data.get('tool')}: {seen.get('shown')}"
            boxes = f"{key}b"
            if stage.put(boxes, regions_of(seen.get("value"), seen), says, [key]):
                lights.append(boxes)
                stage.default = boxes
            name = tag("code", str(seen["name"]), " = ") if seen.get("name") else None
            result = [
                tag("span", name, str(seen.get("shown", "")), class_="value" if seen.get("ok") else "error", dir="auto"),
                thumbs(pictures_of(seen.get("value")), stage, lights), chips_of({**seen, "status": status}),
            ]  # fmt: skip
        button = tag("button", tag("span", "·", class_="no"), tag("code", highlight(text)), type="button", class_="code",
                     data_lights=" ".join(lights), data_says=says[:300])  # fmt: skip
        rows.append(
            tag("li", button, tag("div", result, class_="result"), data_key=key, class_=f"line {status}")
        )
    title = "Tool call" if len(calls) == 1 else f"{len(calls)} tool calls together"
    said = [tag("blockquote", text, dir="auto") for text in thoughts]
    return _block(calls[0], title, said, tag("ol", rows, class_="lines"), class_="block program")


def _questions(trace: Trace, first: Event, stage: Stage) -> Markup:
    """The tree of sub-questions with what was found for each."""
    findings = {str(e.data.get("id")): e.data for e in trace.of("finding")}
    asked = {str(e.data.get("id")): e.data for e in trace.of("question")}
    children: dict[str, list[str]] = {}
    for name, data in asked.items():
        parent = str(data.get("parent") or "")
        children.setdefault(parent if parent in asked and parent != name else "", []).append(name)
    drawn: set[str] = set()

    def branch(name: str) -> Markup:
        drawn.add(name)
        data, found = asked[name], findings.get(name)
        key = f"q{name}"
        result: Markup = tag("p", "not answered", class_="soft")
        lights = [key]
        if found is not None:
            boxes = [Found(box) for b in found.get("boxes") or () if (box := four(b)) is not None]
            if stage.put(f"{key}b", boxes, f"{name}: {found.get('text')}", [key]):
                lights.append(f"{key}b")
            result = tag("p", str(found.get("text", "")), class_="finding", dir="auto")
        by = tag("span", str(data["by"]), class_="chip") if data.get("by") else None
        head = tag("button", tag("span", name, class_="no"), tag("span", str(data.get("text", "")), dir="auto"), type="button",
                   class_="question", data_lights=" ".join(lights), data_says=str(data.get("text", ""))[:300])  # fmt: skip
        below = [branch(child) for child in children.get(name, ()) if child not in drawn]
        return tag("li", tag("div", head, by), result, tag("ul", below) if below else None, data_key=key)

    tree = [branch(name) for name in children.get("", ()) if name not in drawn]
    tree += [branch(name) for name in asked if name not in drawn]
    stray = [
        tag("li", tag("p", f"{name}: {data.get('text')}", class_="finding"))
        for name, data in findings.items()
        if name not in asked
    ]
    return _block(first, "Sub-questions", tag("ul", tree, stray, class_="tree"))


def _fallback(event: Event) -> Markup:
    data = event.data
    title = f"{data.get('from')} came to nothing; {data.get('to')} is tried"
    return _block(
        event, title, tag("p", str(data.get("why", "")), class_="soft", dir="auto"), class_="block fall"
    )


def _error(event: Event) -> Markup:
    data = event.data
    trail = data.get("traceback")
    folded = (
        tag("details", tag("summary", "Traceback"), tag("pre", str(trail), class_="said")) if trail else None
    )
    where = f"Error in {data['where']}" if data.get("where") else "Error"
    return _block(
        event,
        where,
        tag("p", str(data.get("message", "")), class_="error", dir="auto"),
        folded,
        class_="block bad",
    )


def _raw(event: Event) -> Markup:
    """A kind of event that this reader does not know."""
    text = json.dumps(dict(event.data), ensure_ascii=False, indent=1)
    return _block(
        event,
        event.kind,
        tag("details", tag("summary", "as recorded"), tag("pre", text[:20_000], class_="said")),
    )


_SIMPLE: dict[str, Callable[[Event], Markup]] = {"thought": _thought, "fallback": _fallback, "error": _error}
