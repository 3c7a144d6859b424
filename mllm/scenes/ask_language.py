"""Turns about reasoning in words: sub-questions, joining their answers, a missing step, claims, composing."""

from __future__ import annotations

from dataclasses import dataclass

from . import describe, phrasing, vocabulary
from .ask import Ask
from .ask_logic import number_words
from .ask_space import offset
from .phrasing import Query
from .schema import Turn


@dataclass(frozen=True, slots=True)
class Problem:
    """A composite question with its parts: each sub-question has its own short answer."""

    question: str
    answer: str
    parts: tuple[tuple[str, str], ...]
    queries: tuple[Query, ...]


def _text(ask: Ask, form: str, queries: tuple[Query, ...], **words: str) -> str:
    """A fixed wording, the same in every split."""
    return phrasing.phrase(form, ask.language, "train", ask.rng, queries, words)[0]


def problem(ask: Ask) -> Problem | None:
    """A question that joins two facts of the scene; the answer is chosen first where it is yes or no."""
    form = ask.pick(("more", "same", "and", "or", "neither", "relation", "total"))
    yes = ask.flip()
    if form == "relation":
        return _relation_problem(ask, yes)
    if form in ("and", "or", "neither"):
        both = ask.pick(((True, True), (True, False), (False, True), (False, False)))
        queries = [ask.present() if there else ask.absent() for there in both]
    else:
        queries = [ask.present() if ask.flip(0.85) else ask.absent() for _ in range(2)]
    if queries[0] is None or queries[1] is None or queries[0] == queries[1]:
        return None
    pair = (queries[0], queries[1])
    x, y = (len(ask.named(q)) for q in pair)
    if form in ("more", "same", "total"):
        if form == "total" and (x + y > 9 or set(ask.named(pair[0])) & set(ask.named(pair[1]))):
            return None
        holds = x > y if form == "more" else x == y
        answer = str(x + y) if form == "total" else ask.say("yes" if holds else "no")
        if form != "total" and holds != yes:
            return None
        parts = tuple((_text(ask, "_q.count", (q,)), str(n)) for q, n in zip(pair, (x, y), strict=True))
    else:
        holds = {"and": bool(x and y), "or": bool(x or y), "neither": not (x or y)}[form]
        if holds != yes:
            return None
        answer = ask.say("yes" if holds else "no")
        parts = tuple(
            (_text(ask, "_q.exists", (q,)), ask.say("yes" if n else "no"))
            for q, n in zip(pair, (x, y), strict=True)
        )
    return Problem(_text(ask, f"_q.{form}", pair), answer, parts, pair)


def _relation_problem(ask: Ask, yes: bool) -> Problem | None:
    pair = ask.view.named(ask.rng, 2)
    if pair is None:
        return None
    side = ask.pick(("left of", "right of", "above", "below"))
    across, down = offset(ask, pair[0][0], pair[1][0])
    sign = across if side in ("left of", "right of") else down
    if not sign:
        return None
    if ((sign > 0) == (side in ("right of", "below"))) != yes:
        pair = pair[::-1]
    rel = vocabulary.chinese(side) if ask.language == "zh" else side
    queries = (pair[0][1], pair[1][1])
    parts = tuple((_text(ask, "_q.where", (q,)), f"<box:{n}>") for n, q in enumerate(queries))
    return Problem(
        _text(ask, "_q.relation", queries, rel=rel), ask.say("yes" if yes else "no"), parts, queries
    )


def _stop(ask: Ask) -> str:
    return "。" if ask.language == "zh" else "."


def _facts(ask: Ask, parts: tuple[tuple[str, str], ...]) -> str:
    gap = "" if ask.language == "zh" else " "
    return gap.join(f"{q}{gap}{a}{_stop(ask)}" for q, a in parts)


def subquestion(ask: Ask) -> Turn | None:
    """Split a question, join sub-answers (both from words alone), or fill a missing step from the picture."""
    made = problem(ask)
    if made is None:
        return None
    roll = ask.random()
    gap = "" if ask.language == "zh" else " "
    if roll < 0.35:
        answer = gap.join(q for q, _ in made.parts)
        return ask.turn(
            "subquestion.ask",
            answer,
            evidence=[],
            words={"question": made.question},
            written=True,
            words_only=True,
        )
    evidence = [(q, ask.named(q)) for q in made.queries]
    if "<box:" in made.parts[0][1]:
        if roll < 0.6:
            return None  # places are joined through boxes, which the relation task trains with its rationale
        kept, (asked, place) = made.parts[0], made.parts[1]
        chain = f"{kept[0]}{gap}{kept[1]}{_stop(ask)}{gap}{asked}{gap}___{_stop(ask)}"
        return ask.turn(
            "subquestion.fill", place, evidence=evidence, words={"chain": _unboxed(chain)}, written=True
        )
    if roll < 0.65:
        return ask.turn(
            "subquestion.join",
            made.answer,
            evidence=[],
            words={"facts": _facts(ask, made.parts), "question": made.question},
            written=True,
            words_only=True,
        )
    slot = int(ask.random() * 2)
    parts = [(q, "___" if n == slot else a) for n, (q, a) in enumerate(made.parts)]
    chain = f"{_facts(ask, tuple(parts))}{gap}{made.question}{gap}{made.answer}{_stop(ask)}"
    hidden = made.parts[slot][1]
    return ask.turn("subquestion.fill", hidden, evidence=evidence, words={"chain": chain}, written=True)


def _unboxed(chain: str) -> str:
    """The chain with the known place left in words: a question speaks of at most one region, and of none here."""
    return chain.replace(" <box:0>.", " I see it.").replace("<box:0>。", "看到了。")


def claims(ask: Ask) -> Turn | None:
    """A text of one to four sentences to its typed atomic claims, one a line: "count: dog = 2"."""
    sentences: list[str] = []
    lines: list[str] = []
    for _ in range(1 + int(ask.random() * 4)):
        made = _claimed(ask)
        if made is not None and made[0] not in sentences:
            sentences.append(made[0])
            lines += [line for line in made[1] if line not in lines]
    if not sentences:
        return None
    text = ("" if ask.language == "zh" else " ").join(sentences)
    return ask.turn(
        "claims", "\n".join(lines), evidence=[], words={"text": text}, written=True, words_only=True
    )


def _claimed(ask: Ask) -> tuple[str, list[str]] | None:
    """A sentence, true or false of the scene, and the claims that it makes."""
    form = ask.pick(("exists", "count", "atleast", "more", "relation", "color", "place", "caption", "absent"))
    if form == "place":
        if not ask.view.sure:
            return None
        i = ask.pick(ask.view.sure)
        return describe.sentence(ask.view, i, ask.language), _exists_claims(
            ask, describe.true_query(ask.view, i)
        ) + _says(ask, i)
    if form == "caption":
        color = ask.flip(0.4)
        lines = [
            line
            for query, found in describe.groups(ask.view, color)
            for line in (
                [f"count: {ask.label(query)} = {len(found)}"]
                if len(found) > 1
                else _exists_claims(ask, query)
            )
        ]
        return (describe.short_caption(ask.view, ask.language, color), lines) if lines else None
    return _bare(ask, form)


def _bare(ask: Ask, form: str) -> tuple[str, list[str]] | None:
    """A bare sentence of a statement form (no frame around it) with its claims."""
    if form in ("exists", "absent"):
        query = ask.present() if ask.flip() else ask.absent()
        if query is None:
            return None
        text = phrasing.phrase(f"statement.{form}", ask.language, ask.split, ask.rng, (query,))[0]
        if form == "absent":
            return text, [f"absence: {ask.label(query)}"]
        return text, _exists_claims(ask, query)
    if form in ("count", "atleast"):
        query = ask.present()
        if query is None:
            return None
        number = 1 + int(ask.random() * 5)
        words = number_words(ask, number, query)
        text = phrasing.phrase(f"statement.{form}", ask.language, ask.split, ask.rng, (query,), words)[0]
        return text, [f"count: {ask.label(query)} {'=' if form == 'count' else '>='} {number}"]
    if form == "more":
        a, b = ask.present(), ask.present()
        if a is None or b is None or a == b:
            return None
        text = phrasing.phrase("statement.more", ask.language, ask.split, ask.rng, (a, b))[0]
        return text, [f"compare: {ask.label(a)} > {ask.label(b)}"]
    if form == "relation":
        a, b = ask.present(), ask.present()
        if a is None or b is None or a == b:
            return None
        side = ask.pick(("left of", "right of", "above", "below"))
        rel = vocabulary.chinese(side) if ask.language == "zh" else side
        text = phrasing.phrase("statement.relation", ask.language, ask.split, ask.rng, (a, b), {"rel": rel})[
            0
        ]
        return text, [f"relation: {ask.label(a)} {rel} {ask.label(b)}"]
    query = Query((ask.present() or Query("dog")).kind or "cat")
    color = ask.say(ask.pick(tuple(vocabulary.COLORS)))
    text = phrasing.phrase("statement.color", ask.language, ask.split, ask.rng, (query,), {"color": color})[0]
    return text, [f"color: {ask.label(query)} = {color}"]


def _exists_claims(ask: Ask, query: Query) -> list[str]:
    head = Query(query.kind, query.category)
    lines = [f"existence: {ask.label(head)}"]
    if query.color:
        lines.append(f"color: {ask.label(head)} = {ask.say(query.color)}")
    return lines


def _says(ask: Ask, index: int) -> list[str]:
    o = ask.view.objects[index]
    return [f"text: {ask.label(Query(o.kind))} = {o.word}"] if o.word else []


def compose(ask: Ask) -> Turn | None:
    """An answer in a sentence, from a question and the evidence found for it; the picture is not needed."""
    form = ask.pick(("exists", "count", "color", "relation"))
    stop = _stop(ask)
    if form == "exists":
        yes = ask.flip()
        query = ask.present() if yes else ask.absent()
        if query is None:
            return None
        question = _text(ask, "_q.exists", (query,))
        facts = f"{ask.label(query)}: {len(ask.named(query))}{stop}"
        answer = _text(ask, "_s.exists" if yes else "_s.missing", (query,))
    elif form == "count":
        query = ask.present()
        if query is None:
            return None
        number = len(ask.named(query))
        question, facts = _text(ask, "_q.count", (query,)), f"{ask.label(query)}: {number}{stop}"
        words = {**number_words(ask, number, query), "num": str(number)}
        answer = _text(ask, "_s.count", (query,), **words)
    elif form == "color":
        pool = ask.view.colored()
        if not pool:
            return None
        index = ask.pick(pool)
        named = ask.view.name(index, ask.rng, frozenset({"color"}))
        if named is None:
            return None
        color = ask.say(ask.view.objects[index].color)
        question, facts = _text(ask, "_q.color", (named,)), f"{ask.label(named)}: {color}{stop}"
        answer = _text(ask, "_s.color", (named,), color=color)
    else:
        made = _relation_problem(ask, ask.flip())
        if made is None:
            return None
        side = ask.pick(("left of", "right of", "above", "below"))
        rel = vocabulary.chinese(side) if ask.language == "zh" else side
        yes = ask.flip()
        question = _text(ask, "_q.relation", made.queries, rel=rel)
        a, b = (ask.label(q) for q in made.queries)
        facts = f"{a} / {b}: {rel} = {ask.say('yes' if yes else 'no')}{stop}"
        answer = _text(ask, "_s.relation" if yes else "_s.unrelated", made.queries, rel=rel)
    return ask.turn(
        "compose",
        answer,
        evidence=[],
        words={"facts": facts, "question": question},
        written=True,
        words_only=True,
    )
