"""A chat model that says what a script says, with tool binding; and a real server that replays recorded HTTP replies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field


class ScriptedChat(BaseChatModel):
    """Says the lines of `script` in order: a text, an AIMessage, or an exception to raise. Keeps what it was asked."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    script: list[Any]
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    bound: list[list[Any]] = Field(default_factory=list)
    options: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Runnable[Any, AIMessage]:
        self.bound.append(list(tools))
        return self

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **options: Any
    ) -> ChatResult:
        self.asked.append(messages)
        self.options.append(options)
        if len(self.asked) > len(self.script):
            raise AssertionError(
                f"the script has {len(self.script)} lines and was asked for one more: {messages[-1]}"
            )
        line = self.script[len(self.asked) - 1]
        if isinstance(line, Exception):
            raise line
        reply = line if isinstance(line, AIMessage) else AIMessage(line)
        return ChatResult(generations=[ChatGeneration(message=reply.model_copy())])


class PlainChat(ScriptedChat):
    """The same without tool calling of its own."""

    bind_tools = BaseChatModel.bind_tools  # type: ignore[assignment]


def calls(*wanted: tuple[str, dict[str, Any]], say: str = "") -> AIMessage:
    """A turn with native tool calls."""
    return AIMessage(
        say,
        tool_calls=[
            {"name": n, "args": a, "id": f"t{i}", "type": "tool_call"} for i, (n, a) in enumerate(wanted)
        ],
    )


def replied(text: str | None = None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A chat completion as OpenAI's servers send it."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }  # fmt: skip


class Server:
    """What a replaying server was sent, and where it is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []


@contextmanager
def replaying(*script: Any) -> Iterator[Server]:
    """A server on loopback that answers POSTs with the script's (status, headers, body), or 200 and a body, in turn.

    A line may be a function that gives one, once it has waited.
    """
    lines = iter(script)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, {}, {"object": "list", "data": [{"id": "m", "object": "model"}]})

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            told.requests.append(json.loads(self.rfile.read(length)))
            told.headers.append({name.lower(): value for name, value in self.headers.items()})
            line = next(lines, (500, {}, {"error": {"message": "the script is at its end"}}))
            if callable(line):
                line = line()
            status, headers, body = line if isinstance(line, tuple) else (200, {}, line)
            self._send(status, headers, body)

        def _send(self, status: int, headers: dict[str, str], body: Any) -> None:
            raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that did not wait
                self.wfile.write(raw)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Server(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
