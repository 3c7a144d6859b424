"""The agent with the starter that ships: offline, on a drawn scene, in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'starter' (pip install sightline[starter])")

from sightline.agent.agent import Agent
from sightline.agent.errors import CannotError
from sightline.agent.events import Event, Recorder
from sightline.agent.records import Answer

SCENE = Path(__file__).resolve().parent.parent / "examples" / "scene.png"


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    with Agent("starter", "scenes") as made:
        yield made


def test_a_count_is_planned_seen_and_worded(agent: Agent) -> None:
    answer = agent.ask(SCENE, "How many dogs are there?", verify=False)
    assert (answer.status, answer.mode, answer.value) == ("done", "program", 2)
    assert "2" in answer.text
    assert [region.label for region in answer.evidence] == ["dog", "dog"]
    assert all(region.box[0] < 140 and region.box[1] > 80 for region in answer.evidence)


def test_chinese_is_answered_in_chinese(agent: Agent) -> None:
    answer = agent.ask(SCENE, "图中有几只狗？", verify=False)
    assert answer.value == 2
    assert any("一" <= char <= "鿿" for char in answer.text) or answer.text == "2"


def test_a_click_stands_for_the_thing(agent: Agent) -> None:
    events: list[Event] = []
    answer: Answer | None = None
    for item in agent.stream(SCENE, "how many like this?", at=(40, 120), verify=False):
        if isinstance(item, Event):
            events.append(item)
        else:
            answer = item
    assert answer is not None and answer.value == 2
    plan = next(e.data["program"] for e in events if e.kind == "plan")
    assert "object='dog'" in plan


def test_a_conversation_is_followed(agent: Agent) -> None:
    assert agent.ask(SCENE, "How many dogs are there?", session="talk", verify=False).value == 2
    assert agent.ask(None, "what about the cats?", session="talk", verify=False).value == 1


def test_it_says_plainly_that_it_knows_nothing_of_the_world(agent: Agent) -> None:
    with pytest.raises(CannotError, match="no knowledge of the world"):
        agent.controller.complete(["Write a list of pets."])
    for plan in (
        "LIST0=LIST(query='pets',max=3)\nFINAL_RESULT=RESULT(var=LIST0)",
        "ANSWER0=ASK(question='Who painted it?')\nFINAL_RESULT=RESULT(var=ANSWER0)",
    ):
        result = agent.engine.run(plan, {})
        assert "no knowledge of the world" in result.results[0].errors[0].message


def test_its_chat_model_thinks_and_acts_in_its_own_words(agent: Agent) -> None:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    model = agent.controller.chat_model()
    first = model.invoke([HumanMessage("Request: How many dogs are there?\nPictures: IMAGE")])
    assert isinstance(first, AIMessage) and first.tool_calls[0]["name"] == "LOC"
    assert first.tool_calls[0]["args"] == {"image": "IMAGE", "object": "dog"}
    assert first.usage_metadata and first.usage_metadata["output_tokens"] > 0
    seen = ToolMessage("BOX0 = 2 x dog: dog at [1, 2, 3, 4]", tool_call_id=first.tool_calls[0]["id"])
    last = model.invoke([HumanMessage("Request: How many dogs are there?"), first, seen])
    assert last.text == "2"


def test_claims_carry_the_words_that_they_come_from(agent: Agent) -> None:
    claims = agent.controller.claims("There are two dogs. The cat is red.", Recorder("t"))
    assert ("count", ("dog",), "2", "There are two dogs.") in [
        (c.kind, c.entities, c.value, c.quote) for c in claims
    ]
