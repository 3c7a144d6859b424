"""From a pattern's words to what a user types: openers, case, punctuation, chat spellings and a typo now and then."""

from __future__ import annotations

import random
import re

from .patterns import CLOSE, OPEN, Pattern, render
from .phrasebook import Phrasebook

_SHORT = {"please": "pls", "picture": "pic", "photo": "pic", "you": "u", "are": "r", "with": "w/", "and": "&",
          "what is": "whats", "there is": "theres", "because": "cuz", "image": "img", "to": "2"}  # fmt: skip
_SPACES = re.compile(r"[ \t]+")
_BEFORE_MARK = re.compile(r" +([?.,;:!])")
_WORD = re.compile(r"[a-z]{5,}")
_MARKS = str.maketrans("", "", OPEN + CLOSE)
_FIRST_PERSON = re.compile(r"(?<![\w'])i(?=$|[ ,.?!:;']|'(?:d|m|ve|ll)\b)")

# Words that a hurried writer leaves out, and words that a talkative one puts in: neither changes what is asked for.
_LIGHT = frozenset(
    "a an the is are was were do does did can could would will you i me my we us it its that there have has be been "
    "to of for at so please".split()
)
_LIGHT_ZH = re.compile("请|一下|的话|吗|呢|吧|啊|帮我|了")
_FILLERS = (
    "actually", "just", "really", "please", "um", "well", "maybe", "okay", "basically", "you know", "i think",
    "kindly", "then", "hey", "for me", "if you can", "now", "quickly",
)  # fmt: skip

STYLES = ("proper", "proper", "proper", "proper", "lower", "bare", "bare")


def strip_marks(text: str) -> str:
    return text.translate(_MARKS)


def tidy(text: str) -> str:
    """One space between words, none before punctuation or at the ends."""
    return _BEFORE_MARK.sub(r"\1", _SPACES.sub(" ", text)).strip(" ,")


def speak(
    pattern: Pattern,
    slots: dict[str, str],
    book: Phrasebook,
    rng: random.Random,
    language: str,
    held_out: bool,
    verbatim: bool,
    style: str,
    loose: float = 0.0,
) -> tuple[str, str]:
    """(the request, its core sentence): the core is what stands between opener and closer, exactly as it is shown.

    `verbatim` leaves spelling alone, for requests that a program quotes; `loose` is the share of the others that lose
    light words or gain fillers.
    """
    core = render(pattern.nodes, slots, book.macros, rng)
    loosely = loose and not verbatim and rng.random() < loose
    if language == "zh":
        core = loosen_chinese(core, rng) if loosely else core
        return _chinese(core, pattern, book, rng, held_out, verbatim, style)
    core = tidy(loosen(core, rng) if loosely else core)
    if not verbatim:
        core = _noise(core, rng)
    core = tidy(strip_marks(core))
    opener = closer = ""
    if pattern.kind != "phrase" and rng.random() < 0.25:
        opener = _opener(pattern, book, rng, "en", held_out)
    if pattern.kind != "phrase" and not verbatim and rng.random() < 0.07:
        closer = _pick(book, "close_command" if pattern.kind == "command" else "close_question", rng)
    asks = core.endswith("?") or (
        opener.startswith(("can", "could", "would", "any")) and pattern.kind == "command"
    )
    core = core.rstrip("?.") if not core.endswith("...") else core
    mark = "?" if asks else ("." if pattern.kind in ("command", "statement") and rng.random() < 0.6 else "")
    if style == "bare":
        mark = ""
    if style == "proper" and not opener:
        core = core[:1].upper() + core[1:]
    if style == "proper":
        opener = opener[:1].upper() + opener[1:]
        if not verbatim:
            core = _FIRST_PERSON.sub("I", core)
    if not closer:
        core += mark
        mark = ""
    request = f"{opener} {core}" if opener else core
    if closer:
        request = f"{request}{',' if style == 'proper' or rng.random() < 0.3 else ''} {closer}{mark}"
    return request, core


def _chinese(
    core: str,
    pattern: Pattern,
    book: Phrasebook,
    rng: random.Random,
    held_out: bool,
    verbatim: bool,
    style: str,
) -> tuple[str, str]:
    core = strip_marks(core).strip()
    opener = ""
    if pattern.kind in ("command", "question") and rng.random() < 0.3:
        opener = _opener(pattern, book, rng, "zh", held_out)
    asks = core.endswith("？")
    core = core.rstrip("？。")
    if style != "bare":
        core += "？" if asks else ("。" if pattern.kind == "command" and rng.random() < 0.5 else "")
        if not verbatim and rng.random() < 0.05:
            core = core.replace("？", "?")
    return opener + core, core


def _opener(pattern: Pattern, book: Phrasebook, rng: random.Random, language: str, held_out: bool) -> str:
    name = "open_command" if pattern.kind == "command" else "open_question"
    name = name if language == "en" else f"zh_{name}"
    if held_out and rng.random() < 0.5:
        name += "_test"
    return _pick(book, name, rng)


def _pick(book: Phrasebook, macro: str, rng: random.Random) -> str:
    nodes = rng.choice(book.macros[macro])
    return "".join(str(node) for node in nodes)


def _noise(text: str, rng: random.Random) -> str:
    """A chat spelling in 3% and a typo in 5% of the texts, never inside a slot's filling."""
    roll = rng.random()
    if roll > 0.08:
        return text
    pieces = re.split(f"({OPEN}[^{CLOSE}]*{CLOSE})", text)
    places = [
        i for i, piece in enumerate(pieces) if piece and not piece.startswith(OPEN) and CLOSE not in piece
    ]
    if not places:
        return text
    chosen = rng.choice(places)
    if roll < 0.03:
        for long, short in _SHORT.items():
            pieces[chosen] = re.sub(rf"\b{long}\b", short, pieces[chosen])
    else:
        pieces[chosen] = _typo(pieces[chosen], rng)
    return "".join(pieces)


def loosen(text: str, rng: random.Random) -> str:
    """The text as a hurried or a talkative person would put it: light words lost, fillers put in, slots left alone."""
    pieces = re.split(f"({OPEN}[^{CLOSE}]*{CLOSE})", text)
    for i, piece in enumerate(pieces):
        if not piece.startswith(OPEN):
            pieces[i] = _loosen_words(piece, rng)
    return "".join(pieces)


def _loosen_words(piece: str, rng: random.Random) -> str:
    words = []
    for word in piece.split(" "):
        if word.strip(",.?!").lower() in _LIGHT and rng.random() < 0.35:
            word = "".join(c for c in word if c in ",.?!")  # its punctuation stays
        words.append(word)
        if word and not word.endswith("'") and rng.random() < 0.05:
            words.append(rng.choice(_FILLERS))
    return " ".join(words)


def loosen_chinese(text: str, rng: random.Random) -> str:
    """As `loosen`, for Chinese: particles and politeness may be missing."""
    pieces = re.split(f"({OPEN}[^{CLOSE}]*{CLOSE})", text)
    for i, piece in enumerate(pieces):
        if not piece.startswith(OPEN):
            pieces[i] = _LIGHT_ZH.sub(lambda found: "" if rng.random() < 0.5 else found.group(), piece)
    return "".join(pieces)


def _typo(text: str, rng: random.Random) -> str:
    """One letter lost, doubled or swapped with its neighbour, inside a word of five letters or more."""
    found = list(_WORD.finditer(text))
    if not found:
        return text
    word = rng.choice(found)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at] + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
