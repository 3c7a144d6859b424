"""The starter behind a real OpenAI-compatible server on loopback: the agent over HTTP does what it does in-process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from agent_desk import DOGS, Desk, thing
from scripted_chat import ScriptedChat, calls

from sightline.agent.agent import Agent
from sightline.agent.controllers.base import Fact
from sightline.agent.controllers.endpoint import serving
from sightline.agent.controllers.named import controller
from sightline.agent.controllers.starter import StarterController
from sightline.agent.controllers.starter_chat import called, turn
from sightline.agent.controllers.starter_served import StarterServed, request_in
from sightline.agent.errors import ControllerError
from sightline.agent.program_mode import run_program
from sightline.agent.prompting import said
from sightline.agent.react import run_react
from sightline.agent.records import Mark, Request, Style


@pytest.fixture(scope="module")
def starter() -> StarterController:
    return StarterController()


@pytest.fixture(scope="module")
def address(starter: StarterController) -> Iterator[str]:
    with serving({"starter": StarterServed(controller=starter)}) as url:
        yield url


@pytest.mark.parametrize("question", ["How many dogs are there?", "Is there a cat?", "图里有几只狗？"])
def test_program_mode_over_http_is_program_mode_in_process(
    address: str, starter: StarterController, question: str
) -> None:
    here, there = Desk(question), Desk(question)
    mine = run_program(here.request, starter, here.engine, here.recorder)
    theirs = run_program(there.request, controller(address), there.engine, there.recorder)
    assert (theirs.status, theirs.program, theirs.value) == (mine.status, mine.program, mine.value)
    assert theirs.status == "done" and theirs.value in (2, "yes")
    assert there.events("thought")[0]["tokens_out"] == here.events("thought")[0]["tokens_out"]


def test_react_over_http_is_react_in_process(address: str, starter: StarterController) -> None:
    here, there = Desk("How many dogs are there?"), Desk("How many dogs are there?")
    mine = run_react(here.request, starter, here.toolbox, here.limits, here.recorder)
    made = controller(f"openai:starter@{address}")
    theirs = run_react(there.request, made, there.toolbox, there.limits, there.recorder)
    assert (theirs.status, theirs.text) == (mine.status, mine.text)
    assert [(e["tool"], e["arguments"]) for e in there.events("call")] == [
        (e["tool"], e["arguments"]) for e in here.events("call")
    ]
    assert there.events("call"), "it looked before it answered"


@pytest.mark.parametrize("mode", ["program", "react"])
def test_the_agent_answers_over_http(address: str, mode: Any) -> None:
    desk = Desk("?")
    agent = Agent(f"openai:starter@{address}", desk.engine.models)
    answer = agent.ask(
        desk.request.pictures[0], "How many dogs are there?", mode=mode, verify=False, fall_back=False
    )
    assert (answer.status, answer.mode) == ("done", mode) and "2" in answer.text
    assert answer.usage.model_calls >= 1 and answer.usage.tokens_out > 0 and len(answer.evidence) == 2


def test_the_other_verbs_over_http(address: str, starter: StarterController) -> None:
    made = controller(address)
    desk = Desk("Are there more dogs than cats?")
    text = "There are two dogs. There is no cat."
    assert made.claims(text, desk.recorder) == starter.claims(text, desk.recorder)
    assert made.divide(desk.request, (), desk.recorder) == starter.divide(desk.request, (), desk.recorder)
    known = [Fact("How many dogs are there?", "2", 2), Fact("How many cats are there?", "1", 1)]
    assert made.conclude(desk.request, known, desk.recorder) == starter.conclude(
        desk.request, known, desk.recorder
    )
    with pytest.raises(ControllerError, match="one neutral sentence"):
        made.compose("How many dogs?", known[:1], Style(tone="formal"), desk.recorder)
    with pytest.raises(ControllerError, match="no knowledge of the world"):
        made.complete(["primary colours"])
    with pytest.raises(ControllerError, match="cannot mend"):
        made.plan(desk.request, desk.recorder, [("X=LOC()", ["E103"])])


@pytest.mark.parametrize(
    "action", ["LOC(image=IMAGE,object='dog')", "COUNT(box=BOX0)", "SEGMENT(image=LEFT,point=[12,30])"]
)
def test_a_call_is_told_again_from_what_travels(action: str) -> None:
    (call,) = turn(f"Thought: Look. Action: {action}", set(), "c").tool_calls
    assert called(call["name"], call["args"]) == action


@pytest.mark.parametrize(
    "mark",
    [Mark(points=((12.0, 30.5, True), (4.0, 5.0, False))), Mark(box=(1.0, 2.0, 30.0, 40.0), picture=1)],
)
def test_a_request_survives_the_prompt(mark: Mark) -> None:
    pictures = Desk("?", DOGS, (thing("cat", "red", 5, 5),)).request.pictures
    found = request_in(said(Request("What is this?", pictures, mark, marked="dog")))
    assert (found.question, len(found.pictures), found.mark, found.marked) == (
        "What is this?",
        2,
        mark,
        "dog",
    )


def post(url: str, body: Any, **headers: str) -> tuple[int, str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, raw, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_endpoint_speaks_as_openais_does() -> None:
    script = ["four", calls(("LOC", {"object": "dog"}), say="look"), "streamed"]
    with serving({"m": ScriptedChat(script=script)}, key="k") as url:
        chat = f"{url}/chat/completions"
        hello = {"model": "m", "messages": [{"role": "user", "content": "2+2?"}]}
        assert post(chat, hello)[0] == 401
        key = {"Authorization": "Bearer k"}
        status, body = post(chat, hello, **key)
        assert status == 200 and json.loads(body)["choices"][0]["message"]["content"] == "four"
        tool = {
            "type": "function",
            "function": {"name": "LOC", "parameters": {"type": "object", "properties": {}}},
        }
        choice = json.loads(post(chat, {**hello, "tools": [tool]}, **key)[1])["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"object": "dog"}
        streamed = post(chat, {**hello, "stream": True}, **key)[1]
        assert '"content": "streamed"' in streamed and streamed.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "body", "status", "line"),
    [
        ("/chat/completions", b"{", 400, "no JSON"),
        ("/chat/completions", [], 400, "JSON object"),
        ("/chat/completions", {"model": "x", "messages": []}, 404, "no model 'x'"),
        ("/chat/completions", {"model": "m"}, 400, "messages must be a list"),
        (
            "/chat/completions",
            {"model": "m", "messages": [{"role": "nobody", "content": 1}]},
            400,
            "cannot be read",
        ),
        ("/completions", {}, 404, "only /v1/chat/completions"),
        (
            "/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "?"}]},
            500,
            "its log says why",
        ),
    ],
)
def test_the_endpoint_says_what_is_wrong(path: str, body: Any, status: int, line: str) -> None:
    with serving({"m": ScriptedChat(script=[])}) as url:
        got, said_back = post(url + path, body)
        assert got == status and line in json.loads(said_back)["error"]["message"]
        assert urllib.request.urlopen(f"{url.removesuffix('/v1')}/health", timeout=5).status == 200
