"""Controllers over HTTP, with langchain-openai against a real server on loopback that replays recorded replies."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from agent_desk import Desk
from scripted_chat import Server, replaying, replied

from sightline.agent.controllers.faults import Patience
from sightline.agent.controllers.named import controller
from sightline.agent.errors import ControllerError
from sightline.agent.program_mode import PlanFailed, run_program
from sightline.agent.react import run_react
from sightline.errors import InputError

PROGRAM = "BOX0=LOC(image=IMAGE,object='dog')\nANSWER0=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=ANSWER0)"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "SIGHTLINE_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def at(server: Server, **options: Any) -> Any:
    waited: list[float] = []
    made = controller(f"openai:m@{server.url}", sleep=waited.append, **options)
    made.waited = waited
    return made


def count(*script: Any, **options: Any) -> tuple[Any, Desk, Server, Any]:
    """Program mode on "how many dogs?" (two), with the server saying `script`."""
    desk = Desk("How many dogs are there?")
    with replaying(*script) as server:
        made = at(server, **options)
        outcome = run_program(desk.request, made, desk.engine, desk.recorder)
    return outcome, desk, server, made


@pytest.mark.parametrize(
    "text",
    [
        PROGRAM,
        f"Of course! This program counts the dogs:\n\n{PROGRAM}\n\nIt finds them and counts them.",
        f"```python\n{PROGRAM}\n```",
        f"Here you are:\n```\n{PROGRAM}\n```\nor, shorter:\n```\nFINAL_RESULT=RESULT(var=IMAGE)\n```",
        f"{PROGRAM}\n\nBOX0=LOC(image=IMAGE,object='cat')\nFINAL_RESULT=RESULT(var=BOX0)",
        f"BOX0=LOC(image=IMAGE,object='cat')\n\nNo, wait:\n{PROGRAM}",
        "1. " + PROGRAM.replace("\n", "\n2. "),
        json.dumps({"program": PROGRAM}),
        f"<think>BOX0=LOC(image=IMAGE,object='cat') is not it</think>\n{PROGRAM}",
        PROGRAM.replace("=", " = ").replace("(", "( "),
    ],
    ids=[
        "plain",
        "prose",
        "fences",
        "two fenced",
        "two programs",
        "false start",
        "list",
        "json",
        "thinking",
        "spaces",
    ],
)
def test_a_program_is_found_in_what_the_model_wrote(text: str) -> None:
    outcome, desk, server, made = count(replied(text))
    assert (outcome.status, outcome.value) == ("done", 2)
    (thought,) = desk.events("thought")
    assert thought["said"] == text and (thought["tokens_in"], thought["tokens_out"]) == (11, 7)
    assert thought["demonstrations"] and len(desk.events("plan")) == 1
    assert (made.totals.calls, made.totals.tokens_in) == (1, 11)
    assert server.requests[0]["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (PROGRAM.replace("LOC", "FIND_THINGS"), "E101"),
        (PROGRAM.replace("image=IMAGE,object", "picture=IMAGE,name"), "E102"),
        (PROGRAM.replace("COUNT(box=BOX0)", "COUNT(box=BOX7)"), "E201"),
        (PROGRAM.rsplit("\n", 1)[0], "E401"),
        (PROGRAM[:30], "E0"),
        (PROGRAM.replace("IMAGE,", "'IMAGE',"), "E301"),
    ],
    ids=["invented op", "wrong argument", "undefined name", "no result", "half a program", "wrong type"],
)
def test_what_the_checker_finds_goes_back_and_is_put_right(text: str, code: str) -> None:
    outcome, desk, server, _ = count(replied(text), replied(PROGRAM))
    assert (outcome.status, outcome.value) == ("done", 2)
    first, second = desk.events("plan")
    assert not first["ok"] and any(e["code"].startswith(code) for e in first["errors"]) and second["ok"]
    repair = server.requests[1]["messages"][-1]
    assert repair["role"] == "user" and code in repair["content"]
    assert [t["attempt"] for t in desk.events("thought")] == [0, 1]


def test_what_stays_wrong_is_said() -> None:
    wrong = replied(PROGRAM.replace("LOC", "FIND_THINGS"))
    with pytest.raises(PlanFailed, match="FIND_THINGS"):
        count(wrong, wrong, wrong)


REFUSED = (
    429,
    {"Retry-After": "2"},
    {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit"}},
)


def test_a_rate_limit_is_waited_for_as_the_server_asks() -> None:
    outcome, desk, server, made = count(REFUSED, REFUSED, replied(PROGRAM))
    assert outcome.value == 2 and made.waited == [2.0, 2.0] and len(server.requests) == 3
    assert len(desk.events("thought")) == 1


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ([REFUSED] * 3, r"rate limit, tried 3 times; the server asks to wait 2 s"),
        ([(429, {"Retry-After": "900"}, {"error": {"message": "slow down"}})], r"rate limit, tried once; .* 900 s"),
        ([(429, {}, {"error": {"message": "x", "code": "insufficient_quota"}})], "no quota left"),
        ([(401, {}, {"error": {"message": "bad key"}})], "key was refused; check SIGHTLINE_API_KEY"),
        ([(404, {}, {"error": {"message": "no such model"}})], "no such model or path"),
        ([(500, {}, {"error": {"message": "oops"}})] * 3, "failed with status 500, tried 3 times"),
        ([(400, {}, {"error": {"message": "maximum context length is 512"}})], "longer than the model can read"),
        ([(200, {}, "<html>not json</html>")], "the call failed"),
        ([replied("I'm sorry, but I can't help with that.")], "refused to plan: I'm sorry"),
        ([replied(None, refusal="Not that.")], "the model refused: Not that."),
        ([replied("There are probably two dogs.")], "wrote no program: There are probably"),
        ([replied(PROGRAM[:40], finish="length")], "cut off at the token limit; raise max_tokens="),
        ([replied(""), replied("")], "the reply was empty"),
        ([replied("", finish="content_filter")], "filter withheld"),
    ],
)  # fmt: skip
def test_each_failure_is_one_clear_line(script: list[Any], line: str) -> None:
    with pytest.raises(ControllerError, match=line) as caught:
        count(*script)
    assert "\n" not in str(caught.value) and "openai:m@http://127.0.0.1" in str(caught.value)


def test_an_empty_reply_is_asked_for_once_more() -> None:
    outcome, desk, _server, _ = count(replied(""), replied(PROGRAM))
    assert outcome.value == 2 and len(desk.events("thought")) == 2


def test_a_whole_program_before_the_cut_is_taken() -> None:
    outcome, *_ = count(replied(PROGRAM + "\n\nThis program first finds", finish="length"))
    assert outcome.value == 2


def test_a_refused_connection_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    desk = Desk("How many dogs are there?")
    made = controller(f"openai:m@http://127.0.0.1:{port}/v1")
    with pytest.raises(ControllerError, match="connection refused; start the server"):
        run_program(desk.request, made, desk.engine, desk.recorder)
    with pytest.raises(ControllerError, match="cannot ask which models are served"):
        controller(f"http://127.0.0.1:{port}/v1")


def tool_call(name: str, arguments: str, key: str = "c1") -> dict[str, Any]:
    return {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_react_over_http_with_native_tools_and_broken_json() -> None:
    desk = Desk("How many dogs are there?")
    script = [
        replied(
            "I look for dogs.",
            "tool_calls",
            tool_calls=[tool_call("LOC", '{"image": "IMAGE", "object": "dog')],
        ),
        replied(
            None, "tool_calls", tool_calls=[tool_call("LOC", '{"image": "IMAGE", "object": "dog"}', "c2")]
        ),
        replied(None, "tool_calls", tool_calls=[tool_call("COUNT", '{"box": "BOX0"}', "c3")]),
        replied("two"),
    ]
    with replaying(*script) as server:
        outcome = run_react(desk.request, at(server), desk.toolbox, desk.limits, desk.recorder)
    assert (outcome.status, outcome.text) == ("done", "two")
    offered = {tool["function"]["name"] for tool in server.requests[0]["tools"]}
    assert {"LOC", "COUNT", "VQA"} <= offered and "RESULT" not in offered
    told = server.requests[1]["messages"][-1]
    assert told["role"] == "tool" and told["tool_call_id"] == "c1" and told["content"].startswith("failed:")
    assert server.requests[3]["messages"][-1]["content"] == "ANSWER0 = 2"


def test_a_server_without_tools_is_spoken_to_in_text() -> None:
    desk = Desk("How many dogs are there?")
    script = [
        (400, {}, {"error": {"message": "this model does not support tools"}}),
        replied('Thought: look\nAction: LOC {"image": "IMAGE", "object": "dog"}'),
        replied("Answer: two"),
    ]
    with replaying(*script) as server:
        outcome = run_react(desk.request, at(server), desk.toolbox, desk.limits, desk.recorder)
    assert outcome.text == "two"
    assert "tools" in server.requests[0] and "tools" not in server.requests[1]
    assert "Action: TOOL_NAME" in server.requests[1]["messages"][0]["content"]


def test_no_key_for_another_place_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    _, _, server, _ = count(replied(PROGRAM))
    assert "sk-secret" not in str(server.headers)
    monkeypatch.setenv("SIGHTLINE_API_KEY", "ours")
    _, _, server, _ = count(replied(PROGRAM))
    assert server.headers[0]["authorization"] == "Bearer ours"


def test_an_address_alone_names_its_only_model() -> None:
    with replaying(replied("four")) as server:
        made = controller(server.url)
        assert made.complete(["2 + 2?"]) == ["four"]
    assert server.requests[0]["model"] == "m"


@pytest.mark.parametrize(
    ("name", "error", "line"),
    [
        ("openai:gpt-x", ControllerError, "no key; set the environment variable OPENAI_API_KEY"),
        ("anthropic:claude", ControllerError, "pip install langchain-anthropic"),
        ("ollama:qwen", ControllerError, "pip install langchain-ollama"),
        ("gpt-5", InputError, "is not known; give one of starter, openai:MODEL"),
        ("openai:", InputError, "is not known"),
        ("openai:m@here", InputError, "begins with http"),
        ("local:/nowhere", InputError, "no config.json"),
    ],
)
def test_names_that_lead_nowhere_say_what_to_do(name: str, error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=line):
        controller(name)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(InputError, match="colour"):
        controller("openai:m@http://127.0.0.1:9/v1", colour=1)


def test_json_by_schema_falls_back_to_words() -> None:
    claims = {
        "claims": [
            {"kind": "count", "quote": "two dogs", "entities": ["dog"], "value": "2", "polarity": True}
        ]
    }
    script = [
        (400, {}, {"error": {"message": "response_format is not supported"}}),
        replied(json.dumps(claims)),
    ]
    desk = Desk("?")
    with replaying(*script) as server:
        (claim,) = at(server, structured=True).claims("There are two dogs.", desk.recorder)
    assert (claim.kind, claim.entities, claim.value, claim.quote) == ("count", ("dog",), "2", "two dogs")
    assert server.requests[0]["response_format"]["type"] == "json_schema"
    assert "response_format" not in server.requests[1]


def test_reasoning_is_kept_beside_what_was_said() -> None:
    from langchain_core.messages import AIMessage
    from scripted_chat import ScriptedChat

    desk = Desk("How many dogs are there?")
    reply = AIMessage([{"type": "reasoning", "reasoning": "I count."}, {"type": "text", "text": PROGRAM}])
    made = controller(ScriptedChat(script=[reply]))
    assert made.plan(desk.request, desk.recorder) == PROGRAM
    assert (
        desk.events("thought")[0]["reasoning"] == "I count." and desk.events("thought")[0]["said"] == PROGRAM
    )


def test_models_that_take_no_temperature_are_sent_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    sent = {name: controller(f"openai:{name}").chat_model().inner.temperature for name in ("o3", "gpt-4o")}
    assert sent == {"o3": None, "gpt-4o": 0.0}


def test_patience_is_bounded() -> None:
    error = ConnectionResetError("reset")
    assert Patience(tries=1).wait(error, 1) is None
    assert Patience(tries=3).wait(TimeoutError(), 1) == 0.5
    assert Patience(tries=3).wait(ValueError("x"), 1) is None
