"""The panel that shows a story; choosing a claim, a step or a call lights its boxes on the picture."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

_JS = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-light]");
  if (!button) return;
  const on = button.getAttribute("aria-pressed") !== "true";
  element.querySelectorAll('[aria-pressed="true"]').forEach((b) => b.setAttribute("aria-pressed", "false"));
  button.setAttribute("aria-pressed", String(on));
  trigger("light", { names: on ? button.dataset.light.split(" ").filter(Boolean) : [] });
});
"""


def story_panel(
    empty: str = "The answer appears here, with how it was found and what checked it.", **options: Any
) -> gr.HTML:
    """HTML of `Story.html()`; its `light` event names the regions to light. `empty` is said before there is a story."""
    return gr.HTML(
        value=f'<p class="story-empty">{escape(empty)}</p>', js_on_load=_JS, apply_default_css=False, padding=False, **options
    )  # fmt: skip
