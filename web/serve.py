"""`sightline serve`: /v1/chat/completions in OpenAI's form, and the tools over MCP at /mcp, in one small ASGI app."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from ..agent.controllers.endpoint import BODY_BYTES, Refused, completion, streamed
from ..mllm.cutoff import Cutoff, cutting_off
from .mcp_tools import McpTools


def application(
    models: Mapping[str, BaseChatModel], tools: McpTools | None, key: str | None = None
) -> Starlette:
    """The app.

    Args:
        models: chat models by the name that clients ask for.
        tools: served at /mcp; None leaves MCP out.
        key: what clients must send as "Authorization: Bearer KEY"; None asks for nothing.
    """

    async def listed(request: Request) -> Response:
        _admit(request, key)
        rows = [{"id": name, "object": "model", "created": 0, "owned_by": "sightline"} for name in models]
        return JSONResponse({"object": "list", "data": rows})

    async def completed(request: Request) -> Response:
        _admit(request, key)
        asked = await _body(request)
        if not asked.get("stream"):
            return JSONResponse(await asyncio.to_thread(completion, models, asked))
        stopped = threading.Event()
        chunks = streamed(models, asked)
        # what is wrong with the request is told before a stream begins
        first = await asyncio.to_thread(_until, stopped, next, chunks)
        return StreamingResponse(_stream(first, chunks, stopped), media_type="text/event-stream")

    async def healthy(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return JSONResponse(error.body, error.status)

    async def failed(_request: Request, _error: Exception) -> Response:
        return JSONResponse(Refused(500, "the server failed; its log says why", "server_error").body, 500)

    routes: list[Any] = [
        Route("/health", healthy),
        Route("/v1/models", listed),
        Route("/v1/chat/completions", completed, methods=["POST"]),
    ]
    lifespan = None
    if tools is not None:
        inner = tools.server().streamable_http_app(streamable_http_path="/")

        @contextlib.asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            async with inner.router.lifespan_context(inner):
                yield

        routes.append(Mount("/mcp", _guarded(inner, key)))
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={Refused: refused, 500: failed})


def _admit(request: Request, key: str | None) -> None:
    if key is not None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), key.encode()):
            raise Refused(401, "the key is wrong or missing", "authentication_error")


def _guarded(inner: Any, key: str | None) -> Any:
    """The MCP app behind the same key."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            try:
                _admit(Request(scope), key)
            except Refused as error:
                await JSONResponse(error.body, error.status)(scope, receive, send)
                return
        await inner(scope, receive, send)

    return guarded


async def _body(request: Request) -> dict[str, Any]:
    """The request as an object, read no further than the limit."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > BODY_BYTES:
            raise Refused(413, f"a request has at most {BODY_BYTES} bytes")
    try:
        asked = json.loads(bytes(raw))
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(asked, dict):
        raise Refused(400, "the body must be a JSON object")
    return asked


def _until(stopped: threading.Event, work: Callable[..., Any], *arguments: Any) -> Any:
    """`work`, cut off where `stopped` is set: a model that it sets to work sees that too."""
    with cutting_off(Cutoff(stopped=stopped)):
        return work(*arguments)


async def _stream(
    first: dict[str, Any], chunks: Iterator[dict[str, Any]], stopped: threading.Event
) -> AsyncIterator[str]:
    piece: dict[str, Any] | None = first
    try:
        while piece is not None:
            yield f"data: {json.dumps(piece, ensure_ascii=False)}\n\n"
            piece = await asyncio.to_thread(next, chunks, None)
        yield "data: [DONE]\n\n"
    finally:
        stopped.set()
