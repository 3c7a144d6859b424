"""The claims that a language model found, laid over those found by rule: its quotes become spans, its kinds ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import lexical
from .claims import Entity, Extraction, Kind, Mention, Span
from .tokens import phrases, words

if TYPE_CHECKING:
    from ..controllers.base import RawClaim

_KINDS: dict[str, Kind] = {
    "existence": "existence", "count": "count", "color": "attribute", "attribute": "attribute", "relation": "relation",
    "text": "text", "compare": "other", "other": "other",
}  # fmt: skip

_FEW = frozenset(("both", "single", "pair", "couple", "dozen", "half", "only"))


def merge(found: Extraction, raw: Sequence[RawClaim]) -> None:
    """Add what the rules did not find. A quote that does not stand in the text is passed over: it was not said."""
    for one in raw:
        kind = _KINDS.get(one.kind, "other")
        span = find_quote(found.text, one.quote)
        if span is None:
            continue
        refs = tuple(r for name in one.entities if (r := _entity(found, name, span)) is not None)
        if _known(found, kind, span, refs, one.polarity):
            continue
        aspect = ""
        if kind == "attribute":
            low = one.value.lower()
            aspect = "color" if low in words()["colors"] or one.kind == "color" else "state"
            at = (
                re.search(rf"\b{re.escape(one.value)}\b", found.text[span[0] : span[1]], re.IGNORECASE)
                if one.value
                else None
            )
            if at is not None:
                span = (span[0] + at.start(), span[0] + at.end())
        if not refs and kind not in ("text", "other"):
            continue
        if kind == "count" and not _counts(found.text[span[0] : span[1]]):
            continue  # a number that nobody said: "scooter" read as none, or as one
        sentence = next((i for i, s in enumerate(found.sentences) if s.start <= span[0] < s.end), 0)
        found.claim(kind, span, refs, sentence, value=one.value, aspect=aspect, polarity=one.polarity)


def _counts(quote: str) -> bool:
    """Whether a quote says how many: a digit, a number's word, or a phrase that counts."""
    low = quote.lower()
    table = phrases()
    return (
        re.search(r"\d|[〇零一二两三四五六七八九十]", low) is not None
        or any(word in table["numbers"] or word in _FEW for word in re.findall(r"\w+", low))
        or any(phrase in low for phrase in table["counts"])
    )


def find_quote(text: str, quote: str) -> Span | None:
    """Where a quote stands, whatever its case and spaces; None where it does not."""
    words_of = re.findall(r"\w+|[^\w\s]", quote)
    if not words_of:
        return None
    match = re.search(r"\W*?".join(re.escape(w) for w in words_of), text, re.IGNORECASE)
    return match.span() if match else None


def _entity(found: Extraction, name: str, span: Span) -> int | None:
    """The entity that a name means: by its head, nearest before the quote's end; a new one where it is named in the quote."""
    wanted = lexical.lemma(re.sub(r"^(?:a|an|the|some|two|three|four|five)\s+", "", name.strip().lower()))
    best: tuple[int, int] | None = None
    for entity in found.entities:
        if entity.name == wanted or entity.name.endswith(f" {wanted}") or wanted.endswith(f" {entity.name}"):
            for mention in entity.mentions:
                far = abs(mention.span[0] - span[0])
                if best is None or far < best[0]:
                    best = (far, entity.id)
    if best is not None:
        return best[1]
    for number, sentence in enumerate(found.sentences):
        for k, chunk in enumerate(sentence.chunks):
            if (
                chunk.kind == "np"
                and chunk.start >= span[0]
                and chunk.end <= span[1]
                and wanted in found.text[chunk.start : chunk.end].lower()
            ):
                made = Entity(
                    len(found.entities), wanted, mentions=[Mention((chunk.start, chunk.end), number, k)]
                )
                found.entities.append(made)
                return made.id
    return None


def _known(found: Extraction, kind: Kind, span: Span, refs: tuple[int, ...], polarity: bool) -> bool:
    for claim in found.claims:
        if claim.kind != kind or claim.polarity != polarity:
            continue
        if kind == "existence" and set(refs) <= set(claim.refs):
            return True
        overlap = min(span[1], claim.span[1]) - max(span[0], claim.span[0])
        if overlap > 0 and (not refs or set(refs) & set(claim.refs)):
            return True
    return False
