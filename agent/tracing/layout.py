"""A layered drawing of a small graph: longest-path layers, few crossings by the barycentre rule, curves for edges.

After Sugiyama, Tagawa and Toda (1981): edges over several layers pass through bends, one in each layer between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

LAYER, GAP = 62.0, 18.0  # from one layer to the next, between two neighbours
HEIGHT = 36.0  # of a node
_BEND = 10.0  # room for an edge that passes through a layer
_SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Drawn:
    """Centres of the nodes, the points that each edge passes through, and the size of it all."""

    places: Mapping[int, tuple[float, float]]
    edges: Sequence[tuple[int, int, tuple[tuple[float, float], ...]]]
    width: float
    height: float


def layered(widths: Mapping[int, float], edges: Sequence[tuple[int, int]]) -> Drawn:
    """Place nodes of the given widths from top to bottom along their edges.

    Edges to unknown nodes, loops and repeats are left out; in a ring the edge that closes it is drawn as it falls.
    """
    links = [(a, b) for a, b in dict.fromkeys(edges) if a in widths and b in widths and a != b]
    layer = _layers(list(widths), links)
    rows: list[list[int]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node, row in layer.items():
        rows[row].append(node)
    room = dict(widths)
    paths: list[list[int]] = []
    fresh = max(widths, default=0) + 1
    for start, end in links:
        path = [start]
        for row in range(layer[start] + 1, layer[end]):
            rows[row].append(fresh)
            room[fresh] = _BEND
            path.append(fresh)
            fresh += 1
        paths.append([*path, end])
    _order(rows, paths)
    x, width = _columns(rows, paths, room)
    y = {node: HEIGHT / 2 + 1 + LAYER * row for row, nodes in enumerate(rows) for node in nodes}
    height = HEIGHT + 2 + LAYER * max(0, len(rows) - 1)
    drawn = [(p[0], p[-1], tuple((x[n], y[n]) for n in p)) for p in paths]
    return Drawn({node: (x[node], y[node]) for node in widths}, drawn, width, height)


def _layers(nodes: Sequence[int], links: Sequence[tuple[int, int]]) -> dict[int, int]:
    """The length of the longest path to each node; a node whose sources all come late sits just above its first user."""
    before: dict[int, list[int]] = {node: [] for node in nodes}
    after: dict[int, list[int]] = {node: [] for node in nodes}
    for a, b in links:
        before[b].append(a)
        after[a].append(b)
    layer: dict[int, int] = {}
    waiting = {node: len(before[node]) for node in nodes}
    ready = [node for node in nodes if not waiting[node]]
    order: list[int] = []
    while ready or len(order) < len(nodes):
        if not ready:  # a ring, which no plan has: broken at its first node
            ready = [next(node for node in nodes if node not in layer)]
        node = ready.pop(0)
        if node in layer:
            continue
        layer[node] = max((layer[b] + 1 for b in before[node] if b in layer), default=0)
        order.append(node)
        for user in after[node]:
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    for node in reversed(order):
        below = [layer[user] for user in after[node] if layer[user] > layer[node]]
        if below and not before[node]:
            layer[node] = min(below) - 1
    return layer


def _order(rows: list[list[int]], paths: Sequence[Sequence[int]]) -> None:
    """Sort each row by the mean place of its neighbours, down and up in turn; the order with fewest crossings stays."""
    up: dict[int, list[int]] = {}
    down: dict[int, list[int]] = {}
    for path in paths:
        for a, b in pairwise(path):
            up.setdefault(b, []).append(a)
            down.setdefault(a, []).append(b)
    best, least = [list(row) for row in rows], _crossings(rows, down)
    for sweep in range(_SWEEPS):
        near = up if sweep % 2 == 0 else down
        for row in rows if sweep % 2 == 0 else reversed(rows):
            place = {node: at for other in rows for at, node in enumerate(other)}
            mean = {
                n: sum(place[m] for m in near[n]) / len(near[n]) if near.get(n) else place[n] for n in row
            }
            row.sort(key=lambda node, mean=mean: mean[node])  # type: ignore[misc]
        count = _crossings(rows, down)
        if count < least:
            best, least = [list(row) for row in rows], count
    rows[:] = best


def _crossings(rows: Sequence[Sequence[int]], down: Mapping[int, Sequence[int]]) -> int:
    place = {node: at for row in rows for at, node in enumerate(row)}
    count = 0
    for row in rows:
        ends = [(place[a], place[b]) for a in row for b in down.get(a, ())]
        count += sum(
            (a - c) * (b - d) < 0 for i, (a, b) in enumerate(ends) for c, d in ends[i + 1 :]
        )  # fmt: skip
    return count


def _columns(
    rows: Sequence[Sequence[int]], paths: Sequence[Sequence[int]], room: Mapping[int, float]
) -> tuple[dict[int, float], float]:
    """x of each node: its row packed, then drawn towards its neighbours as far as the row allows."""
    x: dict[int, float] = {}
    for row in rows:
        total = sum(room[n] for n in row) + GAP * (len(row) - 1)
        at = -total / 2
        for node in row:
            x[node] = at + room[node] / 2
            at += room[node] + GAP
    near: dict[int, list[int]] = {}
    for path in paths:
        for a, b in pairwise(path):
            near.setdefault(a, []).append(b)
            near.setdefault(b, []).append(a)
    for _ in range(_SWEEPS):
        for row in rows:
            wished = [sum(x[m] for m in near[n]) / len(near[n]) if near.get(n) else x[n] for n in row]
            for node, place in zip(row, _apart(row, wished, room), strict=True):
                x[node] = place
    left = min((x[n] - room[n] / 2 for n in x), default=0.0)
    right = max((x[n] + room[n] / 2 for n in x), default=0.0)
    return {node: place - left + 1 for node, place in x.items()}, right - left + 2


def _apart(row: Sequence[int], wished: Sequence[float], room: Mapping[int, float]) -> list[float]:
    """Places in order, near those wished for, that keep the gap: the mean of packing from the left and from the right."""
    forward, at = [], float("-inf")
    for node, wish in zip(row, wished, strict=True):
        place = max(wish, at + room[node] / 2)
        forward.append(place)
        at = place + room[node] / 2 + GAP
    backward, at = [], float("inf")
    for node, wish in zip(reversed(row), reversed(wished), strict=True):
        place = min(wish, at - room[node] / 2)
        backward.append(place)
        at = place - room[node] / 2 - GAP
    return [(a + b) / 2 for a, b in zip(forward, reversed(backward), strict=True)]
