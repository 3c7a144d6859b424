"""HTML built from values, so that every text is escaped by construction: a question, OCR and a model's words are hostile."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
# what no document may hold: NUL, other controls, and halves of surrogate pairs
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")


class Markup(str):
    """HTML that is fit to stand in a page as it is. Only this module's functions make it from other text."""

    __slots__ = ()


Child = Any  # Markup, a text or number that gets escaped, None, or an iterable of such


def fit(text: str) -> str:
    """A text without what a document may not hold; each such character becomes U+FFFD."""
    return _UNFIT.sub("\ufffd", text)


def escape(text: Any) -> Markup:
    """A text as HTML, safe between tags and inside quoted attributes."""
    return text if isinstance(text, Markup) else Markup(html.escape(fit(str(text)), quote=True))


def join(*children: Child) -> Markup:
    """The children one after another; None is left out."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, str) or not isinstance(child, Iterable):
            parts.append(escape(child))
        else:
            parts.append(join(*child))
    return Markup("".join(parts))


def tag(name: str, *children: Child, **attributes: Any) -> Markup:
    """An element. `class_` is written class, `data_key` data-key; None and False are left out, True has no value."""
    told = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(label) or label.lower().startswith("on"):
            raise ValueError(f"{label!r} is no attribute for a page without inline scripts")
        told.append(f" {label}" if value is True else f' {label}="{escape(value)}"')
    if name in _VOID:
        return Markup(f"<{name}{''.join(told)}>")
    return Markup(f"<{name}{''.join(told)}>{join(*children)}</{name}>")


def script_json(data: Any) -> Markup:
    """JSON for a <script> element: nothing in it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(_UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
