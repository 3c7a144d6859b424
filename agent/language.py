"""The language of an answer: told by the question's script, and the few words that are said without a model."""

from __future__ import annotations

import re
from functools import cache

_HAN = re.compile(r"[㐀-䶿一-鿿]")
_KANA = re.compile(r"[぀-ヿ]")
_LETTER = re.compile(r"[^\W\d_]")

# Short answers that are the same in every question, English -> Chinese.
_CHINESE = {
    "yes": "是", "no": "否", "none": "没有", "nothing": "什么也没有", "true": "对", "false": "错",
    "left": "左边", "right": "右边", "left of": "左边", "right of": "右边", "above": "上方", "below": "下方",
    "inside": "里面", "touching": "接触",
}  # fmt: skip
# Other common names of things that the lexicon has under one name alone.
_ALSO = {
    "五角星": "star", "星星": "star", "爱心": "heart", "牌子": "sign", "招牌": "sign", "标牌": "sign", "指示牌": "sign",
    "轿车": "car", "小汽车": "car", "小轿车": "car", "单车": "bicycle", "脚踏车": "bicycle", "巴士": "bus", "公共汽车": "bus",
    "小狗": "dog", "狗狗": "dog", "小猫": "cat", "猫咪": "cat", "小兔子": "rabbit", "兔": "rabbit", "小熊": "teddy bear",
    "老鼠": "mouse", "伞": "umbrella", "时钟": "clock", "闹钟": "clock", "圆": "circle", "圆圈": "circle", "方块": "square",
    "方形": "square", "长方形": "rectangle", "杯": "cup", "茶杯": "cup", "书本": "book", "礼盒": "gift", "生日蛋糕": "cake",
    "帆船": "sailboat", "轮船": "ship", "船": "ship", "火箭": "rocket", "直升飞机": "helicopter", "人": "person",
}  # fmt: skip
_PICTURE = frozenset({"图", "画", "图片", "照片", "图画", "画面", "相片"})
YES = frozenset({"yes", "true", "是", "对", "有", "是的", "对的", "有的"})
NO = frozenset({"no", "false", "否", "不", "没有", "不是", "不对", "错"})


def language_of(text: str) -> str:
    """ "zh" where Chinese characters make up a fifth of the letters or more and no kana stands there; else "en"."""
    han = len(_HAN.findall(text))
    if not han or _KANA.search(text):
        return "en"
    return "zh" if han >= 0.2 * len(_LETTER.findall(text)) else "en"


def in_language(word: str, language: str) -> str:
    """A short answer (yes, a colour, a thing's name) in Chinese where `language` is "zh" and the word is known."""
    if language != "zh" or _HAN.search(word):
        return word
    return _CHINESE.get(word.lower()) or noun_in_chinese(word) or word


def noun_in_chinese(name: str) -> str | None:
    """The Chinese name of a thing or colour, a colour before it kept; None where no dictionary of ours has it."""
    table = _names()
    name = " ".join(name.lower().split())
    if name in table:
        return table[name]
    color, _, rest = name.partition(" ")
    if rest and color in _colors() and rest in table:
        return f"{_colors()[color]}的{table[rest]}"
    return None


def nouns_in(text: str, language: str) -> frozenset[str]:
    """The things and colours that a text names, longest names first, so that 猫头鹰 (owl) is no 猫 (cat).

    English names are given in the singular. Only names in our dictionaries are found.
    """
    if language == "zh":
        names, longest = _chinese_names()
        found: set[str] = set()
        at = 0
        while at < len(text):
            size = next((n for n in range(longest, 0, -1) if text[at : at + n] in names), 0)
            if size:
                found.add(text[at : at + size])
            at += size or 1
        return frozenset(found)
    forms = _english_forms()
    words = re.findall(r"[a-z]+(?:[-'][a-z]+)*", text.lower())
    named: set[str] = set()
    place = 0
    while place < len(words):
        span = next((n for n in (3, 2, 1) if " ".join(words[place : place + n]) in forms), 0)
        if span:
            named.add(forms[" ".join(words[place : place + span])])
        place += span or 1
    return frozenset(named)


def chinese_things(text: str) -> list[str]:
    """The English names of the things that a Chinese text names, in the order of the text; colours and the picture itself
    left out."""
    names, longest = _chinese_names()
    english = _english_names()
    found: list[str] = []
    at = 0
    while at < len(text):
        size = next((n for n in range(longest, 0, -1) if text[at : at + n] in names), 0)
        name = text[at : at + size]
        if size and name in english and name not in _PICTURE:
            found.append(english[name])
        at += size or 1
    return found


def thing_in_english(name: str) -> str | None:
    """The English name of a thing with a Chinese one; None where no dictionary of ours has it."""
    return _english_names().get(name)


@cache
def _english_names() -> dict[str, str]:
    """Chinese -> English for things; of several English names, the one that the scenes use."""
    from ..mllm.scenes.vocabulary import KINDS
    from .planner_data.lexicon import chinese_nouns

    found: dict[str, str] = {kind.zh: kind.name for kind in KINDS.values()}
    for noun in chinese_nouns():
        found.setdefault(noun.surface, noun.english)
    return {**_ALSO, **{zh: en for zh, en in found.items() if en not in _colors()}}


@cache
def _chinese_names() -> tuple[frozenset[str], int]:
    names = frozenset(name for name in (*_names().values(), *_ALSO) if _HAN.search(name))
    return names, max(map(len, names))


@cache
def _english_forms() -> dict[str, str]:
    """Singular and plural forms -> singular."""
    from .planner_data.lexicon import english_plural, everyday_nouns

    forms: dict[str, str] = {}
    for name in (*everyday_nouns(), *_names()):
        forms.setdefault(english_plural(name.lower()), name.lower())
        forms[name.lower()] = name.lower()
    return forms


@cache
def _colors() -> dict[str, str]:
    from ..mllm.scenes.vocabulary import COLOR_ZH

    return {**COLOR_ZH, "grey": COLOR_ZH["gray"]} if "gray" in COLOR_ZH else dict(COLOR_ZH)


@cache
def _names() -> dict[str, str]:
    """English -> Chinese, of the planner's lexicon and of the scenes."""
    from ..mllm.scenes.vocabulary import CATEGORY_ZH
    from .planner_data.lexicon import chinese_nouns

    found: dict[str, str] = {}
    for noun in chinese_nouns():
        found.setdefault(noun.english.lower(), noun.surface)
    return {**CATEGORY_ZH, **_colors(), **found}
