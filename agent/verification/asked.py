"""Claims of a short answer, which only its question makes whole: "Is there a dog?" - "Yes." claims a dog."""

from __future__ import annotations

import re

from .claims import Claim, Extraction, Mention, extract

_BARE = re.compile(r"\s*(yes|no|yeah|nope|是的?|有的?|没有|不是|否)\W*\s*$", re.IGNORECASE)
_ASKS = re.compile(r"^\s*(?:please\s+)?(?:is|are|do|does|can|was|were)\b(?!.*\bor\b)", re.IGNORECASE)
YES = frozenset(("yes", "yeah", "是", "是的", "有", "有的"))


def extract_answer(text: str, question: str) -> Extraction:
    """The claims of `text`; where it is only a yes or no, those of its question, all of them at the place of that word.

    Their `aspect` is "answer": a correction turns the word. A "no" to a question that claims several things denies them
    together, so it claims something only where the question claims one.
    """
    bare = _BARE.match(text)
    if bare is None or not question.strip():
        return extract(text)
    asked = extract(_as_statement(question))
    found = Extraction(text, extract(text).sentences)
    span = (bare.start(1), bare.end(1))
    positive = bare[1].lower() in YES
    told = [c for c in asked.claims if c.kind in ("existence", "count", "attribute", "relation")]
    sharp = [c for c in told if c.kind != "existence"] or told
    if not told or (not positive and len(sharp) != 1):
        return found
    found.entities = asked.entities
    for entity in found.entities:
        entity.mentions = [Mention(span, 0, 0)]
    for claim in told:
        if not positive and claim not in sharp:
            continue
        found.claims.append(
            Claim(
                f"c{len(found.claims) + 1}", claim.kind, text[span[0] : span[1]], span, claim.entities, claim.refs,
                claim.value, claim.aspect if claim.kind == "attribute" else "answer",
                claim.polarity == positive,
            )
        )  # fmt: skip
    return found


def is_bare(found: Extraction) -> bool:
    """Whether the text is only a yes or no."""
    return bool(_BARE.match(found.text)) and bool(found.claims)


def turned(word: str) -> str:
    """The other answer, written alike."""
    pairs = {"yes": "no", "no": "yes", "yeah": "no", "nope": "yes", "是": "否", "是的": "不是", "否": "是", "不是": "是的",
             "有": "没有", "有的": "没有", "没有": "有"}  # fmt: skip
    told = pairs[word.lower()]
    return told.capitalize() if word[:1].isupper() else told


def _as_statement(question: str) -> str:
    """ "Is there a dog in the picture?" -> "There is a dog in the picture."; "Is the car red?" -> "The car is red."."""
    text = re.sub(r"^\s*please\s+(?:answer\s*:?\s*)?", "", question.strip(), flags=re.IGNORECASE).rstrip(
        "? 。？"
    )
    match = re.match(r"(is|are|was|were)\s+there\s+(.*)", text, re.IGNORECASE | re.DOTALL)
    if match:
        return f"There {match[1].lower()} {match[2]}."
    match = re.match(r"(?:do|does|can)\s+you\s+see\s+(.*)", text, re.IGNORECASE | re.DOTALL)
    if match:
        return f"There is {match[1]}."
    match = re.match(r"(is|are)\s+(.*)", text, re.IGNORECASE | re.DOTALL)
    if not match:
        return (
            re.sub(r"(?:有没有|是否有)", "有", text).rstrip("吗") + "。"
            if re.search(r"[一-鿿]", text)
            else text
        )
    # the verb goes behind the first noun phrase
    from .parsing import sentences

    (sentence, *_) = sentences(match[2] + ".")
    if not sentence.chunks or sentence.chunks[0].kind != "np":
        return text
    end = sentence.chunks[0].end
    return f"{match[2][:end]} {match[1].lower()}{match[2][end:]}."
