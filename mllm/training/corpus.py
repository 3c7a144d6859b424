"""The texts on which the starter's tokenizer is trained: questions, answers, programs, and nouns in plenty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from ..scenes import vocabulary
from ..scenes.questions import make_turns
from ..scenes.world import make_scene, split_seed

_PROGRAMS = (
    "BOX0=LOC(image=IMAGE,object='{a}')\nANSWER0=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=ANSWER0)",
    "BOX0=LOC(image=IMAGE,object='{a}')\nIMAGE0=CROP_LEFTOF(image=IMAGE,box=BOX0)\nBOX1=LOC(image=IMAGE0,object='{b}')\n"
    "ANSWER0=COUNT(box=BOX1)\nANSWER1=EVAL(expr=\"'yes' if {{ANSWER0}} > 0 else 'no'\")\nFINAL_RESULT=RESULT(var=ANSWER1)",
    "OBJ0=SEG(image=IMAGE)\nOBJ1=SELECT(image=IMAGE,object=OBJ0,query='{a}',category=None)\n"
    "IMAGE0=COLORPOP(image=IMAGE,object=OBJ1)\nFINAL_RESULT=RESULT(var=IMAGE0)",
    "BOX0=LOC(image=IMAGE,object='{a}')\nBOX1=LOC(image=IMAGE,object='{b}')\nBOX2=RELATE(box=BOX0,to=BOX1,relation='right of')\n"
    "ANSWER0=VQA(image=IMAGE,question='What color is the {a}?')\nLIST0=LIST(query='{b}',max=3)\nFINAL_RESULT=RESULT(var=BOX2)",
)
_OPS = """LOC FACEDET SEG SEGMENT OCR CROP CROP_LEFTOF CROP_RIGHTOF CROP_ABOVE CROP_BELOW CROP_FRONTOF CROP_INFRONTOF
CROP_INFRONT CROP_BEHIND CROP_AHEAD VQA CAPTION CLASSIFY SELECT COLOR DEPTH COUNT FILTER RELATE EVAL IF RESULT LIST ASK
COLORPOP BGBLUR BLUR REPLACE EMOJI TAG HIGHLIGHT""".split()


def corpus(
    seed: int, scenes: int = 4000, nouns: Iterable[str] = (), texts: Iterable[str] = ()
) -> Iterator[str]:
    """Texts of `scenes` scenes with every task, programs over `nouns` (the world's own always), and `texts`."""
    rng = Random(seed)
    for i in range(scenes):
        scene = make_scene(split_seed("train", seed, i))
        for turn in make_turns(scene, rng):
            yield turn.question
            yield f" {turn.answer}" if turn.language == "en" else turn.answer
    names = [*vocabulary.KINDS, *nouns]
    for name in names:
        yield from (f" {name}", f" {vocabulary.plural(name)}") * 3
    for _ in range(scenes):
        yield rng.choice(_PROGRAMS).format(a=rng.choice(names), b=rng.choice(names))
        yield "=".join(("X", f"{rng.choice(_OPS)}(image=IMAGE)"))
    yield from texts
