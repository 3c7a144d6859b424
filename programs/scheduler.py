"""The scheduler of one stream of jobs: who is let in, which batches run, and what is handed back when."""

from __future__ import annotations

import contextvars
import itertools
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..tools.declaration import Tool
from ..tools.values import Image
from .instance import Call, Instance, describe
from .results import JobResult, Watch
from .syntax import Program

if TYPE_CHECKING:
    from .engine import Engine

PIXELS_IN_FLIGHT = 128_000_000  # 384 MB of RGB


@dataclass(frozen=True, slots=True)
class Job:
    """Programs to run on one set of inputs (name -> path, Image, Regions or a list); `key` names it in the results.

    `watch` is told of its steps as they start and finish.
    """

    key: Any
    programs: tuple[Program, ...]
    inputs: Mapping[str, Any]
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of one batch of calls: a result or an exception for each, and whether the role's own back end made it."""

    results: list[Any]
    trusted: list[bool]
    ms: float

    def hand_out(self, calls: Sequence[Call]) -> None:
        """Give each call its result; on the thread that owns the calls' instances."""
        for call, result, sure in zip(calls, self.results, self.trusted, strict=True):
            call.instance.finish(call, result, self.ms / len(calls), len(calls), sure)


class Stream:
    """One call of `Engine.stream`: the queues, the jobs in flight and the pictures being decoded."""

    def __init__(self, engine: Engine, jobs: Iterator[Job], observe: bool) -> None:
        self.engine = engine
        self.jobs = jobs
        self.observe = observe
        self.queues: dict[str, deque[Call]] = {}
        self.tools: dict[str, Tool] = {}
        self.inline: deque[tuple[Tool, Call]] = deque()
        self.running: dict[int, Instance] = {}
        self.pixels: dict[int, int] = {}
        self.numbers = itertools.count()
        self.loading: deque[tuple[Job, Future[dict[str, Any]]]] = deque()
        self.flying: dict[Future[Batch], tuple[Tool, list[Call]]] = {}
        self.exhausted = False
        self.flushed = time.monotonic()

    def run(self) -> Iterator[JobResult]:
        pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "decode")
        models = ThreadPoolExecutor(self.engine.workers, "model")
        try:
            while True:
                yield from self._admit(pool)
                if not self._work(models) and not self.running and not self.loading and self.exhausted:
                    break
                yield from self._harvest()
        finally:
            pool.shutdown(cancel_futures=True)
            models.shutdown(cancel_futures=True)
            if self.engine.cache is not None:
                self.engine.cache.flush()

    def _prefetch(self, pool: ThreadPoolExecutor) -> None:
        ahead = max(2, self.engine.images_in_flight // 4)
        while not self.exhausted and len(self.loading) < ahead:
            waiting = sum(_decoded(future) for _, future in self.loading)
            if waiting > PIXELS_IN_FLIGHT // 2:
                return
            job = next(self.jobs, None)
            if job is None:
                self.exhausted = True
            else:
                self.loading.append((job, pool.submit(self.engine._load_inputs, job.inputs)))

    def _admit(self, pool: ThreadPoolExecutor) -> Iterator[JobResult]:
        """Let jobs in while there is room; one whose inputs cannot be read is done at once, as an error."""
        self._prefetch(pool)
        while self.loading and len(self.running) < self.engine.images_in_flight:
            if self.running and sum(self.pixels.values()) > PIXELS_IN_FLIGHT:
                return
            job, future = self.loading.popleft()
            self._prefetch(pool)
            try:
                inputs = future.result()
            except Exception as error:  # a picture that cannot be read is one failed job
                yield JobResult(job.key, (), {}, describe(error, "INPUT", "INPUT"))
                continue
            yield from self._start(job, inputs)

    def _start(self, job: Job, inputs: dict[str, Any]) -> Iterator[JobResult]:
        engine = self.engine
        try:
            template = engine.plan(job.programs)
        except Exception as error:  # planning asks the models for their vocabulary, and they may be missing
            yield JobResult(job.key, (), inputs, describe(error, "PLAN", "PLAN"))
            return
        cache = engine.cache
        instance = Instance(
            job.key,
            template,
            inputs,
            self._enqueue,
            decode=cache.decode if cache else None,
            store=cache.put if cache else None,
            observe=self.observe,
            models=engine.models,
            watch=job.watch,
        )
        if cache is not None:
            wanted = [key for key, keep in zip(instance.keys, template.cacheable, strict=True) if keep]
            instance.stored = cache.get_many(wanted)
        number = next(self.numbers)
        self.running[number] = instance
        # every picture that the plan makes is held until its job is done
        self.pixels[number] = sum(_pixels(value) for value in inputs.values()) * (1 + template.pictures)
        instance.start()
        instance.tell()
        self._run_inline()
        yield from self._harvest()

    def _enqueue(self, tool: Tool, call: Call) -> None:
        if tool.batch:
            self.queues.setdefault(tool.name, deque()).append(call)
            self.tools[tool.name] = tool
        else:
            self.inline.append((tool, call))

    def _run_inline(self) -> None:
        while self.inline:
            tool, call = self.inline.popleft()
            call.instance.began(call.node)
            call.instance.tell()
            self.engine.compute(tool, [call.args]).hand_out([call])
            call.instance.tell()

    def _work(self, models: ThreadPoolExecutor) -> bool:
        """Start batches while a worker and a model are free, then wait for one to end; False if there was nothing to do."""
        while len(self.flying) < self.engine.workers and (tool := self._next_tool()) is not None:
            queue = self.queues[tool.name]
            calls = [queue.popleft() for _ in range(min(len(queue), self.engine.batch_limit(tool)))]
            for call in calls:
                call.instance.began(call.node)
                call.instance.tell()
            # in a copy of the context, so that a cut-off in force here (`mllm.cutoff`) holds there too
            context = contextvars.copy_context()
            future = models.submit(context.run, self.engine.compute, tool, [call.args for call in calls])
            self.flying[future] = (tool, calls)
        if not self.flying:
            return False
        for future in wait(self.flying, return_when=FIRST_COMPLETED).done:
            _, calls = self.flying.pop(future)
            future.result().hand_out(calls)
            for call in calls:
                call.instance.tell()
            self._run_inline()
        return True

    def _next_tool(self) -> Tool | None:
        """The tool whose queue is fullest for its batch, among those whose models no batch in flight uses."""
        busy = {role for tool, _ in self.flying.values() for role in (*tool.roles, tool.name)}
        free = [self.tools[n] for n, q in self.queues.items() if q and not busy & {*self.tools[n].roles, n}]
        return max(free, key=lambda t: len(self.queues[t.name]) / self.engine.batch_limit(t), default=None)

    def _harvest(self) -> Iterator[JobResult]:
        for number in [n for n, instance in self.running.items() if instance.done]:
            instance = self.running.pop(number)
            del self.pixels[number]
            yield JobResult(instance.key, instance.report(), instance.inputs)
        cache = self.engine.cache
        if cache is not None and time.monotonic() - self.flushed > 2.0:
            cache.flush()
            self.flushed = time.monotonic()


def _decoded(future: Future[dict[str, Any]]) -> int:
    """Pixels of inputs that are loaded and wait for their turn."""
    if not future.done() or future.exception() is not None:
        return 0
    return sum(_pixels(value) for value in future.result().values())


def _pixels(value: Any) -> int:
    if isinstance(value, Image):
        return value.width * value.height
    return sum(_pixels(item) for item in value) if isinstance(value, list) else 0
