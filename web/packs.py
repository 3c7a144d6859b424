"""What visitors read for a pack, and which pack an example picture is for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

PACK_NAMES = {
    "scenes": "drawn scenes (embedded models)",
    "starter": "photographs, offline (text, faces, clicks, colours)",
    "standard": "photographs (public models)",
}


def pack_choices(packs: Sequence[str]) -> list[tuple[str, str]]:
    """(words, pack) pairs for a dropdown."""
    return [(PACK_NAMES.get(name, name), name) for name in packs]


def pack_for(example: Path, packs: Sequence[str]) -> Any:
    """The dropdown's update for an example picture; nothing where its pack is not offered."""
    pack = "scenes" if example.name.startswith("scene") else "starter"
    return gr.Dropdown(value=pack) if pack in packs else gr.skip()
