"""The whole app: Ask, Programs, Verify, Batch, Traces."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .api import Api
from .ask_page import AskPage
from .batch_page import BatchPage
from .examples import examples
from .guarded import GuardedBlocks
from .programs_page import ProgramsPage
from .service import Service
from .traces_page import TracesPage
from .verify_page import VerifyPage

_HEAD = """<div class="sl-head"><h1>Sightline</h1>
<p>Click on a picture and ask. Every answer shows how it was found and what in the picture supports it.</p></div>"""


def build(service: Service) -> Any:
    """The Blocks of the app, not launched."""
    with GuardedBlocks(title="Sightline", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        Api(service).build()  # first: an event of a page must not take an endpoint's name
        gr.HTML(_HEAD, padding=False)
        shown = examples(service.settings.folder)
        quiet: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        with gr.Tabs():
            with gr.Tab("Ask", id="ask"):
                AskPage(service, shown).build()
            with gr.Tab("Programs", id="programs") as tab:
                programs = ProgramsPage(service, shown)
                programs.build()
                tab.select(programs.opened, None, programs.pictures, **quiet)
            with gr.Tab("Verify", id="verify") as tab:
                verify = VerifyPage(service, shown)
                verify.build()
                tab.select(verify.opened, None, verify.board, **quiet)
            with gr.Tab("Batch", id="batch"):
                BatchPage(service).build()
            with gr.Tab("Traces", id="traces") as tab:
                traces = TracesPage(service)
                traces.build()
                if traces.store is not None:
                    tab.select(traces.listed, traces.words, [traces.table, traces.none], **quiet)
        blocks.unload(_leaver(service))
    blocks.queue(max_size=service.settings.line, default_concurrency_limit=4, api_open=True)
    return blocks


def _leaver(service: Service) -> Any:
    def leave(request: gr.Request) -> None:
        service.leave(request.session_hash or "")

    return leave
