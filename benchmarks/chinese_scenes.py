"""Sixty more questions in Chinese, about held-out scenes of the generator: written once, before anything was measured on them.

The scenes are numbers of one stream of held-out seeds; what they show was read off their ground truth, and the questions were
written to it by hand, apart from every training template and from the first sixty (`benchmarks/chinese.py`).
"""

from __future__ import annotations

from sightline.mllm.scenes.schema import Scene
from sightline.mllm.scenes.world import SceneConfig, make_scene, split_seed

STREAM = 47  # of held-out scenes; no other benchmark uses it
CONFIG = SceneConfig(min_objects=4, layouts=(("scattered", 1.0),), occlusion=0.2)

QUESTIONS: dict[int, tuple[tuple[str, str], ...]] = {  # number of the scene -> questions with their answers
    0: (("图上总共能看到多少头大象？", "6"), ("黑色的大象有多少头？", "2"),
        ("有没有哪头大象是黄色的？", "yes"), ("里面有河马吗？", "no")),
    1: (("云朵一共几片？", "3"), ("云和苹果数量相同吗？", "yes"),
        ("菱形是灰色的还是红色的？", "gray"), ("蓝色的云有吗？", "no")),
    2: (("马桶是什么色的？", "yellow"), ("教堂在马桶右边吗？", "yes"),
        ("有没有城堡出现？", "no"), ("粉红色的星星有几颗？", "1")),
    3: (("老鹰有几只？", "2"), ("火烈鸟是蓝色的，对吗？", "no"),
        ("绿色的星星在火烈鸟的右边吗？", "yes"), ("猫头鹰和老鹰加起来有几只？", "3")),
    4: (("长颈鹿是什么颜色？", "purple"), ("钟表在机器人的右边吗？", "yes"),
        ("图里有几个机器人？", "1"), ("钥匙在铃铛的左边吗？", "no")),
    5: (("正方形的颜色是黑的吗？", "yes"), ("奶牛是什么颜色的呀？", "black"),
        ("斑马在狮子的上面吗？", "no"), ("图中印着哪个单词？", "RICE")),
    6: (("电话有两部吗？", "yes"), ("蓝色的东西有几个？", "2"),
        ("白色的心形在粉色方块的下面吗？", "yes"), ("心形有多少个？", "2")),
    8: (("有多少本书？", "2"), ("黑色的书有几本？", "1"),
        ("星星比酒杯多吗？", "no"), ("星星是棕色的吗？", "yes")),
    11: (("箭头有几个？", "3"), ("棕色箭头的数量是多少？", "2"),
         ("雪橇比箭头少吗？", "yes"), ("图里找得到篮球吗？", "no")),
    12: (("圆圈一共有几个？", "4"), ("蓝色圆圈在茶壶的右边吗？", "no"),
         ("茶壶和苹果都有吗？", "yes"), ("粉色的苹果有几个？", "1")),
    13: (("直升机什么颜色？", "brown"), ("萨克斯有几支？", "2"),
         ("有蓝色的篮子吗？", "no"), ("星星在直升机的上面吗？", "yes")),
    14: (("牌子上的字是什么？", "UDUNAZ"), ("鲨鱼是黑色的吗？", "no"),
         ("蝴蝶在章鱼的左边吗？", "yes"), ("狗在蜘蛛的上方吗？", "no")),
    16: (("树一共有多少棵？", "8"), ("黄色的树有几棵？", "2"),
         ("粉色的树比黄色的树多吗？", "yes"), ("除了树，有房子吗？", "no")),
    20: (("衬衫有几件？", "3"), ("摩托车在白衬衫的右边吗？", "no"),
         ("既有衬衫也有摩托车吗？", "yes"), ("白色的衬衫有几件？", "1")),
    21: (("五边形是什么颜色的？", "purple"), ("锤子在闹钟的右边吗？", "yes"),
         ("菱形是绿色的吗？", "no"), ("画面上有没有剪刀？", "no")),
}  # fmt: skip


def scene(number: int) -> Scene:
    """The scene of a number; its seed is `split_seed("test", STREAM, number)`."""
    return make_scene(split_seed("test", STREAM, number), CONFIG)
