"""A program's plan as an SVG drawing whose nodes can be pointed at and focused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from .layout import HEIGHT, layered
from .markup import Markup, join, tag

_MOST = 24  # letters of an op
_INPUTS = {"INPUT": "picture", "VALUE": "value"}


def draw_graph(
    nodes: Sequence[Mapping[str, Any]], edges: Sequence[Sequence[int]], number: int, lights: Mapping[int, str]
) -> Markup:
    """The graph of run `number`; `lights` are the keys that light up with each node."""
    names = {
        int(n["id"]): str(n.get("name") or _INPUTS.get(str(n.get("op"))) or n.get("op", ""))[:_MOST]
        for n in nodes
    }
    notes = {int(n["id"]): _lines(n.get("lines") or ()) for n in nodes}
    widths = {i: 22 + max(7.6 * len(name), 6.0 * len(notes[i])) for i, name in names.items()}
    links = [(int(e[0]), int(e[1])) for e in edges if len(e) == 2]
    drawn = layered(widths, links)
    curves = [
        tag("path", d=_curve(points), class_="edge", data_key=f"r{number}n{a} r{number}n{b}")
        for a, b, points in drawn.edges
    ]
    boxes = []
    for node in nodes:
        i = int(node["id"])
        x, y = drawn.places[i]
        inner = y + 0.5 if not notes[i] else y - 4
        cost = node.get("cost")
        about = f"{names[i]}, {notes[i] or 'no line'}" + (
            f", about {cost:g} ms" if isinstance(cost, int | float) and cost else ""
        )
        boxes.append(
            tag(
                "g",
                tag("title", about),
                tag("rect", x=f"{x - widths[i] / 2:.1f}", y=f"{y - HEIGHT / 2:.1f}", width=f"{widths[i]:.1f}", height=HEIGHT, rx=7),
                tag("text", names[i], x=f"{x:.1f}", y=f"{inner:.1f}", class_="op"),
                tag("text", notes[i], x=f"{x:.1f}", y=f"{y + 11:.1f}", class_="of") if notes[i] else None,
                class_="node input" if node.get("op") in _INPUTS else "node", tabindex=0, role="button", aria_label=about,
                data_key=f"r{number}n{i}", data_lights=lights.get(i, f"r{number}n{i}"), data_says=about,
            )
        )  # fmt: skip
    return tag(
        "svg", join(curves), join(boxes), viewBox=f"0 0 {drawn.width:.0f} {drawn.height:.0f}", width=f"{drawn.width:.0f}",
        height=f"{drawn.height:.0f}", class_="dag", role="group", aria_label="plan of the program",
    )  # fmt: skip


def _lines(lines: Sequence[int]) -> str:
    if not lines:
        return ""
    many = ", ".join(str(line) for line in lines[:4]) + (" …" if len(lines) > 4 else "")
    return f"line {many}" if len(lines) == 1 else f"lines {many}"


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """From the lower edge of the first node to the upper edge of the last, upright at every bend."""
    half = HEIGHT / 2
    path = [(points[0][0], points[0][1] + half), *points[1:-1], (points[-1][0], points[-1][1] - half)]
    told = [f"M{path[0][0]:.1f} {path[0][1]:.1f}"]
    for (x1, y1), (x2, y2) in pairwise(path):
        middle = (y1 + y2) / 2
        told.append(f"C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}")
    return "".join(told)
