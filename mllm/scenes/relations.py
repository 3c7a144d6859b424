"""How things stand to each other, judged from boxes, with a margin in which no verdict is given.

Each test returns True, False, or None where people might disagree; a question maker asks only what is not
None. The picture's shorter side is the unit of every margin, so that a verdict does not change with the
picture's scale.

- left of, right of, above, below: true where a's centre lies that way by MARGIN and by a quarter of the mean
  extent on that axis; false where it lies as far the other way.
- inside: true where INSIDE of a's area lies in b, which is at least 1.5 times as large; false below OUTSIDE.
- touching: true where the boxes share pixels or are at most TOUCH pixels apart; false beyond APART x side.
- between: true where a's centre projects onto the middle half of the line from b to c and lies near it; false
  where it is clearly beside the line or beyond an end.
- nearest: the smallest distance of centres, if the next one is larger by a third and by MARGIN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ...errors import InputError
from .schema import Box, Scene, SceneObject

MARGIN = 0.06  # of the picture's shorter side
INSIDE, OUTSIDE = 0.97, 0.6  # parts of a box's area
TOUCH = 1.0  # pixels
APART = 0.04  # of the picture's shorter side
DIRECTIONS: tuple[str, ...] = ("left of", "right of", "above", "below")
RELATIONS: tuple[str, ...] = (*DIRECTIONS, "inside", "touching")
OPPOSITE: dict[str, str] = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def center(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def intersection(a: Box, b: Box) -> float:
    """Shared area in pixels."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    shared = intersection(a, b)
    union = area(a) + area(b) - shared
    return shared / union if union > 0 else 0.0


def gap(a: Box, b: Box) -> float:
    """Shortest distance in pixels between two boxes; 0 where they meet or overlap."""
    return math.hypot(max(0.0, a[0] - b[2], b[0] - a[2]), max(0.0, a[1] - b[3], b[1] - a[3]))


def distance(a: Box, b: Box) -> float:
    """Distance of the centres in pixels."""
    (ax, ay), (bx, by) = center(a), center(b)
    return math.hypot(ax - bx, ay - by)


def _beyond(a_low: float, a_high: float, b_low: float, b_high: float, side: float) -> bool | None:
    """Whether a's centre comes before b's on one axis."""
    ahead = (b_low + b_high - a_low - a_high) / 2
    need = max(MARGIN * side, 0.125 * (a_high - a_low + b_high - b_low))
    return True if ahead >= need else False if ahead <= -need else None


def left_of(a: Box, b: Box, side: float) -> bool | None:
    """Whether a is to the left of b; `side` is the picture's shorter side in pixels, here and below."""
    return _beyond(a[0], a[2], b[0], b[2], side)


def right_of(a: Box, b: Box, side: float) -> bool | None:
    return _beyond(b[0], b[2], a[0], a[2], side)


def above(a: Box, b: Box, side: float) -> bool | None:
    return _beyond(a[1], a[3], b[1], b[3], side)


def below(a: Box, b: Box, side: float) -> bool | None:
    return _beyond(b[1], b[3], a[1], a[3], side)


def inside(a: Box, b: Box, side: float) -> bool | None:
    """Whether a lies within b's box."""
    own = area(a)
    part = intersection(a, b) / own if own else 0.0
    if part >= INSIDE:
        return True if area(b) >= 1.5 * own else None
    return False if part < OUTSIDE else None


def touching(a: Box, b: Box, side: float) -> bool | None:
    """Whether the boxes meet. Round things may overlap by their boxes' corners only: ask where that cannot
    mislead."""
    apart = gap(a, b)
    return True if apart <= TOUCH else False if apart > max(APART * side, TOUCH + 1) else None


def touching_wall(a: Box, container: Box, side: float) -> bool | None:
    """Whether a, inside a container such as a grey box, meets one of its four walls."""
    apart = min(a[0] - container[0], a[1] - container[1], container[2] - a[2], container[3] - a[3])
    return True if apart <= TOUCH else False if apart >= TOUCH + 1 else None


_TESTS: dict[str, Callable[[Box, Box, float], bool | None]] = {
    "left of": left_of,
    "right of": right_of,
    "above": above,
    "below": below,
    "inside": inside,
    "touching": touching,
}


def holds(relation: str, a: Box, b: Box, side: float) -> bool | None:
    """Verdict on one of RELATIONS, by name."""
    if relation not in _TESTS:
        raise InputError(f"no relation {relation!r}; known: {', '.join(RELATIONS)}")
    return _TESTS[relation](a, b, side)


def direction(a: Box, b: Box, side: float) -> str | None:
    """The one word for where a is as seen from b ("a is left of b"), None for diagonals and near misses.

    The offset along the answer's axis is at least 1.8 times the other one.
    """
    (ax, ay), (bx, by) = center(a), center(b)
    dx, dy = ax - bx, ay - by
    if abs(dx) >= 1.8 * abs(dy):
        name = "left of" if dx < 0 else "right of"
    elif abs(dy) >= 1.8 * abs(dx):
        name = "above" if dy < 0 else "below"
    else:
        return None
    return name if holds(name, a, b, side) else None


def between(a: Box, b: Box, c: Box, side: float) -> bool | None:
    """Whether a stands between b and c. True: a's centre projects to 0.25-0.75 of the line between their
    centres, and lies no farther from it than a fifth of its length or half of a's shorter side. False:
    beyond an end by a tenth, or farther off the line than 0.45 of its length."""
    (ax, ay), (bx, by), (cx, cy) = center(a), center(b), center(c)
    dx, dy = cx - bx, cy - by
    length = math.hypot(dx, dy)
    if length < 2 * MARGIN * side:
        return None
    along = ((ax - bx) * dx + (ay - by) * dy) / length**2
    off = abs((ax - bx) * dy - (ay - by) * dx) / length
    near = max(0.2 * length, min(a[2] - a[0], a[3] - a[1]) / 2)
    if 0.25 <= along <= 0.75 and off <= near:
        return True
    return False if along < -0.1 or along > 1.1 or off > max(0.45 * length, 1.5 * near) else None


def nearest(target: Box, others: Sequence[Box], side: float) -> int | None:
    """Index of the box whose centre is nearest to the target's, None if the next one is about as near."""
    order = sorted(range(len(others)), key=lambda i: distance(target, others[i]))
    if not order:
        return None
    if len(order) > 1:
        first, second = (distance(target, others[i]) for i in order[:2])
        if second < first * 1.33 or second - first < MARGIN * side:
            return None
    return order[0]


_EXTREMES: dict[str, tuple[Callable[[Box], float], float]] = {
    "leftmost": (lambda b: b[0] + b[2], 2 * MARGIN),
    "rightmost": (lambda b: -b[0] - b[2], 2 * MARGIN),
    "topmost": (lambda b: b[1] + b[3], 2 * MARGIN),
    "lowest": (lambda b: -b[1] - b[3], 2 * MARGIN),
    "largest": (lambda b: -math.sqrt(area(b)), MARGIN),
    "smallest": (lambda b: math.sqrt(area(b)), MARGIN),
}
EXTREMES: tuple[str, ...] = tuple(_EXTREMES)


def extreme(name: str, boxes: Sequence[Box], side: float) -> int | None:
    """Index of the leftmost, rightmost, topmost, lowest, largest or smallest box; None if the next is too
    close (centres within MARGIN x side, or square roots of the areas within MARGIN x side)."""
    if name not in _EXTREMES:
        raise InputError(f"no extreme {name!r}; known: {', '.join(EXTREMES)}")
    key, slack = _EXTREMES[name]
    order = sorted(range(len(boxes)), key=lambda i: key(boxes[i]))
    if not order or (len(order) > 1 and key(boxes[order[1]]) - key(boxes[order[0]]) < slack * side):
        return None
    return order[0]


def position(box: Box, width: float, height: float) -> str | None:
    """Where in the picture: "top left", "top", ..., "center", ... by thirds; None within MARGIN of a third's
    edge."""
    names = []
    x, y = center(box)
    for part, low, high in ((x / width, "left", "right"), (y / height, "top", "bottom")):
        if min(abs(part - 1 / 3), abs(part - 2 / 3)) < MARGIN / 2:
            return None
        names.append(low if part < 1 / 3 else high if part > 2 / 3 else "")
    return f"{names[1]} {names[0]}".strip() or "center"


def side_of(scene: Scene) -> float:
    """The unit of the margins: the scene's shorter side in pixels."""
    return float(min(scene.width, scene.height))


def pairs(scene: Scene, relation: str) -> list[tuple[SceneObject, SceneObject, bool]]:
    """All ordered pairs (a, b) of a scene's objects on which the relation has a verdict, with that
    verdict."""
    side, out = side_of(scene), []
    for a in scene.objects:
        for b in scene.objects:
            if a is not b:
                verdict = holds(relation, a.box, b.box, side)
                if verdict is not None:
                    out.append((a, b, verdict))
    return out
