"""What a detector's scores are worth: precision and recall by threshold of each class, measured on held-out pictures.

A pack names the file beside the role's weights (`calibration: FILE`); `Models.calibration(role)` reads it. `sightline eval
detector --calibration FILE` writes one.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ModelFileError

FEW = 10  # a class with fewer things on the pictures measured has no curve of its own


@dataclass(frozen=True)
class Curve:
    """Precision and recall at each threshold, and the number of things that there were to find."""

    n: int
    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """The curves of a detector's classes at IoU .5, and of all of them together.

    `used` is the score from which the pack lets a detection stand.
    """

    thresholds: tuple[float, ...]  # rising
    pooled: Curve
    classes: Mapping[str, Curve]
    used: float = 0.0
    measured_on: str = ""
    pictures: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def recall(self, kind: str, threshold: float | None = None) -> float | None:
        """Part of the things of a class that are found with at least this score (the pack's own when not given).

        None where the detector has no such class: then finding none says nothing. A class with few examples has the
        recall of all classes together, and one that was never met in the measurement too.
        """
        curve = self._curve(kind)
        # The next threshold up: recall falls with it, and no more is promised than was measured.
        at = bisect_left(self.thresholds, (self.used if threshold is None else threshold) - 1e-9)
        return None if curve is None else curve.recall[at] if at < len(self.thresholds) else 0.0

    def precision(self, kind: str, threshold: float | None = None) -> float | None:
        """Part of the detections of a class with at least this score that are right; None as for `recall`."""
        curve = self._curve(kind)
        at = bisect_right(self.thresholds, (self.used if threshold is None else threshold) + 1e-9) - 1
        return None if curve is None else curve.precision[max(at, 0)]

    def count(self, kind: str) -> int:
        """How many things of a class the measurement had; 0 for a class that the detector has not."""
        return self.classes[kind].n if kind in self.classes else 0

    def is_pooled(self, kind: str) -> bool:
        """Whether the figures of a class are those of all classes, for want of examples."""
        return kind in self.classes and self.classes[kind].n < FEW

    def _curve(self, kind: str) -> Curve | None:
        if kind not in self.classes:
            return None
        return self.pooled if self.is_pooled(kind) else self.classes[kind]

    def to_json(self) -> dict[str, Any]:
        """As it is written."""

        def curve(one: Curve) -> dict[str, Any]:
            return {"n": one.n, "precision": list(one.precision), "recall": list(one.recall)}

        return {
            "version": 1, "measured_on": self.measured_on, "pictures": self.pictures, "used": self.used,
            "facts": dict(self.facts), "thresholds": list(self.thresholds), "pooled": curve(self.pooled),
            "classes": {name: curve(one) for name, one in self.classes.items()},
        }  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a file; ModelFileError where it is none."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            thresholds = tuple(float(v) for v in data["thresholds"])

            def curve(item: Any) -> Curve:
                one = Curve(int(item["n"]), *(tuple(map(float, item[k])) for k in ("precision", "recall")))
                if not len(one.precision) == len(one.recall) == len(thresholds):
                    raise ValueError("a curve needs one value a threshold")
                return one

            if not thresholds or list(thresholds) != sorted(thresholds):
                raise ValueError("thresholds must rise")
            classes = {str(name): curve(item) for name, item in data["classes"].items()}
            return cls(
                thresholds, curve(data["pooled"]), classes, float(data["used"]), str(data["measured_on"]),
                int(data["pictures"]), dict(data.get("facts", {})),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(f"{path}: no calibration file ({type(error).__name__}: {error})") from error


__all__ = ["FEW", "Calibration", "Curve"]
