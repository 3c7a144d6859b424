"""What `make demo` runs, offline: a question about a drawn scene, then library programs on real photographs.

    python examples/demo.py [--out demo-out]

Prints the question, the program that answers it, its steps with their milliseconds, the answer and where its trace lies;
then each library program with its result. Traces and pictures are written below --out. Ends with exit code 1 if an answer is
not the right one or a program fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from sightline.agent.agent import Agent
from sightline.agent.records import Answer
from sightline.cli.telling import tell
from sightline.errors import SightlineError
from sightline.programs.engine import Engine
from sightline.programs.explain import explain
from sightline.programs.inputs import bind
from sightline.programs.library import find
from sightline.programs.outputs import to_json
from sightline.programs.results import ProgramResult, show
from sightline.tools.models import Models

HERE = Path(__file__).resolve().parent

# A question about scene.png, and what its answer comes to.
QUESTIONS: tuple[tuple[str, object], ...] = (("How many dogs are there?", 2), ("猫在公交车的下面吗？", "yes"))
# Library program, pictures, settings.
RUNS: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    ("highlight_word", ("page.png",), {"WORD": "markers"}),
    ("redact_faces", ("astronaut.jpg",), {}),
    ("count", ("zidane.jpg",), {"OBJECT": "person"}),
)
PLANNED = ("redact_faces", "count_faces", "redact_faces_and_text")  # three programs, one plan

NEXT = """What to try next (first: source .venv/bin/activate)
  sightline ask examples/scene.png "What color is the umbrella?" --pack scenes
  sightline ask YOUR_PHOTO.jpg "How many people are in the picture?"
  sightline programs                      all programs of the library, with an example call each
  sightline run tag_text examples/bus.jpg --out tagged
  sightline batch read_text YOUR_FOLDER --out texts
  sightline models list standard          the pack with larger models: what it needs, and what is on disk
  sightline doctor                        what works on this machine"""


def main() -> int:
    """Run all; the number of programs that failed."""
    parser = argparse.ArgumentParser(description="Ask questions and run library programs.")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for the result pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    failed = sum(not right for right in ask(out / "traces"))
    engine = Engine(Models.from_pack("starter"))
    for name, pictures, settings in RUNS:
        try:
            failed += not run(engine, name, pictures, settings, out)
        except SightlineError as error:
            print(f"  failed: {error}\n")
            failed += 1
    plan(engine)
    everything = len(QUESTIONS) + len(RUNS)
    print(
        f"{everything - failed} of {everything} done ({len(QUESTIONS)} questions, {len(RUNS)} programs) "
        f"in {time.perf_counter() - started:.1f} s; ",
        end="",
    )
    print(f"pictures and traces lie below {out}\n\n{NEXT}")
    return failed


def ask(traces: Path) -> list[bool]:
    """Ask the questions, show how each is answered; whether each answer is right."""
    right = []
    with Agent("starter", "scenes", traces=traces) as agent:
        for question, value in QUESTIONS:
            print(f'$ sightline ask examples/scene.png "{question}" --pack scenes')
            for item in agent.stream(HERE / "scene.png", question):
                if isinstance(item, Answer):
                    print(f"= {item.grounded}" if item.status == "done" else f"failed: {item.error}")
                    print(
                        f"trace {item.trace} in {traces}: sightline trace show {item.trace} --traces {traces}\n"
                    )
                    right.append(item.value == value)
                else:
                    tell(item, print)
    return right


def run(engine: Engine, name: str, pictures: tuple[str, ...], settings: dict[str, str], out: Path) -> bool:
    """One program on its pictures, shown step by step; whether it ended as done."""
    item = find(name)
    chosen = "".join(f" --set {key}={value}" for key, value in settings.items())
    print(f"{name}: {item.description}")
    print(f"  $ sightline run {name} {' '.join(f'examples/{picture}' for picture in pictures)}{chosen}")
    program = engine.check(item.program(settings))
    print("".join(f"    {line}\n" for line in program.text.splitlines()), end="")
    (inputs,) = bind(program, [HERE / picture for picture in pictures])
    job = engine.run(program, inputs)
    if job.error is not None:
        print(f"  failed: {job.error.message}\n")
        return False
    (result,) = job.results
    report(result, to_json(result.value, out, f"{name}-{Path(pictures[0]).stem}") if result.ok else None, out)
    return result.ok


def report(result: ProgramResult, written: Any, out: Path) -> None:
    """Steps, errors, the result, and the files it became."""
    for step in result.steps:
        note = step.error or (show(step.value, 70) if step.value is not None else "")
        print(f"  {step.name:<13} {step.op:<10} {step.status:<7} {step.ms:>8.1f} ms  {note}")
    for error in result.errors:
        print(f"  failed: {error.step} ({error.op}): {error.message}")
    if result.ok and isinstance(result.value, str):
        print("".join(f"  | {line}\n" for line in result.value.splitlines()), end="")
    elif result.ok:
        print(f"  = {show(result.value)}")
    if isinstance(written, dict) and "file" in written:
        print(f"  written to {out / written['file']}")
    print()


def plan(engine: Engine) -> None:
    """The one plan that several programs share: equal steps are merged, so faces are looked for once."""
    print(f"The plan of {', '.join(PLANNED)} on one picture ($ sightline explain {' '.join(PLANNED)})")
    programs = [engine.check(find(name).program()) for name in PLANNED]
    print("".join(f"  {line}\n" for line in explain(engine, programs).text().splitlines()))


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
