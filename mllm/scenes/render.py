"""From a symbolic scene to pixels, with the exact mask of what can be seen of every object.

A mask holds the pixels that an object covers by half or more and no later object hides. The white rim of a
sticker, and the thin rim that keeps an object apart from a background of its own colour, belong to no mask
but hide what is below.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from . import sprites
from .backgrounds import PhotoPool, Pixels, paint
from .layouts import sign_padding
from .schema import Box, Scene, SceneObject
from .vocabulary import COLORS, KINDS, MULTICOLOR

if TYPE_CHECKING:
    from PIL import Image

Floats = npt.NDArray[np.float32]  # [h, w, 3] or [3], 0-255
Alpha = npt.NDArray[np.uint8]  # [h, w]
Mask = npt.NDArray[np.bool_]  # [H, W]

_DARK, _LIGHT = 0.6, 0.42  # how far a tint goes towards black and white where the pictogram is dark or light
_LINE_SHARE = 0.3  # largest part of a thing's area that an outline's lines may darken
_JITTER = 9.0  # largest change of a named colour's channels from object to object
_CONTRAST = 75.0  # RGB distance to the background below which an object gets a rim


@dataclass(frozen=True, slots=True)
class Rendered:
    """A drawn scene. `scene` is the given one with each object's `box` and `visible` measured from its mask;
    an object with no visible pixel has the box (0, 0, 0, 0)."""

    image: Pixels  # uint8 [H, W, 3]
    masks: npt.NDArray[np.bool_]  # [N, H, W], in the order of scene.objects
    scene: Scene

    @property
    def boxes(self) -> Floats:
        """Visible boxes [N, 4]."""
        return np.asarray([item.box for item in self.scene.objects], np.float32).reshape(-1, 4)


def mask_box(mask: Mask) -> Box:
    """Tight box of a mask, x2 and y2 exclusive; (0, 0, 0, 0) for an empty one."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return (0.0, 0.0, 0.0, 0.0)
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


# ---- sprites made ready --------------------------------------------------------------------------


@lru_cache(maxsize=768)
def _toned(name: str, variant: int, angle: float, flip: bool) -> Image.Image:
    """Mode LA: how light the pictogram is against its mean (128), stretched so that detail survives a
    tint."""
    from PIL import Image

    rgba = np.asarray(sprites.turned(name, variant, angle, flip), np.float32)
    alpha = rgba[..., 3]
    lum = rgba[..., :3] @ np.asarray([0.299, 0.587, 0.114], np.float32)
    weight = alpha / max(float(alpha.sum()), 1.0)
    mean = float((lum * weight).sum())
    spread = float(np.sqrt((((lum - mean) ** 2) * weight).sum()))
    tone = np.clip(128 + (lum - mean) * 127 / max(2.2 * spread, 45.0), 0, 255)
    return Image.fromarray(np.dstack([tone, alpha]).astype(np.uint8))


@lru_cache(maxsize=768)
def _lined(name: str, variant: int, angle: float, flip: bool) -> Image.Image:
    """Mode LA: strength of a drawn line along the silhouette and along the pictogram's inner edges."""
    from PIL import Image, ImageFilter

    picture = sprites.turned(name, variant, angle, flip)
    alpha = picture.getchannel("A")
    flat = Image.new("RGB", picture.size, (128, 128, 128))
    flat.paste(picture, (0, 0), alpha)
    smooth = np.asarray(flat.filter(ImageFilter.GaussianBlur(1.2)), np.float32)
    dy = np.abs(np.diff(smooth, axis=0, append=smooth[-1:])).max(2)
    dx = np.abs(np.diff(smooth, axis=1, append=smooth[:, -1:])).max(2)
    edges = np.clip((np.maximum(dx, dy) - 7) * 18, 0, 255)
    # The line lies inside the silhouette; outside the picture counts as transparent.
    framed = Image.new("L", (picture.width + 6, picture.height + 6), 0)
    framed.paste(alpha, (3, 3))
    inner = np.asarray(
        framed.filter(ImageFilter.MinFilter(5)).crop((3, 3, 3 + picture.width, 3 + picture.height))
    )
    solid = np.asarray(alpha, np.float32)
    lines = np.maximum(edges, np.clip(solid - inner, 0, 255))
    share = float((lines * solid).sum()) / max(255 * float(solid.sum()), 1.0)
    lines *= min(1.0, _LINE_SHARE / max(share, 0.01))  # thin things would be all line and lose their colour
    return Image.fromarray(np.dstack([lines, np.asarray(alpha)]).astype(np.uint8))


@lru_cache(maxsize=2048)
def _fitted(
    kind: str, name: str, variant: int, angle: float, flip: bool, w: int, h: int
) -> npt.NDArray[np.uint8]:
    """A prepared sprite at w x h pixels: [h, w, 4] for kind "rgba", [h, w, 2] for "tone" and "line"."""
    from PIL import Image

    source = {"rgba": sprites.turned, "tone": _toned, "line": _lined}[kind](name, variant, angle, flip)
    shrinking = w < source.width
    filter_ = Image.Resampling.BOX if w * 3 < source.width else Image.Resampling.BILINEAR
    return np.asarray(source.resize((w, h), filter_ if shrinking else Image.Resampling.BICUBIC))


def _tint(tone: Alpha, color: Floats) -> Floats:
    """The colour, darker and lighter as the tone says: [h, w, 3]."""
    t = (tone.astype(np.float32) - 128) / 127
    dark, light = np.minimum(t, 0)[..., None], np.maximum(t, 0)[..., None]
    return np.asarray(color * (1 + _DARK * dark) + (255 - color) * (_LIGHT * light), np.float32)


def _named(item: SceneObject, rng: np.random.Generator) -> Floats:
    """The object's colour with a little variation that never changes its name."""
    light, *channels = (rng.random(4) * 2 - 1) * _JITTER  # mostly lighter or darker, hardly another hue
    shift = light + 0.4 * np.asarray(channels)
    return np.asarray(np.clip(np.asarray(COLORS[item.color]) + shift, 0, 255), np.float32)


def _printed(item: SceneObject, w: int, h: int, color: Floats) -> tuple[Floats, Alpha]:
    """A word in its colour, or a panel of that colour with the word on it in black or white."""
    from PIL import Image, ImageDraw

    if not item.word or not sprites.printable(item.word):
        raise InputError(
            f"object {item.kind!r}: cannot print {item.word!r}; letters A-Z, a-z and digits only"
        )
    coverage = sprites.word_mask(item.word, item.variant)
    if item.style == "word":
        alpha = np.asarray(coverage.resize((w, h), Image.Resampling.BOX if h < coverage.height else None))
        return np.broadcast_to(color, (h, w, 3)).copy(), alpha
    panel = Image.new("L", (w, h), 0)
    ImageDraw.Draw(panel).rounded_rectangle((0, 0, w - 1, h - 1), radius=min(w, h) * 0.15, fill=255)
    pad = max(2, round(sign_padding(h / (1 + 2 * sign_padding(1)))))
    inner = (max(1, w - 2 * pad), max(1, h - 2 * pad))
    text = np.zeros((h, w), np.float32)
    fitted = coverage.resize(inner, Image.Resampling.BOX if inner[1] < coverage.height else None)
    text[pad : pad + inner[1], pad : pad + inner[0]] = np.asarray(fitted, np.float32) / 255
    ink = 0.0 if color @ np.asarray([0.299, 0.587, 0.114]) > 125 else 255.0
    return color + text[..., None] * (ink - color), np.asarray(panel)


def _patch(item: SceneObject, rng: np.random.Generator) -> tuple[Floats, Alpha]:
    """An object's colours [h, w, 3] and coverage [h, w], at the size of its box."""
    w, h = int(item.box[2] - item.box[0]), int(item.box[3] - item.box[1])
    if w < 1 or h < 1:
        raise InputError(f"object {item.kind!r}: its box {item.box} has no pixels")
    if item.kind not in KINDS:
        raise InputError(f"object {item.kind!r} is not a kind of the scene world")
    pose = (item.kind, item.variant, item.angle, item.flip, w, h)
    if item.color == MULTICOLOR:
        rgba = _fitted("rgba", *pose)
        return rgba[..., :3].astype(np.float32), rgba[..., 3]
    color = _named(item, rng)
    if item.style in ("word", "sign"):
        return _printed(item, w, h, color)
    if item.style in ("tint", "sticker", "glyph"):
        tone = _fitted("tone", *pose)
        return _tint(tone[..., 0], color), tone[..., 1]
    if item.style == "outline":
        line = _fitted("line", *pose)
        # Lines in a dark shade of the colour itself, so that it keeps its name; a black thing gets
        # grey lines.
        brightness = float(color.mean())
        pen = color * (0.5 if brightness > 200 else 0.3) if brightness > 70 else np.float32(150)
        strength = line[..., :1].astype(np.float32) * (0.9 / 255)
        return color + strength * (pen - color), line[..., 1]
    if item.style not in ("flat", "shape", "block"):
        raise InputError(f"object {item.kind!r}: no style {item.style!r}")
    alpha = _fitted("rgba", *pose)[..., 3]
    rgb = np.broadcast_to(color, (h, w, 3)).copy()
    if item.style == "block":  # an edge line, so that equal blocks in a stack can be counted
        edge = color * 0.65 if color.mean() > 70 else color + 70
        rgb[[0, -1]], rgb[:, [0, -1]] = edge, edge
    elif item.style == "shape" and rng.random() < 0.4:  # light from above
        rgb *= np.linspace(1.08, 0.88, h, dtype=np.float32)[:, None, None]
    return rgb, alpha


def _rim(alpha: Alpha, reach: int) -> Alpha:
    """Coverage of the object and a rim of `reach` pixels around it: [h + 2 reach, w + 2 reach]."""
    from PIL import Image, ImageFilter

    framed = Image.new("L", (alpha.shape[1] + 2 * reach, alpha.shape[0] + 2 * reach), 0)
    framed.paste(Image.fromarray(alpha), (reach, reach))
    # A box blur scaled up until its faint edge is solid: a dilation with round corners, faster than a
    # rank filter.
    spread = np.asarray(framed.filter(ImageFilter.BoxBlur(reach)), np.uint16) * (2 * reach + 1)
    grown: Alpha = np.maximum(np.minimum(spread, 255).astype(np.uint8), np.asarray(framed))
    return grown


# ---- composition ---------------------------------------------------------------------------------


def _window(x: int, y: int, w: int, h: int, width: int, height: int) -> tuple[slice, slice, slice, slice]:
    """Rows and columns of the canvas under a patch at (x, y), and the patch's own rows and columns there."""
    x1, y1, x2, y2 = max(0, x), max(0, y), min(width, x + w), min(height, y + h)
    x2, y2 = max(x1, x2), max(y1, y2)
    return slice(y1, y2), slice(x1, x2), slice(y1 - y, y2 - y), slice(x1 - x, x2 - x)


def _blend(canvas: Pixels, rgb: Floats | float, alpha: Alpha, x: int, y: int) -> None:
    """Lay colours over the canvas at (x, y), in place; what falls outside is cut."""
    rows, columns, r, c = _window(x, y, alpha.shape[1], alpha.shape[0], canvas.shape[1], canvas.shape[0])
    below = canvas[rows, columns].astype(np.float32)
    above = rgb if isinstance(rgb, float) else rgb[r, c]
    weight = (alpha[r, c].astype(np.float32) * np.float32(1 / 255))[..., None]
    canvas[rows, columns] = np.clip(below + (above - below) * weight + 0.5, 0, 255).astype(np.uint8)


def render(scene: Scene, photos: PhotoPool | None = None) -> Rendered:
    """Draw a scene: a pure function of the scene and the photographs.

    `photos` are used where the background is "photo"; without them a synthetic landscape takes their place.
    """
    height, width = scene.height, scene.width
    rng = np.random.default_rng(scene.seed)
    canvas = paint(scene, rng, photos)
    masks = np.zeros((len(scene.objects), height, width), np.bool_)
    windows = []
    for i, item in enumerate(scene.objects):
        x, y = round(item.box[0]), round(item.box[1])
        rgb, alpha = _patch(item, rng)
        h, w = alpha.shape
        rows, columns, r, c = _window(x, y, w, h, width, height)
        solid = alpha[r, c] >= 128
        cover, reach = alpha, 0
        rim = _rim_tone(item, rgb, alpha, canvas[rows, columns])
        if rim is not None:
            least, part = (2, 0.06) if item.style == "sticker" else (1, 0.02)
            reach = max(least, round(part * max(w, h)))
            cover = _rim(alpha, reach)
            _blend(canvas, rim, cover, x - reach, y - reach)
        _blend(canvas, rgb, alpha, x, y)
        if i:
            over = _window(x - reach, y - reach, cover.shape[1], cover.shape[0], width, height)
            masks[:i, over[0], over[1]] &= cover[over[2], over[3]] < 128
        masks[i, rows, columns] = solid
        windows.append((rows, columns, int(solid.sum())))
    seen = []
    for item, mask, (rows, columns, total) in zip(scene.objects, masks, windows, strict=True):
        shown = mask[rows, columns]  # nothing of it lies outside, and small arrays are quick to scan
        left = int(shown.sum())
        x1, y1, x2, y2 = mask_box(shown)
        x, y = (columns.start, rows.start) if left else (0, 0)
        box = (x1 + x, y1 + y, x2 + x, y2 + y)
        seen.append(replace(item, box=box, visible=left / total if total else 0.0))
    return Rendered(_degrade(canvas, scene, rng), masks, replace(scene, objects=tuple(seen)))


def _rim_tone(item: SceneObject, rgb: Floats, alpha: Alpha, below: Pixels) -> float | None:
    """Grey level of the rim that an object needs: white for stickers (grey for a white one), black or white where it would melt
    into what is below, None where it stands out by itself."""
    if item.style == "sticker":
        return 70.0 if item.color == "white" else 252.0
    if not below.size or item.style == "block" or item.group is not None:
        return None
    own = np.asarray(COLORS[item.color], np.float32) if item.color in COLORS else rgb[alpha >= 128].mean(0)
    if float(np.sqrt(((below.reshape(-1, 3).mean(0) - own) ** 2).sum())) > _CONTRAST:
        return None
    return 250.0 if float(own.mean()) < 140 else 20.0


@lru_cache(maxsize=1)
def _noise_pool() -> Floats:
    """Standard normal values to cut noise from: drawing them anew would cost as much as half a scene."""
    return np.random.default_rng(20240229).standard_normal((512, 512, 3), np.float32)


def _degrade(canvas: Pixels, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Blur, then pixel noise."""
    if scene.blur > 0.05:
        from PIL import Image, ImageFilter

        canvas = np.asarray(Image.fromarray(canvas).filter(ImageFilter.GaussianBlur(scene.blur)))
    if scene.noise > 0.05:
        h, w = canvas.shape[:2]
        if h < 448 and w < 448:
            y, x = int(rng.random() * (512 - h)), int(rng.random() * (512 - w))
            grain = _noise_pool()[y : y + h, x : x + w]
        else:
            grain = rng.standard_normal((h, w, 3), np.float32)
        canvas = np.clip(canvas + grain * np.float32(scene.noise) + 0.5, 0, 255).astype(np.uint8)
    return canvas
