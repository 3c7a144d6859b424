"""CHAIR, POPE, AMBER, MME and FaithScore: the published reference figures, hand-worked cases, and broken files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.errors import InputError
from sightline.mllm.evaluation.bootstrap import interval, paired, ratio
from sightline.mllm.evaluation.hallucination import amber, chair, faithscore, mme, pope

TABLE = chair.Synonyms(
    [
        "person, man, woman, people",
        "dog, puppy",
        "cup, mug",
        "wine glass, ",
        "tie, bow tie",
        "train",
        "toilet",
        "chair, seat",
    ]
)


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


# -- CHAIR --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "expected"), [("greedy", (45.0, 12.6, 80.5)), ("ours", (44.8, 12.7, 79.6))])
def test_chair_gives_the_published_figures(data: Path, name: str, expected: tuple[float, ...]) -> None:
    folder = data / "hallucination"
    table = chair.Synonyms.read(folder / "synonyms.txt")
    found = chair.evaluate(
        folder / f"llava15_{name}_captions.jsonl", [folder / "llava15_objects.json"], table
    )
    assert tuple(round(found[key], 1) for key in ("chair_s", "chair_i", "recall")) == expected
    assert found["n"] == 500


@pytest.mark.parametrize(
    ("caption", "mentions"),
    [
        ("A man's two puppies", ["person", "dog"]),
        ("People with mugs and wine glasses", ["person", "cup", "wine glass"]),
        ("He wears a bow tie near the home plate", ["tie"]),
        ("a passenger train on train tracks", ["train"]),
        ("the toilet seat, then a seat", ["toilet"]),
        ("nothing of note", []),
    ],
)
def test_chair_mentions(caption: str, mentions: list[str]) -> None:
    assert TABLE.mentions(caption) == mentions


def test_chair_by_hand() -> None:
    judged = [
        chair.judge("a dog and a dog and a mug", {"dog", "person"}, TABLE),  # 1 of 3 wrong, 1 of 2 named
        chair.judge("a man", {"person"}, TABLE),
    ]
    found = chair.summarise(judged)
    assert (found["chair_s"], found["chair_i"], found["recall"]) == (50.0, 25.0, 66.67)
    low, high = found["ci"]["chair_s"]
    assert low == 0.0 and high == 100.0


def test_chair_reads_coco_and_counts_what_people_named(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 7}], "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"image_id": 7, "category_id": 1}, {"image_id": 7, "caption": "a woman and her dog"}],
    }  # fmt: skip
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco))
    assert chair.read_objects(path, TABLE) == {"7": {"dog", "person"}}


# -- POPE ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "yes"),
    [
        ("Yes", True), ("yes, there is a dog.", True), ("No", False), ("No, there is no dog.", False),
        ("There is not a dog. Yes.", False), ("There isn't one", False), ("There is a dog. No cat.", True),
        ("A snowboard lies there", True), ("没有。", False), ("有", True), ("是的", True),
    ],
)  # fmt: skip
def test_pope_reads_answers(answer: str, yes: bool) -> None:
    assert pope.said_yes(answer) is yes


OBJECTS = {
    "a": ["dog", "person", "cup"], "b": ["dog", "person", "chair"], "c": ["person", "car", "bus"],
    "d": ["kite", "person"], "e": ["dog", "chair", "cup", "car"],
}  # fmt: skip


@pytest.mark.parametrize("sampling", pope.SAMPLINGS)
def test_pope_questions_are_balanced_and_true(sampling: str) -> None:
    rows = pope.build(OBJECTS, sampling, seed=3)
    assert {row["image"] for row in rows} == {"a", "b", "c", "e"}  # d shows two kinds only
    assert [row["question_id"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        name = row["text"].removeprefix("Is there ").removesuffix(" in the image?").partition(" ")[2]
        assert (name in OBJECTS[row["image"]]) == (row["label"] == "yes")
    assert sum(row["label"] == "yes" for row in rows) * 2 == len(rows)
    assert rows == pope.build(OBJECTS, sampling, seed=3)


def test_pope_popular_and_adversarial_ask_what_they_should() -> None:
    def absent(sampling: str, image: str) -> list[str]:
        rows = [r for r in pope.build(OBJECTS, sampling) if r["image"] == image and r["label"] == "no"]
        return [r["text"].split()[3] for r in rows]

    assert absent("popular", "c")[0] == "dog"  # in three pictures, more than any other that c lacks
    assert absent("adversarial", "a")[:2] == ["chair", "car"]  # chair stands beside dog and cup most


def test_pope_scores_by_hand() -> None:
    labels, answers = [True, True, False, False], [True, False, True, False]
    found = pope.score(labels, answers, ["x", "x", "y", "y"])
    assert (found["accuracy"], found["precision"], found["recall"], found["f1"], found["yes_ratio"]) == (
        0.5,
    ) * 5
    assert found["n"] == 4


def test_pope_reads_the_public_files(data: Path, tmp_path: Path) -> None:
    questions = data / "hallucination" / "pope_random_dev.jsonl"
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    said = write(tmp_path / "a.jsonl", [{"question_id": r["question_id"], "answer": "Yes"} for r in rows])
    found = pope.evaluate(said, questions)
    assert found["recall"] == 1.0 and found["yes_ratio"] == 1.0
    assert found["accuracy"] == pytest.approx(sum(r["label"] == "yes" for r in rows) / len(rows), abs=1e-4)


def test_pope_names_the_missing_answer(tmp_path: Path) -> None:
    questions = write(tmp_path / "q.jsonl", [{"question_id": 5, "image": "i", "text": "t", "label": "yes"}])
    said = write(tmp_path / "a.jsonl", [{"question_id": 6, "answer": "Yes"}])
    with pytest.raises(InputError, match="no answer to question 5"):
        pope.evaluate(said, questions)


# -- AMBER --------------------------------------------------------------------------------------------------------


def amber_files(folder: Path) -> tuple[Path, Path, Path]:
    annotations = [
        {"id": 1, "type": "generative", "truth": ["sky", "person"], "hallu": ["dog"]},
        {"id": 2, "type": "discriminative-hallucination", "truth": "no"},
        {"id": 3, "type": "discriminative-attribute-state", "truth": "yes"},
        {"id": 4, "type": "relation", "truth": "no"},
    ]
    (folder / "annotations.json").write_text(json.dumps(annotations))
    (folder / "relation.json").write_text(json.dumps({"person": ["man"], "hat": []}))
    said = [
        {"id": 1, "response": "Two men with hats and a dog."}, {"id": 2, "response": "No"},
        {"id": 3, "response": "Yes"}, {"id": 4, "response": "Yes"},
    ]  # fmt: skip
    (folder / "said.json").write_text(json.dumps(said))
    return folder / "said.json", folder / "annotations.json", folder / "relation.json"


def test_amber_by_hand(tmp_path: Path) -> None:
    found = amber.evaluate(*amber_files(tmp_path))
    told = found[
        "generative"
    ]  # man, hat, dog: hat and dog are not there, dog is a likely slip, sky goes unsaid
    assert (told["chair"], told["cover"], told["hal"], told["cog"]) == (66.67, 50.0, 100.0, 33.33)
    asked = found["discriminative"]  # "no" is positive: one of two found, none wrong
    assert (asked["accuracy"], asked["precision"], asked["recall"], asked["f1"]) == (
        66.67,
        100.0,
        50.0,
        66.67,
    )
    assert set(found["kinds"]) == {"existence", "attribute", "relation"}
    assert found["amber"] == 50.0


def test_amber_reads_the_official_annotations(data: Path, tmp_path: Path) -> None:
    folder = data / "hallucination" / "amber"
    rows = json.loads((folder / "annotations.json").read_text())
    truth = [
        {"id": r["id"], "response": ", ".join(r["truth"]) if r["type"] == "generative" else r["truth"]}
        for r in rows
    ]
    said = tmp_path / "said.json"
    said.write_text(json.dumps(truth))
    found = amber.evaluate(said, folder / "annotations.json", folder / "relation.json")
    assert found["discriminative"]["f1"] == 100.0
    assert (
        found["generative"]["cover"] > 97 and found["generative"]["chair"] < 2
    )  # plural-only words of the files are lost


# -- MME and FaithScore -------------------------------------------------------------------------------------------


def test_mme_by_hand() -> None:
    rows = [
        ("1", "q", True, "Yes."),
        ("1", "r", False, "no"),
        ("2", "q", True, "Yes"),
        ("2", "r", False, "Yes, so"),
    ]
    found = mme.score(rows)
    assert (found["accuracy"], found["accuracy_plus"], found["score"]) == (75.0, 50.0, 125.0)
    assert mme.said("I do not know") == "other" and mme.said("Yeah") == "other"


def test_mme_reads_the_official_files(tmp_path: Path) -> None:
    (tmp_path / "existence.txt").write_text(
        "1.jpg\tIs there a dog?\tYes\tYes\n1.jpg\tIs there a cat?\tNo\tNo, none\n"
    )
    found = mme.evaluate(tmp_path)
    assert found["total"] == 200.0 and list(found["tasks"]) == ["existence"]
    (tmp_path / "count.txt").write_text("1.jpg\tonly two parts\n")
    with pytest.raises(InputError, match=r"count\.txt, line 1"):
        mme.evaluate(tmp_path)
    with pytest.raises(InputError, match="two questions a picture"):
        mme.score([("1", "q", True, "yes")])


def test_faithscore_by_hand(tmp_path: Path) -> None:
    rows = [
        {"facts": [{"text": "a", "entailed": True}, {"text": "b", "entailed": False}]},
        {"facts": [{"text": "a", "entailed": True}]},
        {"facts": []},
    ]
    found = faithscore.evaluate(write(tmp_path / "f.jsonl", rows))
    assert (found["faithscore"], found["n"], found["facts"], found["empty"]) == (0.75, 2, 3, 1)


# -- intervals, the command line, broken files ----------------------------------------------------------------------


def test_intervals_hold_the_mean_and_shrink() -> None:
    few = interval([(x, 1.0) for x in (0, 1) * 10], ratio(0, 1))
    many = interval([(x, 1.0) for x in (0, 1) * 1000], ratio(0, 1))
    assert few[0] < 0.5 < few[1] and many[1] - many[0] < few[1] - few[0]
    gap, low, high = paired([1.0] * 50, [0.0] * 50)
    assert gap == low == high == 1.0


def test_command_line(tmp_path: Path) -> None:
    said, _, _ = amber_files(tmp_path)
    arguments = [
        "eval",
        "amber",
        "--predictions",
        str(said),
        "--annotations",
        str(tmp_path / "annotations.json"),
    ]
    found = CliRunner().invoke(app, [*arguments, "--json"])
    assert found.exit_code == 0 and json.loads(found.stdout)["amber"] == 50.0
    shown = CliRunner().invoke(app, arguments)
    assert "generative" in shown.stdout and "relation" in shown.stdout
    missing = CliRunner().invoke(
        app, ["eval", "chair", "--predictions", str(said), "--annotations", str(said)], catch_exceptions=True
    )
    assert isinstance(missing.exception, InputError) and "--synonyms" in str(missing.exception)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "line 1"),
        ("[1]", "item 1"),
        ('{"image_id": 1}', "'caption' or 'text'"),
        ('{"image_id": 9, "caption": ""}', "no image '9'"),
    ],
)
def test_broken_predictions_are_named(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "p.jsonl").write_text(text)
    (tmp_path / "a.json").write_text('{"1": ["dog"]}')
    with pytest.raises(InputError, match=line):
        chair.evaluate(tmp_path / "p.jsonl", [tmp_path / "a.json"], TABLE)
