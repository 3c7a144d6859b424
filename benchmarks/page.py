"""How quick the app's page feels, timed inside the browser: a click until its mask is drawn, Ask until the first word back.

    python -m benchmarks.page [--pictures 5] [--clicks 4] [--side 800]

Starts the app on a port of its own and drives Chromium (playwright). On each new picture the first click encodes it and later ones
find it encoded; Ask is timed until the panel shows the question at work, and until the first event of the agent (how it is
going to be answered). Writes medians and worst cases in milliseconds, and the ratio of a later click to a first one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from .crowd import Page, server

ROOT = Path(__file__).resolve().parent.parent
# resolves with the milliseconds from the pointer's press to the mask on the canvas
_CLICK = """async ([x, y]) => {
  const frame = document.querySelector('#board .board-frame'), canvas = document.querySelector('#board .board-mask');
  const at = {clientX: x, clientY: y, bubbles: true, button: 0, pointerId: 1, isPrimary: true};
  frame.setPointerCapture = () => {};
  const drawn = () => {
    if (!canvas.width || document.querySelector('#board .board').dataset.busy === 'true') return false;
    const p = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 3; i < p.length; i += 4) if (p[i]) return true;
    return false;
  };
  canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
  const began = performance.now();
  frame.dispatchEvent(new PointerEvent('pointerdown', at));
  frame.dispatchEvent(new PointerEvent('pointerup', at));
  while (!drawn()) {
    if (performance.now() - began > 60000) return null;
    await new Promise((next) => setTimeout(next, 5));
  }
  return performance.now() - began;
}"""
_ASK = """async () => {
  const seen = {};
  document.querySelector('#story .story')?.remove();
  const began = performance.now();
  document.querySelector('#ask').click();
  while (performance.now() - began < 60000) {
    const story = document.querySelector('#story .story');
    if (story && !seen.shown) seen.shown = performance.now() - began;
    if (story?.querySelector('.story-how') && !seen.event) seen.event = performance.now() - began;
    if (story?.ariaBusy === 'false') { seen.done = performance.now() - began; break; }
    await new Promise((next) => setTimeout(next, 5));
  }
  return seen;
}"""


def scene(side: int, seed: int, folder: Path) -> Path:
    """A scene of its own, `side` pixels square."""
    from sightline.mllm.scenes.render import render
    from sightline.mllm.scenes.world import make_scene

    image = PIL.Image.fromarray(np.asarray(render(make_scene(seed)).image)).resize((side, side))
    path = folder / f"{seed}.png"
    image.save(path)
    return path


def figures(values: Sequence[float]) -> dict[str, float]:
    """Median and worst."""
    return {"median_ms": round(statistics.median(values), 1), "worst_ms": round(max(values), 1)}


def run(pictures: int, clicks: int, side: int) -> dict[str, Any]:
    """The report."""
    from playwright.sync_api import sync_playwright

    from .crowd import chromium

    rng = np.random.default_rng(0)
    first: list[float] = []
    later: list[float] = []
    missed = 0
    asked: dict[str, list[float]] = {"shown": [], "event": [], "done": []}
    with tempfile.TemporaryDirectory(prefix="page-") as name, sync_playwright() as playwright:
        folder = Path(name)
        with server(folder, 2, "scenes") as (address, _):
            page = Page(chromium(playwright), address)
            for n in range(-1, pictures):  # the first picture of all loads the models and is not counted
                page.show(scene(side, 1000 + n, folder))
                page.page.wait_for_timeout(300)
                box = page.page.locator("#board .board-picture").bounding_box()
                for k in range(clicks):
                    x, y = rng.uniform(0.2, 0.8, 2)
                    took = page.page.evaluate(
                        _CLICK, [box["x"] + x * box["width"], box["y"] + y * box["height"]]
                    )
                    if took is None:
                        missed += 1  # nothing stands out there
                    elif n >= 0:
                        (first if k == 0 else later).append(took)
                page.page.click('#board [data-act="clear"]')
                page.page.fill("#question textarea", "How many things are there?")
                seen = page.page.evaluate(_ASK)
                if n >= 0:
                    for key, value in seen.items():
                        asked[key].append(value)
    report: dict[str, Any] = {"side": side, "pictures": pictures, "clicks_without_a_mask": missed}
    report["first_click"], report["later_click"] = figures(first), figures(later)
    report["later_to_first"] = round(statistics.median(later) / statistics.median(first), 3)
    names = {"shown": "ask_to_panel", "event": "ask_to_first_event", "done": "ask_to_answer"}
    return report | {names[key]: figures(values) for key, values in asked.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--pictures", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=4, help="on each picture")
    parser.add_argument("--side", type=int, default=800)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out" / "page.json")
    options = parser.parse_args(argv)
    report = run(options.pictures, options.clicks, options.side)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
