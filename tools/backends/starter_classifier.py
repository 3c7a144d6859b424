"""Names for crops of drawn scenes by the starter's perception: kinds through the lexical hierarchy, colours in front."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from ..names import matched
from ..values import Image
from ..wanted import color_first
from .common import checked

_ANYTHING = frozenset({"object", "thing", "item", "one"})
_PART = 64  # crops in one forward


class StarterClassifier:
    """A probability for each label; what it does not know (a kind outside its world) gets none: it is 'not sure'."""

    batch = 64

    def __init__(self, weights: Path, digest: str, asked: float = 5.0) -> None:
        """`asked` is how many times likelier than perception thinks a name is because someone asks about it: with 1, what
        is seen at a probability below a half is never named (right .82 of 173 crops; .90 with 5, as few wrong)."""
        from ...mllm.answerer import Answerer

        self._asked = checked("asked", asked, 0.01, 100)
        self._model = Answerer.load(weights).model
        self._kinds: tuple[str, ...] = tuple(self._model.config.kinds)
        self._colors: tuple[str, ...] = tuple(self._model.config.colors)
        self._lock = threading.Lock()

    def classify(self, images: Sequence[Image], labels: Sequence[Sequence[str]]) -> list[list[float]]:
        """Labels that overlap ('dog', 'animal') share what they would both have where the sum passes 1."""
        from ...mllm.starter.naming import name_crops

        rows: list[list[float]] = []
        for start in range(0, len(images), _PART):
            crops = [image.pixels for image in images[start : start + _PART]]
            with self._lock:
                kinds, colors = name_crops(self._model, crops)
            for kind, color, names in zip(
                kinds.tolist(), colors.tolist(), labels[start : start + _PART], strict=True
            ):
                rows.append(self._shares([self._probability(name, kind, color) for name in names]))
        return rows

    def _shares(self, row: Sequence[float]) -> list[float]:
        """Probabilities that sum to 1 at most, with the odds of what was asked raised."""
        known = min(sum(row), 1.0)
        if known <= 0:
            return [0.0] * len(row)
        scale = self._asked / (self._asked * known + 1.0 - known) * (known / sum(row))
        return [p * scale for p in row]

    def _probability(self, name: str, kind: Sequence[float], color: Sequence[float]) -> float:
        there = min(sum(kind), 1.0)
        tint, noun = color_first(name)
        sole = {"grey": "gray"}.get(name.strip().casefold(), name.strip().casefold())
        if sole in self._colors:
            return there * color[self._colors.index(sole)]
        if tint and tint in self._colors and matched(name, self._kinds).relation != "same":
            return color[self._colors.index(tint)] * self._noun(noun, kind, there)
        return self._noun(name, kind, there)

    def _noun(self, noun: str, kind: Sequence[float], there: float) -> float:
        if noun.strip().casefold() in _ANYTHING:
            return there
        meaning = matched(noun, self._kinds)
        if meaning.relation not in ("same", "kinds"):  # 'woman' is not said by 'person'
            return 0.0
        return float(sum(kind[self._kinds.index(name)] for name in meaning.classes))
