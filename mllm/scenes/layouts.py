"""Where things stand: scattered, on a grid, printed words, towers, and NLVR's grey boxes (Suhr et al.
2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from . import sprites
from .schema import Box, Group, SceneObject
from .vocabulary import CATEGORIES, KINDS, MULTICOLOR, PICTOGRAMS, SHAPES, SIGN_WORDS, SIZES, members

if TYPE_CHECKING:
    from .world import Dice, SceneConfig

Names = tuple[str, ...]
Ranges = dict[str, tuple[float, float]]
Layout = tuple[list[SceneObject], tuple[Group, ...], str]

# Longest side as a part of the picture's shorter side. Gaps between the ranges keep the size words apart.
SIZE_RANGE: Ranges = {"small": (0.15, 0.2), "medium": (0.26, 0.32), "large": (0.4, 0.52)}
# Height of a capital letter as a part of the picture's shorter side.
WORD_RANGE: Ranges = {"small": (0.075, 0.09), "medium": (0.11, 0.13), "large": (0.15, 0.18)}
# Longest side of a shape in a grey box, as a part of the box's shorter side (NLVR: 10, 20 and 30 of 100).
NLVR_SIZE: dict[str, float] = {"small": 0.19, "medium": 0.28, "large": 0.4}
NLVR_COLORS = ("yellow", "blue", "black")
NLVR_KINDS = ("circle", "square", "triangle")
ROUND = frozenset({"circle", "ring"})  # turning these changes nothing
# A large turn makes another shape of these.
STEADY = frozenset({"square", "diamond", "rectangle", "cross", "arrow"})
_VOWELS, _CONSONANTS = "AEIOU", "BCDFGHKLMNPRSTVWXZ"


def with_cover(objects: list[SceneObject]) -> tuple[SceneObject, ...]:
    """Set `visible` to the part of each box that no later box covers, an estimate until the scene is
    rendered."""
    out = []
    for i, item in enumerate(objects):
        area = (item.box[2] - item.box[0]) * (item.box[3] - item.box[1])
        hidden = sum(overlap(item.box, later.box) for later in objects[i + 1 :])
        out.append(replace(item, visible=max(0.0, 1 - hidden / area)) if hidden else item)
    return tuple(out)


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes share, in pixels."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    return w * h if w > 0 and h > 0 else 0.0


# ---- what ----------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _pools(kinds: tuple[str, ...] | None) -> tuple[Names, Names, tuple[Names, ...]]:
    """Pictograms, shapes, and the theme categories with at least three kinds, cut to the allowed kinds."""
    allowed = set(kinds or KINDS)
    glyphs = tuple(k for k in PICTOGRAMS if k in allowed)
    shapes = tuple(k for k in SHAPES if k in allowed) + (("block",) if "block" in (kinds or ()) else ())
    themes = tuple(
        pool
        for c in CATEGORIES
        if len(pool := tuple(k for k in members(c) if k in allowed and KINDS[k].glyphs)) >= 3
    )
    return glyphs, shapes, themes


class Cast:
    """Draws kinds, colours and styles for one scene from the pools that this scene keeps to."""

    def __init__(self, dice: Dice, config: SceneConfig) -> None:
        self.dice, self.config = dice, config
        self.glyphs, self.shapes, themes = _pools(config.kinds)
        if themes and dice.chance(config.theme):
            self.glyphs = dice.pick(themes)
        if dice.chance(config.repeat):
            self.glyphs = tuple(dice.sample(self.glyphs, dice.whole(1, 3)))
            self.shapes = tuple(dice.sample(self.shapes, dice.whole(1, 2)))
        self.colors = config.colors
        if dice.chance(config.few_colors):
            self.colors = tuple(dice.sample(self.colors, dice.whole(2, 3)))

    def kind(self) -> str:
        if self.shapes and (not self.glyphs or self.dice.chance(self.config.shape_share)):
            return self.dice.pick(self.shapes)
        return self.dice.pick(self.glyphs)

    def dress(self, name: str) -> tuple[str, str]:
        """(style, colour) that the kind can wear."""
        dice, entry = self.dice, KINDS[name]
        if not entry.glyphs:
            return ("block" if name == "block" else "shape"), dice.pick(self.colors)
        style = dice.weighted(self.config.styles)
        if not entry.colorable:
            return ("sticker" if style == "sticker" else "glyph"), MULTICOLOR
        if style == "flat" and not entry.silhouette:
            style = "tint"
        if style == "glyph" or (style == "sticker" and dice.chance(0.5)):
            return style, MULTICOLOR
        return style, dice.pick(self.colors)

    def angle(self, name: str, style: str) -> float:
        dice, turn = self.dice, self.config.turn * self.config.curriculum
        if name in ROUND or not dice.chance(turn):
            return 0.0
        if name in STEADY or style == "block":
            return 0.0 if name == "diamond" else float(dice.pick((-15, 15)))
        return float(dice.pick((-45, -30, -15, 15, 30, 45) if dice.chance(0.4) else (-15, 15)))

    def thing(self, size: str, longest: float) -> SceneObject:
        """An object of a size, its box at the origin."""
        dice, name = self.dice, self.kind()
        style, color = self.dress(name)
        variant, flip, angle = (
            int(dice.roll() * KINDS[name].variants),
            dice.chance(0.5),
            self.angle(name, style),
        )
        w, h = extent(name, variant, -angle if flip else angle, longest)
        return SceneObject(
            name, KINDS[name].category, color, size, (0, 0, w, h), style, None, angle, 1.0, variant, flip
        )

    def sign(self, size: str, cap: float, room: float) -> SceneObject:
        """A printed word or sign, its capitals `cap` pixels high, smaller where it would be wider than
        `room`."""
        dice = self.dice
        word = invented(dice) if dice.chance(self.config.random_words) else dice.pick(SIGN_WORDS)
        panel, font, color = dice.chance(0.5), dice.whole(0, len(sprites.FONTS) - 1), dice.pick(self.colors)
        x1, y1, x2, y2 = sprites.word_extent(word, font)
        scale = cap / sprites.LETTER_HEIGHT
        w, h = (x2 - x1) * scale, (y2 - y1) * scale
        if panel:
            w, h = w + 2 * sign_padding(h), h + 2 * sign_padding(h)
        if w > room:
            w, h = room, h * room / w
        name = "sign" if panel else "word"
        return SceneObject(name, "text", color, size, (0, 0, round(w), round(h)), name, word, 0.0, 1.0, font)


def sign_padding(text_height: float) -> float:
    """Space between a sign's word and its edge, from the word's height."""
    return 0.45 * text_height


def invented(dice: Dice) -> str:
    """A word that no list holds: two or three syllables' worth of capitals, or a number."""
    if dice.chance(0.3):
        return "".join(dice.pick("0123456789") for _ in range(dice.whole(2, 4)))
    start = dice.whole(0, 1)
    return "".join(dice.pick((_CONSONANTS, _VOWELS)[(start + i) % 2]) for i in range(dice.whole(3, 6)))


def extent(name: str, variant: int, angle: float, longest: float) -> tuple[int, int]:
    """Whole-pixel width and height of a kind's tight extent at an angle, its longest side as asked."""
    ratio = sprites.aspect(name, variant, angle)
    w, h = (longest, longest / ratio) if ratio >= 1 else (longest * ratio, longest)
    return max(3, round(w)), max(3, round(h))


def moved(item: SceneObject, x: int, y: int) -> SceneObject:
    """The object with its box's corner at (x, y)."""
    b = item.box
    return replace(item, box=(x, y, x + b[2] - b[0], y + b[3] - b[1]))


def how_many(dice: Dice, config: SceneConfig) -> int:
    """Number of objects: uniform over the allowed range, cut by the curriculum to 1..2 at its start."""
    if config.min_objects == 0 and (config.max_objects == 0 or dice.chance(config.empty)):
        return 0
    low = max(1, config.min_objects)
    easy = min(max(low, 2), config.max_objects)
    return dice.whole(low, round(easy + config.curriculum * (config.max_objects - easy)))


# ---- where ---------------------------------------------------------------------------------------


class Board:
    """Boxes placed so far, and the rule of how much of each may be covered."""

    def __init__(self, dice: Dice, width: int, height: int, cover: float) -> None:
        self.dice, self.width, self.height, self.cover = dice, width, height, cover
        self.items: list[SceneObject] = []
        self.hidden: list[float] = []  # area of each item's box that later boxes cover

    def place(self, item: SceneObject, tries: int = 16) -> bool:
        """Put the object somewhere that the rule allows; False if no place was found."""
        w, h = int(item.box[2]), int(item.box[3])
        if w > self.width - 2 or h > self.height - 2:
            return False
        close = self.cover > 0 and len(self.items) > 0 and self.dice.chance(0.5)
        for _ in range(tries):
            if close:  # chance alone would seldom let two things meet
                b = self.dice.pick(self.items).box
                x = self.dice.whole(int(b[0]) - (3 * w) // 4, int(b[2]) - w // 4)
                y = self.dice.whole(int(b[1]) - (3 * h) // 4, int(b[3]) - h // 4)
                x, y = min(max(x, 1), self.width - 1 - w), min(max(y, 1), self.height - 1 - h)
            else:
                x, y = self.dice.whole(1, self.width - 1 - w), self.dice.whole(1, self.height - 1 - h)
            if self._fits((x, y, x + w, y + h)):
                self.items.append(moved(item, x, y))
                self.hidden.append(0.0)
                return True
        return False

    def _fits(self, box: Box) -> bool:
        gap = 0 if self.cover else 2
        near = (box[0] - gap, box[1] - gap, box[2] + gap, box[3] + gap)
        area = (box[2] - box[0]) * (box[3] - box[1])
        shared = []
        for item, hidden in zip(self.items, self.hidden, strict=True):
            common = overlap(near, item.box)
            if common:
                b = item.box
                size = (b[2] - b[0]) * (b[3] - b[1])
                # The covered one stays recognisable, and none is swallowed: a later one may
                # not lie wholly on another.
                if not self.cover or hidden + common > self.cover * size or common > 0.6 * area:
                    return False
            shared.append(common)
        self.hidden = [h + s for h, s in zip(self.hidden, shared, strict=True)]
        return True


def pick_size(dice: Dice, count: int) -> str:
    """A size word; crowded scenes have fewer large things."""
    roll = dice.roll()
    if count <= 3:
        return SIZES[int(roll * 3)]
    large = 0.3 if count <= 5 else 0.1
    return "large" if roll < large else "medium" if roll < large + 0.4 else "small"


def scattered(dice: Dice, config: SceneConfig) -> Layout:
    """Things anywhere, some of them partly hidden; now and then a printed word among them."""
    cast, count, side = Cast(dice, config), how_many(dice, config), min(config.width, config.height)
    covering = (
        config.max_cover * config.curriculum if dice.chance(config.occlusion * config.curriculum) else 0.0
    )
    board = Board(dice, config.width, config.height, covering)
    allow_signs = config.kinds is None and config.sign_share > 0
    for _ in range(count):
        size = pick_size(dice, count)
        if allow_signs and dice.chance(config.sign_share):
            board.place(cast.sign(size, dice.between(*WORD_RANGE[size]) * side, 0.94 * config.width))
            continue
        if board.place(cast.thing(size, dice.between(*SIZE_RANGE[size]) * side)) or size == "small":
            continue
        board.place(cast.thing("small", dice.between(*SIZE_RANGE["small"]) * side), tries=32)
    return board.items, (), dice.weighted(config.backgrounds)


def grid(dice: Dice, config: SceneConfig) -> Layout:
    """At most one thing a cell of a 2x2 to 3x3 grid, all of one size or of two."""
    cast, count, side = Cast(dice, config), how_many(dice, config), min(config.width, config.height)
    columns, rows = (2, 2) if count <= 4 and dice.chance(0.5) else (3, 3) if dice.chance(0.5) else (3, 2)
    if config.width < config.height:
        columns, rows = rows, columns
    count = min(count, columns * rows)
    cell_w, cell_h = config.width / columns, config.height / rows
    room = min(cell_w, cell_h) - 4
    # A cell of a 3x3 grid holds nothing larger than medium.
    fitting = [s for s in SIZES if SIZE_RANGE[s][0] * side <= room]
    sizes = dice.sample(fitting, dice.whole(1, 2))
    items = []
    for cell in dice.sample(range(columns * rows), count):
        size = dice.pick(sizes)
        low, high = SIZE_RANGE[size]
        item = cast.thing(size, dice.between(low * side, min(high * side, room)))
        w, h = item.box[2], item.box[3]
        x = (cell % columns) * cell_w + (cell_w - w) / 2
        y = (cell // columns) * cell_h + (cell_h - h) / 2
        items.append(moved(item, round(x), round(y)))
    return items, (), dice.weighted(config.backgrounds)


def words(dice: Dice, config: SceneConfig) -> Layout:
    """One to four printed words and signs, and up to three things beside them."""
    cast, total, side = Cast(dice, config), max(1, how_many(dice, config)), min(config.width, config.height)
    board = Board(dice, config.width, config.height, 0.0)
    printed = min(total, dice.whole(1, 4), max(1, config.max_objects))
    for _ in range(printed):
        size = dice.pick(SIZES)
        sign = cast.sign(size, dice.between(*WORD_RANGE[size]) * side, 0.94 * config.width)
        # A word is printed once, so that it can be asked for.
        if all(item.word != sign.word for item in board.items):
            board.place(sign)
    for _ in range(min(3, total - printed)):
        size = "small" if printed > 2 else dice.pick(SIZES[:2])
        board.place(cast.thing(size, dice.between(*SIZE_RANGE[size]) * side))
    return board.items, (), dice.weighted(config.backgrounds)


def _nlvr_boxes(dice: Dice, config: SceneConfig) -> tuple[Group, ...]:
    """Three equal boxes side by side, as high as they are wide or higher."""
    gap = max(2, round(0.035 * min(config.width, config.height)))
    w = (config.width - 4 * gap) // 3
    h = min(config.height - 2 * gap, round(w * dice.between(1.0, 2.6)))
    y = dice.whole(gap, config.height - gap - h)
    return tuple(
        Group(f"box {i + 1}", "box", (gap + i * (w + gap), y, gap + i * (w + gap) + w, y + h))
        for i in range(3)
    )


def _nlvr_colors(dice: Dice, config: SceneConfig) -> tuple[str, ...]:
    """NLVR's yellow, blue and black, or three others; gray and white would not stand out from the boxes."""
    free = tuple(c for c in config.colors if c not in ("gray", "white")) or config.colors
    usual = tuple(c for c in NLVR_COLORS if c in free)
    return usual if len(usual) == 3 and dice.chance(0.5) else tuple(dice.sample(free, 3))


def boxes(dice: Dice, config: SceneConfig) -> Layout:
    """Three grey boxes with small shapes scattered in them, some touching a wall."""
    groups, colors = _nlvr_boxes(dice, config), _nlvr_colors(dice, config)
    kinds = NLVR_KINDS if dice.chance(0.6) else tuple(dice.sample(SHAPES, 3))
    items: list[SceneObject] = []
    frame = groups[0].box
    unit = min(frame[2] - frame[0], frame[3] - frame[1])
    count = max(how_many(dice, config), how_many(dice, config))  # three boxes need more than one picture does
    for _ in range(count):
        group, size, name = dice.pick(groups), dice.pick(SIZES), dice.pick(kinds)
        w, h = extent(name, 0, 0, NLVR_SIZE[size] * unit)
        x1, y1, x2, y2 = (int(v) for v in group.box)
        for _ in range(12):
            x, y = dice.whole(x1 + 2, x2 - w - 2), dice.whole(y1 + 2, y2 - h - 2)
            if dice.chance(0.3):
                wall = dice.whole(0, 3)
                x, y = (x1, x2 - w, x, x)[wall], (y, y, y1, y2 - h)[wall]
            near = (x - 1, y - 1, x + w + 1, y + h + 1)
            if not any(overlap(near, other.box) for other in items):
                box = (x, y, x + w, y + h)
                item = SceneObject(name, "shape", dice.pick(colors), size, box, "shape", group=group.name)
                items.append(item)
                break
    return items, groups, "boxes"


def towers(dice: Dice, config: SceneConfig) -> Layout:
    """Stacks of equal blocks: one in each of three grey boxes, or one to four on open ground."""
    count, colors = max(how_many(dice, config), how_many(dice, config)), _nlvr_colors(dice, config)
    if dice.chance(0.5):
        frames: tuple[Group, ...] = _nlvr_boxes(dice, config)
        bases = [((f.box[0] + f.box[2]) / 2, f.box[3]) for f in frames]
        x1, y1, x2, y2 = frames[0].box
        tallest, side = 4, min((x2 - x1) * 0.42, (y2 - y1 - 4) / 4)
        size, background = "medium", "boxes"
    else:
        frames, number = (), min(dice.whole(1, 4), max(1, count))
        size = "small" if number > 2 else dice.pick(SIZES[:2])
        side = {"small": 0.16, "medium": 0.21}[size] * min(config.width, config.height)
        tallest, ground = (
            max(1, min(5, int(0.9 * config.height / side))),
            dice.between(0.94, 0.98) * config.height,
        )
        shift = config.width / number
        bases = [
            ((i + 0.5) * shift + dice.between(-1, 1) * (shift - side) * 0.3, ground) for i in range(number)
        ]
        background = dice.weighted(config.backgrounds)
    heights = [0] * len(bases)
    for _ in range(min(count, tallest * len(bases))):
        heights[dice.pick([i for i, high in enumerate(heights) if high < tallest])] += 1
    items: list[SceneObject] = []
    groups: list[Group] = list(frames)
    edge = max(1, int(side))
    for (center, floor), high in zip(bases, heights, strict=True):
        if not high:
            continue
        name = f"tower {sum(g.kind == 'tower' for g in groups) + 1}"
        x, y = round(center - edge / 2), int(floor)
        for level in range(high):
            box = (x, y - (level + 1) * edge, x + edge, y - level * edge)
            items.append(
                SceneObject("block", "building toy", dice.pick(colors), size, box, "block", group=name)
            )
        groups.append(Group(name, "tower", (x, y - high * edge, x + edge, y)))
    return items, tuple(groups), background


LAYOUTS: dict[str, Callable[[Dice, SceneConfig], Layout]] = {
    "scattered": scattered,
    "grid": grid,
    "words": words,
    "towers": towers,
    "boxes": boxes,
}
