"""Example pictures: what each is called, which pack it is for, what one may ask of it, and its buttons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

FOLDER = Path(__file__).resolve().parent.parent / "examples"
_SIDE = (192, 128)  # pixels of a thumbnail
UPLOADED = ("How many people are there?", "What does it say?", "Blur the faces.")  # asked of any photograph
DRAWN = ("How many things are there?", "What does the sign say?", "Is there a dog?")  # of any drawn scene
MARKED = ("What is this?", "What color is this?", "How many like this?")  # of a marked thing


@dataclass(frozen=True, slots=True)
class Example:
    """One example picture."""

    path: Path
    words: str
    pack: str
    questions: tuple[str, ...]
    thumbnail: Path | None = None


_ALL = (
    Example(
        FOLDER / "scene.png", "A drawn scene", "scenes",
        ("How many dogs are there?", "What does the sign say?", "Is the cat right of the dog?"),
    ),
    Example(FOLDER / "zidane.jpg", "Two men", "starter", ("How many people are there?", "Blur the faces.", "Put an emoji on the faces.")),
    Example(FOLDER / "page.png", "A printed page", "starter", ("What does it say?", "Read the text.")),
    Example(FOLDER / "astronaut.jpg", "An astronaut", "starter", ("How many faces are there?", "Blur the face.")),
)  # fmt: skip


def examples(folder: Path) -> list[Example]:
    """The example pictures, where the repository's folder is there (an installed wheel has none), thumbnails in `folder`."""
    from dataclasses import replace

    import PIL.Image
    import PIL.ImageOps

    found = [example for example in _ALL if example.path.is_file()]
    small = folder / "examples"
    small.mkdir(parents=True, exist_ok=True)
    out = []
    for example in found:
        path = small / f"{example.path.stem}.jpg"
        with PIL.Image.open(example.path) as picture:
            PIL.ImageOps.fit(picture.convert("RGB"), _SIDE).save(path, quality=85)
        out.append(replace(example, thumbnail=path))
    return out


def example_buttons(shown: Sequence[Example], name: str) -> list[gr.Button]:
    """A button with a thumbnail for each, in a row of its own."""
    with gr.Row(elem_id=name, elem_classes="sl-examples", visible=bool(shown)):
        return [gr.Button(e.words, size="sm", icon=e.thumbnail, min_width=70) for e in shown]
