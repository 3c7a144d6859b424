"""The command that serves the core MLLM and the tools to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import InputError
from .console import default_cache

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from ..agent.controllers.base import Controller


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(serve)


def serve(
    host: str = typer.Option(
        "127.0.0.1", "--host", help="Address to listen on; the default is this machine alone."
    ),
    port: int = typer.Option(8000, "--port", min=1, max=65535),
    pack: str = typer.Option(
        "scenes", "--pack", help="Which models see: scenes, starter, standard, or a YAML file."
    ),
    controller: str = typer.Option(
        "starter", "--controller", help="The language model that plans for `ask`."
    ),
    key: str = typer.Option(
        "", "--key", envvar="SIGHTLINE_KEY", help="What clients must send as their API key."
    ),
    root: Path | None = typer.Option(
        None, "--root", help="Folder below which MCP clients may open pictures by path."
    ),
    stdio: bool = typer.Option(
        False, "--mcp-stdio", help="Serve the tools over MCP on standard input and output instead."
    ),
) -> None:
    """Serve /v1/chat/completions (OpenAI's form) and the tools over MCP at /mcp."""
    try:
        from ..web.mcp_tools import McpTools, over_stdio
    except ModuleNotFoundError as error:
        raise InputError(f"serving needs the package {error.name}: pip install 'sightline[serve]'") from error
    from ..agent.agent import Agent

    if root is not None and not root.is_dir():
        raise InputError(f"--root {root}: there is no such folder")
    agent = Agent(controller, pack, cache=default_cache())
    tools = McpTools(agent, root)
    if stdio:
        import asyncio

        asyncio.run(over_stdio(tools))
        return
    import uvicorn

    from ..web.core_chat import CoreChat
    from ..web.serve import application

    models = {"core": CoreChat(engine=agent.engine), agent.controller.name: _thinking(agent.controller)}
    typer.echo(f"http://{host}:{port}/v1 serves {', '.join(models)}; http://{host}:{port}/mcp the tools")
    uvicorn.run(application(models, tools, key or None), host=host, port=port, log_level="warning")


def _thinking(controller: Controller) -> BaseChatModel:
    """A controller as it is served: the starter understands the agent's prompts, a chat model whatever it understands."""
    from ..agent.controllers.starter import StarterController

    if isinstance(controller, StarterController):
        from ..agent.controllers.starter_served import StarterServed

        return StarterServed(controller=controller)
    return controller.chat_model()
