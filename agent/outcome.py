"""What a mode of the agent hands back: the value it reached, its facts and regions, and how it got there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..tools.values import Regions
from .controllers.base import Fact
from .records import Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one mode's work on a request.

    `value` is what was reached (a text, a number, regions, a picture ...); `text` a short answer in words where the mode
    has one, else None: then the answer is worded from `value`. `facts` are the evidence in words for the refiner,
    `evidence` the regions that the answer rests on, in pixels of the original pictures. `status` is "partial" where a
    limit cut the work off and "failed" where nothing came of it; `error` then says why in one line.
    """

    status: Status
    value: Any = None
    text: str | None = None
    facts: tuple[Fact, ...] = ()
    evidence: Regions = field(default_factory=Regions)
    program: str | None = None
    thoughts: tuple[str, ...] = ()
    error: str | None = None
