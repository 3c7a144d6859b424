"""Planner examples as turns of words only, for the training of the core MLLM and the probes of its progress."""

from __future__ import annotations

from random import Random

from ...mllm.scenes.schema import Turn
from .stream import CHINESE_SHARE, planner_examples

# Families whose requests name things and whose answer a detector can give.
_ABOUT_THINGS = tuple(
    "count existence locate absence color_of which_more compare_more compare_same difference total both either count_check "
    "count_colors relation_check nearest crop caption_thing highlight".split()
)


def planner_turn(rng: Random) -> Turn:
    """One request and its program from the training split, drawn by `rng`."""
    return _turn(rng, "train")


def chinese_turn(rng: Random) -> Turn:
    """One in Chinese: more of them are needed, for a program names in English what the lexicon can translate."""
    return _turn(rng, "train", chinese=1.0)


def which_turn(rng: Random) -> Turn:
    """One whose answer is one of two names, which its expression writes without the space that they have elsewhere."""
    return _turn(rng, "train", families=("which_more", "size_which", "depth_which"))


def commonest_turn(rng: Random) -> Turn:
    """One about what is asked for most: among all other nouns a person is as rare as a trombone."""
    return _turn(rng, "train", families=_ABOUT_THINGS, commonest=True)


def seen_turn(rng: Random) -> Turn:
    """One from the split of trained phrasings and nouns."""
    return _turn(rng, "test_seen")


def new_noun_turn(rng: Random) -> Turn:
    """One whose nouns training never sees."""
    return _turn(rng, "test_nouns")


def _turn(
    rng: Random,
    split: str,
    chinese: float = CHINESE_SHARE,
    families: tuple[str, ...] = (),
    commonest: bool = False,
) -> Turn:
    example = next(planner_examples(rng.getrandbits(40), split, chinese, families, commonest))
    return Turn("plan", example.request, example.program, language=example.language, words_only=True)
