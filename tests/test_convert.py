"""Converters: tiny files in the published layouts, and the real COCO part, to conversations with pixel boxes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import pytest

from sightline.errors import InputError
from sightline.mllm.data import convert
from sightline.mllm.data.conversation import Conversation, Message, Picture
from sightline.mllm.scenes.pairs import make_pair, make_pair_turns
from sightline.mllm.scenes.questions import make_turns
from sightline.mllm.scenes.world import make_scene


def picture(folder: Path, name: str, size: tuple[int, int]) -> None:
    from PIL import Image

    Image.new("RGB", size).save(folder / name)


def test_llava(tmp_path: Path) -> None:
    picture(tmp_path, "a.jpg", (200, 100))
    file = tmp_path / "llava.json"
    file.write_text(
        json.dumps(
            [
                {
                    "id": "7",
                    "image": "a.jpg",
                    "conversations": [
                        {"from": "human", "value": "<image>\nWhere is the dog?"},
                        {"from": "gpt", "value": "At [0.25, 0.30, 0.75, 0.50]."},
                    ],
                },
                {
                    "id": "8",
                    "conversations": [
                        {"from": "human", "value": "Hi [1, 2]"},
                        {"from": "gpt", "value": "Hello"},
                    ],
                },
            ]
        )
    )
    seen, plain = convert.from_llava(convert.read_json(file), tmp_path)
    assert seen.images == (Picture("a.jpg", 200, 100),)
    assert seen.messages[1].text == "At <box:0>."
    # Padded to 200 x 200, the picture begins 50 pixels down.
    assert seen.messages[1].boxes[0] == pytest.approx((50, 10, 150, 50))
    assert plain.images == () and plain.messages[0].text == "Hi [1, 2]"
    assert Conversation.from_json(json.loads(json.dumps(seen.to_json()))) == seen


def test_llava_errors() -> None:
    with pytest.raises(InputError, match="LLaVA record 1: no 'conversations'"):
        list(convert.from_llava([{"id": "1"}]))
    side = {"from": "system", "value": "x"}
    with pytest.raises(InputError, match="human or gpt"):
        list(convert.from_llava([{"conversations": [side]}]))
    twice = [{"from": "human", "value": "x"}, {"from": "human", "value": "y"}]
    with pytest.raises(InputError, match="must alternate"):
        list(convert.from_llava([{"conversations": twice}]))
    with pytest.raises(InputError, match="0 <image> marks, 1 pictures"):
        list(convert.from_llava([{"image": "a.jpg", "conversations": twice[:1]}]))


def test_shikra() -> None:
    text, boxes = convert.unbox("A man[0.100,0.200,0.500,0.600] and dogs[0,0,0.1,0.1;0.5,0.5,1,1].", 100, 200)
    assert text == "A man<box:0> and dogs<box:1> <box:2>."
    assert boxes[0] == pytest.approx((10, 40, 50, 120)) and boxes[2] == pytest.approx((50, 100, 100, 200))
    rec, cot = convert.from_shikra(
        [
            {
                "img_path": "1.jpg",
                "expression": "the left cup",
                "bbox": [1, 2, 30, 40],
                "width": 64,
                "height": 48,
            },
            {
                "img_path": "2.jpg",
                "boxes": [[0, 0, 5, 5], [1, 1, 9, 9]],
                "question": "Is he<boxes> alone?",
                "question_boxes_seq": [[0]],
                "cot_with_ans": "The man<boxes> and the dogs<boxes>: no.",
                "answer_boxes_seq": [[0], [1, 0]],
            },
        ]
    )
    assert rec.messages[0].text == "<image>\nWhere is the left cup?" and rec.messages[1].boxes == (
        (1, 2, 30, 40),
    )
    assert cot.messages[0].boxes == ((0, 0, 5, 5),)
    assert cot.messages[1].text == "The man<box:0> and the dogs<box:1> <box:2>: no."
    assert cot.messages[1].boxes == ((0, 0, 5, 5), (1, 1, 9, 9), (0, 0, 5, 5))
    with pytest.raises(InputError, match="box 3 of 1"):
        bad = {
            "img_path": "x",
            "boxes": [[0, 0, 1, 1]],
            "question": "<boxes>",
            "question_boxes_seq": [[3]],
            "answer": "a",
        }
        list(convert.from_shikra([bad]))


COCO = {
    "images": [{"id": 1, "file_name": "1.jpg", "width": 50, "height": 40}, {"id": 2, "file_name": "2.jpg", "width": 9, "height": 9}],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "sheep"}, {"id": 3, "name": "tv"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [20, 2, 10, 20], "iscrowd": 0},
        {"id": 3, "image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        {"id": 4, "image_id": 2, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 0},
    ],
}  # fmt: skip


def test_coco() -> None:
    captions = {"images": COCO["images"], "annotations": [{"id": 1, "image_id": 1, "caption": "Two dogs.\n"}]}
    first, second = convert.from_coco(COCO, captions, seed=3)
    pairs = dict(zip([m.text for m in first.messages[0::2]], first.messages[1::2], strict=True))
    counts = [a.text for q, a in pairs.items() if a.text.isdigit()]
    assert counts == ["2"]  # the sheep are a crowd: neither counted nor grounded
    grounded = [a for a in pairs.values() if a.text == "<box:0> <box:1>"]
    assert grounded[0].boxes == ((1, 2, 11, 22), (20, 2, 30, 22))
    assert any(a.text == "Two dogs." for a in pairs.values())
    for question, answer in pairs.items():
        if answer.text in ("yes", "no"):
            assert bool(re.search("dog|sheep", question.lower())) == (answer.text == "yes")
    assert first.images[0] == Picture("1.jpg", 50, 40) and second.messages[0].text.startswith("<image>\n")
    assert list(convert.from_coco(COCO, captions, seed=3)) == [first, second]


def test_coco_files(data: Path) -> None:
    folder = data / "photos" / "coco_val128"
    instances, captions = (convert.read_json(folder / f"{n}.json") for n in ("instances", "captions"))
    ids = {i["file_name"]: i["id"] for i in instances["images"]}
    listed = [{"image_id": ids[name], "caption": text} for name, texts in captions.items() for text in texts]
    made = list(convert.from_coco(instances, {"images": instances["images"], "annotations": listed}))
    assert len(made) == len(instances["images"])
    answers = [m.text for c in made for m in c.messages[1::2]]
    assert abs(answers.count("yes") - answers.count("no")) <= 2
    for c in made:
        size = c.images[0]
        assert (folder / size.path).is_file() and len(c.extra["captions"]) >= 1
        for b in (b for m in c.messages for b in m.boxes):
            assert 0 <= b[0] <= b[2] <= size.width + 1 and 0 <= b[1] <= b[3] <= size.height + 1  # type: ignore[operator]


def test_vqa() -> None:
    questions = {
        "data_subtype": "val2014",
        "questions": [
            {"image_id": 42, "question": "What color?", "question_id": 420},
            {"image_id": 42, "question": "How many?", "question_id": 421},
        ],
    }
    answers = {
        "annotations": [
            {"question_id": 420, "image_id": 42, "multiple_choice_answer": "red", "answers": [{"answer": "red"}, {"answer": "pink"}]},
            {"question_id": 421, "image_id": 42, "multiple_choice_answer": "2", "answers": []},
        ]
    }  # fmt: skip
    (made,) = convert.from_vqa(questions, answers)
    assert made.images[0].path == "COCO_val2014_000000000042.jpg"
    assert [m.text for m in made.messages] == ["<image>\nWhat color?", "red", "How many?", "2"]
    assert made.extra["answers"]["420"] == ["red", "pink"]
    with pytest.raises(InputError, match="VQA question 421: no annotation"):
        list(convert.from_vqa(questions, {"annotations": answers["annotations"][:1]}))


def test_scienceqa() -> None:
    problem = {"question": "Which is warm?", "choices": ["ice", "fire"], "answer": 1, "hint": "Think.", "image": "image.png",
               "lecture": "Heat.", "solution": "Fire burns.", "split": "train"}  # fmt: skip
    problems = {"5": problem, "6": {**problem, "image": None, "split": "val"}}
    five, six = convert.from_scienceqa(problems)
    assert five.images[0].path == "train/5/image.png"
    assert (
        five.messages[0].text
        == "<image>\nContext: Think.\nQuestion: Which is warm?\nOptions: (A) ice (B) fire"
    )
    assert five.messages[1].text == "Heat. Fire burns. The answer is B."
    assert six.images == () and [c.id for c in convert.from_scienceqa(problems, split="val")] == ["6"]
    with pytest.raises(InputError, match="problem 5: answer 1 of 1"):
        list(convert.from_scienceqa({"5": {**problem, "choices": ["ice"]}}))


def test_scene_turns() -> None:
    scene = make_scene(12)
    turns = make_turns(scene, Random(0))
    made = convert.from_turns(turns, [scene], ["a.png"], rationale=True)
    assert len(made.messages) == 2 * len(turns) and made.extra["tasks"] == [t.task for t in turns]
    for turn, message in zip(turns, made.messages[1::2], strict=True):
        assert message.text.endswith(turn.answer) and message.boxes == turn.boxes
    pair = make_pair(make_scene(12), Random(0))
    two = convert.from_turns(make_pair_turns(*pair, Random(1)), pair, ["a.png", "b.png"])
    assert two.messages[0].text.count("<image>") == 2
    assert any(1 in m.box_pictures for m in two.messages)


def test_records_refuse_nonsense(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="<box:1> but 1 boxes"):
        Message("user", "<box:1>", ((0, 0, 1, 1),))
    with pytest.raises(InputError, match="not a conversation record"):
        Conversation.from_json({"id": "1"})
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(InputError, match=r"x\.jsonl: line 2"):
        convert.read_json(tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="no such file"):
        convert.read_json(tmp_path / "none.json")
