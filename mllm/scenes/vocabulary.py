"""The world's words in English and Chinese: kinds, categories, colours, sizes, plurals and hypernyms."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

from ...errors import InputError

# One line a kind: noun | Chinese | Chinese measure word | flags | pictograms (variants of the same kind).
# Flags: s = its silhouette alone tells what it is, so the "flat" style may draw it;
#        c = recolouring keeps it recognisable, so it may wear a named colour.
_TABLE: dict[str, str] = {
    "person": """
person|人|个|sc|🚶🏃🧍""",
    "animal": """
dog|狗|只|sc|🐕🐩
cat|猫|只|sc|🐈
horse|马|匹|sc|🐎
cow|奶牛|头|sc|🐄
pig|猪|头|sc|🐖
sheep|绵羊|只|c|🐑
goat|山羊|只|sc|🐐
elephant|大象|头|sc|🐘
giraffe|长颈鹿|只|sc|🦒
zebra|斑马|匹||🦓
lion|狮子|头||🦁
tiger|老虎|只||🐅
bear|熊|头|c|🐻
panda|熊猫|只||🐼
monkey|猴子|只|sc|🐒
rabbit|兔子|只|sc|🐇
mouse|老鼠|只|sc|🐁
kangaroo|袋鼠|只|sc|🦘
camel|骆驼|头|sc|🐫
crocodile|鳄鱼|条|c|🐊
turtle|乌龟|只|c|🐢
snake|蛇|条|sc|🐍
frog|青蛙|只|c|🐸
fish|鱼|条|sc|🐟
shark|鲨鱼|条|sc|🦈
whale|鲸鱼|头|sc|🐋
octopus|章鱼|只|sc|🐙
crab|螃蟹|只|sc|🦀
snail|蜗牛|只|sc|🐌
bee|蜜蜂|只||🐝
butterfly|蝴蝶|只|sc|🦋
spider|蜘蛛|只|sc|🕷""",
    "bird": """
chicken|鸡|只|sc|🐓
duck|鸭子|只|sc|🦆
owl|猫头鹰|只|c|🦉
penguin|企鹅|只||🐧
eagle|老鹰|只|sc|🦅
flamingo|火烈鸟|只|sc|🦩""",
    "vehicle": """
car|汽车|辆|sc|🚗🚙
bus|公共汽车|辆|c|🚌
truck|卡车|辆|sc|🚚🚛
bicycle|自行车|辆|sc|🚲
motorcycle|摩托车|辆|sc|🏍
scooter|滑板车|辆|sc|🛴
tractor|拖拉机|辆|c|🚜
ambulance|救护车|辆||🚑
train|火车|列|c|🚂
airplane|飞机|架|sc|🛩
helicopter|直升机|架|sc|🚁
rocket|火箭|枚|sc|🚀
sailboat|帆船|艘|sc|⛵
ship|轮船|艘|c|🚢""",
    "fruit": """
apple|苹果|个|c|🍎🍏
banana|香蕉|根|sc|🍌
pear|梨|个|sc|🍐
lemon|柠檬|个||🍋
strawberry|草莓|颗|c|🍓
watermelon|西瓜|块||🍉
pineapple|菠萝|个|sc|🍍
kiwi|猕猴桃|个||🥝
coconut|椰子|个||🥥""",
    "vegetable": """
carrot|胡萝卜|根|sc|🥕
corn cob|玉米|根||🌽
broccoli head|西兰花|棵||🥦
mushroom|蘑菇|个|sc|🍄
eggplant|茄子|个|sc|🍆
avocado|牛油果|个||🥑""",
    "food": """
pizza|披萨|块||🍕
hamburger|汉堡|个||🍔
hot dog|热狗|个||🌭
cake|蛋糕|块|c|🎂
cupcake|纸杯蛋糕|个|c|🧁
donut|甜甜圈|个|c|🍩
cookie|饼干|块||🍪
pretzel|椒盐卷饼|个|sc|🥨
croissant|牛角面包|个|c|🥐
ice cream|冰淇淋|个|sc|🍦
lollipop|棒棒糖|根|c|🍭""",
    "furniture": """
chair|椅子|把|sc|🪑
bed|床|张|c|🛏
couch|沙发|张|c|🛋
toilet|马桶|个|sc|🚽
bathtub|浴缸|个|c|🛁
door|门|扇|c|🚪
mirror|镜子|面|c|🪞""",
    "kitchenware": """
cup|杯子|个|sc|☕
wine glass|酒杯|个|sc|🍷
teapot|茶壶|个|sc|🫖
spoon|勺子|把|sc|🥄
knife|刀|把|sc|🔪
bowl|碗|个|c|🥣""",
    "household item": """
clock|闹钟|个|sc|⏰
umbrella|雨伞|把|sc|☂
candle|蜡烛|根|sc|🕯
light bulb|灯泡|个|sc|💡
broom|扫帚|把|sc|🧹
basket|篮子|个|c|🧺
bucket|水桶|个|c|🪣
key|钥匙|把|sc|🔑
bell|铃铛|个|sc|🔔
book|书|本|c|📕
pencil|铅笔|支|sc|✏
envelope|信封|个|c|✉
gift|礼物|份|c|🎁
trophy|奖杯|座|sc|🏆""",
    "electronic device": """
television|电视|台|c|📺
laptop|笔记本电脑|台|c|💻
cell phone|手机|部|c|📱
telephone|电话|部|c|☎
camera|照相机|台|c|📷
robot|机器人|个|c|🤖""",
    "tool": """
hammer|锤子|把|sc|🔨
wrench|扳手|把|sc|🔧
saw|锯子|把|sc|🪚
axe|斧头|把|sc|🪓
screwdriver|螺丝刀|把|sc|🪛
ladder|梯子|架|sc|🪜
magnet|磁铁|块|sc|🧲""",
    "clothing item": """
shirt|衬衫|件|sc|👕
dress|连衣裙|条|sc|👗
coat|大衣|件|c|🧥
hat|帽子|顶|sc|🎩👒
cap|鸭舌帽|顶|sc|🧢
shoe|鞋|只|sc|👟👞
boot|靴子|只|sc|👢
scarf|围巾|条|c|🧣
crown|王冠|顶|sc|👑
backpack|背包|个|c|🎒
handbag|手提包|个|c|👜""",
    "sports item": """
soccer ball|足球|个||⚽
basketball|篮球|个|c|🏀
baseball|棒球|个||⚾
tennis racket|网球拍|把||🎾
football|橄榄球|个|c|🏈
kite|风筝|只|c|🪁
skateboard|滑板|块|sc|🛹
sled|雪橇|架|c|🛷
ice skate|冰鞋|只|sc|⛸""",
    "musical instrument": """
guitar|吉他|把|sc|🎸
violin|小提琴|把|sc|🎻
trumpet|小号|把|sc|🎺
saxophone|萨克斯|把|sc|🎷
drum|鼓|面|c|🥁
accordion|手风琴|台|c|🪗""",
    "toy": """
teddy bear|泰迪熊|只|c|🧸
balloon|气球|个|sc|🎈
yo-yo|溜溜球|个|c|🪀""",
    "plant": """
tree|树|棵|sc|🌳🌲
palm tree|棕榈树|棵|sc|🌴
cactus|仙人掌|棵|sc|🌵
sunflower|向日葵|朵||🌻
tulip|郁金香|朵|sc|🌷
rose|玫瑰|朵|c|🌹
leaf|叶子|片|sc|🍁""",
    "building": """
house|房子|座|sc|🏠
castle|城堡|座|sc|🏰
church|教堂|座|c|⛪
tent|帐篷|顶|c|⛺""",
    "natural object": """
sun|太阳|个|sc|☀
moon|月亮|个|sc|🌙
cloud|云|朵|sc|☁
snowflake|雪花|片|sc|❄
flame|火焰|团|sc|🔥
rainbow|彩虹|道||🌈""",
    # Drawn by code, not from the font; always in one named colour.
    "shape": """
circle|圆形|个|sc|
square|正方形|个|sc|
triangle|三角形|个|sc|
rectangle|长方形|个|sc|
diamond|菱形|个|sc|
pentagon|五边形|个|sc|
star|星形|个|sc|
heart|心形|个|sc|
cross|十字形|个|sc|
ring|圆环|个|sc|
arrow|箭头|个|sc|""",
    "building toy": """
block|积木|块|sc|""",
    "text": """
sign|牌子|块||
word|单词|个||""",
}

CATEGORY_ZH: dict[str, str] = {
    "person": "人",
    "animal": "动物",
    "bird": "鸟",
    "vehicle": "交通工具",
    "fruit": "水果",
    "vegetable": "蔬菜",
    "food": "食物",
    "furniture": "家具",
    "kitchenware": "厨具",
    "household item": "家居用品",
    "electronic device": "电子设备",
    "tool": "工具",
    "clothing item": "服饰",
    "sports item": "体育用品",
    "musical instrument": "乐器",
    "toy": "玩具",
    "plant": "植物",
    "building": "建筑物",
    "natural object": "自然物",
    "shape": "形状",
    "building toy": "积木玩具",
    "text": "文字",
}

# A category that is itself a kind of another: asked about the parent, its members count too.
PARENT: dict[str, str] = {
    "bird": "animal",
    "fruit": "food",
    "vegetable": "food",
    "kitchenware": "household item",
    "electronic device": "household item",
    "building toy": "toy",
}

# The eleven basic colour terms of English (Berlin and Kay 1969), far apart in RGB so that a name is never a
# dispute.
COLORS: dict[str, tuple[int, int, int]] = {
    "red": (222, 32, 38),
    "orange": (250, 138, 14),
    "yellow": (252, 222, 40),
    "green": (44, 160, 58),
    "blue": (36, 92, 220),
    "purple": (134, 52, 176),
    "pink": (250, 150, 194),
    "brown": (124, 74, 36),
    "black": (28, 28, 30),
    "white": (246, 246, 246),
    "gray": (136, 138, 142),
}
MULTICOLOR = "multicolor"  # a pictogram in its own colours: no question may ask what colour it is

COLOR_ZH: dict[str, str] = {
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色",
    "purple": "紫色",
    "pink": "粉色",
    "brown": "棕色",
    "black": "黑色",
    "white": "白色",
    "gray": "灰色",
    MULTICOLOR: "彩色",
}

SIZES: tuple[str, ...] = ("small", "medium", "large")
SIZE_ZH: dict[str, str] = {"small": "小", "medium": "中等", "large": "大"}

RELATION_ZH: dict[str, str] = {
    "left of": "左边",
    "right of": "右边",
    "above": "上方",
    "below": "下方",
    "inside": "里面",
    "touching": "接触",
    "nearest": "最近",
    "between": "之间",
}

_IRREGULAR = {
    "person": "people",
    "mouse": "mice",
    "sheep": "sheep",
    "fish": "fish",
    "knife": "knives",
    "leaf": "leaves",
    "scarf": "scarves",
    "corn cob": "corn cobs",
    "ice cream": "ice creams",
    "octopus": "octopuses",
    "cactus": "cacti",
    "furniture": "pieces of furniture",
    "kitchenware": "pieces of kitchenware",
    "fruit": "fruits",
    "food": "foods",
    "text": "texts",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One noun of the world. `glyphs` are its pictograms; a kind without any is drawn by code."""

    name: str
    category: str  # nearest hypernym
    zh: str
    measure: str  # Chinese measure word, as in "一只狗"
    silhouette: bool  # its outline alone tells what it is
    colorable: bool  # may be recoloured to one named colour and stay recognisable
    glyphs: tuple[str, ...]

    @property
    def variants(self) -> int:
        """How many different sprites draw this kind (at least one)."""
        return max(1, len(self.glyphs))


def _read_table() -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for category, block in _TABLE.items():
        for line in block.strip().splitlines():
            name, zh, measure, flags, glyphs = line.split("|")
            kinds[name] = Kind(name, category, zh, measure, "s" in flags, "c" in flags, tuple(glyphs))
    return kinds


KINDS: dict[str, Kind] = _read_table()
CATEGORIES: dict[str, tuple[str, ...]] = {
    category: tuple(k.name for k in KINDS.values() if k.category == category) for category in _TABLE
}
SHAPES: tuple[str, ...] = CATEGORIES["shape"]
PICTOGRAMS: tuple[str, ...] = tuple(k.name for k in KINDS.values() if k.glyphs)

# Words that signs carry. Readable at small sizes: two to six letters.
_SIGNS = """
STOP GO EXIT OPEN SALE TAXI HOTEL CAFE BANK SHOP PARK SLOW WAIT PULL PUSH FREE HELP HOME MENU NEWS NORTH
SOUTH EAST WEST HIGH LOW LEFT RIGHT FAST FOOD FISH BREAD MILK TEA COFFEE SUGAR SALT RICE SOUP PIZZA CAKE
WATER FIRE ICE SNOW RAIN WIND SUN MOON STAR SKY SEA LAKE RIVER HILL ROAD STREET TRAIN PLANE BUS CAR BIKE
BOAT SHIP TOWN CITY FARM ZOO SCHOOL BOOK PEN PAPER MUSIC FILM GAME BALL TEAM GOAL WIN LOSE LOVE LIFE TIME
DAY NIGHT WEEK MONTH YEAR SPRING SUMMER WINTER KING QUEEN KNIGHT DRAGON MAGIC GOLD SILVER IRON STONE WOOD
GLASS PAINT DOOR GATE ROOM FLOOR ROOF WALL KEY LOCK BOX BAG HAT COAT SHOE DRESS SHIRT DOG CAT BIRD HORSE
LION TIGER BEAR WOLF FOX MOUSE DUCK FROG ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN YES NO HELLO BYE
THANKS PLEASE SORRY BEST NEW OLD BIG SMALL HOT COLD DRY WET CLEAN QUIET DANGER TOILET TICKET POST MARKET
GARDEN BEACH
"""
SIGN_WORDS: tuple[str, ...] = tuple(_SIGNS.split())


def kind(name: str) -> Kind:
    """The entry of a noun; InputError names the nearest spelling if the world has no such kind."""
    found = KINDS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, KINDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"the scene world has no kind {name!r}{hint}")
    return found


def hypernyms(name: str) -> tuple[str, ...]:
    """Categories of a kind from the nearest outwards: `hypernyms("apple") == ("fruit", "food")`."""
    chain = [kind(name).category]
    while chain[-1] in PARENT:
        chain.append(PARENT[chain[-1]])
    return tuple(chain)


def members(category: str) -> tuple[str, ...]:
    """All kinds below a category, those of its sub-categories included: `members("food")` holds "apple"."""
    if category not in CATEGORIES:
        raise InputError(f"the scene world has no category {category!r}; it has {', '.join(CATEGORIES)}")
    return tuple(name for name in KINDS if category in hypernyms(name))


def plural(noun: str) -> str:
    """English plural of a kind, a category or any regular noun phrase (its last word is inflected)."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def article(noun: str) -> str:
    """The noun with "a" or "an": vowels decide, save for words that begin with the sound of "you"."""
    return f"{'an' if noun[0].lower() in 'aeiou' and not noun.startswith(('uni', 'uku')) else 'a'} {noun}"


def chinese(name: str) -> str:
    """Chinese for a kind, category, colour, size or relation of the world; InputError for anything else."""
    for table in (CATEGORY_ZH, COLOR_ZH, SIZE_ZH, RELATION_ZH):
        if name in table and name not in KINDS:
            return table[name]
    return kind(name).zh


def _lab(rgb: tuple[float, float, float]) -> tuple[float, float, float]:
    """CIE L*a*b* of an sRGB value (0-255), white point D65."""
    linear = [(v / 255 / 12.92) if v <= 10.31475 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
    r, g, b = linear
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883,
    )
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


_COLOR_LAB = {name: _lab(rgb) for name, rgb in COLORS.items()}


def nearest_color(rgb: tuple[float, float, float]) -> str:
    """Name of the world colour nearest to an RGB value (0-255) by distance in CIE L*a*b* (CIE 1976)."""
    here = _lab(rgb)
    return min(COLORS, key=lambda name: math.dist(here, _COLOR_LAB[name]))
