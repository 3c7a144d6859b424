"""The Traces tab: search, open, compare two, download the page. Visitors see their own conversations' traces alone."""

from __future__ import annotations

import secrets
import time
from html import escape
from typing import Any

import gradio as gr

from ..agent.tracing.html import render
from ..agent.tracing.store import TraceStore
from ..errors import InputError, SightlineError
from ..tools.imagefile import write_whole
from .desk import Seat
from .markup import note, refusal
from .service import Service

MOST_ROWS = 200
_HEAD = ["Time", "Question", "Answer", "Mode", "Status", "Seconds", "Trace"]


class TracesPage:
    """Builds the tab and answers its events."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.store = TraceStore(service.settings.traces) if service.settings.traces else None

    def build(self) -> None:
        """Lay out the tab; call inside a Blocks context."""
        if self.store is None:
            gr.HTML(note("Traces are not kept here; start the app with --traces FOLDER to keep them."))
            return
        with gr.Row(elem_classes="sl-search"):
            self.words = gr.Textbox(
                label="Search", placeholder="words of a question or an answer", elem_id="trace-words", scale=4
            )
            self.look = gr.Button("Search", variant="primary", elem_id="trace-look", scale=0, min_width=110)
        self.none = gr.HTML(elem_id="trace-none", padding=False)
        self.table = gr.Dataframe(
            headers=_HEAD, datatype="str", interactive=False, wrap=True, elem_id="trace-table", max_height=300, visible=False,
            column_widths=["130px", "330px", "300px", "100px", "90px", "90px", "140px"], buttons=[],
        )  # fmt: skip
        with gr.Row(elem_classes="sl-search"):
            self.first = gr.Textbox(label="Trace", elem_id="trace-first", min_width=160)
            self.second = gr.Textbox(label="Compare with", elem_id="trace-second", min_width=160)
            self.open = gr.Button("Open", elem_id="trace-open", scale=0, min_width=90)
            self.compare = gr.Button("Compare", elem_id="trace-compare", scale=0, min_width=100)
            self.download = gr.DownloadButton(
                "Download", elem_id="trace-download", interactive=False, scale=0, min_width=110
            )
        self.page = gr.HTML(elem_id="trace-page", padding=False)
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        gr.on([self.look.click, self.words.submit], self.listed, self.words, [self.table, self.none], **quiet)
        two = [self.first, self.second]
        self.table.select(self.chosen, two, two, queue=False, **quiet).then(
            self.shown, two, [self.page, self.download], **quiet
        )
        self.open.click(self.opened, self.first, [self.page, self.download], **quiet)
        self.compare.click(self.compared, two, self.page, **quiet)

    def _seat(self, request: gr.Request) -> Seat:
        return self.service.desk.seat(request.session_hash or "")

    def _mine(self, name: str, seat: Seat) -> str:
        """The full name of a trace that this visitor may see."""
        assert self.store is not None
        if not (name or "").strip():
            raise InputError("choose a trace in the table first")
        full = self.store.resolve(name.strip())
        if not self.service.settings.all_traces and full not in {row.id for row in self._rows(seat, "")}:
            raise InputError(f"there is no trace {name.strip()[:80]!r} of yours")
        return full

    def _rows(self, seat: Seat, words: str) -> list[Any]:
        assert self.store is not None
        found = self.store.search(words, MOST_ROWS) if words.strip() else self.store.list(limit=MOST_ROWS)
        return [row for row in found if self.service.settings.all_traces or row.session == seat.key]

    def listed(self, words: str, request: gr.Request) -> Any:
        """The table, and what is said beside it."""
        rows = [
            [
                time.strftime("%Y-%m-%d %H:%M", time.localtime(row.time)), row.question[:200], row.answer[:200], row.mode,
                row.status, f"{row.ms / 1000:.1f}", row.id,
            ]
            for row in self._rows(self._seat(request), words or "")
        ]  # fmt: skip
        if rows:
            said = "Choose a row to open it; choose a second one to compare the two."
        elif (words or "").strip():
            said = f"No question or answer has the words {words.strip()[:80]!r}."
        else:
            said = "Nothing was asked yet: every question of the Ask tab leaves a trace here."
        return gr.Dataframe(rows, visible=bool(rows)), note(said)

    def chosen(self, first: str, second: str, event: gr.SelectData) -> Any:
        """A chosen row's trace; a second one chosen after it is what it is compared with; a third begins anew."""
        name = str(event.row_value[-1]) if event.row_value else ""
        return (first, name) if first and not second and name != first else (name, "")

    def shown(self, first: str, second: str, request: gr.Request) -> Any:
        """One trace's page, or two compared."""
        if second:
            return self.compared(first, second, request), gr.DownloadButton(interactive=False)
        return self.opened(first, request)

    def opened(self, name: str, request: gr.Request) -> Any:
        """The trace's page in a frame of its own that can run nothing of ours, and as a file to keep."""
        seat = self._seat(request)
        try:
            full = self._mine(name, seat)
            assert self.store is not None
            path = seat.folder / f"trace-{full}-{secrets.token_hex(6)}.html"
            page = render(self.store.load(full))
            write_whole(path, page.encode())
        except SightlineError as error:
            return refusal(str(error)), gr.DownloadButton(interactive=False)
        frame = (
            f'<iframe class="trace-frame" title="Trace {escape(full, quote=True)}" sandbox="allow-scripts" '
            f'srcdoc="{escape(page, quote=True)}"></iframe>'
        )
        return frame, gr.DownloadButton(value=str(path), interactive=True)

    def compared(self, first: str, second: str, request: gr.Request) -> str:
        from ..agent.tracing.compare import compare

        seat = self._seat(request)
        try:
            names = [self._mine(name, seat) for name in (first, second)]
            assert self.store is not None
            return compare(*(self.store.load(name) for name in names)).html()
        except SightlineError as error:
            return refusal(str(error))
