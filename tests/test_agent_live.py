"""Answers as they come about: steps told while others still run, limits and Stop in the middle of a model call, empty answers."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agent_fakes import DOGS, EXISTS, ScriptedController, picture, staged
from scripted_chat import calls, replaying, replied

from sightline.agent.agent import Agent
from sightline.agent.controllers.base import Fact
from sightline.agent.controllers.named import controller
from sightline.agent.endings import known_so_far
from sightline.agent.errors import LimitReached
from sightline.agent.events import Event
from sightline.agent.outcome import Outcome
from sightline.agent.records import Answer, Limits, Style
from sightline.mllm.cutoff import CutOff, Cutoff, current, cutting_off, held
from sightline.tools.models import Models
from sightline.tools.values import Region, Regions

LOOK = (
    "BOX0=LOC(image=IMAGE,object='dog')\nIMAGE0=CROP(image=IMAGE,box=BOX0)\n"
    "ANSWER0=VQA(image=IMAGE0,question='What is it doing?')\nFINAL_RESULT=RESULT(var=ANSWER0)\n"
)
LABELLED = (
    "BOX0=SEG(image=IMAGE)\nOBJ0=FILTER(object=BOX0,where=\"label == 'cat'\")\nLIST0=LABELS(object=OBJ0)\n"
    "FINAL_RESULT=RESULT(var=LIST0)\n"
)
QUICK = Limits(seconds=1.0)
MOST = 15.0  # seconds that a cut answer may take on a busy machine; what it waits for would take a minute


class Looks:
    """A core MLLM that answers by what it is given to do."""

    def __init__(self, answer: Callable[[], str]) -> None:
        self._answer = answer

    def answer(self, images: Any, questions: Any) -> list[str]:
        return [self._answer() for _ in questions]

    def caption(self, images: Any) -> list[str]:
        return [self._answer() for _ in images]


def looking(answer: Callable[[], str]) -> Models:
    models = staged((picture(), DOGS))
    models.bind("mllm", Looks(answer), weights="looks")
    return models


def dawdle() -> str:
    """A minute of work that stops where a cut-off says so, as a model between two tokens."""
    for _ in range(1200):
        time.sleep(0.05)
        current().check()
    return "too late"


@pytest.mark.parametrize("waits", ["stream", "astream"])
def test_steps_come_while_the_program_still_runs(waits: str) -> None:
    seen = threading.Event()

    def answer() -> str:
        assert seen.wait(30), "the steps before were not told while this one ran"
        return "sleeping"

    agent = Agent(ScriptedController({"q?": LOOK}), looking(answer))
    told: list[str] = []

    def take(item: Event | Answer) -> None:
        if isinstance(item, Event) and item.kind in ("thought", "plan", "graph", "start", "step"):
            told.append(f"{item.kind} {item.data.get('name', '')}".strip())
            if told[-1] == "start ANSWER0":
                assert {"thought", "plan", "graph", "start BOX0", "step BOX0", "step IMAGE0"} <= set(told)
                seen.set()

    async def collect() -> None:
        async for item in agent.astream(picture(), "q?", verify=False):
            take(item)

    if waits == "stream":
        for item in agent.stream(picture(), "q?", verify=False):
            take(item)
    else:
        asyncio.run(collect())
    assert told[-2:] == ["step ANSWER0", "step FINAL_RESULT"] and len(told) == len(set(told))
    agent.close()


def test_told_steps_are_the_reported_ones() -> None:
    """Failed and skipped steps too, each once, with the status that the run reports in the end."""

    def fails() -> str:
        raise RuntimeError("no eyes")

    program = LOOK.replace("FINAL", "ANSWER1=EVAL(expr=\"{ANSWER0} + '!'\")\nFINAL").replace(
        "=ANSWER0", "=ANSWER1"
    )
    agent = Agent(ScriptedController({"q?": program}), looking(fails))
    items = list(agent.stream(picture(), "q?", mode="program", fall_back=False, verify=False))
    steps = {i.data["name"]: i.data["status"] for i in items if isinstance(i, Event) and i.kind == "step"}
    assert steps == {
        "BOX0": "done",
        "IMAGE0": "done",
        "ANSWER0": "failed",
        "ANSWER1": "skipped",
        "FINAL_RESULT": "skipped",
    }
    assert len([i for i in items if isinstance(i, Event) and i.kind == "step"]) == 5


# -- limits and Stop in the middle ----------------------------------------------------------------------------------------


def test_a_look_that_takes_too_long_is_cut_and_what_was_found_is_told() -> None:
    agent = Agent(ScriptedController({"q?": LOOK}), looking(dawdle))
    started = time.monotonic()
    answer = agent.ask(picture(), "q?", limits=QUICK)
    assert time.monotonic() - started < MOST
    assert answer.status == "partial" and "dog" in answer.text and len(answer.evidence) == 2
    assert answer.error == "the limit of 1 seconds is reached; raise Limits.seconds"


def test_the_last_mode_of_the_ladder_is_cut_as_well() -> None:
    agent = Agent(ScriptedController({"q?": LOOK}), looking(dawdle))
    answer = agent.ask(picture(), "q?", mode="program", fall_back=False, limits=QUICK)
    assert answer.status == "partial" and "1 seconds" in str(answer.error)
    nothing = agent.ask(picture(), "q?", mode="direct", limits=QUICK)
    assert nothing.status == "failed" and "1 seconds" in str(nothing.error) and not nothing.text


def test_a_server_that_hangs_is_left_and_what_was_found_is_told() -> None:
    released = threading.Event()

    def hang() -> dict[str, Any]:
        released.wait(60)
        return replied("too late")

    with replaying(hang) as server:
        agent = Agent(controller(f"openai:m@{server.url}"), looking(lambda: "x"))
        started = time.monotonic()
        answer = agent.ask(picture(), "q?", limits=QUICK)
        assert time.monotonic() - started < MOST
        assert answer.status == "failed" and "1 seconds" in str(answer.error)
        released.set()
    import sightline.agent.react_loop  # noqa: F401 (LangGraph takes seconds to load, which are not this question's)

    released.clear()
    call = calls(("LOC", {"image": "IMAGE", "object": "dog"})).tool_calls[0]
    wire = {"id": "c", "type": "function", "function": {"name": "LOC", "arguments": json.dumps(call["args"])}}
    with replaying(replied(None, tool_calls=[wire]), hang) as server:
        agent = Agent(controller(f"openai:m@{server.url}"), looking(lambda: "x"))
        answer = agent.ask(picture(), "q?", mode="react", limits=Limits(seconds=6.0))
        assert answer.status == "partial" and "2 x dog" in answer.text and "6 seconds" in str(answer.error)
        released.set()


def test_a_rate_limit_longer_than_the_time_left_is_not_waited_for() -> None:
    slow = (429, {"Retry-After": "15"}, {"error": {"message": "slow down", "code": "rate_limit"}})
    with replaying(slow, slow, slow) as server:
        agent = Agent(controller(f"openai:m@{server.url}"), looking(lambda: "resting"))
        started = time.monotonic()
        answer = agent.ask(picture(), "q?", verify=False, limits=Limits(seconds=14))
        assert time.monotonic() - started < 12 and answer.text == "resting"  # the ladder had time for a look


def _stopped(agent: Agent, at_work: threading.Event, begin: Callable[[], None]) -> float:
    started = time.monotonic()
    begin()
    assert at_work.is_set()
    agent.close()  # waits for the work, which must end by itself
    return time.monotonic() - started


@pytest.mark.parametrize("where", ["tool", "server"])
def test_closing_a_stream_stops_a_call_that_is_running(where: str) -> None:
    at_work = threading.Event()

    def work() -> Any:
        at_work.set()
        return dawdle()

    with replaying(lambda: (at_work.set(), time.sleep(30), replied("too late"))[-1]) as server:
        made: Any = (
            controller(f"openai:m@{server.url}") if where == "server" else ScriptedController({"q?": LOOK})
        )
        agent = Agent(made, looking(work))

        def begin() -> None:
            stream = agent.stream(picture(), "q?")
            next(stream)
            at_work.wait(30)
            stream.close()

        assert _stopped(agent, at_work, begin) < MOST


def test_cancelling_an_awaited_question_stops_its_work() -> None:
    at_work = threading.Event()

    def work() -> str:
        at_work.set()
        return dawdle()

    agent = Agent(ScriptedController({"q?": LOOK}), looking(work))

    async def run() -> None:
        task = asyncio.create_task(agent.aask(picture(), "q?"))
        await asyncio.to_thread(at_work.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert _stopped(agent, at_work, lambda: asyncio.run(run())) < MOST


@pytest.mark.parametrize("face", ["stream", "astream"])
def test_closing_an_agent_ends_the_streams_that_wait_their_turn(face: str) -> None:
    at_work, go = threading.Event(), threading.Event()

    def work() -> str:
        at_work.set()
        go.wait(30)
        return "resting"

    agent = Agent(ScriptedController({"q?": LOOK}), looking(work), workers=1)
    first = threading.Thread(target=lambda: list(agent.stream(picture(), "q?", verify=False)), daemon=True)
    first.start()
    assert at_work.wait(30)
    told: list[Any] = []

    async def read() -> None:
        async for item in agent.astream(picture(), "q?"):
            told.append(item)

    def waiting() -> None:
        try:
            told.extend(agent.stream(picture(), "q?")) if face == "stream" else asyncio.run(read())
        except LimitReached as error:
            told.append(error)

    second = threading.Thread(target=waiting, daemon=True)
    second.start()
    while agent._pool._work_queue.qsize() == 0:
        time.sleep(0.01)
    closing = threading.Thread(target=agent.close, daemon=True)
    closing.start()
    second.join(10)
    go.set()
    closing.join(30)
    (error,) = told
    assert "closed before this question's turn" in str(error)


def test_a_lock_that_another_holds_is_not_waited_for_beyond_the_limit() -> None:
    lock = threading.Lock()
    with (
        lock,
        cutting_off(Cutoff(time.monotonic() + 0.2, why="over")),
        pytest.raises(CutOff, match="over"),
        held(lock),
    ):
        pass
    with held(lock):
        assert lock.locked()
    assert not lock.locked()


class Slowly:
    """A logits processor that takes a while for each token, and counts them."""

    def __init__(self) -> None:
        self.tokens = 0

    def __call__(self, ids: Any, scores: Any) -> Any:
        self.tokens += 1
        time.sleep(0.05)
        scores[:, 1] = -1e9
        scores[:, 20] = 1e9  # never an end
        return scores


def test_the_starter_stops_between_two_tokens() -> None:
    from sightline.agent.starter_planner import WEIGHTS
    from sightline.mllm.answerer import Answerer, Question

    answerer = Answerer.load(WEIGHTS)
    slowly = Slowly()
    with cutting_off(Cutoff(time.monotonic() + 0.5, why="over")), pytest.raises(CutOff, match="over"):
        answerer.ask([Question("How many dogs are there?", mode="plan")], 8, 200, logits_processor=[slowly])
    assert 1 <= slowly.tokens < 60


@pytest.fixture(scope="module")
def local() -> Iterator[Any]:
    """A local chat model of two random layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from sightline.agent.controllers.local import LocalChatModel
    from sightline.mllm.stock.templates import byte_tokenizer

    torch.manual_seed(0)
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=100_000,
        )
    )  # fmt: skip
    model.generation_config.eos_token_id = None
    yield LocalChatModel(model=model.eval(), tokenizer=tokenizer, max_tokens=50_000)


def test_a_local_chat_model_stops_between_two_tokens(local: Any) -> None:
    started = time.monotonic()
    with cutting_off(Cutoff(time.monotonic() + 0.5, why="over")), pytest.raises(CutOff, match="over"):
        local.invoke("Say something long.")
    assert time.monotonic() - started < MOST


def test_what_was_concluded_at_the_limit_is_told_before_what_was_found() -> None:
    fact = Fact("LOC dog", "2 x dog", 2)
    assert known_so_far(Outcome("partial", text="Two dogs.", facts=(fact,)), "en") == "So far: Two dogs."
    assert known_so_far(Outcome("partial", facts=(fact,)), "zh") == "到目前为止：LOC dog: 2 x dog"
    seen = Regions([Region((0, 0, 4, 4), "dog"), Region((4, 0, 8, 4), "dog")])
    assert known_so_far(Outcome("partial", evidence=seen), "en") == "So far: 2 dogs"
    assert known_so_far(Outcome("partial"), "en") == ""


# -- empty answers --------------------------------------------------------------------------------------------------------


def test_an_empty_answer_is_none_and_the_next_mode_is_tried() -> None:
    said = iter(["", "two dogs"])
    agent = Agent(
        ScriptedController({"q?": LOOK.replace("box=BOX0", "box=BOX0")}),
        looking(lambda: next(said, "two dogs")),
    )
    items = list(agent.stream(picture(), "q?", verify=False))
    falls = [i.data for i in items if isinstance(i, Event) and i.kind == "fallback"]
    assert (
        falls[0]["from"] == "program" and falls[0]["why"] == "the answer is empty: the core MLLM said nothing"
    )
    assert isinstance(items[-1], Answer) and (items[-1].status, items[-1].text) == ("done", "two dogs")


def test_nothing_but_empty_answers_is_a_failure_that_says_so() -> None:
    agent = Agent(ScriptedController({"q?": LOOK}), looking(lambda: "  "))
    answer = agent.ask(picture(), "q?")
    assert (
        answer.status == "failed" and answer.text == "" and "the core MLLM said nothing" in str(answer.error)
    )
    alone = agent.ask(picture(), "q?", mode="direct")
    assert alone.error == "the answer is empty: the core MLLM said nothing"


def test_no_is_an_answer() -> None:
    agent = Agent(ScriptedController({"q?": EXISTS.format("fox")}), looking(lambda: ""))
    assert agent.ask(picture(), "q?", verify=False).text == "no"
    empty = "BOX0=LOC(image=IMAGE,object='fox')\nFINAL_RESULT=RESULT(var=BOX0)\n"
    agent = Agent(ScriptedController({"q?": empty}), looking(lambda: ""))
    assert agent.ask(picture(), "q?", verify=False).status == "done"


def test_a_controller_that_cannot_be_had_is_not_asked_again_and_the_answer_says_so() -> None:
    refused = (401, {}, {"error": {"message": "bad key", "type": "authentication_error"}})
    with replaying(refused, refused, refused) as server:
        agent = Agent(controller(f"openai:m@{server.url}"), looking(lambda: "two dogs"))
        answer = agent.ask(picture(), "q?", verify=False, style=Style(length="short"))
        assert (answer.status, answer.mode, answer.text) == ("done", "direct", "two dogs")
        assert len(answer.falls) == 1 and "the key was refused; check SIGHTLINE_API_KEY" in answer.falls[0]
        assert answer.to_json()["falls"] == list(answer.falls) and len(server.requests) == 1


def test_a_mark_is_answered_where_the_marked_part_shows_it() -> None:
    agent = Agent(ScriptedController({}), looking(lambda: "a dog"))
    assert agent.ask(picture(), "what is this?", (10, 10), "direct", verify=False).text == "a dog"
    for question in ("how many like this?", "is it left of the cat?", "它在猫的左边吗？", "像这样的有几个？"):
        answer = agent.ask(picture(), question, (10, 10), "direct")
        assert answer.status == "failed" and "asks for more" in str(answer.error)


def test_with_a_mark_it_is_the_marked_thing_and_later_the_one_that_was_seen() -> None:
    controller = ScriptedController(lambda q: EXISTS.format("dog") if "dog" in q.lower() else LABELLED)
    agent = Agent(controller, staged((picture(), DOGS)))
    agent.ask(picture(), "How many dogs are there?", session="s", verify=False)
    agent.ask(None, "what color is it?", (50, 10), session="s", verify=False)
    assert controller.asked[-1].alone == ""
    agent.ask(None, "is it black?", session="s", verify=False)
    assert controller.asked[-1].alone == "is the cat black?"
