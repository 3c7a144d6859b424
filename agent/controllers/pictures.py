"""A picture as a chat model takes it: made smaller, as base64 in a content block."""

from __future__ import annotations

import base64
import io
from typing import Any

from ...tools.values import Image

LONGEST = (
    1024  # pixels of the longer side: what vision models read without cutting the picture into more tiles
)


def block(image: Image, longest: int = LONGEST) -> dict[str, Any]:
    """LangChain's content block for a picture: JPEG, no metadata, the longer side at most `longest` pixels."""
    from PIL import Image as Pillow

    picture = Pillow.fromarray(image.pixels)
    picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    return {
        "type": "image",
        "base64": base64.b64encode(buffer.getvalue()).decode(),
        "mime_type": "image/jpeg",
    }
