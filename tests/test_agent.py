"""The agent from question to answer, with scripted language models over oracle tools."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import numpy as np
import pytest
from agent_fakes import COUNT, DOGS, EXISTS, ScriptedController, picture, staged, thing

from sightline.agent.agent import Agent
from sightline.agent.events import KINDS, Event
from sightline.agent.records import Answer, Limits, Mark, Style
from sightline.errors import ImageError, InputError


class Keep:
    """A store of traces that keeps the events of each."""

    def __init__(self) -> None:
        self.traces: dict[str, list[Event]] = {}
        self.pictures: dict[str, set[str]] = {}

    def open(self, trace: str) -> Keep._Sink:
        return Keep._Sink(self.traces.setdefault(trace, []), self.pictures.setdefault(trace, set()))

    class _Sink:
        def __init__(self, events: list[Event], pictures: set[str]) -> None:
            self.events, self.pictures = events, pictures

        def receive(self, event: Event, pictures: object) -> None:
            self.events.append(event)
            self.pictures.update(image.hash for image in pictures)  # type: ignore[attr-defined]

        def close(self) -> None:
            pass


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def test_a_question_is_answered_with_its_evidence_and_trace() -> None:
    image, store = picture(), Keep()
    controller = ScriptedController(
        {"How many dogs are there?": COUNT.format("dog")}, lambda q, facts: f"I see {facts[-1].found} dogs."
    )
    agent = Agent(controller, staged((image, DOGS)), traces=store)
    answer = agent.ask(image, "How many dogs are there?", verify=False)
    assert (answer.status, answer.mode, answer.value, answer.text) == ("done", "program", 2, "I see 2 dogs.")
    assert answer.grounded == "I see 2 dogs [4, 4, 20, 20] [30, 30, 50, 50]."
    assert [region.label for region in answer.evidence] == ["dog", "dog"]
    assert answer.program == COUNT.format("dog")
    assert answer.thoughts[0] == COUNT.format("dog")
    assert answer.usage.calls == 2 and answer.usage.model_calls == 2 and answer.usage.tokens_in == 18
    events = store.traces[answer.trace]
    assert kinds(events) == [
        "ask", "mode", "thought", "plan", "graph", "start", "step", "start", "step", "step", "thought", "draft", "answer",
        "end",
    ]  # fmt: skip
    assert set(kinds(events)) <= set(KINDS)
    json.dumps([event.to_json() for event in events])
    assert image.hash in store.pictures[answer.trace]
    steps = [event.data for event in events if event.kind == "step"]
    graph = next(event.data for event in events if event.kind == "graph")
    assert [s["name"] for s in steps] == ["BOX0", "ANSWER0", "FINAL_RESULT"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert all(s["node"] in nodes for s in steps)
    assert 1 in nodes[steps[0]["node"]]["lines"]  # program line <-> node
    assert answer.to_json()["calls"] == 2


def test_checker_errors_go_back_twice_and_stay_in_the_trace() -> None:
    image, store = picture(), Keep()
    wrong = "BOX0=LOCATE(image=IMAGE,object='dog')\nFINAL_RESULT=RESULT(var=BOX0)"
    plans = {"q?": [wrong, wrong.replace("LOCATE", "FIND"), COUNT.format("dog")]}
    agent = Agent(ScriptedController(plans), staged((image, DOGS)), traces=store)
    answer = agent.ask(image, "q?", verify=False)
    assert answer.value == 2
    plans_told = [e.data for e in store.traces[answer.trace] if e.kind == "plan"]
    assert [(p["attempt"], p["ok"]) for p in plans_told] == [(0, False), (1, False), (2, True)]
    assert plans_told[0]["errors"][0]["code"] == "E101"


def test_a_plan_that_stays_wrong_fails_and_says_why() -> None:
    image = picture()
    agent = Agent(ScriptedController({"q?": ["X", "X", "X"]}), staged((image, DOGS)))
    answer = agent.ask(image, "q?", verify=False, fall_back=False)
    assert answer.status == "failed" and answer.text == ""
    assert "no program after 2 repairs" in (answer.error or "")


def test_the_ladder_goes_down_and_says_so() -> None:
    image, store = picture(), Keep()
    agent = Agent(ScriptedController({}), staged((image, DOGS)), traces=store)
    answer = agent.ask(image, "Who won?", verify=False)
    assert (answer.status, answer.mode) == ("done", "direct")
    falls = [e.data for e in store.traces[answer.trace] if e.kind == "fallback"]
    assert [(f["from"], f["to"]) for f in falls] == [("program", "react"), ("react", "direct")]
    assert "no plan is written" in falls[0]["why"]


def test_another_controller_gives_other_thoughts_plans_and_answers() -> None:
    image, store = picture(), Keep()
    models = staged((image, DOGS))
    seen = []
    for noun, word in (("dog", "Hounds"), ("cat", "Felines")):
        controller = ScriptedController(
            lambda q, noun=noun: COUNT.format(noun), lambda q, f, word=word: f"{word}: {f[-1].found}"
        )
        answer = Agent(controller, models, traces=store).ask(image, "How many?", verify=False)
        events = store.traces[answer.trace]
        seen.append(
            (
                answer.text,
                [e.data["said"] for e in events if e.kind == "thought"],
                [e.data["program"] for e in events if e.kind == "plan"],
            )
        )
    assert seen[0][0] == "Hounds: 2" and seen[1][0] == "Felines: 1"
    assert seen[0][1] != seen[1][1] and seen[0][2] != seen[1][2]


def test_a_wording_that_contradicts_the_evidence_is_put_aside() -> None:
    image = picture()
    controller = ScriptedController({"q?": COUNT.format("dog")}, lambda q, f: "There are seven dogs.")
    answer = Agent(controller, staged((image, DOGS))).ask(image, "q?", verify=False)
    assert answer.text == "2"


def test_list_and_ask_use_the_controller() -> None:
    image = picture()
    plan = "LIST0=LIST(query='pets',max=3)\nFINAL_RESULT=RESULT(var=LIST0)"
    controller = ScriptedController({"q?": plan}, known=("dog", "cat"))
    assert (
        Agent(controller, staged_without_controller(image)).ask(image, "q?", verify=False).text == "dog, cat"
    )


def staged_without_controller(image):  # type: ignore[no-untyped-def]
    models = staged((image, DOGS))
    models._bound.pop("controller")
    return models


def test_limits_cut_off_cleanly_with_what_is_known() -> None:
    image = picture()
    controller = ScriptedController({"q?": COUNT.format("dog")})
    agent = Agent(controller, staged((image, DOGS)))
    answer = agent.ask(image, "q?", verify=False, limits=Limits(calls=1))
    assert answer.status == "failed" and "limit of 1 tool calls" in (answer.error or "")
    late = agent.ask(image, "q?", verify=False, limits=Limits(seconds=0.0))
    assert late.status == "failed" and "seconds" in (late.error or "")


def test_partial_answer_tells_what_the_failed_program_found() -> None:
    image = picture()
    plan = (
        "BOX0=LOC(image=IMAGE,object='dog')\nANSWER0=EVAL(expr='1 / (len({BOX0}) - 2)')\n"
        "FINAL_RESULT=RESULT(var=ANSWER0)"
    )
    agent = Agent(ScriptedController({"q?": plan}), staged((image, DOGS)))
    answer = agent.ask(image, "q?", verify=False, limits=Limits(calls=1))
    assert answer.status == "partial"
    assert answer.text == "So far: dog: 2"
    assert "calls" in (answer.error or "")


def test_follow_ups_use_the_session_and_no_other_session() -> None:
    image, other = picture(), picture(1)
    plans = {
        "How many dogs are there?": COUNT.format("dog"),
        "how many brown dogs are there?": COUNT.format("brown dog"),
        "and how many brown ones?": COUNT.format("nothing of the kind"),
    }
    controller = ScriptedController(plans)
    agent = Agent(controller, staged((image, DOGS), (other, [thing("cat", (1, 1, 9, 9))])))
    assert agent.ask(image, "How many dogs are there?", session="a", verify=False).value == 2
    assert agent.ask(None, "and how many brown ones?", session="a", verify=False).value == 1
    assert controller.asked[-1].history == (("How many dogs are there?", "2"),)
    assert agent.ask(other, "and how many brown ones?", session="b", verify=False).value == 0
    assert controller.asked[-1].history == ()
    with pytest.raises(InputError, match="no picture is given"):
        agent.ask(None, "and how many brown ones?", session="c")
    agent.forget("a")
    with pytest.raises(InputError, match="no picture is given"):
        agent.ask(None, "and how many brown ones?", session="a")


def test_sessions_at_once_never_see_each_other() -> None:
    scenes = [(picture(n), [thing("dog", (1, 1, 9, 9))] * n) for n in range(1, 7)]
    controller = ScriptedController(lambda q: COUNT.format("dog"))
    agent = Agent(controller, staged(*scenes))
    wrong: list[object] = []

    def talk(number: int) -> None:
        image = scenes[number - 1][0]
        for turn in range(5):
            answer = agent.ask(
                image if turn == 0 else None, f"How many, {number}?", session=f"s{number}", verify=False
            )
            if answer.value != number:
                wrong.append((number, answer))

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    for request in controller.asked:
        own = request.question
        assert all(question == own for question, _ in request.history)
        assert all(p.picture == scenes[int(own[-2]) - 1][0].picture for p in request.pictures)


def test_fifty_questions_at_once_get_their_own_answers() -> None:
    scenes = [(picture(n), [thing("dog", (1, 1, 9, 9))] * (n % 9)) for n in range(50)]
    at_work: list[int] = []
    most = 0

    def plan(question: str) -> str:
        nonlocal most
        at_work.append(1)
        most = max(most, len(at_work))
        time.sleep(0.002)
        at_work.pop()
        return COUNT.format("dog")

    agent = Agent(ScriptedController(plan), staged(*scenes), workers=4)

    async def run() -> list[Answer]:
        return await asyncio.gather(
            *(agent.aask(image, f"How many dogs, {n}?", verify=False) for n, (image, _) in enumerate(scenes))
        )

    answers = asyncio.run(run())
    assert [a.value for a in answers] == [n % 9 for n in range(50)]
    assert len({a.trace for a in answers}) == 50
    assert 1 < most <= 4  # the others wait with nothing decoded, so memory does not grow with their number
    assert len(agent.sessions) == 0  # a question without a session leaves nothing behind
    agent.close()


def test_streams_tell_every_event_and_end_with_the_answer() -> None:
    image = picture()
    agent = Agent(ScriptedController({"q?": EXISTS.format("dog")}), staged((image, DOGS)))
    items = list(agent.stream(image, "q?", verify=False))
    assert isinstance(items[-1], Answer) and items[-1].value == "yes"
    events = [item for item in items if isinstance(item, Event)]
    assert [e.seq for e in events] == list(range(len(events)))
    assert events[0].kind == "ask" and events[-1].kind == "end"

    async def collect() -> list[object]:
        return [item async for item in agent.astream(image, "q?", verify=False)]

    assert [type(i) for i in asyncio.run(collect())] == [type(i) for i in items]
    with pytest.raises(TypeError, match="no option"):
        next(iter(agent.stream(image, "q?", verfiy=False)))


def test_a_stream_that_nobody_reads_stops_the_work() -> None:
    image = picture()
    agent = Agent(ScriptedController({"q?": EXISTS.format("dog")}), staged((image, DOGS)))
    stream = agent.stream(image, "q?", verify=False)
    next(stream)
    stream.close()
    agent.close()  # waits: the work must end by itself


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"question": "  "}, "the question is empty"),
        ({"question": "x" * 5000}, "4000 are the most"),
        ({"mode": "guess"}, "mode 'guess' is none of"),
        ({"at": (100, 1)}, "lies outside the picture"),
        ({"at": (1, 2, 3)}, "give a point"),
        ({"at": Mark(points=((1, 1, False),))}, "points at nothing"),
        ({"at": Mark(points=((1, 1, True),), picture=3)}, "the mark is on picture 3"),
        ({"pictures": []}, "no picture is given"),
        ({"pictures": 7}, "a int is no picture"),
        ({"pictures": np.zeros((4, 4), np.uint8)}, "RGB"),
        ({"pictures": np.zeros((4, 4, 3))}, "array of float64 is no picture; give uint8"),
        ({"question": "??"}, "has no words"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(arguments: dict[str, object], message: str) -> None:
    image = picture()
    agent = Agent(ScriptedController({}), staged((image, DOGS)))
    given: dict[str, object] = {"pictures": image, "question": "q?"} | arguments
    with pytest.raises(InputError, match=message):
        agent.ask(given.pop("pictures"), given.pop("question"), **given)  # type: ignore[arg-type]
    with pytest.raises(ImageError):
        agent.ask("no-such-file.png", "q?")


def test_two_pictures_are_left_and_right() -> None:
    one, two = picture(1), picture(2)
    plan = (
        "BOX0=LOC(image=LEFT,object='dog')\nBOX1=LOC(image=RIGHT,object='dog')\n"
        "ANSWER0=EVAL(expr='len({BOX0}) + len({BOX1})')\nFINAL_RESULT=RESULT(var=ANSWER0)"
    )
    models = staged((one, DOGS), (two, [thing("dog", (1, 1, 9, 9))]))
    agent = Agent(ScriptedController({"q?": plan}), models)
    assert agent.ask([one, two], "q?", verify=False).value == 3
    wrong = agent.ask(one, "q?", verify=False, fall_back=False)
    assert wrong.status == "failed" and "LEFT is not defined" in (wrong.error or "")


def test_short_answers_need_no_refiner_and_speak_chinese() -> None:
    image = picture()
    controller = ScriptedController({"有狗吗？": EXISTS.format("dog")}, lambda q, f: "是的，图中有狗。")
    agent = Agent(controller, staged((image, DOGS)))
    assert agent.ask(image, "有狗吗？", verify=False, style=Style(length="short")).text == "是"
    answer = agent.ask(image, "有狗吗？", verify=False)
    assert answer.text == "是的，图中有狗。"
    assert answer.grounded == "是的，图中有狗 [4, 4, 20, 20] [30, 30, 50, 50]。"


def test_an_error_that_is_no_message_of_ours_is_recorded_and_raised() -> None:
    image, store = picture(), Keep()

    def broken(question: str) -> str:
        raise ZeroDivisionError("a bug")

    agent = Agent(ScriptedController(broken), staged((image, DOGS)), traces=store)
    with pytest.raises(ZeroDivisionError):
        agent.ask(image, "q?")
    (events,) = store.traces.values()
    assert [e.kind for e in events[-2:]] == ["error", "end"]
    assert "ZeroDivisionError" in events[-2].data["traceback"]
