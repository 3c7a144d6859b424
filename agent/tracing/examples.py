"""Traces as training data: accepted programs as the planner's conversations, corrected answers as preference pairs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...mllm.data.conversation import IMAGE, Conversation, Message
from ...mllm.stock.pairs import Pair, pair_from_edits
from ...tools.imagefile import make_folder, safe_output, save_image, write_whole
from ..events import Event
from .blobs import PictureMissing
from .trace import Trace
from .wording import word_diff


def accepted(trace: Trace) -> bool:
    """Whether a trace's program is one to learn from: it answered, every step of it worked, and no claim was refuted."""
    if trace.status != "done" or trace.mode != "program" or not trace.answer.strip():
        return False
    if any(event.data.get("label") == "contradicted" for event in trace.of("verdict")):
        return False
    return all(step.get("status") != "failed" for run in trace.runs() for step in run.steps)


def planner_conversations(traces: Iterable[Trace]) -> Iterator[Conversation]:
    """One conversation of words for each request and the program that was accepted for it, each once.

    The user's words are those that the controller was asked with, where the trace has them (a question about a mark names
    its place), else the question as it can be understood alone.
    """
    seen: set[tuple[str, str]] = set()
    for trace in traces:
        plan = next((e for e in reversed(trace.events) if e.kind == "plan" and e.data.get("ok")), None)
        if plan is None or not accepted(trace):
            continue
        request, program = _asked(trace, plan), str(plan.data.get("program", "")).strip()
        if not request or not program or (request, program) in seen:
            continue
        seen.add((request, program))
        extra = {"task": "plan", "trace": trace.id, "controller": trace.ask.get("controller")}
        yield Conversation(
            trace.id, (), (Message("user", request), Message("assistant", program)), "trace", extra
        )


def _asked(trace: Trace, plan: Event) -> str:
    thoughts = [
        e.data for e in trace.of("thought") if e.seq < plan.seq and e.data.get("role") == "controller"
    ]
    asked = str(thoughts[-1].get("asked") or "") if thoughts and not plan.data.get("attempt") else ""
    return (asked or str(trace.ask.get("alone") or "") or trace.question).strip()


def preference_pairs(traces: Iterable[Trace], folder: Path) -> Iterator[dict[str, Any]]:
    """A record for each answer that verification corrected: the draft is rejected, the corrected text chosen.

    Pictures are written below `folder`. The records are those that `mllm.stock.pairs.read_pairs` reads (`answer` and the
    `edits` that change it), with `chosen` and `rejected` for other trainers; a trace whose pictures were not kept gives none.
    """
    for trace in traces:
        draft = str(trace.last("draft").get("text", ""))
        if (
            not draft.strip()
            or not trace.answer.strip()
            or draft == trace.answer
            or not any(trace.of("edit"))
        ):
            continue
        try:
            images = [_picture(trace, str(told["hash"]), folder) for told in trace.ask.get("pictures") or ()]
        except PictureMissing:
            continue
        question = str(trace.ask.get("alone") or "") or trace.question
        marks = "\n".join([IMAGE] * len(images))
        record: dict[str, Any] = {
            "id": trace.id, "images": images, "prompt": [{"role": "user", "content": f"{marks}\n{question}"}],
            "answer": draft, "edits": _edits(trace, draft),
        }  # fmt: skip
        pair: Pair = pair_from_edits(record)
        yield record | {"chosen": pair.chosen, "rejected": pair.rejected}


def _edits(trace: Trace, draft: str) -> list[dict[str, Any]]:
    """The edits as told, where they make the answer out of the draft; else the words that differ."""
    edits: list[dict[str, Any]] = []
    for event in trace.of("edit"):
        span = event.data.get("span")
        if isinstance(span, list | tuple) and len(span) == 2:
            edits.append(
                {"start": int(span[0]), "end": int(span[1]), "text": str(event.data.get("after", ""))}
            )
    edits.sort(key=lambda e: e["start"])
    made, at, fits = [], 0, True
    for edit in edits:
        fits = fits and at <= edit["start"] <= edit["end"] <= len(draft)
        made += [draft[at : edit["start"]], edit["text"]]
        at = edit["end"]
    if fits and "".join([*made, draft[at:]]) == trace.answer:
        return edits
    found: list[dict[str, Any]] = []
    at = 0
    for piece in word_diff(draft, trace.answer):
        if piece.change == "new":
            if found and found[-1]["end"] == at and not found[-1]["text"]:
                found[-1]["text"] = piece.text
            else:
                found.append({"start": at, "end": at, "text": piece.text})
            continue
        if piece.change == "gone":
            found.append({"start": at, "end": at + len(piece.text), "text": ""})
        at += len(piece.text)
    return found


def _picture(trace: Trace, content: str, folder: Path) -> str:
    """The path of a picture, written once."""
    image = trace.image(content)
    path = safe_output(folder, f"pictures/{image.hash}.png")
    if not path.exists():
        save_image(image, path)
    return str(path.resolve())


def write_examples(traces: Iterable[Trace], folder: Path) -> dict[str, int]:
    """Write `planner.jsonl` (format `conversations`) and `pairs.jsonl` below `folder`; how many lines each has."""
    make_folder(folder)
    many = list(traces)
    rows = {
        "planner.jsonl": [conversation.to_json() for conversation in planner_conversations(many)],
        "pairs.jsonl": list(preference_pairs(many, folder)),
    }
    for name, lines in rows.items():
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_whole(safe_output(folder, name), text.encode("utf-8", "backslashreplace"))
    return {name: len(lines) for name, lines in rows.items()}
