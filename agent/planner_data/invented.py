"""Names that nobody has learned by heart: words made of syllables, nouns put together, Chinese compounds of chance.

In training they stand where nouns stand, so that a planner must copy what a request says. Names of the held-out lists are
never made.
"""

from __future__ import annotations

import random
from functools import cache

_ONSETS = """b bl br c ch cl cr d dr f fl fr g gl gr h j k kl kn l m n p pl pr qu r s sc sh sk sl sm sn sp st str sw t th tr tw v
w wh y z zh""".split()
_VOWELS = "a a a e e e i i o o o u u ai ay ea ee ie oa oo ou y".split()
_CODAS = "b ck d ft g k l ld lf lt m mp n nd ng nk nt p r rb rd rk rm rn rp rt s sh sk ss st t th x z".split()
_ENDINGS = """er or le el en in on et ot it ish ard ant ing ion ock ick um us a o ia oid ette ling let ling ness ment y y y ie
ster scope phone stone wood ware""".split()


def invented_word(rng: random.Random) -> str:
    """A pronounceable word of one to four syllables ("blenko", "tarvish")."""
    count = rng.choices((1, 2, 3), (0.3, 0.5, 0.2))[0]
    word = ""
    for number in range(count):
        word += rng.choice(_ONSETS) + rng.choice(_VOWELS)
        if number == count - 1 or rng.random() < 0.35:
            word += rng.choice(_CODAS) if rng.random() < 0.75 else ""
    if count == 1 or rng.random() < 0.4:
        word += rng.choice(_ENDINGS)
    return word


@cache
def _characters() -> tuple[str, ...]:
    """The 3,755 most used Chinese characters: the first level of GB 2312, as the codec orders them."""
    rows = range(0xB0, 0xD8)
    codes = (bytes((row, cell)) for row in rows for cell in range(0xA1, 0xFF))
    return tuple(
        code.decode("gb2312", errors="ignore") for code in codes if code.decode("gb2312", errors="ignore")
    )


_MEASURES = "个个个只条张把辆件台块座根本顶盏"
# Characters that the grammar of a request lives on: inside a name they would make it ambiguous.
_GRAMMAR = frozenset(
    "的了吗呢吧和与或在是有没不这那哪几多少些把被给让用从向到上下左右前后里外中间旁边都也就还请我你他她它一二三四五六七八九十两"
)


def invented_chinese(rng: random.Random, known: tuple[str, ...]) -> tuple[str, str]:
    """A name of two to four characters, and a measure word; half of its characters are taken from known names."""
    size = rng.choices((2, 3, 4), (0.5, 0.35, 0.15))[0]
    name = ""
    while len(name) < size:
        char = rng.choice(rng.choice(known)) if rng.random() < 0.5 else rng.choice(_characters())
        if char not in _GRAMMAR:
            name += char
    return name, rng.choice(_MEASURES)
