"""The ladder: where a mode cannot or fails, the next one is tried, and the trace says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from ..errors import SightlineError
from ..mllm.cutoff import current
from .budget import Budget
from .endings import emptiness
from .errors import LimitReached, Unreachable
from .events import Recorder
from .outcome import Outcome
from .records import Mode, Request, Status

LADDER: Mapping[Mode, tuple[Mode, ...]] = {
    "program": ("program", "react", "direct"),
    "react": ("react", "direct"),
    "decompose": ("decompose", "react", "direct"),
    "direct": ("direct",),
}


class Rung(Protocol):
    """One mode at work on a request; it raises a SightlineError or gives a failed Outcome where it comes to nothing."""

    def __call__(self) -> Outcome: ...


def climb(
    start: Mode, rungs: Mapping[Mode, Rung], recorder: Recorder, request: Request, *, fall_back: bool = True
) -> tuple[Mode, Outcome]:
    """The first mode from `start` on that comes to something, and its outcome.

    Where none does, the outcome is the first mode's failure, with every reason; where a limit ends the work it is "partial"
    if something is known by then.
    """
    best: tuple[Mode, Outcome] | None = None
    reasons: list[str] = []
    order = LADDER[start] if fall_back else LADDER[start][:1]
    alone = False  # there is no language model to ask: what it is needed for is left out
    for number, mode in enumerate(order):
        if alone and mode != "direct":
            continue
        try:
            outcome = rungs[mode]()
        except LimitReached as error:
            return _cut_off(mode, best, str(error))
        except SightlineError as error:
            alone = alone or isinstance(error, Unreachable)
            recorder.emit("error", message=str(error), traceback=None, where=mode)
            outcome = Outcome("failed", error=str(error))
        if outcome.status == "done" and (empty := emptiness(outcome)):
            outcome = replace(outcome, status="failed", error=empty)
        if outcome.status != "failed":
            return mode, outcome
        reason = outcome.error or "it came to nothing"
        reasons.append(f"{mode}: {reason}")
        if best is None:
            best = (mode, outcome)
        if number + 1 < len(order) or current().due:
            try:
                Budget(request.limits, recorder).check()
            except LimitReached as error:
                return _cut_off(mode, best, str(error))
        if number + 1 < len(order):
            following = order[-1] if alone else order[number + 1]
            recorder.emit("fallback", **{"from": mode, "to": following, "why": reason})
    assert best is not None
    mode, first = best
    why = first.error if len(reasons) == 1 else "; ".join(reasons)
    return mode, Outcome(
        "failed", facts=first.facts, evidence=first.evidence, program=first.program, thoughts=first.thoughts,
        error=why,
    )  # fmt: skip


def _cut_off(mode: Mode, best: tuple[Mode, Outcome] | None, why: str) -> tuple[Mode, Outcome]:
    """What is known when a limit is reached."""
    known = best[1] if best is not None else Outcome("failed")
    if best is not None:
        mode = best[0]
    status: Status = "partial" if known.facts or known.evidence else "failed"
    return mode, Outcome(
        status, facts=known.facts, evidence=known.evidence, program=known.program, thoughts=known.thoughts, error=why
    )  # fmt: skip
