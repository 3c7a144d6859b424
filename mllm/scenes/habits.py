"""How often things occur in the world's scenes: the weights by which question makers keep words and answers apart.

`habits.json` holds the figures; `python -m sightline.mllm.scenes.habits` measures them anew (after a change of the
world) and writes the file. Without them "Is there a circle?" would mostly be answered by yes, as circles are frequent.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from importlib import resources
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

NUMBERS = 9  # numbers 0..8 are counted
_CAP = 12.0  # a number that is rarer than this many times the commonest is not made up for in full
_STREAM = 0xFFFFFFFF  # a stream of training seeds that nothing else draws from


class Weighted:
    """Draws from a table of weights in the time of a bisection."""

    __slots__ = ("items", "sums")

    def __init__(self, table: dict[str, float]) -> None:
        self.items = tuple(table)
        self.sums = tuple(accumulate(table.values()))

    def draw(self, roll: float) -> str:
        """The item at `roll` in [0, 1)."""
        from bisect import bisect_right

        return self.items[bisect_right(self.sums, roll * self.sums[-1])]


@cache
def _data() -> dict[str, Any]:
    path = resources.files(__package__) / "templates" / "habits.json"
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


@cache
def table(name: str) -> Weighted:
    """Weights of absent "kinds", "categories", "colors" or "colored_kinds"."""
    return Weighted(_data()[name])


@cache
def among(kinds: tuple[str, ...]) -> Weighted:
    """The kinds' weights, cut to these kinds."""
    return Weighted({k: _data()["kinds"].get(k, 1e-6) for k in kinds})


@cache
def numbers(what: str) -> Weighted:
    """Weights of the numbers to be asked for: what of "kind", "category", "color", "colored", "all"."""
    return Weighted({str(n): w for n, w in enumerate(_data()["numbers"][what])})


def truth_rate(key: str) -> float:
    """How often a randomly made claim of this form and number is true."""
    return float(_data()["claims"].get(key, 0.5))


def measure(scenes: int = 20000) -> dict[str, Any]:
    """First figures, from so many scenes of the world's default configuration; `fit` refines them."""
    from . import ask_layouts, ask_objects
    from .ask import Ask
    from .view import View
    from .vocabulary import KINDS, hypernyms
    from .world import make_scene, split_seed

    shown: dict[str, Counter[str]] = {
        n: Counter() for n in ("kinds", "categories", "colors", "colored_kinds")
    }
    has: dict[str, Counter[str]] = {n: Counter() for n in shown}
    available: dict[str, Counter[int]] = {n: Counter() for n in ask_objects.COUNTED}
    claims: dict[str, list[int]] = {}
    for index in range(scenes):
        scene = make_scene(split_seed("train", _STREAM, index))
        rng = Random(index)
        view = View(scene)
        ask = Ask(scene, rng, "en", "train", view)
        for o in scene.objects:
            share = 1 / len(scene.objects)
            shown["kinds"][o.kind] += share  # type: ignore[assignment]
            categories = ask_objects.asked_categories(o.kind)
            for c in categories:
                shown["categories"][c] += share / len(categories)  # type: ignore[assignment]
            if o.color != "multicolor":
                shown["colors"][o.color] += share  # type: ignore[assignment]
                if KINDS[o.kind].category != "text":
                    shown["colored_kinds"][o.kind] += share  # type: ignore[assignment]
        kinds = {o.kind for o in scene.objects}
        has["kinds"].update(kinds)
        has["categories"].update({c for k in kinds for c in hypernyms(k)})
        has["colors"].update({o.color for o in scene.objects})
        for what in ask_objects.COUNTED:
            available[what].update({n for n in ask_objects.counts(ask, what) if n < NUMBERS})
        if scene.groups:
            for form in ask_layouts.forms_for(scene):
                for _ in range(6):
                    made = ask_layouts.draft(ask, form)
                    if made is not None:
                        tally = claims.setdefault(ask_layouts.key(form, made), [0, 0])
                        tally[made[0]] += 1
    out: dict[str, Any] = {
        name: {k: round(v / scenes / (1 - has[name][k] / scenes), 6) for k, v in sorted(counts.items())}
        for name, counts in shown.items()
    }
    out["numbers"] = {}
    for what, counts in available.items():
        most = max(counts.values())
        out["numbers"][what] = [
            round(min(_CAP, most / counts[n]), 3) if counts[n] > scenes / 500 else 0.0 for n in range(NUMBERS)
        ]
    out["claims"] = {k: round(t / (f + t), 4) for k, (f, t) in sorted(claims.items()) if f + t >= 50}
    return out


def fit(rounds: int = 6, scenes: int = 12000) -> None:
    """Refine the weights of absent things until each word is denied as often as it is affirmed.

    What co-occurs with what (a scene of towers has nothing but blocks) is not in the first estimate: each round asks
    for present and absent things and moves every weight by the ratio met.
    """
    from .ask import Ask
    from .view import View
    from .world import make_scene, split_seed

    for step in range(rounds):
        met: dict[str, dict[bool, Counter[str]]] = {}
        for index in range(scenes):
            scene = make_scene(split_seed("train", _STREAM - 1 - step, index))
            ask = Ask(scene, Random(index), "en", "train", View(scene))
            for there in (True, False):
                query = ask.present() if there else ask.absent()
                if query is None:
                    continue
                name, word = (
                    ("colored_kinds", query.kind) if query.kind and query.color
                    else ("kinds", query.kind) if query.kind
                    else ("categories", query.category) if query.category
                    else ("colors", query.color)
                )  # fmt: skip
                met.setdefault(name, {True: Counter(), False: Counter()})[there][str(word)] += 1
        for name, tally in met.items():
            weights = _data()[name]
            for word in weights:
                ratio = (tally[True][word] + 12) / (tally[False][word] + 12)
                weights[word] = round(weights[word] * min(3.0, max(1 / 3, ratio)), 7)
        table.cache_clear()
        among.cache_clear()


def write() -> Path:
    """Measure, refine and write `habits.json`."""
    target = Path(__file__).parent / "templates" / "habits.json"
    _data().update(measure())
    table.cache_clear()
    among.cache_clear()
    numbers.cache_clear()
    fit()
    target.write_text(json.dumps(_data(), indent=1) + "\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    from .habits import write as write_shared  # the module that the makers see, not this run's copy of it

    print(f"wrote {write_shared().name}")
