"""The engine: many (programs, picture) jobs at once, their steps batched by tool across programs and pictures.

One scheduler on the caller's thread: jobs are let in while there is room, every step without a model runs at once, steps
with one wait in their tool's queue, and the fullest queues run as batches, batches of different models side by side on a
few worker threads. The number of pictures in flight is bounded, so memory does not grow with the folder.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ImageError, InputError, SightlineError
from ..mllm.cutoff import CutOff, current, held
from ..tools import types
from ..tools.backends.common import is_out_of_memory
from ..tools.declaration import Tool
from ..tools.models import Models
from ..tools.pack import Policy
from ..tools.registry import Registry, default_registry
from ..tools.roles import vocabularies_of
from ..tools.values import Image, digest
from ..tools.wanted import Want, wants
from .cache import ResultCache
from .checker import checked
from .optimise import optimise
from .recovery import attempt, let_go, narrower
from .results import JobResult
from .scheduler import Batch, Job, Stream
from .syntax import Program
from .template import Template

PLANS_KEPT = 256  # a service that plans anew for every question must not grow


@dataclass
class Stats:
    """Counts over an engine's life: calls and milliseconds by tool, largest batch, batches halved for memory."""

    calls: dict[str, int] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)
    largest: dict[str, int] = field(default_factory=dict)
    halved: int = 0
    decoded: int = 0

    def add(self, tool: str, calls: int, ms: float) -> None:
        self.calls[tool] = self.calls.get(tool, 0) + calls
        self.ms[tool] = self.ms.get(tool, 0.0) + ms
        self.largest[tool] = max(self.largest.get(tool, 0), calls)


class Engine:
    """Runs checked programs.

    Args:
        models: role fillers; the `starter` pack if not given.
        registry: tools in force; built-in and installed ones if not given.
        cache: where results are kept across runs; None keeps nothing.
        images_in_flight: most jobs at work at once.
        workers: batches of different models that run at the same time; two where there are two cores.
        policies: what to do by role when a call fails; `Policy()` where a role has none.
    """

    def __init__(
        self,
        models: Models | None = None,
        registry: Registry | None = None,
        cache: ResultCache | None = None,
        *,
        images_in_flight: int = 32,
        workers: int | None = None,
        policies: Mapping[str, Policy] | None = None,
    ) -> None:
        self.models = models if models is not None else Models.from_pack("starter")
        self.registry = registry if registry is not None else default_registry()
        self.cache = cache
        self.images_in_flight = max(1, images_in_flight)
        self.workers = max(1, workers if workers is not None else min(2, os.cpu_count() or 1))
        self.policies = dict(policies or {})
        self.stats = Stats()
        self._templates: dict[tuple[object, ...], Template] = {}
        self._vocabularies: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._batch_limits: dict[str, int] = {}  # lowered where memory ran out
        self._stats_lock = threading.Lock()
        # a model is not safe to run from two threads; different models are
        self._role_locks: dict[str, threading.Lock] = {}

    # -- public -----------------------------------------------------------------------------------------------

    def check(self, program: str | Program) -> Program:
        """The program, checked against this engine's tools; raises ProgramError with everything that is wrong."""
        return checked(program, self.registry)

    def run(
        self,
        programs: str | Program | Sequence[str | Program],
        inputs: Mapping[str, Any],
        *,
        observe: bool = True,
    ) -> JobResult:
        """Run one or several programs on one set of inputs and wait for the result.

        With `observe` every live step is computed, so that all values can be looked at; without, only what the results
        need. Raises ProgramError for a program that cannot run; what goes wrong while running stands in the result.
        """
        many = [programs] if isinstance(programs, str | Program) else list(programs)
        job = Job(0, tuple(self.check(program) for program in many), inputs)
        (result,) = self.stream([job], observe=observe)
        return result

    def stream(self, jobs: Iterable[Job], *, observe: bool = False) -> Iterator[JobResult]:
        """Run jobs as they come and yield each as it is done, not always in order. Reads ahead of what it yields by at
        most twice `images_in_flight` jobs."""
        yield from Stream(self, iter(jobs), observe).run()

    def plan(self, programs: Sequence[Program]) -> Template:
        """The optimised plan of checked programs, kept for the next job that has the same ones."""
        # other fillers mean other routes and other cache keys, so a plan holds only as long as the roles' fillers do
        key = (self.models.generation, *(program.digest for program in programs))
        template = self._templates.get(key)
        if template is None or any(
            a.source != b.source for a, b in zip(template.plan.programs, programs, strict=True)
        ):
            template = Template(optimise(programs, self.registry, self), self.registry, self._weights)
            if len(self._templates) >= PLANS_KEPT:
                self._templates.clear()
            # planning may have fetched weights, which is a new generation
            self._templates[(self.models.generation, *key[1:])] = template
        return template

    def route(self, names: Sequence[str]) -> tuple[Want, ...] | str | None:
        """Which model finds these names: what to pick from the detector, 'open_vocabulary', or None (see `Router`)."""
        exact = self.models.has("open_vocabulary")
        try:
            vocabularies = self._vocabularies_of("detector") if self._named("detector") else ()
        except SightlineError:
            return None  # a detector that cannot be had: LOC itself fails, with the line that says what to do
        found = [wants(names, vocabulary, exact=exact) for vocabulary in vocabularies]
        if found and all(found):  # in a picture of any sort: a label of another sort is not found there
            return tuple(dict.fromkeys(want for wanted in found for want in wanted or ()))
        return "open_vocabulary" if exact and not any(found) else None

    def detects(self) -> bool:
        """Whether something fills the detector role (see `Router`)."""
        return self._named("detector")

    # -- inside -----------------------------------------------------------------------------------------------

    def _named(self, role: str) -> bool:
        """Whether something fills the role, on disk or to be fetched when it is used."""
        return self.models.has(role) or self.models.spec(role) is not None

    def _weights(self, tool: Tool) -> str | None:
        """The digests of every weight that a tool may use; part of its results' keys.

        None where some are still to be downloaded: a plan must not fetch what a branch not taken, or a role that is never
        asked, would need. What such a tool gives is not kept; once its weights are there, jobs are planned anew.
        """
        parts = []
        for role in tool.roles:
            if self.models.to_fetch(role):
                return None
            try:
                parts.append(f"{role} {self.models.weights(role)}")
            except SightlineError:  # not to be had: such a call gives no result that could be kept
                parts.append(f"{role} none")
        return " ".join(parts)

    def _vocabularies_of(self, role: str) -> tuple[tuple[str, ...], ...]:
        """A detector's names, for each sort of picture that it tells apart; kept in the cache by weights digest, so that a
        cached run loads no model."""
        weights = self.models.weights(role)
        if weights not in self._vocabularies:
            key = digest("vocabularies", weights)
            stored = self.cache.get_many([key]) if self.cache else {}
            if self.cache is not None and key in stored:
                names = tuple(map(tuple, self.cache.decode(stored[key])))
            else:
                names = vocabularies_of(self.models.get(role, op="LOC"))
                if self.cache is not None:
                    self.cache.put(key, [list(some) for some in names])
            self._vocabularies[weights] = names
        return self._vocabularies[weights]

    def _load_inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._load_input(value) for name, value in inputs.items()}

    def _load_input(self, value: Any) -> Any:
        """A path becomes an Image (lazy where the cache knows the file's pixel hash); other values pass."""
        if isinstance(value, list | tuple):
            return [self._load_input(item) for item in value]
        if not isinstance(value, str | os.PathLike):
            try:
                types.of_value(value)
            except TypeError as error:
                raise InputError(
                    f"a {type(value).__name__} is no input; give the path of a picture, or Image.from_array(pixels)"
                ) from error
            return value
        if "://" in os.fspath(value):
            return Image.open(value)  # which refuses it by name; a Path would fold the slashes
        path = Path(value)
        known = self.cache.known_file(path) if self.cache else None
        if known is not None:
            content, width, height = known
            return Image(
                size=(width, height),
                load=lambda: self._reopen(path, content),
                content_hash=content,
                source=str(path),
            )
        return self._open(path)

    def _open(self, path: Path) -> Image:
        before = os.stat(path) if path.exists() else None
        image = Image.open(path)
        self.stats.decoded += 1
        _ = image.hash  # computed here, off the scheduler's thread
        if self.cache is not None and before is not None:
            self.cache.remember_file(path, before, image)
        return image

    def _reopen(self, path: Path, content: str) -> Any:
        image = self._open(path)
        if image.hash != content:
            raise ImageError(f"{path} changed while it was being worked on; run again")
        return image.pixels

    def role_lock(self, role: str) -> threading.Lock:
        """Held while a role's model is at work; whoever asks a model outside of a program takes it too."""
        return self._role_locks.setdefault(role, threading.Lock())

    def compute(self, tool: Tool, args: Sequence[dict[str, Any]]) -> Batch:
        """Run calls of one tool as one batch; may be called from any thread. Every failure stays with its own call.

        Where the cut-off in force (`mllm.cutoff`) comes first, every call fails with it.
        """
        with ExitStack() as locks:
            try:
                current().check()
                for role in sorted(
                    tool.roles
                ):  # in one order, so that two threads cannot wait for each other
                    locks.enter_context(held(self.role_lock(role)))
            except CutOff as error:
                return Batch([error] * len(args), [True] * len(args), 0.0)
            started = time.perf_counter()
            results, trusted = self._results(tool, args)
            ms = (time.perf_counter() - started) * 1e3
        with self._stats_lock:
            self.stats.add(tool.name, len(args), ms)
        if self.cache is not None and tool.roles and not any(isinstance(r, BaseException) for r in results):
            self.cache.add_cost(tool.name, len(args), ms)
        return Batch(results, trusted, ms)

    def _results(self, tool: Tool, args: Sequence[dict[str, Any]]) -> tuple[list[Any], list[bool]]:
        """Results and whether each came from the role's own back end: halve on out-of-memory, isolate on failure."""
        failure: Exception | None = None
        try:
            results = tool.run(args, self.models)
        except Exception as error:
            failure = error
        if failure is not None:  # handled out here, so that nothing holds on to the failed call's frames
            if isinstance(failure, CutOff):
                return [failure] * len(args), [True] * len(args)
            if len(args) == 1:
                return self._recover(tool, args[0], failure)
            let_go(failure)
            parts: list[Sequence[dict[str, Any]]]
            if is_out_of_memory(failure):
                self.stats.halved += 1
                half = len(args) // 2
                self._batch_limits[tool.name] = max(1, half)
                parts = [args[:half], args[half:]]
            else:
                parts = [[arg] for arg in args]  # find the call that is to blame
            results, trusted = [], []
            for part in parts:
                more, sure = self._results(tool, part)
                results += more
                trusted += sure
            return results, trusted
        trusted = [True] * len(args)
        for index, result in enumerate(results):
            if isinstance(result, BaseException):
                (results[index],), (trusted[index],) = self._recover(tool, args[index], result)
        return results, trusted

    def _recover(
        self, tool: Tool, args: dict[str, Any], error: BaseException
    ) -> tuple[list[Any], list[bool]]:
        """One call that failed: try again, then with the fallback, as the policies of its roles say."""
        if isinstance(error, SightlineError) or not tool.roles:
            return [error], [True]
        let_go(error)
        for role in tool.roles:
            policy = self.policies.get(role) or self.models.policy(role)
            for _ in range(policy.retries):
                time.sleep(policy.wait_s)
                outcome = attempt(tool, args, self.models)
                if not isinstance(outcome, BaseException):
                    return [outcome], [True]
                error = outcome
            if (other := self.models.fallback(role)) is not None:
                outcome = narrower(self.models, other, role, tool) or attempt(tool, args, other)
                if not isinstance(outcome, BaseException):
                    return [outcome], [False]  # true, but not what the key's weights would have said
                error = outcome
        return [error], [True]

    def batch_limit(self, tool: Tool) -> int:
        """Most calls of a tool at once: the tool's own limit, or less where memory ran out before."""
        return min(tool.batch, self._batch_limits.get(tool.name, tool.batch))


__all__ = ["Engine", "Job", "JobResult", "Policy", "Stats"]
