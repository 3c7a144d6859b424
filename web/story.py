"""How an answer came about, as HTML that grows with its events: thoughts, plan, steps, claims. All text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ..agent.events import Event
from .line import Place

_MARKS = {"done": "✓", "cached": "✓", "failed": "✕", "skipped": "–"}
_SAID = {"done": "done", "cached": "from the cache", "failed": "failed", "skipped": "not needed"}
_VERDICTS = {"supported": "supported", "contradicted": "contradicted", "unverifiable": "cannot be told"}
_WAYS = {
    "program": "a program", "react": "tools, round by round", "decompose": "sub-questions", "direct": "the model alone",
}  # fmt: skip
_MOST = 4000  # characters of one text


@dataclass
class Story:
    """The state of one answer's page. `add` an event, then show `html()`; `regions` are the boxes that can be lit."""

    question: str = ""
    events: int = 0
    answer: dict[str, Any] | None = None
    draft: str = ""
    failed: str = ""
    first: str = "First said"  # what the text before its correction is called
    detail: str = ""  # the whole reason of a failure
    pictures: list[str] = field(
        default_factory=list
    )  # addresses of what the answer is, where it is a picture
    waiting: Place | None = None  # where the question stands in the line; None once it is at work
    earlier: Sequence[tuple[str, str]] = ()  # (question, answer) of the conversation so far, oldest first
    _why: str = ""
    _doing: str = "Looking at the question"
    _thoughts: list[tuple[str, str]] = field(default_factory=list)
    _plans: list[dict[str, Any]] = field(default_factory=list)
    _running: dict[str, str] = field(default_factory=dict)
    _steps: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)
    _calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    _questions: dict[str, dict[str, Any]] = field(default_factory=dict)
    _falls: list[str] = field(default_factory=list)
    _claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    _edits: list[dict[str, Any]] = field(default_factory=list)
    _errors: list[str] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    regions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Take in one event."""
        self.events += 1
        told = getattr(self, f"_on_{event.kind}", None)
        if told is not None:
            told(dict(event.data))

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_ask(self, data: dict[str, Any]) -> None:
        self.question = str(data["question"])

    def _on_mode(self, data: dict[str, Any]) -> None:
        self._why = f"{_WAYS.get(str(data['chosen']), data['chosen'])}: {data['why']}"
        self._doing = "Planning" if data["chosen"] == "program" else "Thinking"

    def _on_thought(self, data: dict[str, Any]) -> None:
        self._thoughts.append((str(data.get("role", "")), str(data.get("said", ""))))

    def _on_plan(self, data: dict[str, Any]) -> None:
        self._plans.append(data)
        self._doing = "Looking" if data.get("ok") else "Mending the plan"

    def _on_start(self, data: dict[str, Any]) -> None:
        self._running[str(data["name"])] = str(data["op"])
        self._doing = f"Running {data['op']}"

    def _on_step(self, data: dict[str, Any]) -> None:
        self._running.pop(str(data["name"]), None)
        self._steps[int(data.get("program") or 0), str(data["name"])] = data
        self._keep_all(str(data["name"]), data)

    def _on_call(self, data: dict[str, Any]) -> None:
        self._calls[str(data["id"])] = data
        self._doing = f"Using {data.get('tool', 'a tool')}"

    def _on_observation(self, data: dict[str, Any]) -> None:
        self._calls.setdefault(str(data["id"]), {})["seen"] = data
        self._keep_all(str(data["id"]), data)

    def _on_question(self, data: dict[str, Any]) -> None:
        self._questions[str(data["id"])] = data

    def _on_finding(self, data: dict[str, Any]) -> None:
        self._questions.setdefault(str(data["id"]), {})["found"] = data

    def _on_fallback(self, data: dict[str, Any]) -> None:
        self._falls.append(f"{data['from']} came to nothing ({data['why']}); trying {data['to']}")

    def _on_draft(self, data: dict[str, Any]) -> None:
        self.draft = str(data["text"])
        self._doing = "Checking every claim"

    def _on_claim(self, data: dict[str, Any]) -> None:
        self._claims[str(data["id"])] = data

    def _on_verdict(self, data: dict[str, Any]) -> None:
        claim = self._claims.setdefault(str(data["claim"]), {"text": ""})
        claim["verdict"] = data
        claim["lit"] = []
        for n, region in enumerate(_regions(data.get("evidence"))):
            name = f"claim{data['claim']}.{n}"
            self._keep(name, region)
            claim["lit"].append(name)

    def _on_edit(self, data: dict[str, Any]) -> None:
        self._edits.append(data)

    def _on_error(self, data: dict[str, Any]) -> None:
        self._errors.append(str(data["message"]))

    def _on_answer(self, data: dict[str, Any]) -> None:
        self.answer = data

    def _on_end(self, data: dict[str, Any]) -> None:
        self.usage = dict(data.get("usage") or {})

    def _keep_all(self, name: str, data: dict[str, Any]) -> None:
        """The regions of a step's or a call's value; `frames` says which picture each lies in."""
        frames = list(data.get("frames") or ())
        for n, region in enumerate(_regions(data.get("value"))):
            if (
                region.get("tool") == "GLIMPSE"
            ):  # what might be there is weighed by the verifier, and is no evidence
                continue
            frame = frames[n] if n < len(frames) else frames[0] if len(frames) == 1 else None
            self._keep(f"{name}.{n}", {**region, "picture": frame})

    def _keep(self, name: str, region: dict[str, Any]) -> None:
        label = str(region.get("text") or region.get("label") or "")
        self.regions[name] = {
            "id": name, "box": region["box"], "label": label[:40], "picture": region.get("picture"),
        }  # fmt: skip

    # -- the page ----------------------------------------------------------------------------------------------------

    def html(self) -> str:
        """The whole story so far."""
        done = self.answer is not None or self.usage is not None or bool(self.failed)
        parts = [f'<article class="story" aria-busy="{str(not done).lower()}">']
        if self.question:
            parts.append(f'<p class="story-question">{_text(self.question)}</p>')
        parts += self._answer()
        if not done:
            doing = standing(self.waiting) if self.waiting else f"{_text(self._doing)} …"
            parts.append(f'<p class="story-doing" role="status"><span class="story-dot"></span>{doing}</p>')
        parts += self._checked()
        parts += self._how(open_now=not done)
        parts += self._before()
        parts.append("</article>")
        return "".join(parts)

    def _answer(self) -> Iterator[str]:
        if self.failed:
            yield f'<p class="story-failed" role="alert">{_text(self.failed)}</p>'
            if self.detail:
                yield f'<details class="story-detail"><summary>Details</summary><p class="story-note">{_text(self.detail)}</p></details>'
        elif self.answer is not None:
            text, status = str(self.answer.get("text") or ""), self.answer.get("status")
            if status == "partial":
                yield '<p class="story-note">A limit was reached; this is what is known so far.</p>'
            if text:
                yield f'<p class="story-answer">{_text(text)}</p>'
            elif self._claims and self.first != "First said":
                yield '<p class="story-note">Nothing had to be changed.</p>'
            for url in self.pictures:
                shown = escape(url, quote=True)
                yield f'<figure class="story-picture"><img src="{shown}" alt="The picture that was made"><a href="{shown}" download="sightline.png">Download</a></figure>'
            if not text and self._errors:
                yield f'<p class="story-failed" role="alert">{_text(self._errors[-1])}</p>'
            if self.draft and text and self.draft != text:
                yield f'<p class="story-before"><span>{_text(self.first)}</span> <del>{_text(self.draft)}</del></p>'
        elif self.draft:
            yield f'<p class="story-answer story-unchecked">{_text(self.draft)}</p>'

    def _checked(self) -> Iterator[str]:
        if not self._claims:
            return
        yield '<section class="story-claims"><h3>Checked claims</h3><ul>'
        for name, claim in self._claims.items():
            verdict = claim.get("verdict") or {}
            label = str(verdict.get("label", ""))
            chance = verdict.get("probability")
            sure = ""
            if isinstance(chance, int | float) and label in ("supported", "contradicted"):
                sure = (
                    f" {100 * (chance if label == 'supported' else 1 - chance):.0f}%"  # how sure, either way
                )
            why = str(verdict.get("why", ""))
            light = " ".join(claim.get("lit", ()))
            yield (
                f'<li class="story-claim is-{escape(label or "open", quote=True)}">'
                f'<button type="button" data-light="{escape(light, quote=True)}" data-claim="{escape(name, quote=True)}" aria-pressed="false">'
                f'<span class="story-words">{_text(str(claim.get("text", "")))}</span>'
                f'<span class="story-verdict">{_text(_VERDICTS.get(label, "checking"))}{sure}</span>'
                f"{f'<span class=story-why>{_text(why)}</span>' if why else ''}</button></li>"
            )
        yield "</ul></section>"

    def _how(self, open_now: bool) -> Iterator[str]:
        if not (self._why or self._plans or self._steps or self._calls or self._questions):
            return
        yield f'<details class="story-how"{" open" if open_now else ""}><summary>How it was found{self._cost()}</summary>'
        if self._why:
            yield f'<p class="story-note">Answered by {_text(self._why)}.</p>'
        for fall in self._falls:
            yield f'<p class="story-note">{_text(fall)}</p>'
        yield from self._asked()
        yield from self._program()
        yield from self._called()
        if self._thoughts:
            yield '<details class="story-thoughts"><summary>What the language model said</summary>'
            for role, said in self._thoughts:
                yield f"<h4>{_text(role)}</h4><pre>{_text(said)}</pre>"
            yield "</details>"
        for error in self._errors:
            yield f'<p class="story-failed">{_text(error)}</p>'
        yield "</details>"

    def _cost(self) -> str:
        if not self.usage:
            return ""
        calls, ms = self.usage.get("calls", 0), float(self.usage.get("ms", 0.0))
        called = f"{calls} tool call{'' if calls == 1 else 's'}"
        return f' <span class="story-cost">{called}, {ms / 1000:.1f} s</span>'

    def _before(self) -> Iterator[str]:
        if not self.earlier:
            return
        yield f'<details class="story-how"><summary>Earlier in this conversation ({len(self.earlier)})</summary><dl class="story-earlier">'
        for question, answer in reversed(self.earlier):
            yield f"<dt>{_text(question)}</dt><dd>{_text(answer)}</dd>"
        yield "</dl></details>"

    def _asked(self) -> Iterator[str]:
        if not self._questions:
            return
        yield '<ol class="story-parts">'
        for part in self._questions.values():
            found = part.get("found") or {}
            yield f"<li>{_text(str(part.get('text', '')))} <strong>{_text(str(found.get('text', '…')))}</strong></li>"
        yield "</ol>"

    def _program(self) -> Iterator[str]:
        number = len(self._plans) - 1
        if number < 0:
            return
        plan = self._plans[-1]
        yield '<ol class="story-program" aria-label="The program, line by line">'
        for line in str(plan.get("program", "")).strip().splitlines():
            name = re.match(r"\s*(\w+)\s*=", line)
            step = self._step(name.group(1)) if name else None
            running = name is not None and name.group(1) in self._running
            status = str(step["status"]) if step else "running" if running else ""
            light = " ".join(key for key in self.regions if name and key.startswith(f"{name.group(1)}."))
            yield f'<li class="is-{escape(status or "open", quote=True)}">'
            opened = (
                f'<button type="button" data-light="{escape(light, quote=True)}" aria-pressed="false">'
                if light
                else "<div>"
            )
            yield f"{opened}<code>{_text(line)}</code>"
            if step:
                yield (
                    f'<span class="story-value"><span aria-hidden="true">{_MARKS.get(status, "")}</span>'
                    f'<span class="visually-hidden">{_SAID.get(status, status)}</span> '
                    f"{_text(str(step.get('error') or step.get('shown') or '')[:600])}"
                    f" <small>{float(step.get('ms') or 0):.0f} ms{', cached' if step.get('cached') else ''}</small></span>"
                )
            elif running:
                yield '<span class="story-value"><span class="story-dot"></span> at work</span>'
            yield "</button></li>" if light else "</div></li>"
        yield "</ol>"
        for error in plan.get("errors") or ():
            yield f'<p class="story-failed">line {_text(str(error.get("line", "")))}: {_text(str(error.get("message", "")))}</p>'

    def _step(self, name: str) -> dict[str, Any] | None:
        held = [step for (program, key), step in self._steps.items() if key == name and program >= 0]
        return held[-1] if held else None

    def _called(self) -> Iterator[str]:
        if not self._calls:
            return
        yield '<ol class="story-program" aria-label="Tool calls">'
        for key, call in self._calls.items():
            seen = call.get("seen") or {}
            light = " ".join(name for name in self.regions if name.startswith(f"{key}."))
            thought = str(call.get("thought") or "")
            yield f'<li><button type="button" data-light="{escape(light, quote=True)}" aria-pressed="false">'
            if thought:
                yield f'<span class="story-why">{_text(thought)}</span>'
            yield f"<code>{_text(_written(call))}</code><span class=story-value>{_text(str(seen.get('shown', '…')))}</span></button></li>"
        yield "</ol>"


def standing(place: Place) -> str:
    """Where somebody stands in the line, in words."""
    ahead = {0: "You are next", 1: "1 question is ahead of yours"}.get(
        place.ahead, f"{place.ahead} questions are ahead of yours"
    )
    return f"{ahead}; it starts in about {max(1, round(place.seconds))} s."


def _written(call: dict[str, Any]) -> str:
    arguments = call.get("arguments") or {}
    return f"{call.get('tool', '')}({', '.join(f'{k}={v!r}' for k, v in dict(arguments).items())})"


def _regions(value: Any) -> Iterator[dict[str, Any]]:
    """The regions in a JSON value, wherever they stand."""
    if isinstance(value, dict):
        box = value.get("box")
        if isinstance(box, list | tuple) and len(box) == 4 and all(isinstance(v, int | float) for v in box):
            yield value
        else:
            for inner in value.values():
                yield from _regions(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _regions(inner)


def _text(text: str) -> str:
    """Escaped, cut to a length that a page can hold."""
    return escape(text if len(text) <= _MOST else text[:_MOST] + "…", quote=True)
