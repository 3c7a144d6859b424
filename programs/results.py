"""What a run reports: for every program its value, for every step a status, a timing and an error if it had one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from ..tools.values import Image, Mask, Region, Regions

DONE, CACHED, FAILED, SKIPPED = "done", "cached", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class StepError:
    """Why a step failed. `traceback` is kept where the failure was not one that Sightline raises on purpose."""

    step: str
    op: str
    message: str
    kind: str = ""  # the exception's class
    traceback: str | None = None

    def to_json(self) -> dict[str, Any]:
        data = {"step": self.step, "op": self.op, "message": self.message, "kind": self.kind}
        return data | ({"traceback": self.traceback} if self.traceback else {})


@dataclass(frozen=True, slots=True)
class StepReport:
    """One line of a program after the run.

    `ms` is its share of the batch that it ran in, `batch` how many calls that batch had. A step is `skipped` where
    nothing needed it: a branch not taken, a dead line, or one below a result that the cache held.
    """

    name: str
    op: str
    status: str
    ms: float = 0.0
    cached: bool = False
    batch: int = 0
    value: Any = field(default=None, repr=False)
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        data = {
            "name": self.name,
            "op": self.op,
            "status": self.status,
            "ms": round(self.ms, 3),
            "cached": self.cached,
            "batch": self.batch,
        }
        return data | ({"error": self.error} if self.error else {})


class Watch(Protocol):
    """Who is told of a job's steps while it runs, on the thread that runs the engine. `program` is the place in the job.

    A step that no model works on is only told as finished; one that is skipped, when its job is done.
    """

    def started(self, program: int, step: str, op: str) -> None: ...

    def finished(self, program: int, report: StepReport) -> None: ...


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """One program on one set of inputs: `status` is done or failed; `value` is None where it failed."""

    status: str
    value: Any
    steps: tuple[StepReport, ...]
    errors: tuple[StepError, ...] = ()

    @property
    def ok(self) -> bool:
        return self.status == DONE

    @property
    def ms(self) -> float:
        """Milliseconds of its steps; a step shared with other programs counts in each."""
        return sum(step.ms for step in self.steps)


@dataclass(frozen=True, slots=True)
class JobResult:
    """All programs of one job, in the job's order. `error` is set where the inputs themselves could not be read."""

    key: Any
    results: tuple[ProgramResult, ...]
    inputs: dict[str, Any] = field(default_factory=dict)
    error: StepError | None = None


def kind_of(value: Any) -> str:
    """The name of a value's kind, as `--json` and the Parquet file give it."""
    if isinstance(value, Image):
        return "image"
    if isinstance(value, Region):
        return "region"
    if isinstance(value, Regions):
        return "regions"
    if isinstance(value, Mask):
        return "mask"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    if value is None:
        return "nothing"
    if isinstance(value, list | tuple) and value and all(isinstance(item, Image) for item in value):
        return "images"
    return "list"


def show(value: Any, limit: int = 300) -> str:
    """A value in one line, for a terminal."""
    if isinstance(value, Image):
        text = f"picture {value.width}x{value.height}"
    elif isinstance(value, Region):
        box = ", ".join(f"{v:.0f}" for v in value.box)
        name = value.label or "region"
        said = f" '{value.text}'" if value.text else ""
        text = f"{name}{said} {value.score:.2f} [{box}]"
    elif isinstance(value, Regions | list | tuple):
        text = f"[{'; '.join(show(item, 80) for item in value)}]"
    elif isinstance(value, float):
        text = f"{value:g}"
    else:
        text = str(value)
    text = text.replace("\n", " ")
    return text if len(text) <= limit else text[: limit - 1] + "…"
