"""The agent's modes side by side on 500 questions: accuracy, calls, tokens, milliseconds; planning and perception apart.

    python -m benchmarks.modes [--per-kind 50] [--modes direct,program,react,decompose,auto] [--out benchmarks/out/modes.json]

Every mode answers the same questions (`benchmarks/mode_questions.py`) with the starter as controller: with the models of pack
`scenes` on the rendered pictures ("real"), and with oracle tools on the same scenes ("oracle"). A question that is wrong with
oracle tools is a planning error, one that is right with them and wrong with real ones a perception error. Modes do not fall
back on others here, except auto, which is measured as it is used. The words that the language model says are remembered
between modes and tools, and the time that this saves is added to the milliseconds.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.mode_questions import COUNTING, KINDS_ASKED, PER_KIND, ModeQuestion, mode_questions
from sightline.agent.agent import Agent
from sightline.agent.answering import short
from sightline.agent.controllers.starter import StarterController
from sightline.agent.controllers.starter_rounds import divide_prompt, parts_in, round_prompt
from sightline.agent.language import language_of
from sightline.agent.oracle import OracleMLLM, Stage, oracle_models
from sightline.agent.planner_data.evaluate import canonical
from sightline.agent.planner_data.settings import draw_plainly
from sightline.agent.records import Answer, Limits, Style
from sightline.agent.starter_planner import StarterPlanner
from sightline.mllm.evaluation.bootstrap import DRAWS, interval, paired, ratio
from sightline.mllm.scenes.render import render
from sightline.mllm.scenes.schema import Scene
from sightline.programs.syntax import Program, ProgramError
from sightline.tools.color import COLOR_NAMES
from sightline.tools.models import Models
from sightline.tools.values import Image

MODES = ("direct", "program", "react", "decompose", "auto")
LIMITS = Limits(rounds=6, calls=48, tokens=8000, seconds=60)
WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()


class Remembering(StarterController):
    """The starter, asked the same only once; `saved_ms` is the time that its memory saved."""

    def __init__(self, planner: StarterPlanner | None = None) -> None:
        super().__init__(planner)
        self.saved_ms = 0.0
        self._said: dict[tuple[Any, ...], tuple[Any, float]] = {}

    def _remembered(self, key: tuple[Any, ...], make: Any) -> Any:
        if key not in self._said:
            started = time.perf_counter()
            value = make()
            self._said[key] = value, (time.perf_counter() - started) * 1000
        else:
            self.saved_ms += self._said[key][1]
        return self._said[key][0]

    def prepare(self, questions: Sequence[str], timed: int = 20) -> None:
        """Plan every question in batches; one by one, for the milliseconds, only the first `timed` of them."""
        planner = self._planner(("IMAGE",))
        new = [q for q in dict.fromkeys(questions) if ("plan", ("IMAGE",), q) not in self._said]
        if not new:
            return
        for question in new[:timed]:
            planner.plan([question])
        spent = median(self._said["plan", ("IMAGE",), q][1] for q in new[:timed])
        texts = planner.planner.plan(new[timed:])
        self._said |= {("plan", ("IMAGE",), q): (t, spent) for q, t in zip(new[timed:], texts, strict=True)}

    def prepare_turns(self, questions: Sequence[str], timed: int = 20) -> None:
        """What modes react and decompose say first, as `prepare` plans: first rounds, sub-questions, and plans of these."""
        new = list(dict.fromkeys(questions))
        self._prepare_said([round_prompt(language_of(q), q, []) for q in new], timed)
        divided = self._prepare_said([divide_prompt(language_of(q), q) for q in new], timed)
        self.prepare([part for said in divided for part in parts_in(said)], timed)

    def _prepare_said(self, texts: Sequence[str], timed: int) -> list[str]:
        said = [self._say([text])[0] for text in texts[:timed]]
        spent = median(self._said["say", text][1] for text in texts[:timed])
        rest = super()._say(texts[timed:])
        self._said |= {("say", t): ([s], spent) for t, s in zip(texts[timed:], rest, strict=True)}
        return [*said, *rest]

    def _planner(self, inputs: tuple[str, ...]) -> Any:
        return _Planner(self, super()._planner(inputs), inputs)

    def _say(self, texts: Sequence[str]) -> list[str]:
        return list(self._remembered(("say", *texts), lambda: super(Remembering, self)._say(texts)))


class _Planner:
    """A planner whose plans are remembered."""

    def __init__(self, memory: Remembering, planner: StarterPlanner, inputs: tuple[str, ...]) -> None:
        self.memory, self.planner, self.inputs = memory, planner, inputs
        self.answerer = planner.answerer

    def plan(self, texts: Sequence[str]) -> list[str]:
        return [
            self.memory._remembered(("plan", self.inputs, t), lambda t=t: self.planner.plan([t])[0])
            for t in texts
        ]


class OracleEyes(OracleMLLM):
    """Ground truth also for the question itself: a mode that only passes it on is right with oracle tools."""

    def __init__(self, stage: Stage, questions: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(stage)
        self.questions = questions

    def answer(self, images: Sequence[Image], questions: Sequence[str]) -> list[str]:
        plain = super().answer(images, questions)
        return [
            self.questions.get(image.picture, {}).get(question, other)
            for image, question, other in zip(images, questions, plain, strict=True)
        ]


def said(answer: Answer, truth: str = "") -> str:
    """What an answer comes to, in the form of the truth: lower case, digits, no full stop. A sentence comes to its yes or
    no, its only number or its only colour, whichever the truth is."""
    value = answer.text if answer.value is None else short(answer.value, "en")
    text = value.strip().strip(".!").lower()
    if text in WORDS and (truth.isdigit() or not truth):
        return str(WORDS.index(text))
    found: list[str] = []
    if truth in ("yes", "no"):
        found = re.findall(r"^(?:yes|no)\b", text)
    elif truth.isdigit():
        found = re.findall(r"\b\d+\b", text) + [
            str(WORDS.index(w)) for w in re.findall(r"[a-z]+", text) if w in WORDS
        ]
    elif truth in COLOR_NAMES:
        found = [c for c in COLOR_NAMES if re.search(rf"\b{c}\b", text)]
    return found[0] if len(set(found)) == 1 else text


def measure(
    agent: Agent, memory: Remembering, mode: str, questions: Sequence[ModeQuestion], pictures: Any
) -> list[dict[str, Any]]:
    """One row a question."""
    rows = []
    for item in questions:
        memory.saved_ms = 0.0
        answer = agent.ask(
            pictures[item.id], item.question, mode=mode, verify=False, style=Style(length="short"), limits=LIMITS,
            fall_back=mode == "auto",
        )  # fmt: skip
        rows.append(
            {
                "id": item.id, "kind": item.kind, "question": item.question, "truth": item.answer, "said": said(answer, item.answer),
                "right": answer.status == "done" and said(answer, item.answer) == item.answer.lower(), "status": answer.status,
                "mode": answer.mode, "program": answer.program, "error": answer.error, "calls": answer.usage.calls,
                "model_calls": answer.usage.model_calls, "tokens": answer.usage.tokens_in + answer.usage.tokens_out,
                "ms": answer.usage.ms + memory.saved_ms,
            }
        )  # fmt: skip
    return rows


def plan_quality(rows: Sequence[Mapping[str, Any]], questions: Sequence[ModeQuestion]) -> dict[str, float]:
    """Plans as GPT4Tools (Yang et al. 2023) reports them: thought (tools are used where they are needed), action (the right
    ones, in order), arguments (of plans with the right ones), overall (the right plan, or another that gives the right
    answer with oracle tools)."""
    thought = action = arguments = overall = 0
    for row, item in zip(rows, questions, strict=True):
        gold = Program.parse(item.program)
        try:
            plan = Program.parse(row["program"] or "")
        except ProgramError:
            continue
        tools = [step.op for step in plan.steps]
        thought += any(op not in ("EVAL", "RESULT", "IF") for op in tools)
        if tools == [step.op for step in gold.steps]:
            action += 1
            arguments += canonical(plan) == canonical(gold)
        overall += row["right"]
    number = len(rows)
    return {
        "thought": thought / number, "action": action / number, "arguments": arguments / max(1, action),
        "overall": overall / number,
    }  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accuracy by kind with its interval, and the medians of what an answer costs."""
    report: dict[str, Any] = {}
    for kind in (*KINDS_ASKED, "all"):
        chosen = [r for r in rows if kind in ("all", r["kind"])]
        if chosen:
            right = [float(r["right"]) for r in chosen]
            low, high = interval([[r, 1.0] for r in right], ratio(0, 1), draws=DRAWS)
            report[kind] = {"accuracy": sum(right) / len(right), "low": low, "high": high, "n": len(right)}
    report["cost"] = {key: median(r[key] for r in rows) for key in ("calls", "model_calls", "tokens", "ms")}
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-kind", type=int, default=PER_KIND)
    parser.add_argument("--every", type=int, default=1, help="of the questions, only every so many")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--tools", default="real,oracle")
    parser.add_argument("--pack", default="scenes")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/modes.json"))
    options = parser.parse_args(arguments)
    questions = mode_questions(options.per_kind)[:: options.every]
    memory = Remembering()
    memory.prepare([q.question for q in questions])
    if {"react", "decompose"} & set(options.modes.split(",")):
        memory.prepare_turns([q.question for q in questions])
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for tools in options.tools.split(","):
        agent, pictures = _agent(tools, memory, options.pack, questions)
        for mode in options.modes.split(","):
            started = time.perf_counter()
            found = measure(agent, memory, mode, questions, pictures)
            rows.setdefault(mode, {})[tools] = found
            share = sum(r["right"] for r in found) / len(found)
            print(f"{tools:<7}{mode:<10}{share:.3f}  {time.perf_counter() - started:.0f} s", flush=True)
            _write(options.out, rows, questions)
    print(text(rows))
    return 0


def _agent(
    tools: str, memory: Remembering, pack: str, questions: Sequence[ModeQuestion]
) -> tuple[Agent, dict[str, Image]]:
    pictures: dict[str, Image] = {}
    if tools == "real":
        pictures |= {q.id: Image.from_array(render(q.scene).image) for q in questions}
        return Agent(memory, Models.from_pack(pack)), pictures
    stage = Stage()
    truths: dict[str, dict[str, str]] = {}
    for item in questions:
        pictures[item.id] = _plainly(item.scene)
        stage.add(item.scene, pictures[item.id])
        truths.setdefault(pictures[item.id].picture, {})[item.question] = item.answer
    models = oracle_models(stage)
    models.bind("mllm", OracleEyes(stage, truths))
    return Agent(memory, models), pictures


def _plainly(scene: Scene) -> Image:
    """The scene as rectangles of its colours; no question is asked about the colour of what has many."""
    drawn = tuple(replace(o, color="gray") if o.color == "multicolor" else o for o in scene.objects)
    return draw_plainly(replace(scene, objects=drawn))


def _write(
    out: Path, rows: Mapping[str, Mapping[str, list[dict[str, Any]]]], questions: Sequence[ModeQuestion]
) -> None:
    report: dict[str, Any] = {
        mode: {tools: table(found) for tools, found in by.items()} for mode, by in rows.items()
    }
    report["differences"] = differences(rows)
    for mode, by in rows.items():
        if {"real", "oracle"} <= set(by):
            pairs = list(zip(by["real"], by["oracle"], strict=True))
            report[mode]["errors"] = {
                "planning": sum(not o["right"] for _, o in pairs) / len(pairs),
                "perception": sum(o["right"] and not r["right"] for r, o in pairs) / len(pairs),
            }
    if "oracle" in rows.get("program", {}):
        report["plan_quality"] = plan_quality(rows["program"]["oracle"], questions)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        json.dumps({"report": report, "rows": rows}, ensure_ascii=False, indent=1), encoding="utf-8"
    )


def differences(rows: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> dict[str, Any]:
    """Paired bootstrap, real tools: program over direct where counting, comparing or relating is asked; auto over the best."""
    real = {mode: by["real"] for mode, by in rows.items() if "real" in by}
    found: dict[str, Any] = {}

    def gap(name: str, one: str, two: str, kinds: Sequence[str]) -> None:
        a, b = ([float(r["right"]) for r in real[m] if r["kind"] in kinds] for m in (one, two))
        mean, low, high = paired(a, b, draws=2000)
        found[name] = {"mean": mean, "low": low, "high": high, "n": len(a)}

    if {"program", "direct"} <= set(real):
        gap("program - direct, counting comparing relating", "program", "direct", COUNTING)
        for kind in KINDS_ASKED:
            gap(f"program - direct, {kind}", "program", "direct", (kind,))
    if "auto" in real and len(real) > 1:
        best = max((m for m in real if m != "auto"), key=lambda m: sum(r["right"] for r in real[m]))
        gap(f"auto - {best} (the best)", "auto", best, KINDS_ASKED)
    return found


def text(rows: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> str:
    """The tables as Markdown."""
    heads = [(mode, tools) for mode, by in rows.items() for tools in by]
    tables = {(m, t): table(rows[m][t]) for m, t in heads}
    lines = ["| kind | " + " | ".join(f"{m} {t}" for m, t in heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for kind in (*KINDS_ASKED, "all"):
        cells = [f"{tables[h][kind]['accuracy']:.3f}" if kind in tables[h] else "-" for h in heads]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    for key in ("calls", "model_calls", "tokens", "ms"):
        lines.append(
            f"| {key} (median) | " + " | ".join(f"{tables[h]['cost'][key]:.0f}" for h in heads) + " |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
