"""The whole app: Ask, Programs, Verify, Batch, Traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from .api import Api
from .ask_page import AskPage
from .batch_page import BatchPage
from .programs_page import ProgramsPage
from .service import Service
from .traces_page import TracesPage
from .verify_page import VerifyPage

EXAMPLES = (
    ("scene.png", "A drawn scene"), ("coffee.jpg", "A cup of coffee"), ("page.png", "A printed page"), ("zidane.jpg", "Two men"),
)  # fmt: skip
_HEAD = """<div class="sl-head"><h1>Sightline</h1>
<p>Click on a picture and ask. Every answer shows how it was found and what in the picture supports it.</p></div>"""


def examples() -> list[tuple[Path, str]]:
    """Example pictures, where the repository's folder is there; an installed wheel has none."""
    folder = Path(__file__).resolve().parent.parent / "examples"
    return [(folder / name, words) for name, words in EXAMPLES if (folder / name).is_file()]


def build(service: Service) -> Any:
    """The Blocks of the app, not launched."""
    with gr.Blocks(title="Sightline", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
        gr.HTML(_HEAD)
        with gr.Tabs():
            with gr.Tab("Ask", id="ask"):
                AskPage(service, examples()).build()
            with gr.Tab("Programs", id="programs") as tab:
                programs = ProgramsPage(service, examples())
                programs.build()
                tab.select(programs.opened, None, programs.pictures, api_visibility="private", queue=False)
            with gr.Tab("Verify", id="verify") as tab:
                verify = VerifyPage(service, examples())
                verify.build()
                tab.select(verify.opened, None, verify.board, api_visibility="private", queue=False)
            with gr.Tab("Batch", id="batch"):
                BatchPage(service).build()
            with gr.Tab("Traces", id="traces"):
                TracesPage(service).build()
        Api(service).build()
        blocks.unload(_leaver(service))
    blocks.queue(max_size=service.settings.line, default_concurrency_limit=4, api_open=True)
    return blocks


def _leaver(service: Service) -> Any:
    def leave(request: gr.Request) -> None:
        service.leave(request.session_hash or "")

    return leave
