"""LLM as semantics refiner: what a style means in words, and the check that a wording adds nothing to the facts.

Used by every controller that words answers with a language model; `answering` decides what stands where a wording fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .. import prompts
from ..tools.color import COLOR_NAMES as COLORS
from ..tools.values import Regions
from .controllers.base import Controller, Fact
from .errors import CannotError, ControllerError
from .language import language_of, noun_in_chinese

if TYPE_CHECKING:
    from .events import Recorder
    from .records import Style

_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
        " eighteen nineteen twenty".split()
    )
} | {"dozen": "12"}
_CHINESE_DIGITS = {c: str(n) for n, c in enumerate("零一二三四五六七八九十")} | {"两": "2"}
_MEASURE = "个只条张把辆台本件朵颗棵块位名头匹座架艘支杯瓶片根双对幅种次处"
_BOX = re.compile(r"\[-?\d[\d., -]*,[\d., -]*\]")
_NOUNS_IN_CAPITALS = frozenset({"de", "lb"})  # spelling tells no names there
_TITLE = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St)\.$")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


def settings(style: Style, question: str) -> dict[str, str]:
    """The slots of a refiner's prompt for a style; "auto" is the question's language."""
    words = prompts.table("styles")
    language = language_of(question) if style.language == "auto" else style.language
    return {
        "length": words["length"][style.length],
        "tone": words["tone"][style.tone],
        "language": words["language"].get(language, language),
        "audience": style.audience,
    }


def foreign(text: str, question: str, facts: Sequence[Fact], *, names: bool = True) -> list[str]:
    """Numbers, colours and, with `names`, proper names of `text` that neither the question nor the facts hold, in order.

    Numbers count by value ("two" is 2), colours in English and Chinese alike. "One" as a pronoun, a count that the facts
    imply by listing things, and a box copied from the facts are no news; the numbers inside a box are no counts.
    """
    source = "\n".join(
        [question, *(part for fact in facts for part in (fact.asked, fact.found, *_plain(fact.value)))]
    )
    boxes = set(_BOX.findall(source))
    text = _BOX.sub(lambda box: "" if box[0] in boxes else box[0], text)
    known_numbers = set(_numbers(_BOX.sub("", source))) | _listed(facts)
    known_words = {word.lower() for word in _WORD.findall(source)}
    known_colors = set(_colors(source))
    found: list[str] = [n for n in _numbers(text, strict=True) if n not in known_numbers]
    found += [color for color in _colors(text) if color not in known_colors]
    told = known_words | known_colors
    if names:
        found += [name for name in _names(text) if name.lower().replace("grey", "gray") not in told]
    return list(dict.fromkeys(found))


def require_faithful(
    text: str, question: str, facts: Sequence[Fact], name: str, language: str = "auto"
) -> None:
    """Raises ControllerError where a wording holds what the facts do not (see `foreign`), or says nothing."""
    if not text:
        raise ControllerError(f"{name} worded no answer; the plain result stands")
    new = foreign(text, question, facts, names=language.split("-")[0] not in _NOUNS_IN_CAPITALS)
    if new:
        listed = ", ".join(repr(item) for item in new[:5])
        raise ControllerError(
            f"the wording of {name} brought in {listed}, which the facts do not say; the plain result stands"
        )


def caption_region(
    caption: str, facts: Sequence[Fact], style: Style, controller: Controller, recorder: Recorder
) -> tuple[str, bool]:
    """A region's caption in the style asked for, and whether it was reworded (Caption Anything, Wang et al. 2023).

    Where the controller cannot, or adds something, the caption stands as it is; the trace says why.
    """
    reword = getattr(controller, "reword", None)
    try:
        if reword is None:
            raise CannotError(f"{controller.name} rewords no captions")
        return str(reword(caption, facts, style, recorder)), True
    except ControllerError as error:
        recorder.emit("error", message=str(error), traceback=None, where="refiner")
        return caption, False


def _numbers(text: str, *, strict: bool = False) -> list[str]:
    """Numbers as digits. `strict` leaves out words that may mean something else ("one of them", "一个")."""
    found = [_canonical(n) for n in re.findall(r"\d+(?:[.,]\d+)*", text)]
    for word in _WORD.findall(text.lower()):
        if word in _NUMBER_WORDS and not (strict and word == "one"):
            found.append(_NUMBER_WORDS[word])
    for char in re.findall(rf"([零一二两三四五六七八九十])(?=[{_MEASURE}])", text):
        if not (strict and char == "一"):
            found.append(_CHINESE_DIGITS[char])
    return found


def _plain(value: Any) -> list[str]:
    """A fact's value as words, where it is a text or a number, or a list of them."""
    if isinstance(value, str | int | float):
        return [str(value)]
    return [word for item in value for word in _plain(item)] if isinstance(value, list | tuple) else []


def _canonical(number: str) -> str:
    plain = number.replace(",", "")
    try:
        return f"{float(plain):g}"
    except ValueError:
        return plain


def _listed(facts: Sequence[Fact]) -> set[str]:
    """Counts that follow from the facts without being written: of listed values, and 0 where nothing was found."""
    counts: set[str] = set()
    for fact in facts:
        if isinstance(fact.value, list | tuple | Regions):
            counts.add(str(len(fact.value)))
        if re.search(r"\b(?:no|none|nothing|not)\b|没|无|否", fact.found.lower()):
            counts.add("0")
    return counts


def _colors(text: str) -> Iterable[str]:
    """Colour names in a text, in English."""
    lowered = text.lower().replace("grey", "gray")
    for color in COLORS:
        chinese = noun_in_chinese(color)
        if re.search(rf"\b{color}\b", lowered) or (chinese and chinese in text):
            yield color


def _names(text: str) -> list[str]:
    """Proper names as far as spelling tells: words of capitals, and capitalised words that do not open a sentence, or that
    open it before another such word ("Eiffel Tower") or after a title ("Dr. Miller")."""
    found = []
    words = list(_WORD.finditer(text))
    for number, match in enumerate(words):
        word = match[0].removesuffix("'s").removesuffix("’s")
        if not word[0].isupper() or word in ("I", "I'm", "I’m", "A"):
            continue
        before = text[: match.start()].rstrip(" \"'“‘([")
        opens = not before or before[-1] in ".!?:;\n。！？：-–—*•"
        titled = _TITLE.search(before) is not None
        following = words[number + 1] if number + 1 < len(words) else None
        paired = (
            following is not None
            and text[match.end() : following.start()] == " "
            and following[0][0].isupper()
            and following[0] != "I"
        )
        if (word.isupper() and len(word) > 1) or not opens or titled or paired:
            found.append(word)
    return found
