"""Guards before Gradio: no address is fetched, no file outside its upload folder read, no request larger than its limit."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 32 * 2**20  # of an upload, and of any other request: the largest is a painted mask
_DEEP = 12  # levels of nesting in what a browser sends; a page of ours sends four


class GuardedBlocks(gr.Blocks):
    """What a client sends is looked through before Gradio would fetch an address that stands in it, as it does by itself."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> Any:
        for given in inputs:
            self._check(given, _DEEP)
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)

    def _check(self, given: Any, depth: int) -> None:
        if isinstance(given, dict):
            if isinstance(path := given.get("path"), str):
                self._check_path(path)
            given = list(given.values())
        if isinstance(given, list | tuple):
            if depth == 0 and given:
                raise gr.Error("the request is nested too deeply", print_exception=False)
            for item in given:
                self._check(item, depth - 1)

    def _check_path(self, path: str) -> None:
        if "://" in path or path.startswith(("data:", "//")):
            raise gr.Error(
                "addresses are not fetched; download the picture and give it as a file", print_exception=False
            )
        uploads = Path(self.GRADIO_CACHE).resolve()
        if "\0" in path or not Path(path).resolve().is_relative_to(uploads):
            raise gr.Error(
                "only uploaded files are read; send the picture with gradio_client.handle_file",
                print_exception=False,
            )


class _TooLarge(Exception):
    """The body went over the limit."""


class BodyLimit:
    """ASGI middleware: a request other than an upload (which Gradio limits itself) ends where it is too large."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/").endswith("/upload"):
            await self.app(scope, receive, send)
            return
        came, over, begun = 0, False, False

        async def counted() -> Message:
            nonlocal came, over
            message = await receive()
            came += len(message.get("body", b""))
            if came > self.most:
                over = True
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            if not over or begun:  # what the app says of a body that broke off is not the reason
                begun = True
                await send(message)

        with contextlib.suppress(_TooLarge):
            await self.app(scope, counted, watched)
        if over and not begun:
            refusal = {"detail": f"the request is larger than {self.most // 2**20} MB"}
            await JSONResponse(refusal, status_code=413)(scope, receive, send)
