"""Small pieces of HTML that several tabs show; all text in them is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from ..programs.syntax import Problem

UNEXPECTED = "Something unexpected went wrong; the operator finds it in the log. Please try again."


def refusal(message: str) -> str:
    """One line that says why not."""
    return f'<p class="story-failed" role="alert">{escape(message)}</p>'


def note(message: str) -> str:
    """One quiet line."""
    return f'<p class="story-note" role="status">{escape(message)}</p>'


def problems_html(problems: Sequence[Problem]) -> str:
    """What the checker found, a line each; or that nothing is wrong."""
    if not problems:
        return '<p class="story-note" role="status">No problems.</p>'
    rows = "".join(
        f'<li class="{"story-failed" if problem.severity == "error" else "story-note"}">{escape(str(problem))}</li>'
        for problem in problems[:20]
    )
    return f'<ul class="problems" role="status">{rows}</ul>'


def upload_button(words: str, name: str, many: bool = False) -> Any:
    """A button that takes a picture, or several."""
    return gr.UploadButton(
        words, file_types=["image"], file_count="multiple" if many else "single", elem_id=name, variant="secondary", min_width=80
    )  # fmt: skip


def pictures_html(shown: Sequence[tuple[str, str]], title: str) -> str:
    """Pictures by address, each under its words and opened whole by a click; nothing for none."""
    if not shown:
        return ""
    tiles = "".join(
        f'<li><a href="{escape(url, quote=True)}" target="_blank" rel="noopener"><img src="{escape(url, quote=True)}" loading="lazy" '
        f'alt="{escape(words, quote=True)}"></a><span>{escape(words)}</span></li>'
        for url, words in shown
    )
    return f'<section class="shots"><h3>{escape(title)}</h3><ul>{tiles}</ul></section>'
