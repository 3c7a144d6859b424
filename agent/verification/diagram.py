"""How far a calibration's probabilities hold, drawn: reliability, risk against coverage, and what removal costs, as one SVG.

python -m sightline.agent.verification.diagram calibration/scenes.json scenes.svg
"""

from __future__ import annotations

import argparse
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SIDE, LEFT, TOP, GAP = 240, 68, 46, 74  # pixels: a panel's side, its margins, and what is between panels
LEAST = 0.04  # coverage from which a risk is drawn
_INK, _FAINT, _BLUE, _ORANGE = "#1d1d1f", "#c7c7cc", "#0a5fb4", "#b4500a"
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
    'aria-label="{about}" font-family="system-ui,sans-serif" font-size="12" fill="{ink}"><rect width="100%" height="100%" '
    'fill="#fff"/>'
)
Point = tuple[float, float]


def page(curve: Mapping[str, Any] | None, provenance: Mapping[str, Any]) -> str:
    """The panels of a trade-off curve (`measure.curve`) and of a calibration's own cross-validation, whichever there are."""
    rows: list[list[str]] = []
    for name, one in _validated(provenance):
        # one verdict alone has no rate
        risk = [(c, r) for c, r in one["risk_coverage"] if c >= LEAST]
        bins = [(b["p"], b["true"], int(b["n"])) for b in one["reliability"]]
        rows.append([
            _reliability(f"{name}: reliability, ECE {one['ece']:.3f}", bins),
            _plot(f"{name}: risk and coverage", "coverage", "wrong", [(risk, _BLUE)], (0, 1),
                  (0, _top(r for _, r in risk))),
        ])  # fmt: skip
    if curve is not None:
        rows.append(_trade_off(curve))
    width = max((LEFT + SIDE + GAP) * len(row) for row in rows) if rows else 0
    height = (TOP + SIDE + GAP) * len(rows)
    out = [_HEAD.format(w=width, h=height, ink=_INK, about="how far the calibration holds")]
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            out.append(
                f'<g transform="translate({LEFT + x * (LEFT + SIDE + GAP)},{TOP + y * (TOP + SIDE + GAP)})">{panel}</g>'
            )
    return "".join(out) + "</svg>\n"


def _validated(provenance: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, its report) of everything that was cross-validated."""
    told = provenance.get("cross_validated", {})
    if "reliability" in told:
        return [("existence, unseen", told)]
    return [(name, one) for name, one in told.items() if isinstance(one, Mapping) and "reliability" in one]


def _trade_off(curve: Mapping[str, Any]) -> list[str]:
    points = curve["curve"]
    captions = [(100 - p["recall_kept"], p["chair_i_left"]) for p in points]
    answers = [(p["recall_lost"], p["gain"]) for p in points]
    told, asked = curve["captions"]["after"], curve["answers"]["after"]
    at = (100 - told["recall_kept"], told["chair_i_left"])
    across, up = _round(a[0] for a in answers), _round(a[1] for a in answers)
    return [
        _plot("captions: CHAIRi left, % of the draft's", "true objects lost, %", "CHAIRi left", [(captions, _BLUE)],
              (0, _top(c[0] for c in captions)), (0, 100), at),
        _plot("answers: gain in POPE accuracy, points", "yes-recall lost, points", "gain", [(answers, _BLUE)],
              across, up, (asked["recall_lost"], asked["gain"])),
    ]  # fmt: skip


def _round(values: Iterable[float]) -> Point:
    """Bounds around values, a multiple of four apart."""
    told = list(values)
    low = math.floor(min(0.0, *told))
    return float(low), float(low + 4 * math.ceil((max(told) - low) / 4))


def _top(values: Iterable[float]) -> float:
    """A round number above all of them."""
    most = max(values, default=0.0)
    return next((t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if t >= most), most)


def _reliability(title: str, bins: Sequence[tuple[float, float, int]]) -> str:
    most = max((n for *_, n in bins), default=1)
    dots = "".join(
        f'<circle cx="{p * SIDE:.1f}" cy="{(1 - true) * SIDE:.1f}" r="{3 + 7 * (n / most) ** 0.5:.1f}" fill="{_BLUE}" '
        f'fill-opacity=".75"><title>said {p:.2f}, true {true:.2f}, n {n}</title></circle>'
        for p, true, n in bins
    )
    path = _path([(p, t) for p, t, _ in bins], (0, 1), (0, 1), _BLUE)
    diagonal = f'<line x1="0" y1="{SIDE}" x2="{SIDE}" y2="0" stroke="{_FAINT}" stroke-dasharray="4 4"/>'
    return _frame(title, "probability said", "share true", (0, 1), (0, 1)) + diagonal + path + dots


def _plot(
    title: str, across: str, up: str, lines: Sequence[tuple[Sequence[Sequence[float]], str]], xs: Point, ys: Point,
    mark: Point | None = None,
) -> str:  # fmt: skip
    body = "".join(_path([(float(p[0]), float(p[1])) for p in points], xs, ys, ink) for points, ink in lines)
    if mark is not None:
        x, y = _place(mark, xs, ys)
        body += (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="{_ORANGE}" stroke-width="2.5">'
            f'<title>at the learned threshold</title></circle><text x="{x + 10:.1f}" y="{y - 8:.1f}" fill="{_ORANGE}">learned</text>'
        )
    return _frame(title, across, up, xs, ys) + body


def _place(point: Point, xs: Point, ys: Point) -> Point:
    return (
        (point[0] - xs[0]) / (xs[1] - xs[0]) * SIDE,
        (1 - (point[1] - ys[0]) / (ys[1] - ys[0])) * SIDE,
    )


def _path(points: Sequence[Point], xs: Point, ys: Point, ink: str) -> str:
    placed = [_place(p, xs, ys) for p in points]
    return f'<polyline fill="none" stroke="{ink}" stroke-width="2" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in placed)}"/>'


def _frame(title: str, across: str, up: str, xs: Point, ys: Point) -> str:
    ticks = []
    for k in range(5):
        x, y = xs[0] + k * (xs[1] - xs[0]) / 4, ys[0] + k * (ys[1] - ys[0]) / 4
        ticks.append(f'<text x="{k * SIDE / 4:.0f}" y="{SIDE + 16}" text-anchor="middle">{x:.3g}</text>')
        ticks.append(f'<text x="-8" y="{SIDE - k * SIDE / 4 + 4:.0f}" text-anchor="end">{y:.3g}</text>')
        ticks.append(
            f'<line x1="0" x2="{SIDE}" y1="{k * SIDE / 4:.0f}" y2="{k * SIDE / 4:.0f}" stroke="{_FAINT}" stroke-width=".5"/>'
        )
    return (
        f'<text x="0" y="-14" font-weight="600">{html.escape(title)}</text>'
        f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="{_FAINT}"/>{"".join(ticks)}'
        f'<text x="{SIDE / 2}" y="{SIDE + 36}" text-anchor="middle">{html.escape(across)}</text>'
        f'<text transform="translate(-52,{SIDE / 2}) rotate(-90)" text-anchor="middle">{html.escape(up)}</text>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("calibration", type=Path, help="a calibration file")
    parser.add_argument("out", type=Path, help="the SVG file to write")
    given = parser.parse_args()
    from ...tools.imagefile import write_whole
    from .reliability import Reliability

    write_whole(given.out, page(None, Reliability.load(given.calibration).provenance).encode())


if __name__ == "__main__":
    main()
