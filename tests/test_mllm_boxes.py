"""Boxes survive the way into text and back, in every notation."""

from __future__ import annotations

import pytest

from sightline.errors import InputError
from sightline.mllm.boxes import BoxCodec

BOXES = [(10.0, 20.0, 110.5, 220.25), (0.0, 0.0, 640.0, 480.0), (321.0, 77.0, 322.0, 79.0)]


@pytest.mark.parametrize(
    ("codec", "near"),
    [
        (BoxCodec("plain"), 0.5), (BoxCodec("plain", digits=5), 0.01), (BoxCodec("qwen"), 0.5),
        (BoxCodec("qwen", bins=0), 0.51), (BoxCodec("location", bins=1000), 0.5),
    ],
)  # fmt: skip
def test_roundtrip(codec: BoxCodec, near: float) -> None:
    text = codec.encode(BOXES, 640, 480)
    back = codec.decode(f"Here: {text}.", 640, 480)
    assert len(back) == len(BOXES)
    for a, b in zip(BOXES, back, strict=True):
        assert all(abs(x - y) <= near for x, y in zip(a, b, strict=True))


def test_known_writings() -> None:
    assert BoxCodec("plain").encode([(12.3, 45.6, 78.9, 90.0)], 100, 100) == "[0.123,0.456,0.789,0.900]"
    assert BoxCodec("plain").decode("a [0.1,0.2,0.3,0.4;0.5,0.6,0.7,0.8]", 10, 10) == [
        (1, 2, 3, 4),
        (5, 6, 7, 8),
    ]
    qwen = BoxCodec("qwen").encode([(10, 20, 30, 40)], 100, 100, ["狗"])
    assert qwen == '[{"bbox_2d": [100, 200, 300, 400], "label": "狗"}]'
    assert (
        BoxCodec("location", bins=101).encode([(0, 50, 100, 100)], 100, 100)
        == "<loc0><loc50><loc100><loc100>"
    )


def test_corners_are_ordered_and_clipped() -> None:
    assert BoxCodec("plain").decode("[0.9,0.2,0.1,1.4]", 100, 50) == [(10, 10, 90, 50)]


def test_replace_takes_boxes_out_of_a_question() -> None:
    text, boxes = BoxCodec("plain").replace("What is at [0.1,0.2,0.3,0.4]?", 100, 100, "<region>")
    assert text == "What is at <region>?"
    assert boxes == [(10, 20, 30, 40)]


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="no places"):
        BoxCodec().encode(BOXES, 0, 10)
    with pytest.raises(InputError, match="labels"):
        BoxCodec("qwen").encode(BOXES, 640, 480, ["one"])
    with pytest.raises(InputError, match="bins"):
        BoxCodec("location", bins=1)
