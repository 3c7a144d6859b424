"""Edits of Chinese sentences: a colour, a number or a side in another word, a thing out of its list, or the sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...mllm.scenes.vocabulary import COLOR_ZH
from ..language import noun_in_chinese
from .chinese import is_chinese
from .claims import Claim, Extraction
from .verdicts import Verdict

if TYPE_CHECKING:
    from .correction import Draft

_SIDES = {"left": "左", "right": "右", "above": "上", "below": "下"}
_DIGITS = "零一二三四五六七八九十"


def is_plain(found: Extraction) -> bool:
    """Whether a text is to be edited by the English rules."""
    return not is_chinese(found.text)


def edit_chinese(
    found: Extraction, wrong: Sequence[Claim], verdicts: Mapping[str, Verdict], draft: Draft
) -> None:
    """Gather the edits for the contradicted claims."""
    text = found.text
    gone = {c.id for c in wrong if c.kind == "existence" and c.polarity and not verdicts[c.id].instead}
    for claim in wrong:
        verdict = verdicts[claim.id]
        if verdict.because in gone:
            continue
        start, end = claim.span
        if claim.kind == "existence" and claim.polarity and not verdict.instead:
            _remove(found, claim, draft)
        elif claim.kind == "existence" and not claim.polarity:
            match = re.search(r"没有|沒有|无", text[found.sentences[claim.sentence].start : start])
            if match:
                at = found.sentences[claim.sentence].start + match.start()
                draft.put((at, at + len(match[0])), "有", [claim.id])
        elif claim.kind == "existence" and verdict.instead:
            name = noun_in_chinese(verdict.instead)
            said = noun_in_chinese(claim.entities[0])
            for mention in found.entities[claim.refs[0]].mentions:
                at = text.find(said, *mention.span) if said else -1
                if name and said and at >= 0:
                    draft.put((at, at + len(said)), name, [claim.id])
        elif claim.kind == "count" and verdict.instead:
            number = int(verdict.instead)
            digits = text[start].isdigit()
            told = str(number) if digits or number > 10 else "两" if number == 2 else _DIGITS[number]
            draft.put((start, end), told, [claim.id])
        elif claim.kind == "attribute" and verdict.instead in COLOR_ZH:
            draft.put((start, end), COLOR_ZH[verdict.instead], [claim.id])
        elif claim.kind == "relation" and verdict.instead in _SIDES:
            match = re.search(r"[左右上下](?=[边侧面方])", text[start:end])
            if match:
                draft.put((start + match.start(), start + match.end()), _SIDES[verdict.instead], [claim.id])


def _remove(found: Extraction, claim: Claim, draft: Draft) -> None:
    """Take a thing out of a list joined by 、 or 和; the sentence where it stands alone."""
    text = found.text
    for mention in found.entities[claim.refs[0]].mentions:
        sentence = found.sentences[mention.sentence]
        start, end = mention.span
        before = re.search(r"(?:、|和|以及|与|，还有|还有)$", text[sentence.start : start])
        after = re.match(r"、|和|以及|与", text[end:])
        if after and (before is None or before[0] == "、"):
            if before is not None and after[0] != "、":
                draft.put((sentence.start + before.start(), end), "", [claim.id])
            else:
                draft.put((start, end + len(after[0])), "", [claim.id])
        elif before:
            low = sentence.start + before.start()
            earlier = text[sentence.start : low].rfind("、")
            draft.put((low, end), "", [claim.id])
            if before[0] != "、" and earlier >= 0:
                draft.put((sentence.start + earlier, sentence.start + earlier + 1), before[0], [claim.id])
        else:
            draft.put((sentence.start, sentence.end), "", [claim.id])
