"""Planner examples as turns of words only, for the training of the core MLLM."""

from __future__ import annotations

from random import Random

from ...mllm.scenes.schema import Turn
from .stream import planner_examples


def planner_turn(rng: Random) -> Turn:
    """One request and its program from the training split, drawn by `rng`."""
    example = next(planner_examples(rng.getrandbits(40)))
    return Turn("plan", example.request, example.program, language=example.language, words_only=True)
