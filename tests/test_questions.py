"""Question makers over scenes: answers re-derived by brute force, balance, phrasings, determinism."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import scene_oracle as oracle

from sightline.errors import InputError
from sightline.mllm.scenes import balance, phrasing, vocabulary
from sightline.mllm.scenes.pairs import PAIR_FORMS, make_pair, make_pair_turns
from sightline.mllm.scenes.questions import TASKS, make_turns
from sightline.mllm.scenes.schema import Scene, Turn
from sightline.mllm.scenes.world import make_scene, split_seed

TEMPLATES = Path(phrasing.__file__).parent / "templates"
YES = {True: ("yes", "是"), False: ("no", "否")}
TRUE = {True: ("true", "对"), False: ("false", "错")}


@pytest.fixture(scope="module")
def asked() -> list[tuple[Scene, Turn]]:
    """Over 8,000 turns of 700 scenes, all tasks, both languages, all phrasings."""
    out = []
    for index in range(700):
        scene = make_scene(split_seed("val", 5, index))
        out += [(scene, t) for t in make_turns(scene, Random(index), split="all")]
    return out


def expected(scene: Scene, turn: Turn) -> str | None:
    """The answer found by brute force in English or Chinese; None for texts, judged by other tests."""
    zh = turn.language == "zh"
    form, objects = turn.form, scene.objects
    read = oracle.Reading(scene, turn)
    counts = [len(f) for f in read.found]
    say = phrasing.say
    task, _, kind = form.partition(".")

    def yes(value: bool) -> str:
        return YES[value][zh]

    if form == "existence":
        return yes(counts[0] > 0)
    if form == "count":
        return str(counts[0])
    if form in ("color", "size", "negative.color"):
        if not counts[0]:
            return say("none", turn.language)
        assert counts[0] == 1, turn
        return say(getattr(objects[read.found[0][0]], "size" if form == "size" else "color"), turn.language)
    if task == "attribute":
        o = objects[read.found[0][0]]
        if kind == "color":
            return yes(o.color == read.color())
        words = oracle.ZH_SIZES if zh else {s: s for s in vocabulary.SIZES}
        return yes(next(s for w, s in words.items() if w in read.rest.replace("大小", "")) == o.size)
    if form in ("word.what", "word.any", "word.region"):
        hits = [objects[i] for i in turn.objects]
        return hits[0].word
    if form == "word.yesno":
        shown = re.search(r"[“\"](.+?)[”\"]", turn.question)
        assert shown
        return yes(objects[read.found[0][0]].word == shown.group(1))
    if form in ("relation.which", "relation.level", "relation.yesno", "statement.relation"):
        a, b = (f[0] for f in oracle.slots(read))
        across, down = oracle.side_of(scene, a, b)
        if form == "relation.which":
            return say(across, turn.language)
        if form == "relation.level":
            return say(down, turn.language)
        rest = read.rest
        asked = next(
            s for s, ws in {"left": ("left", "左边"), "right": ("right of", "right side", "the right", "右边"),
                            "above": ("above", "higher", "further up", "上方"),
                            "below": ("below", "lower", "further down", "下方")}.items() if any(w in rest for w in ws)
        )  # fmt: skip
        return (yes if task == "relation" else lambda x: TRUE[x][zh])(asked in (across, down))
    if form == "relation.what":
        spot = objects[read.found[0][0]].box
        centre = lambda q: ((q[0] + q[2]) / 2, (q[1] + q[3]) / 2)  # noqa: E731
        (x, y) = centre(spot)
        order = sorted(
            (i for i in range(len(objects)) if i != read.found[0][0]),
            key=lambda i: (centre(objects[i].box)[0] - x) ** 2 + (centre(objects[i].box)[1] - y) ** 2,
        )
        return say(objects[order[0]].kind, turn.language)
    if form in ("compare.more", "compare.fewer", "compare.same", "statement.more"):
        a, b = (len(f) for f in oracle.slots(read))
        value = {"more": a > b, "fewer": a < b, "same": a == b}[kind]
        return TRUE[value][zh] if task == "statement" else yes(value)
    if form == "compare.isbigger":
        a, b = (objects[f[0]].box for f in oracle.slots(read))
        return yes((a[2] - a[0]) * (a[3] - a[1]) > (b[2] - b[0]) * (b[3] - b[1]))
    if task == "logic" and kind in ("and", "or", "not", "neither"):
        a, b = (any(oracle.fits(o, p) for o in objects) for p in read.phrases[:2])
        return yes({"and": a and b, "or": a or b, "not": a and not b, "neither": not a and not b}[kind])
    if kind in ("exactly", "atleast", "count") and task in ("logic", "statement"):
        n = read.number()
        value = counts[0] >= n if kind == "atleast" else counts[0] == n
        return TRUE[value][zh] if task == "statement" else yes(value)
    if form == "logic.all":
        return yes(all(objects[i].color == read.color() for i in read.found[0]))
    if task == "statement":
        if kind in ("exists", "absent"):
            return TRUE[(counts[0] > 0) == (kind == "exists")][zh]
        if kind == "both":
            return TRUE[all(counts)][zh]
        if kind == "color":
            return TRUE[objects[read.found[0][0]].color == read.color()][zh]
        return TRUE[oracle.layout_claim(read)][zh]
    if task == "region" or form == "color.region":
        assert turn.region is not None
        x, y = (turn.region[0] + turn.region[2]) / 2, (turn.region[1] + turn.region[3]) / 2
        best = min(
            (o for o in objects if o.box[0] <= x <= o.box[2] and o.box[1] <= y <= o.box[3]),
            key=lambda o: sum(abs(p - q) for p, q in zip(o.box, turn.region, strict=True)),  # type: ignore[arg-type]
        )
        if form == "color.region":
            return say(best.color, turn.language)
        if kind == "what":
            return say(best.kind, turn.language)
        if kind == "yesno":
            return yes(oracle.fits(best, read.phrases[0]))
        return None
    if task == "ground":
        return " ".join(f"<box:{i}>" for i in range(counts[0])) or say("none", turn.language)
    return None


def test_every_answer_is_rederived(asked: list[tuple[Scene, Turn]]) -> None:
    checked: Counter[str] = Counter()
    for scene, turn in asked:
        answer = expected(scene, turn)
        if answer is not None:
            assert turn.answer == answer, (turn.form, turn.question, turn.answer, answer)
            checked[turn.task] += 1
    assert sum(checked.values()) >= 4000
    assert set(checked) >= {"existence", "count", "color", "size", "attribute", "negative", "word", "relation", "compare",
                            "region", "ground", "logic", "statement"}  # fmt: skip


def test_choices_name_the_right_thing(asked: list[tuple[Scene, Turn]]) -> None:
    seen = 0
    for scene, turn in asked:
        if turn.form not in ("compare.larger", "compare.smaller", "compare.which", "compare.closer"):
            continue
        seen += 1
        right = oracle.matches(scene, oracle.read_phrase(turn.answer, turn.language == "zh"))
        parts = {turn.question[a:b]: oracle.matches(scene, oracle.read_phrase(turn.question[a:b], turn.language == "zh"))
                 for a, b, _ in turn.mentions}  # fmt: skip
        if turn.form == "compare.which":
            assert len(right) == max(len(f) for f in parts.values()), turn
        elif turn.form != "compare.closer":
            areas = {
                f[0]: (b[2] - b[0]) * (b[3] - b[1]) for f in parts.values() for b in [scene.objects[f[0]].box]
            }
            choose = max if turn.form == "compare.larger" else min
            assert areas[right[0]] == choose(areas.values()), turn
        else:
            third = oracle.slots(oracle.Reading(scene, turn))[2][0]
            b = scene.objects[third].box
            far = {
                f[0]: (c[0] + c[2] - b[0] - b[2]) ** 2 + (c[1] + c[3] - b[1] - b[3]) ** 2
                for f in parts.values() if f[0] != third for c in [scene.objects[f[0]].box]
            }  # fmt: skip
            assert far[right[0]] == min(far.values()), turn
    assert seen > 60


def test_texts_follow_the_scene(asked: list[tuple[Scene, Turn]]) -> None:
    for scene, turn in asked:
        if turn.form == "caption.short" and turn.language == "en" and scene.objects:
            listed = re.findall(
                r"[a-z][a-z -]+", turn.answer.lower().replace("there is ", "").replace("there are ", "")
            )
            total = 0
            for part in " and ".join(listed).replace(" in the picture", "").split(" and "):
                word, _, noun = part.strip().partition(" ")
                number = 1 if word in ("a", "an") else oracle.NUMBERS[word]
                assert len(oracle.matches(scene, oracle.read_phrase(noun, False))) >= number, (
                    turn.answer,
                    part,
                )
                total += number
            assert total == len(scene.objects)
        elif turn.form == "caption.detail":
            stop = "。" if turn.language == "zh" else "."
            assert turn.answer.count(stop) == max(1, len(scene.objects))
        elif turn.form == "caption.grounded":
            assert len(turn.boxes) == len(scene.objects)
        elif turn.form == "subquestion.fill" and "___" not in turn.question:
            raise AssertionError(turn)
        elif turn.form == "negative.sentence" and not turn.boxes:
            assert turn.answer.startswith(("There is no ", "图中没有"))


def test_pointing(asked: list[tuple[Scene, Turn]]) -> None:
    """Boxes belong to their objects, marks in answer and rationale are in range, mentions name what they say."""
    for scene, turn in asked:
        assert [scene.objects[i].box for i in turn.objects] == list(turn.boxes)
        for text in (turn.answer, turn.rationale or ""):
            assert all(int(n) < len(turn.boxes) for n in re.findall(r"<box:(\d+)>", text))
        assert turn.question.count("<region>") == (turn.region is not None)
        for a, b, indices in turn.mentions:
            phrase = oracle.read_phrase(turn.question[a:b], turn.language == "zh")
            assert list(indices) == oracle.matches(scene, phrase), (turn.question, turn.question[a:b])
        if turn.words_only:
            assert not turn.boxes and turn.task in ("subquestion", "claims", "compose")


def test_two_pictures() -> None:
    seen: Counter[str] = Counter()
    for index in range(300):
        first, second = make_pair(make_scene(split_seed("val", 6, index)), Random(index))
        for turn in make_pair_turns(first, second, Random(index), split="all"):
            everything = first.objects + second.objects
            assert [everything[i].box for i in turn.objects] == list(turn.boxes) and turn.pictures == 2
            a, b, _ = turn.mentions[0]
            phrase = oracle.read_phrase(turn.question[a:b], turn.language == "zh")
            x, y = oracle.matches(first, phrase), oracle.matches(second, phrase)
            zh = turn.language == "zh"
            form = turn.form.split(".")[1]
            answer = {
                "same": YES[bool(x and y)][zh],
                "total": str(len(x) + len(y)),
                "more": phrasing.say("first" if len(x) > len(y) else "second", turn.language),
                "only": phrasing.say("first" if x else "second", turn.language),
                "statement": TRUE[len(x) > len(y)][zh],
                "color": YES[form == "color" and first.objects[x[0]].color == second.objects[y[0]].color][zh],
            }[form]
            assert turn.answer == answer, (turn, answer)
            seen[form] += 1
    assert set(seen) == set(PAIR_FORMS) and sum(seen.values()) > 600


# Blind accuracy allowed above chance, for 800 questions of a task.
@pytest.mark.parametrize(
    ("task", "limit"),
    [("existence", 0.56), ("count", 0.27), ("color", 0.15), ("size", 0.43), ("attribute", 0.55), ("relation", 0.52),
     ("compare", 0.56), ("region", 0.26), ("logic", 0.55), ("statement", 0.56), ("word", 0.2), ("pair", 0.55)],
)  # fmt: skip
def test_blind_guessing_stays_near_chance(task: str, limit: float) -> None:
    train = balance.sample_turns(task, 11, 2000)
    score = balance.blind_scores(train, balance.sample_turns(task, 12, 800, scenes="test"))[task]
    assert score.n == 800
    assert score.majority <= score.blind <= limit, score


def test_balanced_stream_is_even() -> None:
    answers = Counter(t.answer for _, t in islice(balance.balanced_stream("count", 3, language="en"), 300))
    assert max(answers.values()) - min(answers[str(n)] for n in range(6)) <= 25
    answers = Counter(
        t.answer for _, t in islice(balance.balanced_stream("existence", 3, language="en"), 300)
    )
    assert abs(answers["yes"] - answers["no"]) <= 2


def test_same_seed_same_turns() -> None:
    scene = make_scene(7)
    assert make_turns(scene, Random(1)) == make_turns(scene, Random(1))
    assert make_turns(scene, Random(1)) != make_turns(scene, Random(2))
    first = [t for _, t in islice(balance.question_stream("statement", 4), 20)]
    assert first == [t for _, t in islice(balance.question_stream("statement", 4), 20)]


def test_languages(asked: list[tuple[Scene, Turn]]) -> None:
    han = re.compile(r"[\u4e00-\u9fff]")
    by_task: dict[str, set[str]] = {}
    for _, turn in asked:
        by_task.setdefault(turn.task, set()).add(turn.language)
        assert bool(han.search(turn.question)) == (turn.language == "zh"), turn.question
        assert turn.language == "zh" or not han.search(turn.answer)
    assert all(by_task[t] == {"en", "zh"} for t in TASKS)
    assert {t.language for t in make_turns(make_scene(3), Random(0), language="zh")} == {"zh"}


def test_no_slot_is_left_open(asked: list[tuple[Scene, Turn]]) -> None:
    for _, turn in asked:
        for text in (turn.question, turn.answer, turn.rationale or ""):
            assert not re.search(r"[{}]|None|  ", text), turn


@pytest.mark.parametrize("language", ["en", "zh"])
def test_held_out_phrasings(language: str) -> None:
    """No test template is a training template, and main tasks have the breadth that the recipe asks for."""
    train: set[str] = set()
    test: set[str] = set()
    for path in TEMPLATES.glob(f"{language}_*.json"):
        for form, splits in json.loads(path.read_text("utf-8")).items():
            if not form.startswith("_") or form == "_where":
                train |= {f"{form}|{t}" for t in splits["train"]}
                test |= {f"{form}|{t}" for t in splits["test"]}
                assert len(splits["test"]) >= 2 and len(splits["train"]) >= 4, form
    assert not train & test
    least = 15 if language == "en" else 6
    for form in ("existence", "count", "color", "size", "attribute.color", "relation.yesno", "relation.which", "word.what",
                 "region.what", "ground.one", "ground.all", "caption.short", "caption.detail", "statement.frame"):  # fmt: skip
        assert len(phrasing.templates(form, language, "train")) >= least, form
    for index in range(40):
        for turn in make_turns(make_scene(index), Random(index), language=language, split="test"):
            assert turn.phrasing >= phrasing.TEST_PHRASING


def test_wrong_names_are_refused() -> None:
    scene = make_scene(1)
    with pytest.raises(InputError, match="no question task 'counting'"):
        make_turns(scene, Random(0), ["counting"])
    with pytest.raises(InputError, match="language 'fr'"):
        make_turns(scene, Random(0), language="fr")
    with pytest.raises(InputError, match="no templates 'count'"):
        phrasing.templates("count", "en", "dev")
    with pytest.raises(InputError, match="two-picture"):
        make_pair_turns(scene, scene, Random(0), ["sum"])
