"""How the app looks: one accent, system fonts, calm surfaces; contrast of WCAG AA in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def theme() -> Any:
    """The Gradio theme."""
    import gradio as gr

    fonts = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Noto Sans SC", "sans-serif")
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        radius_size="lg",
        font=fonts,
        font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "monospace"),
    ).set(
        body_background_fill="#f6f7f9",
        body_background_fill_dark="#0f141b",
        block_background_fill="#ffffff",
        block_background_fill_dark="#171d26",
        block_border_width="1px",
        block_shadow="none",
        body_text_color_subdued="#4b5563",
        body_text_color_subdued_dark="#b6c0cc",
        block_label_text_color="#374151",
        block_label_text_color_dark="#cbd5e1",
        block_info_text_color="#4b5563",
        block_info_text_color_dark="#b6c0cc",
        input_placeholder_color="#6b7280",
        input_placeholder_color_dark="#98a4b3",
        color_accent="#1d4ed8",
        block_title_text_color="#374151",
        block_title_text_color_dark="#cbd5e1",
        block_title_text_weight="600",
        block_label_text_weight="600",
        button_large_text_weight="600",
        button_cancel_text_color="#374151",
        checkbox_background_color_selected="#1d4ed8",
        checkbox_border_color_selected="#1d4ed8",
        input_background_fill="#ffffff",
        input_background_fill_dark="#10161e",
        input_border_width="1px",
        input_border_color="#cbd5e1",
        input_border_color_dark="#3b4757",
        button_primary_background_fill="#1d4ed8",
        button_primary_background_fill_hover="#1e40af",
        button_primary_background_fill_dark="#2563eb",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#1f2733",
        button_secondary_border_color="#cbd5e1",
        button_secondary_border_color_dark="#3b4757",
    )


def css() -> str:
    """The app's own style sheet."""
    return (Path(__file__).resolve().parent / "assets" / "app.css").read_text("utf-8")


def head() -> str:
    """Rules for Gradio's own frame, which it would put below itself in a style sheet: a phone has no room for its margins."""
    return """<style>.dark .tab-container button.selected { color: #93b4fd !important; border-color: #93b4fd !important; }
.dark .tab-container button.selected::after { background: #93b4fd !important; }
@media (max-width: 640px) {
  .gradio-container, .gradio-container > .main { width: 100% !important; max-width: 100vw !important; min-width: 0 !important; }
  .gradio-container > .main > .wrap, .gradio-container .contain { min-width: 0 !important; width: 100% !important; }
  .gradio-container > .main { padding: 8px !important; }
  .gradio-container .column { min-width: 0 !important; width: 100%; }
  .gradio-container .row:has(> .column) { flex-direction: column; }
  .gradio-container .tab-container button { padding: 0 9px !important; }
}</style>"""
