"""Planner examples as turns of words only, for the training of the core MLLM and the probes of its progress."""

from __future__ import annotations

from random import Random

from ...mllm.scenes.schema import Turn
from .stream import planner_examples


def planner_turn(rng: Random) -> Turn:
    """One request and its program from the training split, drawn by `rng`."""
    return _turn(rng, "train")


def seen_turn(rng: Random) -> Turn:
    """One from the split of trained phrasings and nouns."""
    return _turn(rng, "test_seen")


def new_noun_turn(rng: Random) -> Turn:
    """One whose nouns training never sees."""
    return _turn(rng, "test_nouns")


def _turn(rng: Random, split: str) -> Turn:
    example = next(planner_examples(rng.getrandbits(40), split))
    return Turn("plan", example.request, example.program, language=example.language, words_only=True)
