"""Traces of every kind for the tests of tracing: a drawn scene, its crops, and events as the agent emits them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sightline.agent.events import Recorder, Sink
from sightline.tools.values import Image

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;{{7*7}}"


def scene(seed: int = 0, size: tuple[int, int] = (96, 64)) -> Image:
    """A picture with two filled boxes at (10, 12, 30, 40) and (50, 20, 80, 50)."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(200, 230, (size[1], size[0], 3)).astype(np.uint8)
    pixels[12:40, 10:30] = (200, 40, 40)
    pixels[20:50, 50:80] = (40, 60, 200)
    return Image.from_array(pixels, source="scene.png")


def region(box: Sequence[float], label: str, **more: Any) -> dict[str, Any]:
    return {"box": list(box), "label": label, "score": 0.9, "tool": "LOC", "weights": "yolo 1234", **more}


RED, BLUE = region((10, 12, 30, 40), "dog"), region((50, 20, 80, 50), "dog")
PROGRAM = (
    "BOX0=LOC(image=IMAGE,object='dog')\nIMAGE0=CROP(image=IMAGE,box=BOX0)\nANSWER0=COUNT(box=BOX0)\n"
    "FINAL_RESULT=RESULT(var=ANSWER0)\n"
)


def asked(
    recorder: Recorder, *pictures: Image, question: str = "How many dogs are there?", **more: Any
) -> None:
    told = [{"hash": p.hash, "width": p.width, "height": p.height, "source": p.source} for p in pictures]
    data: dict[str, Any] = {
        "question": question, "alone": "", "pictures": told, "at": None, "mode": "auto", "options": {},
        "controller": "scripted", "pack": "test", "session": None,
    }  # fmt: skip
    recorder.emit("ask", pictures, **(data | more))


def step(recorder: Recorder, name: str, op: str, node: int, value: Any, shown: str, kind: str,
         pictures: Iterable[Image] = (), **more: Any) -> None:  # fmt: skip
    data: dict[str, Any] = {
        "program": 0, "name": name, "op": op, "node": node, "status": "done", "ms": 1.25, "cached": False, "batch": 1,
        "kind": kind, "value": value, "shown": shown, "error": None,
    }  # fmt: skip
    recorder.emit("step", tuple(pictures), **(data | more))


def ended(
    recorder: Recorder, text: str, grounded: str = "", status: str = "done", mode: str = "program"
) -> None:
    recorder.emit("answer", status=status, text=text, grounded=grounded or text, mode=mode)
    usage = {"calls": 3, "model_calls": 2, "tokens_in": 420, "tokens_out": 37, "ms": 31.5, "cached": 1}
    recorder.emit("end", usage=usage, status=status)


def program_trace(sink: Sink, image: Image, trace: str = "t", question: str = "How many dogs are there?",
                  verified: bool = True) -> Recorder:  # fmt: skip
    """A whole answer in program mode: a repaired plan, steps with a crop and a cached one, claims, an edit."""
    recorder = Recorder(trace, (sink,))
    asked(recorder, image, question=question, at={"picture": 0, "points": [[20, 20, True], [70, 5, False]]})
    recorder.emit("mode", chosen="program", why="a program shows its evidence")
    wrong = PROGRAM.replace("LOC(", "LOCATE(")
    recorder.emit("thought", role="controller", said=wrong, tokens_in=200, tokens_out=20, ms=9.0, attempt=0)
    problem = {"code": "E101", "line": 1, "column": 6, "message": "no tool LOCATE", "suggestion": "write LOC"}
    recorder.emit("plan", program=wrong, attempt=0, ok=False, errors=[problem], demonstrations=[])
    recorder.emit("thought", role="controller", said=PROGRAM, tokens_in=210, tokens_out=12, ms=8.0, attempt=1)
    recorder.emit("plan", program=PROGRAM, attempt=1, ok=True, errors=[], demonstrations=["count-dogs"])
    nodes = [
        {"id": 0, "op": "LOC", "lines": [1], "cost": 9.5},
        {"id": 1, "op": "CROP", "lines": [2], "cost": 0.1},
        {"id": 2, "op": "COUNT", "lines": [3], "cost": 0.1},
        {"id": 3, "op": "RESULT", "lines": [4], "cost": 0.0},
    ]
    recorder.emit("graph", program=0, text=PROGRAM, nodes=nodes, edges=[[0, 1], [0, 2], [2, 3]], notes=[])
    step(recorder, "BOX0", "LOC", 0, [RED, BLUE], "[dog 0.90; dog 0.90]", "regions", cached=True, ms=0.0)
    crop = image.crop((10, 12, 30, 40))
    told = {"width": crop.width, "height": crop.height, "offset": list(crop.offset), "hash": crop.hash}
    step(recorder, "IMAGE0", "CROP", 1, [told], "[picture 20x28]", "images", (crop,))
    step(recorder, "ANSWER0", "COUNT", 2, 2, "2", "number")
    step(recorder, "FINAL_RESULT", "RESULT", 3, 2, "2", "number")
    draft = "There are three dogs, and one is red."
    recorder.emit("thought", role="refiner", said=draft, tokens_in=10, tokens_out=5, ms=3.0, attempt=0)
    recorder.emit("draft", text=draft, grounded=draft)
    text = draft
    if verified:
        recorder.emit(
            "claim", id="c1", kind="count", text="three dogs", span=[10, 20], polarity=True, entities=["dog"]
        )
        recorder.emit(
            "claim", id="c2", kind="color", text="one is red", span=[26, 36], polarity=True, entities=["dog"]
        )
        recorder.emit(
            "verdict", claim="c1", label="contradicted", probability=0.97, evidence=[RED, BLUE], why="2 seen"
        )
        recorder.emit(
            "verdict",
            claim="c2",
            label="supported",
            probability=0.91,
            evidence=[RED],
            why="its pixels are red",
        )
        recorder.emit("edit", span=[10, 15], before="three", after="two", claims=["c1"])
        text = "There are two dogs, and one is red."
    ended(recorder, text, text.replace("dogs", "dogs [10, 12, 30, 40] [50, 20, 80, 50]"))
    return recorder


def react_trace(sink: Sink, image: Image, trace: str = "r") -> Recorder:
    """Rounds of calls, one of which fails, and sub-questions in a tree."""
    recorder = Recorder(trace, (sink,))
    asked(recorder, image, mode="react")
    recorder.emit("mode", chosen="react", why="it was asked for")
    recorder.emit(
        "thought",
        role="decision maker",
        said="I look for dogs first.",
        tokens_in=50,
        tokens_out=9,
        ms=4.0,
        attempt=0,
    )
    recorder.emit(
        "call", id="call1", tool="LOC", arguments={"image": "IMAGE", "object": "dog"}, thought="I look."
    )
    recorder.emit("call", id="call2", tool="LOOK", arguments={"image": "IMAGE"}, thought="I look.")
    recorder.emit(
        "observation",
        id="call1",
        name="BOX0",
        ok=True,
        shown="2 x dog",
        value=[RED, BLUE],
        ms=7.5,
        cached=False,
    )
    recorder.emit(
        "observation",
        id="call2",
        name="",
        ok=False,
        shown="E101 no tool LOOK",
        value=None,
        ms=0.0,
        cached=False,
    )
    recorder.emit("question", id="q1", parent=None, text="Are there dogs?", by="tool")
    recorder.emit("question", id="q2", parent="q1", text="Which colours have they?", by="mllm")
    recorder.emit("finding", id="q1", text="yes, two", boxes=[[10, 12, 30, 40], [50, 20, 80, 50]])
    recorder.emit("finding", id="q2", text="red and blue", boxes=[])
    recorder.emit("draft", text="2", grounded="2")
    ended(recorder, "2", mode="react")
    return recorder
