"""Fifty questions at once through the async API: the answers that they get one by one, in memory that does not grow with them.

    python -m benchmarks.concurrent [--questions 50] [--workers 4] [--out benchmarks/out/concurrent.json]

The questions are of `benchmarks/mode_questions.py`, each about a picture of its own, every one in a session of its own. They are
asked in order first, then all at once; then all at once on pictures ten times as large, twice: the first time shows what the
larger pictures at work need, the second what is added by fifty questions more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mode_questions import ModeQuestion, mode_questions
from sightline.agent.agent import Agent
from sightline.agent.records import Limits, Style
from sightline.mllm.scenes.render import render
from sightline.tools.values import Image

STYLE = Style(length="short")
LIMITS = Limits(seconds=600.0)


def peak() -> float:
    """The most memory that this process held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def at_once(agent: Agent, asked: Sequence[tuple[Image, str]], prefix: str) -> list[Any]:
    return list(
        await asyncio.gather(
            *(
                agent.aask(image, question, session=f"{prefix}{n}", verify=False, style=STYLE, limits=LIMITS)
                for n, (image, question) in enumerate(asked)
            )
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/concurrent.json"))
    options = parser.parse_args(arguments)
    questions: list[ModeQuestion] = mode_questions(max(1, options.questions // 10))[: options.questions]
    asked = [(Image.from_array(render(q.scene).image), q.question) for q in questions]
    report: dict[str, Any] = {"questions": len(asked), "workers": options.workers}
    with Agent("starter", "scenes", workers=options.workers) as agent:
        agent.ask(*asked[0], verify=False, style=STYLE)  # the models are loaded
        started = time.perf_counter()
        alone = [agent.ask(image, q, verify=False, style=STYLE, limits=LIMITS) for image, q in asked]
        report["one_by_one_s"] = round(time.perf_counter() - started, 1)
        before = peak()
        started = time.perf_counter()
        together = asyncio.run(at_once(agent, asked, "small"))
        report["at_once_s"] = round(time.perf_counter() - started, 1)
        report["more_memory_mb"] = round(peak() - before, 1)
        report["right"] = sum(
            a.text.lower() == q.answer.lower() for a, q in zip(together, questions, strict=True)
        )
        report["as_one_by_one"] = sum(a.text == b.text for a, b in zip(alone, together, strict=True))
        histories = [agent.sessions.get(f"small{n}").history for n in range(len(asked))]
        report["sessions_with_their_own_words_alone"] = sum(
            [question for question, _ in history] == [q.question]
            for history, q in zip(histories, questions, strict=True)
        )
        large = [(Image.from_array(np.repeat(np.repeat(i.pixels, 10, 0), 10, 1)), q) for i, q in asked]
        report["held_by_the_caller_mb"] = round(sum(i.pixels.nbytes for i, _ in large) / 2**20, 1)
        for name in ("more_memory_large_mb", "more_memory_large_again_mb"):
            before = peak()
            asyncio.run(at_once(agent, large, name))
            report[name] = round(peak() - before, 1)
    print(json.dumps(report, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
