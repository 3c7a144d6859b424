"""Small pieces of HTML that several tabs show; all text in them is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..programs.syntax import Problem


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
