"""The tools as an MCP server: open pictures on a desk, call any tool on it, run a program, ask the agent.

A desk is named by a word that cannot be guessed and that every call carries, so the server works with clients of the
stateless protocol as with sessions, and nobody sees another's pictures.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server

from .. import __version__
from ..agent.agent import Agent
from ..agent.events import Recorder
from ..agent.records import Limits, Request
from ..agent.toolbox import Toolbox
from ..errors import InputError, SightlineError
from ..programs.outputs import to_json
from ..programs.results import show
from ..programs.syntax import ProgramError
from ..tools.registry import json_schema
from ..tools.values import Image

DESKS = 64  # kept; the one unused for longest goes
MOST_PICTURES = 8
MOST_BYTES = 24 * 2**20  # of one picture
_DESK = {"type": "string", "description": "the desk that open_pictures gave"}
_OPEN = types.Tool(
    name="open_pictures",
    description="Put pictures on a new desk. One is called IMAGE; two are LEFT and RIGHT (IMAGE is LEFT); more are IMAGE1, "
    "IMAGE2 ... Every other tool takes the desk, and results get handles (BOX0, ANSWER0 ...) that later calls may name.",
    input_schema={
        "type": "object",
        "properties": {
            "pictures": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_PICTURES,
                "items": {
                    "type": "string",
                    "description": "base64 of a picture file, or a path below the served folder",
                },
            }
        },
        "required": ["pictures"],
        "additionalProperties": False,
    },
)
_RUN = types.Tool(
    name="run_program",
    description="Run a whole visual program on the desk's pictures; its last line is FINAL_RESULT=RESULT(var=...).",
    input_schema={
        "type": "object",
        "properties": {"desk": _DESK, "program": {"type": "string", "description": "one step a line"}},
        "required": ["desk", "program"],
        "additionalProperties": False,
    },
)
_ASK = types.Tool(
    name="ask",
    description="Ask the agent a question about the desk's pictures; it plans, looks, and checks its answer.",
    input_schema={
        "type": "object",
        "properties": {
            "desk": _DESK,
            "question": {"type": "string"},
            "at": {
                "type": "array",
                "items": {"type": "number"},
                "description": "x, y or x1, y1, x2, y2 in pixels",
            },
        },
        "required": ["desk", "question"],
        "additionalProperties": False,
    },
)


class McpTools:
    """The tools of an agent over desks.

    Args:
        agent: whose engine and controller are used.
        root: folder below which paths may be opened; None: pictures come as base64 alone.
    """

    def __init__(self, agent: Agent, root: Path | None = None) -> None:
        self.agent = agent
        self.root = root.resolve() if root else None
        self._desks: OrderedDict[str, Toolbox] = OrderedDict()
        self._lock = threading.Lock()

    def server(self) -> Server[Any]:
        """The MCP server, to be run over stdio or HTTP."""

        async def listed(_context: Any, _params: Any) -> types.ListToolsResult:
            return types.ListToolsResult(tools=self.tools())

        async def called(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
            return await asyncio.to_thread(self.call, params.name, params.arguments or {})

        return Server(
            "sightline",
            version=__version__,
            instructions="Open pictures first; then call tools by handle, run a program, or ask.",
            on_list_tools=listed,
            on_call_tool=called,
        )

    def tools(self) -> list[types.Tool]:
        """open_pictures, run_program, ask, and every tool that a model may call, made from its declaration."""
        made = [_OPEN, _RUN, _ASK]
        for item in self.agent.engine.registry.visible():
            if item.name in ("RESULT", "IF"):
                continue
            schema = json_schema(item)
            parameters = dict(schema["parameters"])
            parameters["properties"] = {"desk": _DESK, **parameters["properties"]}
            parameters["required"] = ["desk", *parameters["required"]]
            made.append(
                types.Tool(name=item.name, description=schema["description"], input_schema=parameters)
            )
        return made

    def call(self, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """One call; what is wrong with it is an error result in one line."""
        try:
            if name == "open_pictures":
                return _said(self._open(arguments))
            rest = dict(arguments)
            desk = self._desk(rest.pop("desk", None))
            if name == "run_program":
                return self._run(desk, rest)
            if name == "ask":
                return self._ask(desk, rest)
            (seen,) = desk.call([(name, rest)])
            shown = f"{seen.name} = {seen.shown}" if seen.ok else seen.shown
            return _said(
                {"handle": seen.name, "shown": shown, "value": to_json(seen.value, None, seen.name)},
                shown,
                not seen.ok,
            )
        except ProgramError as error:
            lines = "\n".join(str(problem) for problem in error.problems[:10])
            return _said({"error": lines}, lines, True)
        except SightlineError as error:
            return _said({"error": str(error)}, str(error), True)

    def _open(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        given = arguments.get("pictures")
        if not isinstance(given, list) or not 1 <= len(given) <= MOST_PICTURES:
            raise InputError(f"pictures: give 1 to {MOST_PICTURES} of them in a list")
        request = Request("", tuple(self._picture(item) for item in given))
        name = secrets.token_urlsafe(12)
        box = Toolbox(
            self.agent.engine, request, Recorder(name), Limits(calls=100_000, tokens=None, seconds=None)
        )
        with self._lock:
            self._desks[name] = box
            while len(self._desks) > DESKS:
                self._desks.popitem(last=False)
        sizes = {key: [image.width, image.height] for key, image in request.inputs.items()}
        return {"desk": name, "pictures": sizes}

    def _picture(self, given: Any) -> Image:
        if not isinstance(given, str):
            raise InputError("a picture is a base64 text or a path")
        if self.root is not None and len(given) < 1024:
            path = (self.root / given).resolve()
            if path.is_file() and path.is_relative_to(self.root):
                return Image.open(path)
        data = given.partition(",")[2] if given.startswith("data:") else given
        if len(data) > MOST_BYTES * 4 // 3 + 4:
            raise InputError(f"a picture has {MOST_BYTES >> 20} MiB at most")
        try:
            return Image.open(base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError) as error:
            where = "below the served folder " if self.root else ""
            raise InputError(
                f"{given[:60]!r} is neither base64 of a picture nor a path {where}that can be read"
            ) from error

    def _desk(self, name: Any) -> Toolbox:
        with self._lock:
            box = self._desks.get(str(name))
            if box is None:
                raise InputError("there is no such desk (it may have been let go); call open_pictures first")
            self._desks.move_to_end(str(name))
            return box

    def _run(self, desk: Toolbox, arguments: Mapping[str, Any]) -> types.CallToolResult:
        result = desk.run_program(str(arguments.get("program", "")))
        if not result.ok:
            message = "; ".join(f"{error.step} ({error.op}): {error.message}" for error in result.errors)
            return _said({"error": message}, message, True)
        steps = [step.to_json() for step in result.steps]
        return _said({"value": to_json(result.value, None, "RESULT"), "steps": steps}, show(result.value))

    def _ask(self, desk: Toolbox, arguments: Mapping[str, Any]) -> types.CallToolResult:
        answer = self.agent.ask(
            list(desk.request.pictures), str(arguments.get("question", "")), arguments.get("at")
        )
        return _said(answer.to_json(), answer.text or answer.error or "", answer.status == "failed")


def _said(data: dict[str, Any], text: str | None = None, failed: bool = False) -> types.CallToolResult:
    shown = text if text is not None else json.dumps(data, ensure_ascii=False)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=shown)], structured_content=data, is_error=failed
    )


async def over_stdio(tools: McpTools) -> None:
    """Serve one client on standard input and output."""
    from mcp.server.stdio import stdio_server

    server = tools.server()
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
