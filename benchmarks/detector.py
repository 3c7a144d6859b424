"""A detector through its back end, against the same network run bare: seconds a picture, and what the back end adds.

    python -m benchmarks.detector --weights mllm/weights/starter/detector/weights.safetensors --data ../shared/data --json

Bare is the network and its suppression on tensors that are ready; the back end also fits the pictures and makes regions of
what is found. Both take the same 16 photographs at 640 pixels in the same order, in turns, and the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightline.tools.backends import yolo
from sightline.tools.backends.ultralytics_detector import UltralyticsDetector
from sightline.tools.values import Image


def bare(detector: UltralyticsDetector, images: list[Image], size: int) -> Callable[[], Any]:
    """The network and its suppression over pictures that are fitted beforehand, as many at once as the back end takes."""
    import torch

    model, groups = detector._model, {}
    for image in images:
        box = yolo.Letterbox.of(image, size, 32)
        groups.setdefault(box.shape, []).append(torch.from_numpy(box.apply(image).copy()).float().div_(255))
    batches = [torch.stack(g[i : i + 4]) for g in groups.values() for i in range(0, len(g), 4)]

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                yolo.keep_best(
                    model,
                    model(batch),
                    len(detector.vocabulary),
                    False,
                    confidence=0.25,
                    iou=0.7,
                    agnostic=False,
                    most=300,
                )

    return run


def measure(weights: Path, photos: Path, size: int, count: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a picture, bare and through the back end, for batches of `count` and of one."""
    files = sorted(photos.glob("*.jpg"))[:count]
    images = [Image.open(f) for f in files]
    for image in images:
        _ = image.pixels  # decoded beforehand: neither side pays for it
    detector = UltralyticsDetector(weights, "benchmark", image_size=size)
    result: dict[str, Any] = {
        "weights": weights.name,
        "size": size,
        "pictures": len(images),
        "rounds": rounds,
    }
    for name, part in (("batch", images), ("single", images[:1])):
        ways = {"bare": bare(detector, part, size), "back_end": lambda part=part: detector.detect(part)}
        times: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(rounds + 1):
            for way, run in ways.items():
                started = time.process_time()
                run()
                if turn:  # the first round warms up
                    times[way].append((time.process_time() - started) / len(part) * 1e3)
        result[name] = {way: round(statistics.median(values), 2) for way, values in times.items()}
        result[name]["ratio"] = round(result[name]["back_end"] / result[name]["bare"], 3)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--weights", type=Path, required=True, help="an ultralytics .pt, or .safetensors of ours"
    )
    parser.add_argument("--data", type=Path, required=True, help="the development data, with photos/")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    figures = measure(
        options.weights, options.data / "photos" / "coco_val128", options.size, options.count, options.rounds
    )
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"{figures['weights']} at {figures['size']} pixels, CPU milliseconds a picture")
    for name in ("batch", "single"):
        row = figures[name]
        print(
            f"{name:<8} bare {row['bare']:>7.1f}  back end {row['back_end']:>7.1f}  ratio {row['ratio']:.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
