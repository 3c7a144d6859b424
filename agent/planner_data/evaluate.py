"""How well a planner plans: exact match, well-formedness, and the same results as the right program on oracle tools.

python -m sightline.agent.planner_data.evaluate --requests gold.jsonl --plans plans.jsonl --json report.json
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import InputError, SightlineError
from ...programs.checker import checked
from ...programs.engine import Engine
from ...programs.expressions import rename_slots
from ...programs.printer import print_step
from ...programs.results import ProgramResult
from ...programs.syntax import EXPRESSIONS, Argument, ListOf, Literal, Name, Program, ProgramError, Step
from ...tools.registry import default_registry
from ...tools.values import Image, Region, Regions
from ..oracle import Stage, oracle_models
from ..plan_quality import acts_of_program, score
from .settings import draw_plainly, scenes_for
from .stream import PlannerExample

Plan = Callable[[list[str]], list[str]]

HELD_OUT = Path(__file__).resolve().parent / "held_out" / "requests.jsonl"  # written apart from the templates


def canonical(program: Program) -> str:
    """The program with names by order, arguments by name and dead steps kept: equal up to names means equal here."""
    names: dict[str, str] = {}
    lines = []
    for number, step in enumerate(program.steps):
        arguments = sorted((key, _renamed(value, names, step.op, key)) for key, value in step.args)
        names[step.name] = f"V{number}"
        lines.append(print_step(Step(names[step.name], step.op, tuple(arguments))))
    return "\n".join(lines)


def _renamed(value: Argument, names: dict[str, str], op: str, key: str) -> Argument:
    if isinstance(value, Name):
        return Name(names.get(value.id, value.id))
    if isinstance(value, ListOf):
        return ListOf(tuple(Name(names.get(i.id, i.id)) if isinstance(i, Name) else i for i in value.items))
    if EXPRESSIONS.get(op) == key and isinstance(value.value, str):
        return Literal(rename_slots(value.value, names))
    return value


@dataclass
class Judge:
    """Compares programs on oracle tools. `scenes` pairs of scenes are made for each right program, from `seed`."""

    scenes: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        self.registry = default_registry()
        self.stage = Stage()
        self._compared = 0
        self.engine = Engine(oracle_models(self.stage), self.registry)

    def parse(self, text: str) -> Program | None:
        """The checked program, or None where it is ill-formed."""
        try:
            return checked(text, self.registry)
        except ProgramError:
            return None

    def same_results(self, right: Program, planned: Program) -> bool:
        """Whether both give the same on every scene. Scenes where both fail say nothing; at least one must speak."""
        if canonical(right) == canonical(planned):
            return True
        self._compared += 1
        if self._compared % 256 == 0:  # an engine keeps the plan of every program it has seen
            self.engine = Engine(oracle_models(self.stage), self.registry)
        spoken = 0
        for one, two in scenes_for(right, f"judge {self.seed} {right.digest}", self.scenes):
            images = [draw_plainly(one), draw_plainly(two)]
            self.stage.clear()
            for scene, image in zip((one, two), images, strict=True):
                self.stage.add(scene, image)
            inputs = {"IMAGE": images[0], "LEFT": images[0], "RIGHT": images[1], "IMAGES": images}
            job = self.engine.run([right, planned], inputs, observe=False)
            first, second = job.results
            if not first.ok and not second.ok:
                continue
            if not _equal(first, second):
                return False
            spoken += 1
        return spoken > 0


def _equal(one: ProgramResult, two: ProgramResult) -> bool:
    return one.ok and two.ok and _plain(one.value) == _plain(two.value)


def _plain(value: Any) -> Any:
    """A value as something comparable: regions by place, pictures by content, texts without case."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return round(float(value), 4)
    if isinstance(value, str):
        return " ".join(value.lower().split())
    if isinstance(value, Image):
        return ("image", value.size, value.hash)
    if isinstance(value, Region):
        return [("region", tuple(round(v) for v in value.box))]
    if isinstance(value, Regions):
        return sorted(("region", tuple(round(v) for v in region.box)) for region in value)
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return items[0] if len(items) == 1 else items
    return value


def evaluate_planner(
    plan: Plan,
    examples: Iterable[PlannerExample],
    *,
    scenes: int = 12,
    seed: int = 0,
    batch: int = 64,
    group: Callable[[PlannerExample], str] = lambda example: example.language,
) -> dict[str, Any]:
    """Plan every request and judge the programs.

    Args:
        plan: requests in, program texts out, in order; a batch at a time.
        examples: requests with their right programs.
        scenes: pairs of scenes on which two programs that differ are compared.
        seed: of the scenes and of the bootstrap.
        batch: requests handed to `plan` at once.
        group: a label for each example; figures are given for all, by this label, and by family.

    Returns:
        {"all": figures, "groups": {label: figures}, "families": {...}, "failures": [...]} with figures
        {"n", "exact", "well_formed", "execution", "worded_freely", "thought", "action", "arguments", "overall" (plan
        quality as GPT4Tools reports it), "ci": [low, high] of execution (95%, bootstrap)};
        `worded_freely` is execution with free texts (questions, LIST queries, REPLACE prompts) left out.
    """
    rows = list(examples)
    if not rows:
        raise InputError("planner evaluation: no examples; give at least one")
    plans: list[str] = []
    for start in range(0, len(rows), batch):
        requests = [row.request for row in rows[start : start + batch]]
        made = plan(requests)
        if len(made) != len(requests):
            raise InputError(f"the planner gave {len(made)} programs for {len(requests)} requests")
        plans.extend(made)
    judge = Judge(scenes, seed)
    marks = [_mark(judge, row, text) for row, text in zip(rows, plans, strict=True)]
    by_group: dict[str, list[Mark]] = {}
    by_family: dict[str, list[Mark]] = {}
    for row, mark in zip(rows, marks, strict=True):
        by_group.setdefault(group(row), []).append(mark)
        by_family.setdefault(row.family, []).append(mark)
    failures = [
        {
            "request": row.request,
            "planned": text,
            "right": row.program,
            "family": row.family,
            "formed": mark.well_formed,
        }
        for row, text, mark in zip(rows, plans, marks, strict=True)
        if not mark.execution
    ]
    return {
        "all": _figures(marks, seed),
        "groups": {name: _figures(part, seed) for name, part in sorted(by_group.items())},
        "families": {name: _figures(part, seed) for name, part in sorted(by_family.items())},
        "failures": failures,
    }


class Mark(NamedTuple):
    """How one planned program fared, against the right program and its alternatives."""

    exact: bool
    well_formed: bool
    execution: bool
    worded_freely: bool  # the same results when questions, queries and prompts in free words are left out
    thought: float = 0.0  # plan quality (see `plan_quality`) against the right program that it is nearest to
    action: float = 0.0
    arguments: float = 0.0
    overall: float = 0.0


def _mark(judge: Judge, row: PlannerExample, text: str) -> Mark:
    rights = [judge.parse(program) for program in (row.program, *row.alternatives)]
    if any(right is None for right in rights):
        raise InputError(f"a right program for {row.request!r} is ill-formed; correct the example")
    made = acts_of_program(text)
    quality = max(
        (score(acts_of_program(program), made) for program in (row.program, *row.alternatives)),
        key=lambda q: (q.overall, q.action, q.arguments),
    )
    marks = (quality.thought, quality.action, quality.arguments, quality.overall)
    planned = judge.parse(text)
    if planned is None:
        return Mark(False, False, False, False, *marks)
    known = [right for right in rights if right is not None]
    exact = any(canonical(right) == canonical(planned) for right in known)
    same = exact or any(judge.same_results(right, planned) for right in known)
    loose = same or any(judge.same_results(_unworded(right), _unworded(planned)) for right in known)
    return Mark(exact, True, same, loose, *marks)


_FREE_TEXTS = {("VQA", "question"), ("ASK", "question"), ("LIST", "query"), ("REPLACE", "prompt")}


def _unworded(program: Program) -> Program:
    """The program with every text that has many good wordings replaced by one and the same."""
    steps = []
    for step in program.steps:
        args = tuple((k, Literal("free text") if (step.op, k) in _FREE_TEXTS else v) for k, v in step.args)
        steps.append(replace(step, args=args))
    return Program(tuple(steps))


def _figures(marks: Sequence[Mark], seed: int, resamples: int = 1000) -> dict[str, Any]:
    count = len(marks)
    hits = [int(mark.execution) for mark in marks]
    rng = random.Random(seed)
    means = sorted(sum(rng.choices(hits, k=count)) / count for _ in range(resamples))
    shares = {name: round(sum(getattr(m, name) for m in marks) / count, 4) for name in Mark._fields}
    low, high = means[int(0.025 * resamples)], means[int(0.975 * resamples)]
    return {"n": count, **shares, "ci": [round(low, 4), round(high, 4)]}


def read_examples(path: str | Path) -> list[PlannerExample]:
    """Rows {"request", "program", ...} of a JSON-lines file; what is missing is left empty."""
    rows = []
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append(
                PlannerExample(
                    str(row["request"]),
                    str(row["program"]),
                    str(row.get("family", "")),
                    str(row.get("phrasing", "")),
                    str(row.get("language", "en")),
                    tuple(row.get("nouns", ())),
                    tuple(row.get("alternatives", ())),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}: a row needs 'request' and 'program' ({error})"
            ) from error
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Judge plans written to a file (rows with "program", in the order of the requests); 0 when done, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m sightline.agent.planner_data.evaluate", description=__doc__
    )
    parser.add_argument("--requests", required=True, help="JSON lines with request and program")
    parser.add_argument(
        "--plans", required=True, help="JSON lines with the planned program, in the same order"
    )
    parser.add_argument("--scenes", type=int, default=12, help="pairs of scenes a comparison")
    parser.add_argument("--seed", type=int, default=0, help="of scenes and bootstrap")
    parser.add_argument("--json", default="-", help="where to write the report; - for standard output")
    options = parser.parse_args(arguments)
    try:
        examples, plans = read_examples(options.requests), read_examples_programs(options.plans)
        if len(plans) != len(examples):
            raise InputError(
                f"{options.plans} has {len(plans)} plans for {len(examples)} requests; give one for each"
            )
        supply = iter(plans)
        report = evaluate_planner(
            lambda requests: [next(supply) for _ in requests],
            examples,
            scenes=options.scenes,
            seed=options.seed,
        )
        text = json.dumps(report, ensure_ascii=False, indent=1)
        if options.json == "-":
            print(text)
        else:
            Path(options.json).write_text(text + "\n", "utf-8")
    except (SightlineError, OSError) as error:
        print(f"planner evaluation: {error}", file=sys.stderr)
        return 2
    return 0


def read_examples_programs(path: str | Path) -> list[str]:
    """The "program" of each row of a JSON-lines file."""
    programs = []
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        if line.strip():
            try:
                programs.append(str(json.loads(line)["program"]))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path}, line {number}: a row needs 'program' ({error})") from error
    return programs


if __name__ == "__main__":
    raise SystemExit(main())
