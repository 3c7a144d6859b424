"""`make bench`: what the engine gains over a plain interpreter, and how far it is from the bare cost of its model calls.

    python -m benchmarks.engine [--data ../shared/data] [--photos 50] [--out benchmarks/out/report.json]

Writes the keys engine_vs_sequential, engine_vs_limit, warm_vs_cold, programs_20_vs_1, step_overhead_us and
memory_2000_vs_200, with what each was computed from. All times are from one run on the same weights and photographs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sequential
from sightline.errors import SightlineError
from sightline.programs.cache import ResultCache
from sightline.programs.engine import Batch, Engine, Job
from sightline.programs.library import find
from sightline.programs.outputs import to_json
from sightline.programs.syntax import Program
from sightline.tools.declaration import Tool
from sightline.tools.models import Models
from sightline.tools.values import Image

# The first twenty programs of the library, by name, that use a model and read one picture. Fixed here so that a new
# library program does not change what is measured.
PROGRAMS = (
    "biggest_text", "blur_background", "blur_background_box", "color_click", "colorpop",
    "colorpop_click", "colors_of", "count", "count_faces", "count_in_half",
    "crop_faces", "crop_objects", "crop_text", "crowd_check", "cut_out_click",
    "emoji_faces", "find_word", "highlight", "highlight_word", "inventory",
)  # fmt: skip
# One program that uses the same models as the twenty: text, things with masks, faces, and a click.
ALL_MODELS = """TEXT0=OCR(image=IMAGE)
OBJ0=SEG(image=IMAGE)
FACE0=FACEDET(image=IMAGE)
OBJ1=SEGMENT(image=IMAGE,point=[{x},{y}])
ANSWER0=COUNT(box=TEXT0)
ANSWER1=COUNT(box=OBJ0)
ANSWER2=COUNT(box=FACE0)
ANSWER3=COUNT(box=OBJ1)
ANSWER4=EVAL(expr='{{ANSWER0}} + {{ANSWER1}} + {{ANSWER2}} + {{ANSWER3}}')
FINAL_RESULT=RESULT(var=ANSWER4)
"""
DETECTOR = {"backend": "ultralytics", "weights": "yolov8n-seg_from_int8.pt", "license": "AGPL-3.0"}


class Recorder(Engine):
    """An engine that notes every call of a tool with a model."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.recorded: dict[str, list[dict[str, Any]]] = {}

    def compute(self, tool: Tool, args: Sequence[dict[str, Any]]) -> Batch:
        if tool.roles:
            self.recorded.setdefault(tool.name, []).extend(args)
        return super().compute(tool, args)


def jobs(programs: Sequence[Program], photos: Sequence[Path]) -> list[Job]:
    return [Job(str(photo), tuple(programs), {program_input(programs): str(photo)}) for photo in photos]


def program_input(programs: Sequence[Program]) -> str:
    (name,) = {name for program in programs for name in program.inputs}
    return name


def timed(engine: Engine, work: Sequence[Job]) -> tuple[float, dict[str, list[Any]]]:
    """Seconds, and the results' values by photograph; the cache is on disk when the clock stops."""
    started = time.perf_counter()
    found = {}
    for job in engine.stream(work):
        if job.error is not None:
            raise SystemExit(f"{job.key}: {job.error.message}")
        found[job.key] = [
            r.value if r.ok else f"{r.errors[0].op}: {r.errors[0].message}" for r in job.results
        ]
    return time.perf_counter() - started, found


def plain(value: Any) -> str:
    return json.dumps(to_json(value, None, ""), sort_keys=True)


def compare(photos: Sequence[Path], models: Models, folder: Path) -> dict[str, Any]:
    """The four ratios over programs and photographs, and the check that all ways give equal results."""
    programs = [find(name).program() for name in PROGRAMS]
    warmup = Engine(models)
    checked = [warmup.check(program) for program in programs]
    timed(warmup, jobs(checked, photos[:2]))  # loads the models, which is no part of any figure

    def sequential_run() -> tuple[float, dict[str, list[Any]]]:
        started = time.perf_counter()
        found: dict[str, list[Any]] = {}
        for photo in photos:
            found[str(photo)] = []
            for program in checked:
                try:
                    value = sequential.run(
                        program, {program_input([program]): photo}, warmup.registry, models
                    )
                except SightlineError as error:
                    value = f"{type(error).__name__}"
                found[str(photo)].append(value)
        return time.perf_counter() - started, found

    cold_cache = ResultCache(folder / "cold")
    recorder = Recorder(models, cache=cold_cache)
    cold_seconds, cold = timed(recorder, jobs(checked, photos))
    cold_cache.close()

    limit_seconds = bare_limit(photos, recorder.recorded, recorder, models)

    warm_cache = ResultCache(folder / "cold")
    warm_seconds, warm = timed(Engine(models, cache=warm_cache), jobs(checked, photos))
    warm_cache.close()

    width = min(Image.open(photo).width for photo in photos)
    height = min(Image.open(photo).height for photo in photos)
    single = warmup.check(ALL_MODELS.format(x=min(160, width - 1), y=min(120, height - 1)))
    one_cache = ResultCache(folder / "one")
    one_seconds, _ = timed(Engine(models, cache=one_cache), jobs([single], photos))
    one_cache.close()

    sequential_seconds, plainly = sequential_run()
    failed = sum(
        isinstance(v, str) and ": " in v and v.split(":")[0].isupper() for vs in cold.values() for v in vs
    )
    differing = []
    for key in cold:
        for name, a, b, c in zip(PROGRAMS, cold[key], plainly[key], warm[key], strict=True):
            if plain(a) != plain(c) or (plain(a) != plain(b) and not isinstance(a, str)):
                differing.append(f"{name} on {Path(key).name}")
    return {
        "engine_vs_sequential": round(sequential_seconds / cold_seconds, 2),
        "engine_vs_limit": round(limit_seconds / cold_seconds, 3),
        "warm_vs_cold": round(cold_seconds / warm_seconds, 1),
        "programs_20_vs_1": round(cold_seconds / one_seconds, 2),
        "seconds": {
            "sequential": round(sequential_seconds, 2),
            "engine_cold": round(cold_seconds, 2),
            "bare_limit": round(limit_seconds, 2),
            "engine_warm": round(warm_seconds, 3),
            "one_program_cold": round(one_seconds, 2),
        },
        "programs": list(PROGRAMS),
        "photos": len(photos),
        "distinct_model_calls": {name: len(calls) for name, calls in sorted(recorder.recorded.items())},
        "program_failures": failed,
        "results_that_differ": differing,
    }


def bare_limit(
    photos: Sequence[Path], recorded: dict[str, list[dict[str, Any]]], engine: Engine, models: Models
) -> float:
    """Seconds to decode every photograph once and make each distinct model call once, in the largest batches."""
    gc.collect()
    started = time.perf_counter()
    for photo in photos:
        _ = Image.open(photo).pixels
    for name, calls in recorded.items():
        tool = engine.registry[name]
        for start in range(0, len(calls), tool.batch):
            tool.run(calls[start : start + tool.batch], models)
    return time.perf_counter() - started


def step_overhead(models: Models) -> float:
    """Microseconds of engine time a step, over programs of many cheap steps and no model."""
    lines = ["BOX0=LOC(image=IMAGE,object='TOP')", "C0=COUNT(box=BOX0)"]
    lines += [f"C{i + 1}=EVAL(expr='{{C{i}}} + 1')" for i in range(200)]
    engine = Engine(models)
    program = engine.check("\n".join([*lines, "R=RESULT(var=C200)"]))
    image = Image.from_array(np.zeros((32, 32, 3), np.uint8))
    work = [Job(i, (program,), {"IMAGE": image}) for i in range(100)]
    list(engine.stream(work[:10]))
    best = min(_seconds(engine, work) for _ in range(5))
    return best / (len(work) * len(program.steps)) * 1e6


def _seconds(engine: Engine, work: Sequence[Job]) -> float:
    started = time.perf_counter()
    for _ in engine.stream(work):
        pass
    return time.perf_counter() - started


MEMORY_SCRIPT = f"""
import resource, sys
from pathlib import Path
from benchmarks.engine import Engine, Job, Models
models = Models.from_pack("starter", sys.argv[1], {{"detector": {DETECTOR!r}}})
engine = Engine(models)
program = engine.check("BOX0=LOC(image=IMAGE,object='person')\\nI=BLUR(image=IMAGE,object=BOX0)\\nR=RESULT(var=I)")
photos = sorted(Path(sys.argv[2]).iterdir())
count = int(sys.argv[3])
jobs = (Job(i, (program,), {{"IMAGE": str(photos[i % len(photos)])}}) for i in range(count))
done = sum(job.results[0].ok for job in engine.stream(jobs))
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(photos: Sequence[Path], weights: Path, folder: Path) -> dict[str, Any]:
    """Peak resident memory of whole processes over 200 and over 2,000 pictures (the photographs again and again)."""
    place = folder / "photos"
    place.mkdir()
    for photo in photos:
        shutil.copy(photo, place)
    peaks = {}
    for count in (200, 2000):
        command = [sys.executable, "-c", MEMORY_SCRIPT, str(weights), str(place), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        finished, peak = done.stdout.split()[-2:]
        assert int(finished) == count
        peaks[count] = int(peak) / 1024
    return {
        "memory_2000_vs_200": round(peaks[2000] / peaks[200], 3),
        "peak_mib": {str(count): round(peak) for count, peak in peaks.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root = Path(__file__).resolve().parent.parent
    default = Path(os.environ.get("SIGHTLINE_DATA", root.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--out", type=Path, default=root / "benchmarks" / "out" / "report.json")
    parser.add_argument(
        "--skip-memory", action="store_true", help="leave out the 2,000 pictures (two minutes)"
    )
    options = parser.parse_args()
    weights = options.data / "weights"
    photos = sorted((options.data / "photos" / "coco_val128").glob("*.jpg"))[: options.photos]
    if not photos or not (weights / DETECTOR["weights"]).exists():
        raise SystemExit(f"the benchmark needs photographs and weights below {options.data}; give --data DIR")
    models = Models.from_pack("starter", weights, {"detector": DETECTOR})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = compare(photos, models, folder)
        report["step_overhead_us"] = round(step_overhead(models), 1)
        if not options.skip_memory:
            report |= memory(photos, weights, folder)
    report["machine"] = {"cores": len(os.sched_getaffinity(0)), "python": sys.version.split()[0]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
