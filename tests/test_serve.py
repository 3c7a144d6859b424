"""`sightline serve`: the official openai client on the endpoint, the official MCP client on the tools, and bad requests."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

openai = pytest.importorskip("openai", reason="needs openai: pip install -e '.[chat]'")
uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -e '.[serve]'")
mcp = pytest.importorskip("mcp", reason="needs mcp: pip install -e '.[serve]'")

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The server on this machine, with a key."""
    from sightline.agent.agent import Agent
    from sightline.web.core_chat import CoreChat
    from sightline.web.mcp_tools import McpTools
    from sightline.web.serve import application

    agent = Agent("starter", "scenes")
    tools = McpTools(agent, EXAMPLES)
    app = application({"core": CoreChat(engine=agent.engine)}, tools, key="secret")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
    agent.close()


def message(question: str, url: str | None = None) -> list[dict[str, Any]]:
    data = base64.b64encode((EXAMPLES / "scene.png").read_bytes()).decode()
    picture = {"type": "image_url", "image_url": {"url": url or f"data:image/png;base64,{data}"}}
    return [{"role": "user", "content": [{"type": "text", "text": question}, picture]}]


def test_the_openai_client_asks_and_streams(served: str) -> None:
    client = openai.OpenAI(base_url=f"{served}/v1", api_key="secret")
    assert [model.id for model in client.models.list().data] == ["core"]
    whole = client.chat.completions.create(model="core", messages=message("How many dogs are there?"))
    said = whole.choices[0].message.content
    assert (
        said.isdigit() and whole.choices[0].finish_reason == "stop"
    )  # right or wrong is for the evaluation to say
    stream = client.chat.completions.create(
        model="core", messages=message("How many dogs are there?"), stream=True
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in stream) == said


def test_the_openai_client_gets_the_words_as_they_are_written(served: str) -> None:
    client = openai.OpenAI(base_url=f"{served}/v1", api_key="secret", max_retries=0)
    asked: dict[str, Any] = {"model": "core", "messages": message("Describe the picture in detail.")}
    said = client.chat.completions.create(**asked).choices[0].message.content
    took = []
    pieces = []
    started = time.perf_counter()
    for chunk in client.chat.completions.create(**asked, stream=True):
        if chunk.choices[0].delta.content:
            pieces.append(chunk.choices[0].delta.content)
            took.append(time.perf_counter() - started)
    assert "".join(pieces) == said and chunk.choices[0].finish_reason == "stop"
    assert len(pieces) >= len(said.split()) / 2  # words, not the whole
    assert took[0] < took[-1] * 0.9  # the first ones arrive while the others are being written
    stopped = client.chat.completions.create(**asked, stream=True, stop=[said.split()[3]])
    short = "".join(piece.choices[0].delta.content or "" for piece in stopped)
    assert said.startswith(short) and said.split()[3] not in short
    leaving = client.chat.completions.create(**asked, stream=True)
    next(iter(leaving))
    leaving.close()  # a client that leaves does not hold the model
    assert client.chat.completions.create(**asked).choices[0].message.content == said
    with pytest.raises(openai.BadRequestError, match="send one"):
        client.chat.completions.create(
            model="core", messages=[{"role": "user", "content": "hello"}], stream=True
        )


def test_the_openai_client_gets_errors_in_the_usual_shape(served: str) -> None:
    client = openai.OpenAI(base_url=f"{served}/v1", api_key="secret", max_retries=0)
    with pytest.raises(openai.NotFoundError, match="no model 'other'"):
        client.chat.completions.create(model="other", messages=message("?"))
    with pytest.raises(openai.BadRequestError, match="not fetched"):
        client.chat.completions.create(model="core", messages=message("?", "http://127.0.0.1/secret.png"))
    with pytest.raises(openai.BadRequestError, match="send one"):
        client.chat.completions.create(model="core", messages=[{"role": "user", "content": "hello"}])
    wrong = openai.OpenAI(base_url=f"{served}/v1", api_key="guess", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        wrong.models.list()


def test_the_mcp_client_opens_looks_counts_and_asks() -> None:
    from sightline.agent.agent import Agent
    from sightline.web.mcp_tools import McpTools

    async def journey(agent: Agent) -> None:
        async with mcp.Client(McpTools(agent, EXAMPLES).server()) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names[:3] == ["open_pictures", "run_program", "ask"] and "LOC" in names
            opened = await client.call_tool("open_pictures", {"pictures": ["scene.png"]})
            desk = opened.structured_content["desk"]
            found = await client.call_tool("LOC", {"desk": desk, "image": "IMAGE", "object": "dog"})
            handle = found.structured_content["handle"]
            counted = await client.call_tool("COUNT", {"desk": desk, "box": handle})
            assert not counted.is_error and counted.structured_content["value"] == 2
            program = "BOX0=LOC(image=IMAGE,object='bus')\nA=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=A)"
            ran = await client.call_tool("run_program", {"desk": desk, "program": program})
            assert ran.structured_content["value"] == 1
            asked = await client.call_tool("ask", {"desk": desk, "question": "How many dogs are there?"})
            assert "2" in asked.content[0].text
            for name, arguments in (
                ("LOC", {"desk": desk, "picture": "IMAGE"}),
                ("LOC", {"desk": "guessed", "image": "IMAGE", "object": "dog"}),
                ("open_pictures", {"pictures": ["../pyproject.toml"]}),
                ("open_pictures", {"pictures": ["/etc/passwd"]}),
                ("run_program", {"desk": desk, "program": "import os"}),
            ):
                wrong = await client.call_tool(name, arguments)
                assert wrong.is_error and wrong.content[0].text

    with Agent("starter", "scenes") as agent:
        asyncio.run(journey(agent))
