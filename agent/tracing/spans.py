"""A trace as OpenTelemetry spans, in OTLP's JSON, under the semantic conventions for generative AI (as of mid-2026).

Written by hand: the file is small and needs no SDK. Identifiers are digests of the trace's own, so that exporting twice gives
the same spans. Steps of a program report how long they took and not when they began; they are laid end to end before the
moment at which they were told, and carry `sightline.time.estimated`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...tools.values import digest
from ..events import Event
from .trace import Trace, number_of

_INTERNAL, _CLIENT = 1, 3  # span kinds
_OK, _ERROR = 1, 2  # span statuses
_MOST = 8000  # characters of one attribute
# controller's prefix -> well-known value of gen_ai.provider.name; others stand as they are
_PROVIDERS = {"google_genai": "gcp.gemini", "google_vertexai": "gcp.vertex_ai", "mistralai": "mistral_ai", "xai": "x_ai",
              "azure_openai": "azure.ai.openai", "bedrock": "aws.bedrock", "starter": "sightline"}  # fmt: skip


def otlp(traces: Iterable[Trace], content: bool = True) -> dict[str, Any]:
    """An OTLP ExportTraceServiceRequest as JSON: what a collector takes at /v1/traces.

    Args:
        traces: each becomes one OpenTelemetry trace.
        content: with questions, thoughts, arguments, values and answers; without them only names, times and counts.
    """
    from ... import __version__

    spans = [span for trace in traces for span in _Spans(trace, content).all()]
    resource = {"service.name": "sightline", "service.version": __version__}
    scope = {"name": "sightline.agent", "version": __version__}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": attributes(resource)},
                "scopeSpans": [{"scope": scope, "spans": spans}],
            }
        ]
    }


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP writes them; None is left out."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}  # 64 bits: a text in JSON
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    text = str(value)
    return {"stringValue": text if len(text) <= _MOST else text[: _MOST - 1] + "…"}


class _Spans:
    """The spans of one trace."""

    def __init__(self, trace: Trace, content: bool) -> None:
        self.trace = trace
        self.content = content
        self.id = digest("trace", trace.id)
        controller = str(trace.ask.get("controller") or "")
        prefix, _, model = controller.partition(":")
        self.provider = _PROVIDERS.get(prefix, prefix or "sightline")
        self.model = model or controller
        self.remote = bool(model)
        self.root = self._name("root")

    def all(self) -> list[dict[str, Any]]:
        spans = [self._root_span()]
        thought: dict[str, Any] | None = None  # the controller's last, which a plan belongs to
        for event in self.trace.events:
            if event.kind == "thought":
                thought = self._thought(event)
                spans.append(thought)
            elif event.kind == "plan":
                spans.append(self._plan(event, thought))
                thought = None
        spans += self._steps()
        spans += self._calls()
        spans += self._questions()
        return spans

    def _root_span(self) -> dict[str, Any]:
        trace = self.trace
        usage = trace.usage
        told: dict[str, Any] = {
            **self._base("invoke_agent"),
            "gen_ai.agent.name": "sightline",
            "gen_ai.agent.id": None,
            "gen_ai.conversation.id": trace.ask.get("session"),
            "gen_ai.usage.input_tokens": usage.get("tokens_in"),
            "gen_ai.usage.output_tokens": usage.get("tokens_out"),
            "sightline.trace.id": trace.id,
            "sightline.mode": trace.mode,
            "sightline.pack": trace.ask.get("pack"),
            "sightline.status": trace.status,
            "sightline.tool_calls": usage.get("calls"),
            "sightline.cached_calls": usage.get("cached"),
        }
        if self.content:
            told["gen_ai.input.messages"] = _messages("user", trace.question)
            told["gen_ai.output.messages"] = (
                _messages("assistant", trace.answer, "stop") if trace.answer else None
            )
        good = trace.status in ("done", "partial")
        if not good:
            told["error.type"] = trace.status
        span = self._span("invoke_agent sightline", self.root, None, 0.0, trace.ms, _INTERNAL, told, good)
        span["events"] = [told for event in trace.events for told in self._happened(event)]
        return span

    def _happened(self, event: Event) -> list[dict[str, Any]]:
        """What is a moment and no stretch of time, as an event of the root span."""
        data = event.data
        name, told = f"sightline.{event.kind}", {}
        if event.kind == "error":
            name = "exception"
            told = {"exception.message": data.get("message"), "exception.stacktrace": data.get("traceback")}
        elif event.kind == "mode":
            told = {"sightline.mode": data.get("chosen"), "sightline.why": data.get("why")}
        elif event.kind == "fallback":
            told = {
                "sightline.from": data.get("from"),
                "sightline.to": data.get("to"),
                "sightline.why": data.get("why"),
            }
        elif event.kind == "verdict":
            told = {"sightline.claim": data.get("claim"), "sightline.label": data.get("label"),
                    "sightline.probability": data.get("probability")}  # fmt: skip
        elif event.kind == "edit" and self.content:
            told = {"sightline.before": data.get("before"), "sightline.after": data.get("after")}
        elif event.kind != "edit":
            return []
        if not self.content:
            told = {
                key: value
                for key, value in told.items()
                if not key.startswith("exception.") and key != "sightline.why"
            }
        return [{"timeUnixNano": self._nano(event.ms), "name": name, "attributes": attributes(told)}]

    def _thought(self, event: Event) -> dict[str, Any]:
        data = event.data
        told = {
            **self._base("chat"),
            "gen_ai.usage.input_tokens": data.get("tokens_in"),
            "gen_ai.usage.output_tokens": data.get("tokens_out"),
            "sightline.role": data.get("role"),
            "sightline.attempt": data.get("attempt"),
        }
        if self.content:
            told["gen_ai.input.messages"] = (
                _messages("user", str(data["asked"])) if data.get("asked") else None
            )
            told["gen_ai.output.messages"] = _messages("assistant", str(data.get("said", "")), "stop")
        start = max(0.0, event.ms - number_of(data.get("ms")))
        kind = _CLIENT if self.remote else _INTERNAL
        return self._span(
            f"chat {self.model}".strip(), self._name(event.seq), self.root, start, event.ms, kind, told
        )

    def _plan(self, event: Event, thought: dict[str, Any] | None) -> dict[str, Any]:
        data = event.data
        name = self._name(event.seq)
        start = event.ms
        if thought is not None:
            thought["parentSpanId"] = name
            start = self._since(thought["startTimeUnixNano"])
        told: dict[str, Any] = {
            **self._base("plan"), "sightline.attempt": data.get("attempt"),
            "error.type": None if data.get("ok") else "program_error",
            "sightline.plan.errors": [f"{e.get('code')} line {e.get('line')}" for e in data.get("errors") or ()] or None,
        }  # fmt: skip
        if self.content:
            told["sightline.program"] = data.get("program")
        return self._span(
            "plan sightline", name, self.root, start, event.ms, _INTERNAL, told, bool(data.get("ok"))
        )

    def _steps(self) -> list[dict[str, Any]]:
        spans = []
        before = 0.0
        for run in self.trace.runs():
            told_at = next((e.ms for e in self.trace.events if e.seq == run.seq), 0.0)
            earlier = [e.ms for e in self.trace.events if e.seq < run.seq]
            before = earlier[-1] if earlier else before
            durations = [number_of(step.get("ms")) for step in run.steps]
            room = max(0.0, told_at - before)
            at = max(before, told_at - sum(durations))
            shrink = min(1.0, room / sum(durations)) if sum(durations) > 0 else 1.0
            for number, (step, ms) in enumerate(zip(run.steps, durations, strict=True)):
                if step.get("status") == "skipped":
                    continue
                name = self._name(run.seq, number)
                told = {
                    **self._tool(str(step.get("op"))), "sightline.step": step.get("name"), "sightline.cached": step.get("cached"),
                    "sightline.status": step.get("status"), "sightline.batch": step.get("batch"),
                    "sightline.time.estimated": True, "error.type": "tool_error" if step.get("error") else None,
                }  # fmt: skip
                if self.content:
                    told["gen_ai.tool.call.result"] = step.get("shown") or None
                spans.append(
                    self._span(f"execute_tool {step.get('op')}", name, self.root, at, at + ms * shrink, _INTERNAL, told,
                               step.get("status") != "failed", str(step.get("error") or "") if self.content else "")
                )  # fmt: skip
                at += ms * shrink
        return spans

    def _calls(self) -> list[dict[str, Any]]:
        spans = []
        seen = {str(e.data.get("id")): e for e in self.trace.of("observation")}
        for event in self.trace.of("call"):
            data = event.data
            end = seen.get(str(data.get("id")))
            told = {**self._tool(str(data.get("tool"))), "gen_ai.tool.call.id": data.get("id")}
            good = bool(end is not None and end.data.get("ok"))
            if end is not None:
                told["sightline.cached"] = end.data.get("cached")
            told["error.type"] = None if good else "tool_error"
            if self.content:
                told["gen_ai.tool.call.arguments"] = json.dumps(data.get("arguments"), ensure_ascii=False)
                told["gen_ai.tool.call.result"] = str(end.data.get("shown")) if end is not None else None
            stop = end.ms if end is not None else event.ms
            start = max(event.ms, stop - number_of(end.data.get("ms"))) if end is not None else event.ms
            name = f"execute_tool {data.get('tool')}"
            spans.append(
                self._span(name, self._name(event.seq), self.root, start, stop, _INTERNAL, told, good)
            )
        return spans

    def _questions(self) -> list[dict[str, Any]]:
        spans = []
        found = {str(e.data.get("id")): e for e in self.trace.of("finding")}
        names = {str(e.data.get("id")): self._name(e.seq) for e in self.trace.of("question")}
        for event in self.trace.of("question"):
            data = event.data
            end = found.get(str(data.get("id")))
            told: dict[str, Any] = {"sightline.question.id": data.get("id"), "sightline.by": data.get("by")}
            if self.content:
                told |= {
                    "sightline.question": data.get("text"),
                    "sightline.finding": end.data.get("text") if end else None,
                }
            parent = names.get(str(data.get("parent")), self.root)
            stop = end.ms if end is not None else event.ms
            spans.append(
                self._span(
                    "sightline sub-question",
                    self._name(event.seq),
                    parent,
                    event.ms,
                    stop,
                    _INTERNAL,
                    told,
                    end is not None,
                )
            )
        return spans

    def _base(self, operation: str) -> dict[str, Any]:
        return {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": self.provider,
            "gen_ai.request.model": self.model or None,
        }

    def _tool(self, name: str) -> dict[str, Any]:
        return {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
        }

    def _name(self, *parts: object) -> str:
        return digest("span", self.trace.id, *(str(part) for part in parts))[:16]

    def _nano(self, ms: float) -> str:
        return str(round(self.trace.time * 1e9) + round(ms * 1e6))

    def _since(self, nano: str) -> float:
        return (int(nano) - round(self.trace.time * 1e9)) / 1e6

    def _span(
        self, name: str, own: str, parent: str | None, start: float, end: float, kind: int, told: Mapping[str, Any],
        good: bool = True, message: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        status: dict[str, Any] = {"code": _OK if good else _ERROR}
        if message:
            status["message"] = message
        span = {
            "traceId": self.id, "spanId": own, "name": name, "kind": kind, "startTimeUnixNano": self._nano(start),
            "endTimeUnixNano": self._nano(max(start, end)), "attributes": attributes(told), "status": status,
        }  # fmt: skip
        return span | ({"parentSpanId": parent} if parent else {})


def _messages(role: str, text: str, finish: str | None = None) -> str:
    """Messages as the conventions want them, in JSON, since exporters take no nested attributes everywhere."""
    message: dict[str, Any] = {"role": role, "parts": [{"type": "text", "content": text}]}
    if finish:
        message["finish_reason"] = finish
    return json.dumps([message], ensure_ascii=False)
