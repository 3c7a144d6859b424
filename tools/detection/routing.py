"""Fitting the probe that tells drawn scenes from photographs: which of the starter's two detectors looks at a picture.

    python -m sightline.tools.detection.routing --photos ../shared/data/train --out mllm/weights/photos/drawn.safetensors

Drawn scenes of the training split against the training photographs, of both every twentieth held back and reported. All are
resized and recompressed at random, so that neither the size of a file nor its JPEG marks tell them apart.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import PIL.Image

from ...errors import SightlineError
from ...mllm.training.checkpoints import write_bytes_safely
from ..backends.drawn import LAYERS, SIDE, features, fingerprint
from ..backends.ultralytics_detector import UltralyticsDetector
from ..imagefile import open_image
from ..values import Image
from .photos import read_sets
from .scenes import draw

NETWORK = (
    Path(__file__).resolve().parents[2] / "mllm" / "weights" / "starter" / "detector" / "weights.safetensors"
)
HELD = 20
_RIDGE = 3.0  # weight of the penalty on the probe's weights, in standard units
_STEPS = 40  # of Newton's method; it has settled after ten


def varied(pixels: np.ndarray, rng: Random) -> np.ndarray:
    """A picture as it may come: resized by a half to four times in three of ten, a JPEG in four of ten."""
    picture = PIL.Image.fromarray(pixels)
    if rng.random() < 0.3:
        scale = rng.choice([0.5, 0.75, 1.5, 2.0, 3.0, 4.0])
        size = (max(16, round(picture.width * scale)), max(16, round(picture.height * scale)))
        picture = picture.resize(size, PIL.Image.Resampling.BICUBIC)
    if rng.random() < 0.4:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=rng.choice([40, 60, 75, 90]))
        picture = PIL.Image.open(file).convert("RGB")
    return np.asarray(picture)


def fit(rows: np.ndarray, photographs: np.ndarray) -> tuple[np.ndarray, float]:
    """Logistic regression with a ridge over standardised features [N, F]; weights [F] and bias for features as they are."""
    middle, spread = rows.mean(0), rows.std(0) + 1e-6
    inputs = np.hstack([(rows - middle) / spread, np.ones((len(rows), 1))])
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (photographs - chance) - _RIDGE * weights
        curve = inputs.T @ (inputs * (chance * (1 - chance) + 1e-6)[:, None]) + _RIDGE * np.eye(len(weights))
        weights += np.linalg.solve(curve, slope)
    plain = weights[:-1] / spread
    return plain, float(weights[-1] - middle @ plain)


def main() -> int:
    """The command line; exits with 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="routing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="the folder of the training sets")
    parser.add_argument("--network", type=Path, default=NETWORK, help="weights of the scenes detector")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        told = run(options.photos, options.network, options.out, options.seed)
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(", ".join(f"{name} {value}" for name, value in told.items()))
    return 0


def run(folder: Path, network: Path, out: Path, seed: int) -> dict[str, Any]:
    """Fit, write, and report how often each sort of the held-back pictures is told right."""
    from safetensors.numpy import save

    detector = UltralyticsDetector(network, "", image_size=SIDE, device="cpu")
    rng = Random(seed)
    shots = [open_image(photo.file).pixels for photo in read_sets(folder, ["person"])]
    pictures = [(pixels, True) for pixels in shots]
    pictures += [(draw("train", 1000 + seed, i).image, False) for i in range(len(shots))]
    rows = np.array([features(detector, Image.from_array(varied(p, rng))) for p, _ in pictures])
    real = np.array([is_photo for _, is_photo in pictures])
    held = np.arange(len(rows)) % HELD == HELD - 1
    weights, bias = fit(rows[~held], real[~held].astype(float))
    said = rows[held] @ weights + bias > 0
    told = {
        "photographs": int((real & held).sum()), "right": round(float((said[real[held]]).mean()), 4),
        "drawings": int((~real & held).sum()), "right of them": round(float((~said[~real[held]]).mean()), 4),
    }  # fmt: skip
    facts = {"over": fingerprint(network), "layers": str(LAYERS), "side": str(SIDE), "told": str(told)}
    tensors = {"weights": weights.astype(np.float32), "bias": np.array([bias], np.float32)}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_safely(out, save(tensors, facts))
    return told


if __name__ == "__main__":
    sys.exit(main())
