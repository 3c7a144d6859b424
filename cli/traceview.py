"""Traces in the terminal: rich's tables and panels, with every text freed of what would steer the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ..agent.tracing.markup import fit
from ..agent.tracing.pieces import milliseconds, percent
from ..agent.tracing.wording import edited, word_diff
from .traces import ago

if TYPE_CHECKING:
    from ..agent.tracing.compare import Comparison
    from ..agent.tracing.index import Summary
    from ..agent.tracing.trace import Trace

_STATUS = {"done": "green", "cached": "cyan", "failed": "red", "partial": "yellow", "running": "cyan", "unfinished": "yellow",
           "supported": "green", "contradicted": "red", "unverifiable": "yellow"}  # fmt: skip
_MOST = 400  # characters of a value


def print_rich(*parts: RenderableType) -> None:
    console = Console(highlight=False, soft_wrap=False)
    for part in parts:
        console.print(part)


def text(value: Any, style: str = "", most: int | None = None) -> Text:
    """A text as it is: no markup in it is obeyed, no control character reaches the terminal."""
    told = fit(str(value))
    if most is not None and len(told) > most:
        told = told[: most - 1] + "…"
    return Text(told, style=style)


def list_lines(rows: Sequence[Summary]) -> Iterable[RenderableType]:
    """The traces of a list: a line with the name and what it cost, and one with question and answer."""
    for row in rows:
        yield Text.assemble(
            text(row.id, "bold"), text(f"  {ago(row.time)} ago  ", "dim"), text(row.status, _STATUS.get(row.status, "")),
            text(f"  {row.mode}  {milliseconds(row.ms)}", "dim"),
        )  # fmt: skip
        answer = text(f"  = {' '.join(row.answer.split())}", "green", 160) if row.answer else Text("")
        yield Padding(Text.assemble(text(" ".join(row.question.split()), most=160), answer), (0, 0, 0, 2))


def trace_view(trace: Trace) -> Iterable[RenderableType]:
    """One trace from top to bottom."""
    ask = trace.ask
    yield text(trace.question or "(no question was recorded)", "bold")
    yield _answer(trace)
    facts = [("trace", trace.id), ("status", trace.status), ("mode", trace.mode), ("why", trace.last("mode").get("why")),
             ("controller", ask.get("controller")), ("pack", ask.get("pack")), ("session", ask.get("session"))]  # fmt: skip
    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        if value:
            table.add_row(text(name, "dim"), text(value))
    for picture in ask.get("pictures") or ():
        told = f"{picture.get('source') or picture.get('hash')}, {picture.get('width')} x {picture.get('height')}"
        table.add_row(text("picture", "dim"), text(told))
    yield Padding(table, (1, 0))
    runs = {run.seq: run for run in trace.runs()}
    ran = {run.text for run in runs.values()}
    for event in trace.events:
        if event.seq in runs:
            run = runs[event.seq]
            yield _heading("evidence for the claims" if run.checking else "program", event.ms)
            yield Padding(_program(run.text, run.steps), (0, 0, 1, 2))
        elif (drawn := _event(event.kind, event.data, event.ms, ran)) is not None:
            yield drawn
    verdicts = _verdicts(trace)
    if verdicts is not None:
        yield verdicts
    usage = trace.usage
    yield text(
        f"{usage.get('calls', 0)} tool calls ({usage.get('cached', 0)} cached), {usage.get('model_calls', 0)} language-model "
        f"calls, {usage.get('tokens_in', 0)} + {usage.get('tokens_out', 0)} tokens, {milliseconds(trace.ms)}",
        "dim",
    )
    if trace.lost:
        yield text(f"{trace.lost} damaged line(s) of the trace's file were left out", "yellow")


def _answer(trace: Trace) -> Text:
    if trace.answer:
        return text(f"= {trace.answer}", "green" if trace.status == "done" else "yellow")
    if trace.status == "done":
        return text("the answer was empty", "yellow")
    reason = trace.last("error").get("message") or trace.status
    return text(f"no answer: {reason}", "red")


def _heading(title: str, ms: float) -> Text:
    return Text.assemble(text(title, "bold cyan"), text(f"  {ms / 1000:.2f} s", "dim"))


def _event(kind: str, data: Mapping[str, Any], ms: float, ran: set[str]) -> RenderableType | None:
    """An event that is not part of a program or of the verification; None for those told elsewhere."""
    if kind == "thought":
        said = str(data.get("said", ""))
        title = f"thought of the {data.get('role', 'model')}"
        cost = f"{data.get('tokens_in') or 0} -> {data.get('tokens_out') or 0} tokens, {milliseconds(data.get('ms'))}"
        head = Text.assemble(_heading(title, ms), text(f"  {cost}", "dim"))
        return Group(head, Padding(text(said.strip() or "(nothing)", "italic", 4000), (0, 0, 1, 2)))
    if kind == "plan" and not (data.get("ok") and data.get("program") in ran):
        title = (
            "plan"
            if data.get("ok")
            else f"plan, attempt {int(data.get('attempt') or 0) + 1}, which cannot run"
        )
        wrong = [text(f"line {p.get('line')}: {p.get('code')} {p.get('message')}; {p.get('suggestion')}", "red")
                 for p in data.get("errors") or ()]  # fmt: skip
        return Group(
            _heading(title, ms),
            Padding(Group(text(str(data.get("program", "")).strip()), *wrong), (0, 0, 1, 2)),
        )
    if kind == "call":
        given = data.get("arguments")
        told = ", ".join(f"{k}={v!r}" for k, v in given.items()) if isinstance(given, Mapping) else str(given)
        return text(f"{data.get('id')}: {data.get('tool')}({told})", most=_MOST)
    if kind == "observation":
        good = bool(data.get("ok"))
        told = f"  {data.get('id')}: {data.get('name') or 'failed'} = {data.get('shown')}  ({milliseconds(data.get('ms'))})"
        return text(told, "" if good else "red", _MOST)
    if kind == "question":
        below = f" (for {data['parent']})" if data.get("parent") else ""
        return text(
            f"sub-question {data.get('id')}{below}: {data.get('text')}  [{data.get('by') or '?'}]", "cyan"
        )
    if kind == "finding":
        return text(f"  {data.get('id')}: {data.get('text')}", most=_MOST)
    if kind == "fallback":
        return text(
            f"{data.get('from')} came to nothing, {data.get('to')} is tried: {data.get('why')}", "yellow"
        )
    if kind == "error":
        return text(
            f"error{' in ' + str(data['where']) if data.get('where') else ''}: {data.get('message')}", "red"
        )
    known = (
        "ask", "mode", "plan", "graph", "start", "step", "draft", "claim", "verdict", "edit", "answer", "end",
    )  # fmt: skip
    return None if kind in known else text(f"{kind}: {dict(data)}", most=_MOST)


def _program(program: str, steps: Sequence[Mapping[str, Any]]) -> Group:
    """Lines, and below each what it gave, how long it took, and how it ended."""
    left = list(steps)
    parts: list[RenderableType] = []
    for line in program.splitlines():
        parts.append(text(line))
        name = line.partition("=")[0].strip()
        step = next((s for s in left if str(s.get("name")) == name), None)
        if step is not None:
            left.remove(step)
            parts.append(_step(step))
    for step in left:
        parts += [text(f"{step.get('name')} = {step.get('op')}"), _step(step)]
    return Group(*parts)


def _step(step: Mapping[str, Any]) -> Padding:
    status = str(step.get("status", ""))
    timing = "cached" if step.get("cached") else milliseconds(step.get("ms"))
    result = text(
        step.get("error") or step.get("shown") or "", "red" if step.get("error") else "green", _MOST
    )
    told = Text.assemble(result, "  ", text(status, _STATUS.get(status, "dim")), text(f" {timing}", "dim"))
    return Padding(told, (0, 0, 0, 4))


def _verdicts(trace: Trace) -> RenderableType | None:
    """The claims with their verdicts, and the draft with what was corrected."""
    claims = [e.data for e in trace.of("claim")]
    draft = str(trace.last("draft").get("text", ""))
    parts: list[RenderableType] = []
    if draft and trace.answer and draft != trace.answer:
        pieces = edited(draft, claims, [e.data for e in trace.of("edit")])
        if "".join(p.text for p in pieces if p.change != "gone") != trace.answer:
            pieces = word_diff(draft, trace.answer)
        style = {"same": ("", "", ""), "gone": ("red", "[-", "-]"), "new": ("green", "{+", "+}")}
        marked: list[Text] = []
        for piece in pieces:
            color, before, after = style[piece.change]
            marked.append(text(f"{before}{piece.text}{after}", color))
        parts.append(Text.assemble(text("corrected  ", "bold cyan"), *marked))
    if claims:
        verdicts = {str(e.data.get("claim")): e.data for e in trace.of("verdict")}
        tree = Tree(text("claims", "bold cyan"))
        for claim in claims:
            verdict = verdicts.get(str(claim.get("id")), {})
            label = str(verdict.get("label", "no verdict"))
            sure = verdict.get("probability")
            told = f"  {label} ({percent(sure)})" if isinstance(sure, int | float) else f"  {label}"
            tree.add(Text.assemble(text(claim.get("text", "")), text(told, _STATUS.get(label, "")),
                                   text(f"  {verdict.get('why') or ''}", "dim")))  # fmt: skip
        parts.append(tree)
    return Padding(Group(*parts), (0, 0, 1, 0)) if parts else None


def comparison_view(result: Comparison) -> Iterable[RenderableType]:
    """What differs, then the costs side by side."""
    yield Text.assemble(text(result.a, "bold"), text("  and  ", "dim"), text(result.b, "bold"))
    if result.same:
        yield text("the same question, plan, values and answer", "green")
    for change in result.changes:
        if change.what == "program":
            yield text("program", "bold cyan")
            for line in result.programs:
                yield text(f"  {line}", {"-": "red", "+": "green"}.get(line[:1], "dim"))
            continue
        yield Text.assemble(text(f"{change.what} {change.where}".strip(), "bold cyan"), "  ", text(change.before, "red", _MOST),
                            text("  ->  ", "dim"), text(change.after, "green", _MOST))  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("cost", "a", "b"):
        table.add_column(name, justify="left" if name == "cost" else "right")
    for name, (one, other) in result.costs.items():
        table.add_row(name, f"{one:.0f}", f"{other:.0f}")
    yield Padding(table, (1, 0, 0, 0))
