"""An OpenAI-compatible endpoint over any chat model of LangChain, tool calls and pictures included: /v1/chat/completions.

    with serving({"starter": StarterServed(StarterController())}) as url:
        controller(f"openai:starter@{url}")

It listens on this machine alone unless told otherwise. A client that asks for a stream gets the words as they are written,
where the model gives them so, and the whole reply in one piece where it does not.
"""

from __future__ import annotations

import hmac
import json
import logging
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_messages,
    message_chunk_to_message,
)

from ...errors import InputError, SightlineError

BODY_BYTES = 32 * 1024 * 1024
_log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that is answered with an error of HTTP."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "code": None, "param": None}}


def completion(models: Mapping[str, BaseChatModel], request: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion in OpenAI's form, for a request in OpenAI's form.

    Raises:
        Refused: an unknown model, messages that cannot be read, or a model that cannot do what is asked.
    """
    model, messages, stop, name = _read(models, request)
    try:
        reply = model.invoke(messages, stop=stop)
    except SightlineError as error:
        raise Refused(400, str(error)) from error
    return _as_openai(reply, name)


def streamed(
    models: Mapping[str, BaseChatModel], request: Mapping[str, Any]
) -> Generator[dict[str, Any], None, None]:
    """The same completion as the chunks of a stream. The first step raises what `completion` would; a failure after that
    is a chunk with an `error`, after which the stream ends."""
    model, messages, stop, name = _read(models, request)
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion.chunk", "created": int(time.time()), "model": name,
    }  # fmt: skip
    begun = False
    whole: Any = None
    try:
        for part in model.stream(messages, stop=stop):
            if not isinstance(part, AIMessageChunk):  # a model that only replies whole
                yield from pieces(_as_openai(part, name))
                return
            whole = part if whole is None else whole + part
            if part.text:
                role = {} if begun else {"role": "assistant"}
                yield head | {"choices": [_delta(role | {"content": str(part.text)})]}
                begun = True
    except SightlineError as error:
        if not begun:
            raise Refused(400, str(error)) from error
        yield Refused(400, str(error)).body
        return
    except Exception:
        if not begun:
            raise
        _log.exception("the endpoint failed while it streamed")
        yield Refused(500, "the server failed; its log says why", "server_error").body
        return
    reply = message_chunk_to_message(whole or AIMessageChunk(content=""))
    assert isinstance(reply, AIMessage)
    told = _as_openai(reply, name)
    (choice,) = told["choices"]
    rest: dict[str, Any] = {} if begun else {"role": "assistant"}
    if "tool_calls" in choice["message"]:
        rest["tool_calls"] = _indexed(choice["message"]["tool_calls"])
    yield head | {"choices": [_delta(rest, choice["finish_reason"])], "usage": told["usage"]}


def _delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _indexed(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"index": n, **call} for n, call in enumerate(calls)]


def _read(
    models: Mapping[str, BaseChatModel], request: Mapping[str, Any]
) -> tuple[Any, list[BaseMessage], list[str] | None, str]:
    """The model with its tools, the messages, the words at which it must end, and the model's name."""
    name = str(request.get("model") or "")
    if name not in models:
        raise Refused(
            404, f"no model {name!r} is served here; there is {', '.join(models)}", "not_found_error"
        )
    given = request.get("messages")
    if not isinstance(given, list) or not given:
        raise Refused(400, "messages must be a list with at least one message")
    try:
        messages = convert_to_messages(given)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise Refused(400, f"messages cannot be read: {_first_line(error)}") from error
    model: Any = models[name]
    tools = request.get("tools")
    if tools:
        if not isinstance(tools, list):
            raise Refused(400, "tools must be a list")
        try:
            model = model.bind_tools(tools)
        except NotImplementedError as error:
            raise Refused(400, f"the model {name!r} takes no tools; leave them out") from error
        except (ValueError, TypeError, KeyError) as error:
            raise Refused(400, f"tools cannot be read: {_first_line(error)}") from error
    stop = request.get("stop")
    if isinstance(stop, str):
        stop = [stop]
    if stop is not None and not (isinstance(stop, list) and all(isinstance(s, str) for s in stop)):
        raise Refused(400, "stop must be a text or a list of texts")
    if stop is not None and not all(stop):
        raise Refused(400, "stop has an empty text, which stands everywhere; leave it out")
    return model, messages, stop, name


def _first_line(error: Exception) -> str:
    """What an error says, without the advice that follows; its kind where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _as_openai(reply: AIMessage, name: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": str(reply.text) or None}
    calls = [
        {"id": c["id"] or f"call{n}", "type": "function",
         "function": {"name": c["name"], "arguments": json.dumps(c["args"], ensure_ascii=False)}}
        for n, c in enumerate(reply.tool_calls)
    ] + [
        {"id": c["id"] or f"wrong{n}", "type": "function", "function": {"name": c["name"] or "", "arguments": c["args"] or ""}}
        for n, c in enumerate(reply.invalid_tool_calls)
    ]  # fmt: skip
    if calls:
        message["tool_calls"] = calls
    usage = reply.usage_metadata
    read, wrote = (usage["input_tokens"], usage["output_tokens"]) if usage else (0, 0)
    finish = str(reply.response_metadata.get("finish_reason") or "stop")
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if calls else finish,
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote},
    }


def pieces(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A completion as the chunks of a stream."""
    (choice,) = whole["choices"]
    head = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    delta = dict(choice["message"])
    if "tool_calls" in delta:
        delta["tool_calls"] = _indexed(delta["tool_calls"])
    yield head | {"choices": [_delta(delta)]}
    yield head | {"choices": [_delta({}, choice["finish_reason"])], "usage": whole["usage"]}


class _Handler(BaseHTTPRequestHandler):
    models: Mapping[str, BaseChatModel]
    key: str | None
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a client may be silent

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        if path == "/health":
            self._send(200, {"status": "ok"})
        elif path == "/v1/models":
            rows = [
                {"id": name, "object": "model", "created": 0, "owned_by": "sightline"} for name in self.models
            ]
            self._answer(lambda: {"object": "list", "data": rows})
        else:
            self._send(404, Refused(404, f"there is nothing at {path or '/'}").body)

    def do_POST(self) -> None:
        if self.path.partition("?")[0].rstrip("/") != "/v1/chat/completions":
            self.close_connection = True
            self._send(404, Refused(404, "only /v1/chat/completions takes a POST").body)
            return
        self._answer(self._complete)

    def _answer(self, work: Any) -> None:
        try:
            self._admit()
            body = work()
        except Refused as refused:
            self.close_connection = True  # an unread body must not be taken for the next request
            self._send(refused.status, refused.body)
        except Exception:
            _log.exception("the endpoint failed")
            self.close_connection = True
            self._send(500, Refused(500, "the server failed; its log says why", "server_error").body)
        else:
            if body is not None:
                self._send(200, body)

    def _admit(self) -> None:
        if self.key is not None:
            given = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self.key.encode()):
                raise Refused(401, "the key is wrong or missing", "authentication_error")

    def _complete(self) -> dict[str, Any] | None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            raise Refused(411, "a Content-Length is needed") from None
        if not 0 <= length <= BODY_BYTES:
            raise Refused(413, f"a request has at most {BODY_BYTES} bytes")
        try:
            request = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            raise Refused(400, "the body is no JSON") from None
        if not isinstance(request, dict):
            raise Refused(400, "the body must be a JSON object")
        if not request.get("stream"):
            return completion(self.models, request)
        chunks = streamed(self.models, request)
        first = next(chunks)  # what is wrong with the request is told before a stream begins
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for piece in chain((first,), chunks):
                self.wfile.write(f"data: {json.dumps(piece, ensure_ascii=False)}\n\n".encode())
                self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")
        except (
            BrokenPipeError,
            ConnectionResetError,
        ):  # the client has left, and the work ends with the iterator
            chunks.close()
        return None

    def _send(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *arguments: Any) -> None:
        _log.debug(format, *arguments)


def endpoint(
    models: Mapping[str, BaseChatModel], host: str = "127.0.0.1", port: int = 0, key: str | None = None
) -> ThreadingHTTPServer:
    """A server that is bound and not yet running: `serve_forever()` runs it. Port 0 takes a free one.

    Args:
        models: what is served, by name.
        key: what a client must send as its API key; None for none.

    Raises:
        InputError: the address cannot be had.
    """
    handler = type("Handler", (_Handler,), {"models": dict(models), "key": key})
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot serve at {host}:{port}: {error}; choose another --port") from error
    server.daemon_threads = True
    return server


@contextmanager
def serving(
    models: Mapping[str, BaseChatModel], host: str = "127.0.0.1", port: int = 0, key: str | None = None
) -> Iterator[str]:
    """A server beside this thread, stopped at the end; yields its address, as http://127.0.0.1:8000/v1."""
    server = endpoint(models, host, port, key)
    thread = threading.Thread(target=server.serve_forever, name="sightline-endpoint", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
