"""Sixty questions in Chinese about drawn scenes, answered offline by the starter in Chinese; two sets of them.

    python -m benchmarks.chinese [--set second] [--mode auto] [--verify] [--out benchmarks/out/chinese.json]

The first set's scenes and questions were written by hand, apart from every training template; its failures were looked at when
the dictionary was made. The second (`benchmarks/chinese_scenes.py`) is about held-out scenes of the generator, and nothing was
changed for it. An answer counts where its value is the right one and its words are Chinese (a bare number or a printed word
has no language).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import chinese_scenes
from sightline.agent.agent import Agent
from sightline.agent.answering import short
from sightline.agent.language import NO, YES, in_language
from sightline.agent.records import Answer
from sightline.mllm.scenes.layouts import extent
from sightline.mllm.scenes.render import render
from sightline.mllm.scenes.schema import Scene, SceneObject
from sightline.mllm.scenes.vocabulary import KINDS
from sightline.tools.values import Image

_CELL, _GRID, _LONGEST = (
    40,
    3,
    34,
)  # pixels of a cell, cells a side of the 128-pixel scene, longest side of a thing


@dataclass(frozen=True, slots=True)
class Page:
    """A scene as "kind color" by cell (0 top left to 8 bottom right), and its questions with what their answers come to."""

    things: dict[int, str]
    questions: tuple[tuple[str, str], ...]


PAGES: tuple[Page, ...] = (
    Page({0: "cat black", 2: "cat multicolor", 4: "bus red", 6: "tree green", 8: "cat multicolor"},
         (("这幅画里一共出现了几只猫？", "3"), ("有没有看到公交车？", "yes"), ("画面里有马吗？", "no"),
          ("公交车是什么颜色的？", "red"), ("树在公交车的左边吗？", "yes"))),
    Page({1: "umbrella blue", 3: "apple red", 5: "apple green", 7: "clock yellow"},
         (("请数一数苹果有多少个。", "2"), ("雨伞的颜色是什么？", "blue"), ("钟是黄色的吗？", "yes"),
          ("红色的苹果有几个？", "1"), ("图里能找到香蕉吗？", "no"))),
    Page({0: "circle red", 1: "circle red", 2: "circle blue", 4: "square green", 6: "triangle purple", 8: "square green"},
         (("圆形有几个？", "3"), ("红色的圆形有几个？", "2"), ("圆形比正方形多吗？", "yes"),
          ("三角形是紫色的吗？", "yes"), ("有没有黄色的正方形？", "no"))),
    Page({0: "horse brown", 4: "house multicolor", 8: "sheep white"},
         (("马在房子的左边吗？", "yes"), ("绵羊在房子的上面吗？", "no"), ("图中有几匹马？", "1"),
          ("马是什么颜色？", "brown"), ("既有马又有绵羊吗？", "yes"))),
    Page({2: "car yellow", 3: "car blue", 4: "car red", 7: "bicycle black"},
         (("一共有几辆汽车？", "3"), ("自行车是黑色的吗？", "yes"), ("自行车比汽车多吗？", "no"),
          ("有几辆蓝色的汽车？", "1"), ("画里有飞机吗？", "no"))),
    Page({1: "sun yellow", 3: "house red", 5: "tree green", 7: "rabbit white"},
         (("太阳在房子的上方吗？", "yes"), ("兔子是白色的吗？", "yes"), ("房子是什么颜色的？", "red"),
          ("树在房子的右边吗？", "yes"), ("有没有月亮？", "no"))),
    Page({0: "key gray", 2: "key gray", 6: "cup orange", 8: "book purple"},
         (("钥匙有几把？", "2"), ("杯子什么颜色？", "orange"), ("书在杯子的右边吗？", "yes"),
          ("钥匙和书一样多吗？", "no"), ("图上有书或者铅笔吗？", "yes"))),
    Page({1: "fish orange", 4: "fish blue", 7: "crab red"},
         (("鱼有几条？", "2"), ("螃蟹是红色的吗？", "yes"), ("螃蟹在鱼的下方吗？", "yes"),
          ("有没有鲨鱼？", "no"), ("橙色的鱼有几条？", "1"))),
    Page({0: "star yellow", 1: "star yellow", 3: "star pink", 5: "moon gray", 8: "heart pink"},
         (("五角星有几颗？", "3"), ("粉色的五角星有几颗？", "1"), ("爱心的颜色是？", "pink"),
          ("月亮在爱心的上面吗？", "yes"), ("五角星比月亮少吗？", "no"))),
    Page({2: "guitar brown", 4: "drum red", 6: "trumpet yellow"},
         (("有吉他吗？", "yes"), ("鼓是绿色的吗？", "no"), ("小号在吉他的左边吗？", "yes"),
          ("图里有几把吉他？", "1"), ("既没有钢琴也没有小提琴吗？", "yes"))),
    Page({0: "sign white STOP", 4: "dog multicolor", 8: "dog multicolor"},
         (("牌子上写着什么？", "STOP"), ("狗有几只？", "2"), ("牌子在狗的左边吗？", "yes"),
          ("图中是否有猫？", "no"), ("狗比牌子多吗？", "yes"))),
    Page({3: "cake pink", 4: "candle red", 5: "gift blue", 7: "balloon green"},
         (("蛋糕是粉色的吗？", "yes"), ("气球什么颜色？", "green"), ("礼物在蛋糕的右边吗？", "yes"),
          ("蜡烛有几根？", "1"), ("有蛋糕但是没有披萨吗？", "yes"))),
)  # fmt: skip


def scene_of(page: Page, number: int) -> Scene:
    """The page as a scene on a plain ground."""
    objects = []
    for cell, said in page.things.items():
        kind, color, *word = said.split()
        x, y = 4 + _CELL * (cell % _GRID), 4 + _CELL * (cell // _GRID)
        wide, high = extent(kind, 0, 0, _LONGEST) if not word else (42, 20)  # a thing keeps its proportions
        left, top = x + (38 - wide) // 2, y + (38 - high) // 2
        style = "sign" if word else "shape" if KINDS[kind].category == "shape" else "glyph"
        style = "tint" if style == "glyph" and color != "multicolor" else style
        box = (max(left, 0), top, max(left, 0) + wide, top + high)
        objects.append(SceneObject(kind, KINDS[kind].category, color, "medium", box, style, *word))
    return Scene(number + 1, 128, 128, tuple(objects))


def comes_to(answer: Answer) -> str:
    """The value of an answer in the words of the truth."""
    value = answer.text if answer.value is None else short(answer.value, "en")
    text = value.strip().strip("。.").lower()
    if text in YES:
        return "yes"
    if text in NO:
        return "no"
    digits = re.fullmatch(r"(\d+)\D*", text)
    return digits[1] if digits else text


def right(answer: Answer, truth: str) -> tuple[bool, bool]:
    """(the value is right, the words are Chinese)."""
    said = comes_to(answer)
    value = answer.status == "done" and said in (truth.lower(), in_language(truth, "zh"))
    chinese = bool(re.search(r"[一-鿿]", answer.text)) or bool(re.fullmatch(r"[\dA-Z]+", answer.text))
    return value, chinese


def asked(which: str) -> Iterator[tuple[int, Scene, tuple[tuple[str, str], ...]]]:
    """(number, scene, questions with their answers) of a set, "first" or "second"."""
    if which == "first":
        yield from ((number, scene_of(page, number), page.questions) for number, page in enumerate(PAGES))
    else:
        for number, questions in chinese_scenes.QUESTIONS.items():
            yield number, chinese_scenes.scene(number), questions


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", dest="which", choices=("first", "second"), default="first")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--pack", default="scenes")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/chinese.json"))
    options = parser.parse_args(arguments)
    rows = []
    with Agent("starter", options.pack) as agent:
        for number, scene, questions in asked(options.which):
            image = Image.from_array(render(scene).image)
            for question, truth in questions:
                answer = agent.ask(image, question, mode=options.mode, verify=options.verify)
                value, chinese = right(answer, truth)
                rows.append(
                    {
                        "page": number, "question": question, "truth": truth, "said": comes_to(answer), "text": answer.text,
                        "right": value and chinese, "chinese": chinese, "mode": answer.mode, "program": answer.program,
                    }
                )  # fmt: skip
    for row in rows:
        if not row["right"]:
            print(f"{row['question']}  {row['truth']} != {row['said']}  {row['text']}")
    print(
        f"{sum(r['right'] for r in rows)} of {len(rows)} right; {sum(r['chinese'] for r in rows)} in Chinese"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
