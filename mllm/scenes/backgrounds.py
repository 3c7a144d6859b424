"""What lies behind the objects: plain colours, gradients, textures, photographs, grey boxes, open ground."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import ImageError, InputError
from .schema import Scene
from .vocabulary import COLORS

Pixels = npt.NDArray[np.uint8]  # [H, W, 3]
Color = npt.NDArray[np.float32]  # [3], 0-255

_PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
PAGE_GRAY, BOX_GRAY = 128, 211  # NLVR's own greys


class PhotoPool:
    """Photographs to draw on, kept in memory. They should show none of the world's kinds: an animal in a
    photograph would make a true "no" wrong, for it is not among the scene's objects."""

    def __init__(self, photos: Sequence[Pixels]) -> None:
        """`photos`: uint8 RGB arrays [H, W, 3], each at least 16 pixels wide and high."""
        if not photos:
            raise InputError("PhotoPool: no photographs given")
        for i, photo in enumerate(photos):
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or min(photo.shape[:2]) < 16:
                raise InputError(
                    f"PhotoPool: photograph {i} is {photo.dtype} {photo.shape}, not uint8 [H>15, W>15, 3]"
                )
        self.photos = list(photos)

    @classmethod
    def from_folder(cls, folder: str | Path, limit: int = 500, side: int = 384) -> PhotoPool:
        """All .jpg, .jpeg, .png and .webp files below a folder by name, at most `limit`, shrunk to `side`."""
        from PIL import Image, ImageOps, UnidentifiedImageError

        root = Path(folder)
        if not root.is_dir():
            raise InputError(f"PhotoPool: no folder {root}")
        paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in _PHOTO_SUFFIXES)[:limit]
        if not paths:
            raise InputError(f"PhotoPool: no .jpg, .jpeg, .png or .webp file below {root}")
        photos = []
        for path in paths:
            try:
                with Image.open(path) as opened:
                    photo = ImageOps.exif_transpose(opened).convert("RGB")
            except (UnidentifiedImageError, OSError) as error:
                raise ImageError(f"PhotoPool: cannot read {path}: {error}") from error
            photo.thumbnail((side, side))
            photos.append(np.asarray(photo))
        return cls(photos)

    def view(self, rng: np.random.Generator, width: int, height: int) -> Pixels:
        """A random crop (half of the photograph's shorter side or more, perhaps mirrored), resized."""
        from PIL import Image

        photo = self.photos[int(rng.random() * len(self.photos))]
        h, w = photo.shape[:2]
        scale = min(w / width, h / height) * (0.5 + 0.5 * rng.random())
        cw, ch = max(8, int(width * scale)), max(8, int(height * scale))
        x, y = int(rng.random() * (w - cw + 1)), int(rng.random() * (h - ch + 1))
        crop = photo[y : y + ch, x : x + cw]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        picture = Image.fromarray(np.ascontiguousarray(crop))
        return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def quiet_color(rng: np.random.Generator, avoid: Sequence[tuple[int, int, int]]) -> Color:
    """A colour of modest saturation: of six candidates, the one farthest from every colour to avoid."""
    best, best_gap = None, -1.0
    for _ in range(6 if avoid else 1):
        hue, saturation, value = rng.random(3)
        rgb = colorsys.hsv_to_rgb(hue, 0.05 + 0.4 * saturation**1.5, 0.25 + 0.73 * value**0.6)
        candidate = (rgb[0] * 255, rgb[1] * 255, rgb[2] * 255)
        gap = min((sum((a - b) ** 2 for a, b in zip(candidate, c, strict=True)) for c in avoid), default=0.0)
        if gap > best_gap:
            best, best_gap = candidate, gap
    return np.asarray(best, np.float32)


def _near(rng: np.random.Generator, color: Color, spread: float) -> Color:
    """A companion colour: lighter or darker by `spread`, with a small change of hue."""
    shift = (spread if color.mean() < 150 else -spread) + (rng.random(3) - 0.5) * spread * 0.7
    return np.clip(color + shift, 0, 255).astype(np.float32)


def _mix(a: Color, b: Color, t: npt.NDArray[np.float32]) -> Pixels:
    """Colours a and b blended by t [H, W] in 0..1."""
    ramp = np.arange(256, dtype=np.float32)[:, None] / 255
    palette = (a + ramp * (b - a)).astype(np.uint8)  # looking a colour up is cheaper than blending each pixel
    return palette[(t * 255).astype(np.uint8)]


def _value_noise(
    rng: np.random.Generator, width: int, height: int, cells: Sequence[tuple[int, int, float]]
) -> npt.NDArray[np.float32]:
    """Sum of random grids (columns, rows, weight), each enlarged smoothly: [H, W], stretched to 0..1."""
    from PIL import Image

    total = np.zeros((height, width), np.float32)
    for columns, rows, weight in cells:
        small = Image.fromarray((rng.random((rows + 1, columns + 1)) * 255).astype(np.uint8))
        total += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32) * weight
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1.0)


def _axes(width: int, height: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Column [1, W] and row [H, 1] numbers as parts of the shorter side."""
    side = min(width, height)
    across = np.linspace(0, width / side, width, endpoint=False, dtype=np.float32)
    down = np.linspace(0, height / side, height, endpoint=False, dtype=np.float32)
    return across[None, :], down[:, None]


def plain(rng: np.random.Generator, width: int, height: int, base: Color) -> Pixels:
    out = np.empty((height, width, 3), np.uint8)
    out[:] = base.astype(np.uint8)
    return out


def gradient(rng: np.random.Generator, width: int, height: int, base: Color) -> Pixels:
    """A ramp in a random direction, or a spot of light."""
    x, y = _axes(width, height)
    if rng.random() < 0.7:
        turn = rng.random() * 2 * np.pi
        t = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))
    else:
        cx, cy = rng.random(2).astype(np.float32)
        t = (x - cx) ** 2 + (y - cy) ** 2
    t = t - t.min()
    return _mix(base, _near(rng, base, 70), t / max(float(t.max()), 1e-3))


def texture(rng: np.random.Generator, width: int, height: int, base: Color) -> Pixels:
    """Checks, stripes, dots, bricks, wood, weave or clouds, in two neighbouring colours."""
    x, y = _axes(width, height)
    other = _near(rng, base, 18 + 34 * rng.random())
    pattern, step = int(rng.random() * 7), 0.05 + 0.12 * rng.random()
    if pattern == 0:
        t = (np.floor(x / step) + np.floor(y / step)) % 2
    elif pattern == 1:
        turn = rng.random() * np.pi
        t = np.floor((x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))) / step) % 2
    elif pattern == 2:
        u, v = x / step, y / step
        u = u + 0.5 * (np.floor(v) % 2)
        t = ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < 0.09).astype(np.float32)
    elif pattern == 3:
        v = y / step
        u = x / (2 * step) + 0.5 * (np.floor(v) % 2)
        t = np.maximum((u % 1) < 0.06, np.broadcast_to(v % 1 < 0.12, (height, width))).astype(np.float32)
    elif pattern == 4:
        t = _value_noise(rng, width, height, ((2, 24, 1.0), (3, 60, 0.6), (40, 90, 0.25)))
    elif pattern == 5:
        t = 0.5 + 0.25 * (np.sin(x * np.float32(4 / step)) + np.sin(y * np.float32(4 / step)))
    else:
        t = _value_noise(rng, width, height, ((4, 4, 1.0), (9, 9, 0.5), (20, 20, 0.25)))
    return _mix(base, other, np.broadcast_to(t, (height, width)).astype(np.float32))


def landscape(rng: np.random.Generator, width: int, height: int, base: Color) -> Pixels:
    """What stands in for a photograph where none is given: a far and a near ground, rough at every scale."""
    skyline = height * (0.25 + 0.5 * rng.random())
    ridge = _value_noise(rng, width, 1, ((4, 1, 1.0), (12, 1, 0.4)))[0] * 0.15 * height
    rows = np.arange(height, dtype=np.float32)[:, None]
    ground = np.clip(rows - (skyline - ridge[None, :]), 0, 1)  # [H, W], 1 below the skyline
    rough = _value_noise(
        rng, width, height, ((3, 3, 1.0), (7, 7, 0.6), (16, 16, 0.4), (40, 40, 0.3), (90, 90, 0.2))
    )
    far, near = _near(rng, base, 25), _near(rng, base, 60)
    sky = _mix(base, far, (0.7 * rows / height + 0.3 * rough).astype(np.float32))
    floor = _mix(near, _near(rng, near, 55), rough)
    return np.where(ground[..., None] > 0.5, floor, sky).astype(np.uint8)


def grey_boxes(scene: Scene, rng: np.random.Generator) -> Pixels:
    """Light grey boxes on a grey page, as NLVR draws them."""
    out = np.full((scene.height, scene.width, 3), PAGE_GRAY + int(rng.random() * 13) - 6, np.uint8)
    light = BOX_GRAY + int(rng.random() * 17) - 8
    for group in scene.groups:
        if group.kind == "box":
            x1, y1, x2, y2 = (int(v) for v in group.box)
            out[y1:y2, x1:x2] = light
    return out


def _with_ground(scene: Scene, pixels: Pixels) -> Pixels:
    """Towers on open ground stand on a darker floor."""
    floors = [int(group.box[3]) for group in scene.groups if group.kind == "tower"]
    if floors:
        pixels[max(floors) :] = pixels[max(floors) :] // 3
    return pixels


_PAINTERS: dict[str, Callable[[np.random.Generator, int, int, Color], Pixels]] = {
    "plain": plain,
    "gradient": gradient,
    "texture": texture,
    "photo": landscape,
}


def paint(scene: Scene, rng: np.random.Generator, photos: PhotoPool | None) -> Pixels:
    """The scene's background, a fresh writable array [H, W, 3]."""
    if scene.background == "boxes":
        return grey_boxes(scene, rng)
    if scene.background not in _PAINTERS:
        raise InputError(
            f"scene {scene.seed}: no background {scene.background!r}; known: boxes, {', '.join(_PAINTERS)}"
        )
    if scene.background == "photo" and photos is not None:
        return _with_ground(scene, photos.view(rng, scene.width, scene.height).copy())
    used = {item.color for item in scene.objects if item.color in COLORS}
    base = quiet_color(rng, [COLORS[name] for name in sorted(used)])
    return _with_ground(scene, _PAINTERS[scene.background](rng, scene.width, scene.height, base))
