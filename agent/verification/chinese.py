"""Claims of plain Chinese sentences: 图中有两只红色的狗和一只猫，猫在狗的左边。

Names come from the planner's Chinese lexicon, longest first; a number, a measure word and a colour in front belong to the
name. What it does not know it does not claim.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from ...mllm.scenes.vocabulary import COLOR_ZH
from ..planner_data.lexicon import chinese_nouns
from .claims import Entity, Extraction, Mention
from .parsing import Sentence, sentence_spans

_HAN = re.compile(r"[一-鿿]")
_NUMBERS = {c: n for n, c in enumerate("零一二三四五六七八九十")} | {"两": 2, "俩": 2}
_MEASURES = "个只条张把辆台本件朵颗棵块位名头匹座架艘支杯瓶片根双对幅种部枚列扇面顶份团道群盏副"
_SIZES = {"小的": "small", "大的": "large", "中等的": "medium", "小": "small", "大": "large"}
_SIDES = {
    "左边": "left of", "左侧": "left of", "右边": "right of", "右侧": "right of", "上面": "on", "上方": "above",
    "下面": "under", "下方": "below", "旁边": "next to", "前面": "in front of", "后面": "behind", "里面": "in", "里": "in",
    "上": "on",
}  # fmt: skip
_SIDE = "|".join(sorted(_SIDES, key=len, reverse=True))
_DENIED = re.compile(r"(?:没有|无|沒有|不存在|看不到)$")


def is_chinese(text: str) -> bool:
    """Whether more of the letters are Chinese than not."""
    han = len(_HAN.findall(text))
    return han > 0 and han >= len(re.findall(r"[A-Za-z]+", text))


@cache
def _names() -> tuple[re.Pattern[str], dict[str, str]]:
    english = {noun.surface: noun.english for noun in chinese_nouns()}
    english |= {"人": "person", "男人": "man", "女人": "woman", "车": "car", "树": "tree"}
    names = "|".join(re.escape(n) for n in sorted(english, key=len, reverse=True))
    colors = "|".join(sorted({re.escape(c) for c in COLOR_ZH.values()}, key=len, reverse=True))
    pattern = re.compile(
        rf"(?P<number>\d+|[零一二两三四五六七八九十]+|几)?(?P<measure>[{_MEASURES}])?"
        rf"(?P<size>小的|大的|中等的)?(?:(?P<color>{colors})色?的?)?(?P<size2>[小大])?(?P<name>{names})"
    )
    return pattern, english


def extract_chinese(text: str) -> Extraction:
    """The claims of a Chinese text: existence, counts, colours, sizes, places and quoted words."""
    found = Extraction(text, [Sentence(a, b, ()) for a, b in sentence_spans(text)])
    pattern, english = _names()
    back = {zh: en for en, zh in COLOR_ZH.items()}
    for number, sentence in enumerate(found.sentences):
        piece = text[sentence.start : sentence.end]
        placed: list[tuple[int, int, int]] = []
        for match in pattern.finditer(piece):
            start, end = sentence.start + match.start(), sentence.start + match.end()
            name = english[match["name"]]
            denied = bool(_DENIED.search(text[sentence.start : start].rstrip("任何的一")))
            known, count = None, _number(match["number"])
            if match["number"] is None:
                known = next((e for e in reversed(found.entities) if e.name == name), None)
            if known is None:
                known = Entity(len(found.entities), name, denied=denied or count == 0)
                found.entities.append(known)
                if count != 0:
                    found.claim("existence", (start, end), (known.id,), number, polarity=not denied)
            known.mentions.append(Mention((start, end), number, -1))
            if count is not None:
                known.number, known.plural = count, count > 1
                if count != 1:
                    span = (start, start + len(match["number"]))
                    found.claim("count", span, (known.id,), number, value=str(count))
            if match["color"]:
                span = (sentence.start + match.start("color"), sentence.start + match.end("color"))
                found.claim(
                    "attribute", span, (known.id,), number, value=back[match["color"]], aspect="color"
                )
            for group in ("size", "size2"):
                if match[group]:
                    span = (sentence.start + match.start(group), sentence.start + match.end(group))
                    found.claim(
                        "attribute", span, (known.id,), number, value=_SIZES[match[group]], aspect="size"
                    )
            placed.append((start, end, known.id))
        _relations(found, number, placed)
        for quote in re.finditer(r"[“\"「]([^”\"」]+)[”\"」]", piece):
            about = tuple(e for _, end, e in placed if end <= sentence.start + quote.start())[-1:]
            span = (sentence.start + quote.start(), sentence.start + quote.end())
            found.claim("text", span, about, number, value=quote[1])
    return found


def _number(told: str | None) -> int | None:
    if not told or told == "几":
        return None
    if told.isdigit():
        return int(told)
    if len(told) == 1:
        return _NUMBERS[told]
    if told[0] == "十":
        return 10 + _NUMBERS[told[1]]
    return None


def _relations(found: Extraction, number: int, placed: list[tuple[int, int, int]]) -> None:
    """ "A在B的左边": what stands before 在 to what stands behind it."""
    for (_, end, one), (start, stop, two) in pairwise(placed):
        between = found.text[end:start]
        if not re.fullmatch(r"(?:正)?(?:坐|站|放|躺|停|趴)?在(?:这|那)?[一]?", between):
            continue
        side = re.match(rf"的?({_SIDE})", found.text[stop:])
        if side is not None and one != two:
            at = end + between.index("在")
            found.claim("relation", (at, stop + side.end()), (one, two), number, value=_SIDES[side[1]])
