"""The endless stream of (request, program) pairs: a pure function of a seed and a split."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import accumulate
from typing import Any

from ...errors import InputError
from ...programs.printer import quote
from .composed import COMPOSED
from .draft import QUESTION, Draft, Family
from .editing import CHANGING
from .families import LOOKING
from .grouped import GROUPED
from .lexicon import NounSampler, words
from .patterns import render
from .phrasebook import phrasebook
from .referents import ReferentSampler
from .wording import STYLES, speak, strip_marks, tidy

FAMILIES: dict[str, tuple[Family, float]] = {**LOOKING, **CHANGING, **GROUPED, **COMPOSED}
# Split -> (phrasings from the held-out groups, nouns that training never sees).
SPLITS = {
    "train": (False, False),
    "test_seen": (False, False),  # as train, from seeds of its own
    "test_phrasing": (True, False),
    "test_nouns": (False, True),
}
CHINESE_SHARE = 0.25
INVENTED_SHARE = 0.35  # of the names that training sees: made up on the spot, so that they must be copied
LOOSE_SHARE = 0.35  # of the requests that training sees: light words lost, fillers put in
# Families whose requests name no thing: they say nothing about unseen nouns.
NOUNLESS = frozenset(
    "read_all text_check find_text text_lines sum_numbers largest_number vqa_scene caption inventory count_all faces "
    "find_faces tally two_same tag_known highlight_word region_what region_color region_segment region_read "
    "region_edit".split()
)


@dataclass(frozen=True, slots=True)
class PlannerExample:
    """A request and the program that a planner should write for it.

    `phrasing` names the pattern (family.language.number, "t" before a held-out number); `nouns` are the things that the
    program names; `alternatives` are other programs that do what was asked (hand-written requests have some).
    """

    request: str
    program: str
    family: str
    phrasing: str
    language: str
    nouns: tuple[str, ...]
    alternatives: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The row of a JSON-lines file; alternatives only where there are some."""
        row = {**asdict(self), "nouns": list(self.nouns), "alternatives": list(self.alternatives)}
        if not self.alternatives:
            del row["alternatives"]
        return row


@cache
def referents(held_out: bool, invented: float = 0.0, commonest: bool = False) -> ReferentSampler:
    return ReferentSampler(NounSampler(held_out, invented, commonest))


def planner_examples(
    seed: int,
    split: str = "train",
    chinese: float = CHINESE_SHARE,
    families: tuple[str, ...] = (),
    commonest: bool = False,
) -> Iterator[PlannerExample]:
    """Endless examples of a split; the same arguments give the same examples on every machine.

    Args:
        seed: any integer.
        split: "train", "test_seen", "test_phrasing" (held-out phrasing groups) or "test_nouns" (held-out nouns).
        chinese: share of requests in Chinese, 0 to 1.
        families: only these families, by name; all of them when empty.
        commonest: name only the things that are asked for most.
    """
    if split not in SPLITS:
        raise InputError(f"no planner split {split!r}; there are {', '.join(SPLITS)}")
    unknown = [name for name in families if name not in FAMILIES]
    if unknown:
        raise InputError(f"no planner family {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    held_out_phrasing, held_out_nouns = SPLITS[split]
    sampler = referents(held_out_nouns, INVENTED_SHARE if split == "train" else 0.0, commonest)
    chosen = tuple(n for n in families or FAMILIES if not (held_out_nouns and n in NOUNLESS))
    if not chosen:
        raise InputError(f"split {split} needs a family whose requests name things; {families[0]} names none")
    weights = list(accumulate(FAMILIES[name][1] for name in chosen))
    rng = random.Random(f"planner {split} {seed}")
    while True:
        family = rng.choices(chosen, cum_weights=weights)[0]
        language = "zh" if rng.random() < chinese else "en"
        loose = LOOSE_SHARE if split == "train" else 0.0
        example = draw(rng, family, language, sampler, held_out_phrasing, loose=loose)
        if example.nouns or not held_out_nouns:
            yield example


def draw(
    rng: random.Random,
    family: str,
    language: str,
    sampler: ReferentSampler,
    held_out: bool,
    pattern: int | None = None,
    loose: float = 0.0,
) -> PlannerExample:
    """One example of a family; `pattern` chooses the phrasing by number, else it is drawn; `loose` as in `speak`."""
    return drawn(rng, family, language, sampler, held_out, pattern, loose)[0]


def drawn(
    rng: random.Random,
    family: str,
    language: str,
    sampler: ReferentSampler,
    held_out: bool,
    pattern: int | None = None,
    loose: float = 0.0,
) -> tuple[PlannerExample, dict[str, str]]:
    """As `draw`, with the words that its wording could use: {n}, {pl}, {a}, ... of `referents.slots_of`."""
    book = phrasebook()
    patterns = book.get(family, language, held_out)
    phrasing = patterns[pattern] if pattern is not None else rng.choice(patterns)
    style = rng.choice(STYLES)
    draft = Draft(rng, language, sampler, held_out)
    question = _question(draft, style) if family == "ask" else None
    program = draft.steps.finish(FAMILIES[family][0](draft))
    if question is not None:
        draft.slots["question"] = question
    quoted = QUESTION in program or "\\x03" in program
    request, core = speak(phrasing, draft.slots, book, rng, language, held_out, quoted, style, loose)
    if quoted:
        program = _fill(program, question if question is not None else core)
    nouns = tuple(noun for noun in dict.fromkeys(draft.nouns) if noun in program)
    return PlannerExample(request, program, family, phrasing.id, language, nouns), draft.slots


def _question(draft: Draft, style: str) -> str:
    """A question about the world, worded and styled, for ASK to be given as it stands in the request."""
    draft.simple()
    draft.simple("2")
    draft.slots["country"] = draft.rng.choice(
        words()["countries" if draft.language == "en" else "countries_zh"]
    )
    book = phrasebook()
    pattern = draft.rng.choice(book.get("questions", draft.language))
    text = tidy(strip_marks(render(pattern.nodes, draft.slots, book.macros, draft.rng)))
    if style == "bare":
        return text.rstrip("?？")
    return text[:1].upper() + text[1:] if style == "proper" else text


def _fill(program: str, question: str) -> str:
    """Put a question, quoted as the printer quotes it, where the program has the placeholder."""
    return program.replace(quote(QUESTION), quote(question))
