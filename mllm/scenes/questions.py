"""Turns about a scene: every task's question maker, and `make_turns`, a pure function of scene and chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from ...errors import InputError
from . import ask_language, ask_logic, ask_objects, ask_space
from .ask import Ask
from .phrasing import LANGUAGES
from .schema import Scene, Turn
from .view import View

Maker = Callable[[Ask], Turn | None]

MAKERS: dict[str, Maker] = {
    "existence": ask_objects.existence,
    "count": ask_objects.count,
    "color": ask_objects.color,
    "size": ask_objects.size,
    "attribute": ask_objects.attribute,
    "negative": ask_objects.negative,
    "word": ask_objects.word,
    "relation": ask_space.relation,
    "compare": ask_space.compare,
    "region": ask_space.region,
    "ground": ask_space.ground,
    "caption": ask_space.caption,
    "logic": ask_logic.logic,
    "statement": ask_logic.statement,
    "subquestion": ask_language.subquestion,
    "claims": ask_language.claims,
    "compose": ask_language.compose,
}
TASKS: tuple[str, ...] = tuple(MAKERS)
CHINESE_SHARE = 0.25  # of the turns, where no language is asked for


def make_turns(
    scene: Scene,
    rng: Random,
    tasks: Sequence[str] | None = None,
    language: str | None = None,
    split: str = "train",
    count: int | None = None,
) -> list[Turn]:
    """Questions about one scene with their exact answers.

    Args:
        scene: symbolic, or rendered (then with boxes and `visible` from pixels).
        rng: the only source of chance; the same state gives the same turns.
        tasks: names from TASKS, each tried once (or in turn until `count` turns are made); None: all.
        language: "en" or "zh"; None: mostly English.
        split: "train" phrasings, the held-out "test" phrasings, or "all".
        count: how many turns; None: one for each task that the scene allows.

    Returns:
        The turns; fewer than asked for where the scene gives no such question (a word where nothing is printed).
    """
    names = tuple(tasks) if tasks is not None else TASKS
    for name in names:
        if name not in MAKERS:
            raise InputError(f"no question task {name!r}; the tasks are {', '.join(TASKS)}")
    if language is not None and language not in LANGUAGES:
        raise InputError(f"no questions in language {language!r}; there are {', '.join(LANGUAGES)}")
    view = View(scene)
    turns: list[Turn] = []
    seen: set[str] = set()
    wanted = len(names) if count is None else count
    for attempt in range(wanted if count is None else 4 * wanted):
        if len(turns) == wanted:
            break
        spoken = language or ("zh" if rng.random() < CHINESE_SHARE else "en")
        turn = MAKERS[names[attempt % len(names)]](Ask(scene, rng, spoken, split, view))
        if turn is not None and turn.question not in seen:
            seen.add(turn.question)
            turns.append(turn)
    return turns
