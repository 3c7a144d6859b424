"""Sentences about a scene: captions short, detailed and with boxes, and their parts, in English and Chinese."""

from __future__ import annotations

from . import phrasing, vocabulary
from .phrasing import Query
from .relations import center
from .view import View

_NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


def number_word(number: int) -> str:
    """An English number word up to twelve, digits beyond."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def no_such(query: Query, language: str) -> str:
    """The sentence that denies a thing."""
    bare = phrasing.forms(query, language)["n"]
    return f"图中没有{bare}。" if language == "zh" else f"There is no {bare} in the picture."


def true_query(view: View, index: int, size: bool = False) -> Query:
    """The fullest phrase that holds of an object: its kind, its colour if it has one, its size if asked for."""
    o = view.objects[index]
    color = o.color if o.color in vocabulary.COLORS else None
    return Query(o.kind, None, color, o.size if size else None)


def place(view: View, index: int, language: str) -> str:
    """Where in the picture an object's middle lies, on a 3 x 3 grid: "at the top left", "in the middle"."""
    x, y = center(view.objects[index].box)
    column = min(2, int(3 * x / view.scene.width))
    row = min(2, int(3 * y / view.scene.height))
    if language == "zh":
        return (("左上方", "上方", "右上方"), ("左边", "中间", "右边"), ("左下方", "下方", "右下方"))[row][
            column
        ]
    return (
        ("at the top left", "at the top", "at the top right"),
        ("on the left", "in the middle", "on the right"),
        ("at the bottom left", "at the bottom", "at the bottom right"),
    )[row][column]


def says(view: View, index: int, language: str) -> str:
    """What a printed thing says, as an addition to its noun; empty for other things."""
    word = view.objects[index].word
    if not word:
        return ""
    return f"，写着“{word}”" if language == "zh" else f' that says "{word}"'


def sentence(view: View, index: int, language: str) -> str:
    """One sentence on one object: what, in which colour, where."""
    query = true_query(view, index)
    f = phrasing.forms(query, language)
    if language == "zh":
        return f"{place(view, index, language)}有{f['a']}{says(view, index, language)}。"
    return f"There is {f['a']}{says(view, index, language)} {place(view, index, language)}."


def in_order(view: View) -> list[int]:
    """The objects that can be spoken of, from left to right: an order that the picture shows, as drawing order is not."""
    return sorted(view.sure, key=lambda i: center(view.objects[i].box)[0])


def groups(view: View, color: bool = False) -> list[tuple[Query, list[int]]]:
    """Objects that share a phrase (their kind, and colour if asked for), in order of their leftmost one."""
    found: dict[Query, list[int]] = {}
    for i in in_order(view):
        found.setdefault(true_query(view, i) if color else Query(view.objects[i].kind), []).append(i)
    return list(found.items())


def numbered(query: Query, number: int, language: str) -> str:
    """ "two red dogs", "a cat"; in Chinese "2只红色的狗"."""
    f = phrasing.forms(query, language)
    if language == "zh":
        return f"{number}{f['m']}{f['n']}"
    return f["a"] if number == 1 else f"{number_word(number)} {f['pl']}"


def listing(parts: list[str], language: str) -> str:
    """ "a, b and c"."""
    if language == "zh":
        return "、".join(parts[:-1]) + "和" + parts[-1] if len(parts) > 1 else "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)


def short_caption(view: View, language: str, color: bool = False) -> str:
    """One sentence that names and numbers everything."""
    parts = [numbered(q, len(found), language) for q, found in groups(view, color)]
    if not parts:
        return "图中什么也没有。" if language == "zh" else "There is nothing in the picture."
    if language == "zh":
        return f"图中有{listing(parts, language)}。"
    first_many = len(groups(view, color)[0][1]) > 1
    return f"There {'are' if first_many else 'is'} {listing(parts, language)} in the picture."


def detailed_caption(view: View, language: str) -> str:
    """A sentence on each object, from left to right."""
    if not view.sure:
        return short_caption(view, language)
    out = [sentence(view, i, language) for i in in_order(view)]
    return ("" if language == "zh" else " ").join(out)
