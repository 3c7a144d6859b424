"""LLM as semantics refiner: from a result and its evidence to an answer in words, and the boxes behind its mentions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..tools.color import COLOR_NAMES as COLORS
from ..tools.values import Box, Image, Region, Regions
from .controllers.base import Controller, Fact
from .errors import CannotError, ControllerError, LimitReached
from .events import Recorder
from .language import NO, YES, in_language, language_of, noun_in_chinese
from .outcome import Outcome
from .planner_data.lexicon import english_plural
from .records import Request

BOXES = 12  # boxes written behind one mention; a crowd has more

_READY = {"en": "The picture is ready.", "zh": "图片已经处理好了。"}
_PICTURES = {"en": "{n} pictures are ready.", "zh": "{n}张图片已经处理好了。"}
_NOTHING = {"en": "nothing", "zh": "什么也没有"}
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_CHINESE_NUMBERS = "零一二三四五六七八九十"
_NEGATION = re.compile(
    r"\b(?:no|not|none|neither|nothing|never|without|zero)\b|n't\b|没|不|无|否|未", re.IGNORECASE
)


def answer_language(request: Request) -> str:
    """The language of the answer: the style's, or that of the question's script."""
    return language_of(request.question) if request.style.language == "auto" else request.style.language


def short(value: Any, language: str) -> str:
    """A result in as few words as say it: "2", "yes", "red", "2 dogs", "dog, cat"."""
    if isinstance(value, bool):
        return in_language("yes" if value else "no", language)
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, str):
        return in_language(value.strip(), language)
    if isinstance(value, Image):
        return _READY.get(language, _READY["en"])
    if isinstance(value, Region):
        return in_language(value.label or value.text or "region", language)
    if isinstance(value, Regions):
        return _regions(value, language)
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, Image) for item in value):
            return _PICTURES.get(language, _PICTURES["en"]).format(n=len(value))
        gap = "，" if language == "zh" else ", "
        if all(isinstance(item, str) and item in COLORS for item in value):
            value = list(dict.fromkeys(value))  # two red dogs are red
        return gap.join(short(item, language) for item in value) or _NOTHING.get(language, "nothing")
    return _NOTHING.get(language, "nothing")


def _regions(regions: Regions, language: str) -> str:
    if not regions:
        return _NOTHING.get(language, "nothing")
    if all(region.text for region in regions):  # lines that were read
        return "\n".join(str(region.text) for region in regions)
    counts: dict[str, int] = {}
    for region in regions:
        counts[region.label or "region"] = counts.get(region.label or "region", 0) + 1
    if language == "zh":
        return "，".join(f"{n}个{in_language(name, 'zh')}" for name, n in counts.items())
    return ", ".join(f"{n} {name if n == 1 else english_plural(name)}" for name, n in counts.items())


def word(outcome: Outcome, request: Request, controller: Controller, recorder: Recorder) -> str:
    """The answer in words. The refiner may word the result as it likes, but not give another one: a number, a yes or no,
    or a colour that the evidence does not give is put aside, and the plain result stands.
    """
    language = answer_language(request)
    value = outcome.text if outcome.text is not None else outcome.value
    plain = short(value, language)
    if request.style.length == "short" or isinstance(value, Image) or _pictures(value) or not outcome.facts:
        return plain
    told = (*outcome.facts, Fact(request.asked, plain, value))
    try:
        said = controller.compose(request.asked, told, request.style, recorder).strip()
    except CannotError:
        return plain  # a controller that cannot word it has nothing to add to the plain result
    except (ControllerError, LimitReached) as error:
        recorder.emit("error", message=str(error), traceback=None, where="refiner")
        return plain
    if not said or not agrees(value, said):
        recorder.emit("error", message="the wording did not say what was found; the plain result stands",
                      traceback=None, where="refiner")  # fmt: skip
        return plain
    return said


def _pictures(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Image) for item in value)


def agrees(value: Any, text: str) -> bool:
    """Whether a wording does not contradict a result that is a number, a yes or no, or a colour."""
    if isinstance(value, str) and re.fullmatch(r"\d+", value):
        value = int(value)
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in YES | NO):
        positive = value if isinstance(value, bool) else value.lower() in YES
        start = text.strip().lower()
        if re.match(r"yes\b|是|有|对", start):
            return positive
        if re.match(r"no\b|不|没|否", start):
            return not positive
        return positive != bool(_NEGATION.search(text)) or not re.search(r"\w", text)
    if isinstance(value, int | float):
        numbers = _numbers(text)
        if value == 0 and _NEGATION.search(text):
            return True
        return not numbers or float(value) in numbers
    if isinstance(value, str) and value.lower() in COLORS:
        said = {color for color in COLORS if re.search(rf"\b{color}\b", text.lower())}
        return not said or value.lower() in said
    return True


def _numbers(text: str) -> set[float]:
    found = {float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)}
    found |= {float(n) for n, name in enumerate(_NUMBER_WORDS) if re.search(rf"\b{name}\b", text.lower())}
    found |= {
        float(_CHINESE_NUMBERS.index(c))
        for c in re.findall(rf"[{_CHINESE_NUMBERS}](?=[个只张块匹条辆本])", text)
    }
    return found


def ground(text: str, regions: Sequence[Region]) -> str:
    """`text` with the boxes of what was seen behind the first mention of each: "2 dogs [12, 30, 40, 60] [..] ..." """
    boxes: dict[str, list[Box]] = {}
    for region in regions:
        if region.label:
            boxes.setdefault(region.label, []).append(region.box)
    inserts: dict[int, str] = {}
    covered: list[tuple[int, int]] = []
    for label in sorted(boxes, key=len, reverse=True):  # "red dog" before "dog"
        span = _mention(text, label, covered)
        if span is None:
            continue
        covered.append(span)
        said = dict.fromkeys(f"[{', '.join(f'{v:.0f}' for v in box)}]" for box in boxes[label])
        told = " ".join(list(said)[:BOXES])
        inserts[span[1]] = f" {told}"
    for at in sorted(inserts, reverse=True):
        text = text[:at] + inserts[at] + text[at:]
    return text


def _mention(text: str, label: str, covered: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Where the text first names a label, in the plural or in Chinese too, outside of spans that are taken."""
    forms = [rf"\b{re.escape(form)}\b" for form in (english_plural(label), label)]
    chinese = noun_in_chinese(label)
    if chinese:
        forms.append(re.escape(chinese))
    spans = [m.span() for form in forms for m in re.finditer(form, text, re.IGNORECASE)]
    free = [s for s in spans if not any(s[0] < end and start < s[1] for start, end in covered)]
    return min(free, key=lambda s: (s[0], -s[1]), default=None)
