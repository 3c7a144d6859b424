"""The agent: ask a question about pictures, get an answer with its evidence, and every step of the way as events."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, SightlineError
from ..mllm.cutoff import Cutoff, cutting_off, held
from ..programs.cache import ResultCache
from ..programs.engine import Engine
from ..tools.models import Models
from ..tools.registry import Registry
from . import marks
from .answering import answer_language, ground, word
from .asking import mark_of, mode_of, new_trace_id, pictures_of, question_of
from .budget import Budget, usage_of
from .channel import Channel
from .choice import choose
from .controllers.base import Controller
from .controllers.starter_requests import points_at_something
from .direct import run_direct
from .endings import falls_of, known_so_far, spoken_of, thoughts_of
from .errors import LimitReached
from .events import Event, Recorder
from .follow_up import standalone
from .ladder import Rung, climb
from .outcome import Outcome
from .parts import Traces, make_controller, traces_in
from .program_mode import run_program
from .quarantine import veiled, worded
from .reading import readable
from .records import Answer, Decomposition, Limits, Mode, Request, Style
from .sessions import Session, Sessions, Turn
from .steps import pictures_in
from .toolbox import Toolbox

if TYPE_CHECKING:
    from .verification.verify import Verification


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of `ask`, before its pictures are opened."""

    pictures: Any
    question: str
    at: Any
    mode: Mode
    verify: bool
    style: Style
    limits: Limits
    session: str | None
    fall_back: bool
    decomposition: Decomposition
    trace: str


class Agent:
    """Answers questions about pictures.

    One agent may be asked from many threads; its models are loaded once and shared. What one session says and shows is
    never seen by another.

    Args:
        controller: the language model that thinks: "starter" (embedded, offline), a name such as "openai:gpt-4o", or a
            Controller.
        pack: the models that see: "starter", "scenes", "standard", a YAML file, or Models.
        cache: folder of the result cache, or a ResultCache; None keeps no results.
        traces: folder where traces are kept, or a store with `open(trace_id)`; None keeps them in memory alone.
        registry: the tools in force; built-in and installed ones if not given.
        style, limits: what holds where `ask` does not say otherwise.
        workers: questions at work at the same time through `aask`, `stream` and `astream`; more wait their turn.
    """

    def __init__(
        self,
        controller: str | Controller = "starter",
        pack: str | Path | Models = "starter",
        *,
        cache: str | Path | ResultCache | None = None,
        traces: str | Path | Traces | None = None,
        registry: Registry | None = None,
        style: Style | None = None,
        limits: Limits | None = None,
        workers: int = 4,
    ) -> None:
        models = pack if isinstance(pack, Models) else Models.from_pack(pack, fetch=True)
        kept = ResultCache(cache) if isinstance(cache, str | Path) else cache
        self.engine = Engine(models, registry, kept)
        self.controller = make_controller(controller, self.engine.registry)
        if not models.has("controller"):  # LIST and ASK ask the same language model
            models.bind("controller", self.controller, weights=f"controller {self.controller.name}")
        self.traces = traces_in(traces)
        self.sessions = Sessions()
        self.style = style or Style()
        self.limits = limits or Limits()
        self._pool = ThreadPoolExecutor(max(1, workers), "ask")

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(
        self,
        pictures: Any,
        question: str,
        at: Any = None,
        mode: str = "auto",
        *,
        verify: bool = True,
        style: Style | None = None,
        limits: Limits | None = None,
        session: str | None = None,
        fall_back: bool = True,
        decomposition: Decomposition | None = None,
    ) -> Answer:
        """Answer a question about one picture or several.

        Args:
            pictures: a path, Image, PIL picture or array [H, W, 3], or a list of them; None for those that the session
                spoke of last.
            question: in words; Chinese questions are answered in Chinese.
            at: what it points at, in pixels of the first picture: (x, y), (x1, y1, x2, y2), a Mask, or a Mark.
            mode: "auto" (see `agent/choice.py`), "program", "react", "decompose" or "direct".
            verify: check the answer's claims against the pictures before it is given.
            style, limits: how to word the answer, and where to cut the work off; the agent's own if not given.
            session: a name that joins questions into a conversation; without it a question stands alone.
            fall_back: try the next mode of the ladder where one comes to nothing.
            decomposition: how mode "decompose" takes the question apart; a tree until nothing is missing if not given.

        Returns:
            The answer; its `status` is "failed" where nothing came of it (`error` says why), "partial" where a limit
            was reached.

        Raises:
            InputError: the question, the mark, the mode or a picture is not usable.
        """
        call = self._call(
            pictures, question, at, mode, verify, style, limits, session, fall_back, decomposition
        )
        return self._answer(call, ())

    async def aask(
        self, pictures: Any, question: str, at: Any = None, mode: str = "auto", **options: Any
    ) -> Answer:
        """`ask`, awaited: any number at once, of which `workers` are at work. Cancelling the task stops the work."""
        call = self._call(pictures, question, at, mode, **_complete(options))
        stopped = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, partial(self._answer, call, (), stopped)
            )
        finally:  # a task that is cancelled leaves no work behind
            stopped.set()

    def stream(
        self, pictures: Any, question: str, at: Any = None, mode: str = "auto", **options: Any
    ) -> Iterator[Event | Answer]:
        """The events of an answer as they happen, and the Answer at the end. Closing the iterator stops the work."""
        call = self._call(pictures, question, at, mode, **_complete(options))
        channel = Channel()
        future = self._pool.submit(self._answer, call, (channel,), channel.stopped)
        future.add_done_callback(channel.over)
        try:
            while (item := channel.items.get()) is not None:
                yield item
            yield _came_of(future)
        finally:
            channel.stopped.set()

    async def astream(
        self, pictures: Any, question: str, at: Any = None, mode: str = "auto", **options: Any
    ) -> AsyncIterator[Event | Answer]:
        """`stream` for asyncio."""
        call = self._call(pictures, question, at, mode, **_complete(options))
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[Event | None] = asyncio.Queue()
        channel = Channel(lambda item: loop.call_soon_threadsafe(items.put_nowait, item))
        future = self._pool.submit(self._answer, call, (channel,), channel.stopped)
        future.add_done_callback(channel.over)
        try:
            while (item := await items.get()) is not None:
                yield item
            yield _came_of(future)
        finally:
            channel.stopped.set()

    def forget(self, session: str) -> None:
        """Drop what a session said and showed."""
        self.sessions.forget(session)

    def close(self) -> None:
        """Wait for the questions at work and let the threads go; those that still wait their turn are cancelled."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _call(
        self, pictures: Any, question: str, at: Any, mode: str, verify: bool, style: Style | None,
        limits: Limits | None, session: str | None, fall_back: bool, decomposition: Decomposition | None,
    ) -> _Call:  # fmt: skip
        if decomposition is not None and mode != "decompose":
            raise InputError(f"a decomposition is for mode 'decompose', not for {mode!r}; give that mode")
        return _Call(
            pictures, question_of(question), at, mode_of(mode), verify, style or self.style, limits or self.limits,
            session, fall_back, decomposition or Decomposition(), new_trace_id(),
        )  # fmt: skip

    def _answer(
        self, call: _Call, sinks: tuple[Channel, ...], stopped: threading.Event | None = None
    ) -> Answer:
        """Raises LimitReached where nobody waits any more before the session's earlier questions are answered."""
        session = self.sessions.get(call.session)
        with cutting_off(Cutoff(stopped=stopped, error=LimitReached)), held(session.lock):
            request = self._request(call, session)
            kept = (self.traces.open(call.trace),) if self.traces is not None else ()
            recorder = Recorder(call.trace, (*kept, *sinks), stopped=stopped)
            try:
                with cutting_off(Budget(call.limits, recorder).cutoff()):
                    answer = self._work(call, request, recorder)
            except Exception as error:
                known = isinstance(error, SightlineError)
                trail = None if known else traceback.format_exc()
                recorder.emit("error", message=f"{error}", traceback=trail, where="agent")
                recorder.emit("end", usage=usage_of(recorder.events).to_json(), status="failed")
                raise
            finally:
                for sink in kept:
                    sink.close()
            session.pictures = request.pictures
            # an answer that may quote a picture is not told to whoever plans the next one
            said = answer.text if not worded(recorder.events) else veiled(answer.text)
            things = spoken_of(answer, session.last)
            session.turns.append(Turn(request.question, said, request.alone, things))
            return answer

    def _request(self, call: _Call, session: Session) -> Request:
        if call.pictures is None and not session.pictures:
            raise InputError("no picture is given, and the session has none yet; give a path or an Image")
        pictures = session.pictures if call.pictures is None else pictures_of(call.pictures)
        mark = mark_of(call.at, pictures)
        # with a mark, "it" is the marked thing and not what was spoken of before
        meant = mark is not None and points_at_something(call.question)
        return Request(
            call.question, pictures, mark, session.history, call.style, call.limits,
            alone="" if meant else standalone(call.question, session.last), decomposition=call.decomposition,
        )  # fmt: skip

    def _work(self, call: _Call, request: Request, recorder: Recorder) -> Answer:
        """From the request to the answer; everything on the way is told to the recorder."""
        recorder.emit(
            "ask",
            request.pictures,
            question=request.question,
            alone=request.alone,
            pictures=[
                {"hash": p.hash, "width": p.width, "height": p.height, "source": p.source}
                for p in request.pictures
            ],
            at=request.mark.to_json() if request.mark is not None else None,
            mode=call.mode,
            options={
                "verify": call.verify,
                "style": _fields(call.style),
                "limits": _fields(call.limits),
                **({"decomposition": _fields(call.decomposition)} if call.mode == "decompose" else {}),
            },
            controller=self.controller.name,
            pack=self.engine.models.pack.name,
            session=call.session,
        )
        if request.mark is not None:
            request = replace(request, marked=marks.named(request, self.engine, recorder))
        mode, why = call.mode, "it was asked for"
        if mode == "auto":
            choice = choose(request, has_mllm=self._has_mllm())
            mode, why = choice.mode, choice.why
        recorder.emit("mode", chosen=mode, why=why)
        reached, outcome = climb(
            mode, self._rungs(request, recorder), recorder, request, fall_back=call.fall_back
        )
        return self._finish(call, request, recorder, reached, outcome)

    def _finish(
        self, call: _Call, request: Request, recorder: Recorder, mode: Mode, outcome: Outcome
    ) -> Answer:
        draft = ""
        if outcome.status == "done":
            draft = word(outcome, request, self.controller, recorder)
        elif outcome.status == "partial":
            draft = known_so_far(outcome, answer_language(request))
        grounded = ground(draft, outcome.evidence)
        recorder.emit("draft", text=draft, grounded=grounded)
        text, claims, evidence = draft, (), outcome.evidence
        if call.verify and outcome.status == "done" and _checkable(request, outcome, draft):
            checked = self._verified(request, recorder, outcome, draft, "mllm" if mode == "direct" else "")
            if checked is not None:
                claims = tuple(checked.to_json()["claims"])
                evidence = evidence or checked.regions
                if checked.text != draft:
                    text, grounded = checked.text, ground(checked.text, [*evidence, *checked.regions])
        if outcome.status == "done" and not text.strip():
            outcome = replace(outcome, status="failed", error=_NOTHING_LEFT)
        recorder.emit("answer", status=outcome.status, text=text, grounded=grounded, mode=mode)
        usage = usage_of(recorder.events)
        usage.ms = recorder.ms
        recorder.emit("end", usage=usage.to_json(), status=outcome.status)
        return Answer(
            outcome.status, text, grounded, mode, draft, outcome.value, outcome.program, thoughts_of(outcome, recorder),
            evidence, claims, usage, recorder.trace, outcome.error, falls_of(recorder),
        )  # fmt: skip

    def _verified(
        self, request: Request, recorder: Recorder, outcome: Outcome, draft: str, speaker: str
    ) -> Verification | None:
        """The answer held against its picture; None where a limit or a missing model leaves it unchecked, which is told.

        A bare yes or no about a marked thing is not checked: its question says "this", which no claim can name.
        """
        from .verification.verify import verify

        try:
            Budget(request.limits, recorder).check()
            return verify(
                request.pictures[0], draft, controller=self.controller, engine=self.engine, recorder=recorder,
                facts=outcome.facts, question=request.asked if request.mark is None else "", speaker=speaker,
            )  # fmt: skip
        except SightlineError as error:
            recorder.emit("error", message=f"not verified: {error}", traceback=None, where="verifier")
            return None

    def _rungs(self, request: Request, recorder: Recorder) -> dict[Mode, Rung]:
        limits = request.limits

        def react() -> Outcome:
            from .react import run_react

            toolbox = Toolbox(self.engine, request, recorder, limits)
            outcome = run_react(request, self.controller, toolbox, limits, recorder)
            if outcome.status == "done" and not toolbox.facts and not self.controller.knows:
                return replace(outcome, status="failed", error="it answered without having seen anything")
            if outcome.text and not self.controller.knows and not readable(outcome.text, request.asked):
                return replace(
                    outcome, status="failed", error=f"its last words were no answer: {outcome.text[:60]!r}"
                )
            return outcome

        def decompose() -> Outcome:
            from .decompose import run_decompose

            toolbox = Toolbox(self.engine, request, recorder, limits)
            return run_decompose(request, self.controller, toolbox, limits, recorder)

        return {
            "program": lambda: run_program(request, self.controller, self.engine, recorder),
            "react": react,
            "decompose": decompose,
            "direct": lambda: run_direct(request, self.engine, recorder),
        }

    def _has_mllm(self) -> bool:
        models = self.engine.models
        return models.has("mllm") or models.spec("mllm") is not None


def _came_of(future: Future[Answer]) -> Answer:
    """The answer of a question that is over; LimitReached where the agent was closed before its turn came."""
    if future.cancelled():
        raise LimitReached("the agent was closed before this question's turn came; ask one that is open")
    return future.result()


def _complete(options: dict[str, Any]) -> dict[str, Any]:
    """The keyword options of `ask` with their defaults; TypeError for one that `ask` does not have."""
    known: dict[str, Any] = {
        "verify": True,
        "style": None,
        "limits": None,
        "session": None,
        "fall_back": True,
        "decomposition": None,
    }
    unknown = set(options) - set(known)
    if unknown:
        raise TypeError(f"ask() has no option {sorted(unknown)[0]!r}")
    return known | options


_NOTHING_LEFT = "nothing is left of the answer: the picture contradicts all that it claimed"


def _checkable(request: Request, outcome: Outcome, draft: str) -> bool:
    """Whether an answer is words about one picture: what was read there, or a made picture, claims nothing to check."""
    return len(request.pictures) == 1 and bool(draft.strip()) and not any(pictures_in(outcome.value))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}
