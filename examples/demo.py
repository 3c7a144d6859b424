"""What `make demo` runs: library programs on real photographs, offline, in the starter pack.

    python examples/demo.py [--out demo-out]

Prints each program, its steps with their milliseconds and its result; pictures are written below --out. Ends with exit
code 1 if a program fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from sightline.errors import SightlineError
from sightline.programs.engine import Engine
from sightline.programs.explain import explain
from sightline.programs.inputs import bind
from sightline.programs.library import find
from sightline.programs.outputs import to_json
from sightline.programs.results import ProgramResult, show
from sightline.tools.models import Models

HERE = Path(__file__).resolve().parent

# Library program, pictures, settings.
RUNS: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    ("read_half", ("page.png",), {"HALF": "TOP"}),
    ("highlight_word", ("page.png",), {"WORD": "markers"}),
    ("count_faces", ("zidane.jpg",), {}),
    ("redact_faces", ("astronaut.jpg",), {}),
    ("colorpop_click", ("coffee.jpg",), {"X": "290", "Y": "110"}),
)
PLANNED = ("redact_faces", "count_faces", "redact_faces_and_text")  # three programs, one plan

NEXT = """What to try next
  sightline programs                      all programs of the library, with an example call each
  sightline run tag_text examples/bus.jpg --out tagged
  sightline batch read_text YOUR_FOLDER --out texts
  sightline models list standard          the pack with a detector: what it needs, and what is on disk
  sightline run count examples/bus.jpg --pack standard --set OBJECT=person
  sightline doctor                        what works on this machine"""


def main() -> int:
    """Run all; the number of programs that failed."""
    parser = argparse.ArgumentParser(description="Run library programs on the example photographs.")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for the result pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    engine = Engine(Models.from_pack("starter"))
    failed = 0
    for name, pictures, settings in RUNS:
        try:
            failed += not run(engine, name, pictures, settings, out)
        except SightlineError as error:
            print(f"  failed: {error}\n")
            failed += 1
    plan(engine)
    print(
        f"{len(RUNS) - failed} of {len(RUNS)} programs done in {time.perf_counter() - started:.1f} s; ",
        end="",
    )
    print(f"pictures lie below {out}\n\n{NEXT}")
    return failed


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
