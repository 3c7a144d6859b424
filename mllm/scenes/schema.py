"""The records that describe one scene: what was drawn, where, and how much of it can be seen."""

from __future__ import annotations

from dataclasses import dataclass, field

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the scene, x2 and y2 exclusive


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One thing in a scene. `box` is the extent of its *visible* pixels once rendered (the drawn extent before)."""

    kind: str  # singular English noun, e.g. "dog", "circle", "block"
    category: str  # its hypernym in the world, e.g. "animal", "shape", "vehicle"
    color: str  # one of the world's colour names; "multicolor" where a pictogram keeps its own colours
    size: str  # "small", "medium" or "large"
    box: Box
    style: str = (
        "glyph"  # how it is drawn: "glyph", "flat", "outline", "sticker", "shape", "block", "word", ...
    )
    word: str | None = None  # the printed word, for signs and labels
    angle: float = 0.0  # degrees, counter-clockwise
    visible: float = 1.0  # fraction of its drawn pixels that no later object covers
    variant: int = 0  # which sprite of the kind; which font, for a sign or word
    flip: bool = False  # mirrored left to right
    group: str | None = None  # name of the Group that holds it


@dataclass(frozen=True, slots=True)
class Group:
    """A container of a layout: a grey box or a tower. Its members are the objects whose `group` is its name."""

    name: str  # "box 1", "tower 2", ... numbered from the left
    kind: str  # "box" or "tower"
    box: Box  # its extent as drawn


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene before pixels: objects in drawing order (later ones cover earlier ones)."""

    seed: int
    width: int
    height: int
    objects: tuple[SceneObject, ...]
    background: str = "plain"  # "plain", "gradient", "texture", "photo" or "boxes" (the grey boxes of NLVR)
    noise: float = 0.0  # standard deviation of the pixel noise, 0-255 scale
    blur: float = 0.0  # Gaussian sigma in pixels
    extra: dict[str, str] = field(default_factory=dict)  # facts of a layout: group name -> "box" or "tower"
    layout: str = "scattered"  # "scattered", "grid", "words", "towers" or "boxes"
    groups: tuple[Group, ...] = ()  # containers of the layouts "towers" and "boxes", from the left


@dataclass(frozen=True, slots=True)
class Turn:
    """One question about one or more scenes, with its exact answer.

    `boxes` are the regions that the answer stands on (what a rationale points at, and what grounding must give);
    `region` is a box the question itself speaks of; `words_only` marks a question answerable without the picture
    (a planner request, for one). In `question`, `<region>` stands where `region` is spoken of (a box; a point where
    x1 == x2 and y1 == y2); in `answer` and `rationale`, `<box:i>` stands for `boxes[i]`, to be written by a box codec.
    """

    task: str  # "existence", "count", "color", ... one of mllm.scenes.questions.TASKS
    question: str
    answer: str
    boxes: tuple[Box, ...] = ()
    region: Box | None = None
    rationale: str | None = None  # the steps in words, before the answer
    language: str = "en"
    phrasing: int = 0  # which template, so that held-out phrasings can be told apart
    nouns: tuple[str, ...] = ()  # nouns of the question that name kinds or categories, for the match loss
    # Where the question names things: (first character, end, indices of the scene objects so named; of the second
    # scene too, counted on from the first). An empty tuple of indices: nothing in the picture is called that.
    mentions: tuple[tuple[int, int, tuple[int, ...]], ...] = ()
    objects: tuple[int, ...] = ()  # the scene object behind each of `boxes`, counted like those of `mentions`
    words_only: bool = False
    form: str = ""  # the family of templates, e.g. "relation.which"
    pictures: int = 1  # how many scenes the question is about
