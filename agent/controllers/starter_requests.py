"""What the starter is asked to plan: the question in the forms of its training, a mark as coordinates or a stand-in noun.

The starter was trained on requests that stand alone and that give places as numbers ("what is at (120, 80)?"). So "what is
this?" becomes that, "how many like this?" names the thing that was seen at the mark, and in anything else ("is it left of
the bus?") the words for the marked thing become a noun, whose search in the program is then replaced by the mark itself.

For "what is this?" the starter plans a look at the cut-out. Where the detector saw a thing there, the program asks for its name
instead: of 160 marked things it named 95% and the look at the cut-out 58% (`benchmarks/pointing.py --namers`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...programs.syntax import Literal, Name, Program, Step
from ...tools.color import COLOR_NAMES
from ..errors import CannotError
from ..language import chinese_things, language_of, noun_in_chinese, thing_in_english
from ..marks import covering_steps, covers, middle, place, step
from ..planner_data.lexicon import english_plural
from ..records import Mark, Request

STAND_IN = "object"  # the noun for a marked thing whose name is not known

_NAME = {
    "en": re.compile(
        r"^(?:(?:what|which(?: thing| object)?) ?(?:is|'s|was|are) (?:this|that|it|here|there)(?: thing| object)?"
        r"|what (?:do|did) i (?:click|mark|point|select)\w*(?: on| at)?(?: here)?"
        r"|(?:name|identify) (?:this|that|it)(?: thing| object)?)[?.! ]*$"
    ),
    "zh": re.compile(
        r"^(?:(?:这|那|它|这里|那里|这个|那个)是?(?:什么|啥)(?:东西|物体)?|这是个?什么(?:东西)?)[？?。 ]*$"
    ),
}
_LIKE = {
    "en": re.compile(
        r"\b(?:(?:things?|objects?|ones?|others?) )?"
        r"(?:like (?:this|that|it|these)(?: (?:one|thing|object)s?)?|of (?:this|that|the same) (?:kind|sort|type)|of (?:these|those|them)"
        r"(?: (?:things|objects|ones))?|such (?:things|objects))\b"
    ),
    "zh": re.compile(r"(?:像)?(?:这样|那样|这种|那种|这类|那类)(?:的)?(?:东西|物体)?"),
}  # fmt: skip
_THIS = {
    "en": re.compile(
        r"\b(?:(?:this|that|the (?:clicked|marked|selected|highlighted)) (?:thing|object|one|region|area)"
        r"|(?:the (?:thing|object) )?(?:that )?i (?:clicked|marked|selected|pointed at)|this|it|that)\b"
    ),
    "zh": re.compile(r"(?:这|那)(?:个)?(?:东西|物体)|它|这个|那个|这里|那里|这"),
}


_IS_A = {
    "en": re.compile(
        r"^(?:is|was) (?:this|that|it)(?: thing| object)? (?P<a>an? )(?P<what>[a-z][a-z -]{1,40}?)[?. ]*$"
    ),
    "zh": re.compile(
        r"^(?:这|那|它)个?(?:东西|物体)?(?:是不是|是)一?[个只条辆匹头把张朵架艘棵]?(?P<what>[^的什么谁哪啥色]{1,8}?)吗?[？?。 ]*$"
    ),
}
MOST_CHARACTERS = 400  # of a question; its training had none of half that length


@dataclass(frozen=True, slots=True)
class Asked:
    """What goes to the planner; where `noun` is set, the program's search for it stands for the mark; where `name` is, the
    program's look at the mark becomes the name of what was seen there; where `covers` is, only those things that it looks for
    first count that cover the mark.
    """

    text: str
    noun: str = ""
    mark: Mark | None = None
    picture: str = "IMAGE"
    name: bool = False
    covers: bool = False


def points_at_something(question: str) -> bool:
    """Whether a question speaks of a marked thing ("this", "it", "like this") rather than of the picture."""
    language = language_of(question)
    low = question.lower()
    return any(table[language].search(low) for table in (_NAME, _LIKE, _THIS))


_BEYOND = re.compile(
    r"\b(?:left|right|above|below|under|over|near|nearest|next|beside|behind|between|than|other|others|same|both|all)\b"
    r"|[左右上下旁]边|[上下]方|[上下]面|旁|比|其他|别的|一样",
    re.IGNORECASE,
)


def asks_beyond(question: str) -> bool:
    """Whether a question about a marked thing asks for more than the thing itself shows: others like it, or where it is."""
    language = language_of(question)
    return _LIKE[language].search(question.lower()) is not None or _BEYOND.search(question) is not None


def said_for_planning(request: Request) -> Asked:
    """The request in the forms that the starter was trained on.

    Raises:
        CannotError: the question asks for things like the marked one, and nobody could name that.
    """
    text, mark = request.asked, request.mark
    if len(text) > MOST_CHARACTERS:
        raise CannotError(
            f"the starter reads questions of {MOST_CHARACTERS} characters at most; ask in fewer words"
        )
    if text.isupper() and language_of(text) == "en":
        text = text.lower()  # it was trained on sentences, and letters of one height make other tokens
    if mark is None:
        return Asked(text)
    language = language_of(text)
    low = text.lower()
    at = place(mark)
    if _NAME[language].match(low.strip()):
        picture = request.picture_names[mark.picture]
        if request.marked and (spot := middle(mark)) is not None:
            at = f"({spot[0]:.0f}, {spot[1]:.0f})"
        said = f"what is at {at}?" if language == "en" else f"{at}是什么？"
        return Asked(said, name=bool(request.marked), mark=mark, picture=picture)
    if (kind := _IS_A[language].match(low.strip())) is not None and _is_kind(kind["what"]):
        what = kind["what"].strip()
        said = f"is there {kind['a']}{what}?" if language == "en" else f"图中有{what}吗？"
        return Asked(said, mark=mark, picture=request.picture_names[mark.picture], covers=True)
    if _LIKE[language].search(low):
        if not request.marked:
            raise CannotError("nothing that can be named was seen at the mark; say what to look for")
        return Asked(_like(low, request.marked, language))
    if not _THIS[language].search(low):
        return Asked(text)
    noun = request.marked or STAND_IN
    said = f"the {noun}" if language == "en" else (noun_in_chinese(noun) or noun)
    return Asked(_THIS[language].sub(said, low, count=1), noun, mark, request.picture_names[mark.picture])


def _is_kind(what: str) -> bool:
    """Whether the words name a kind of thing, and do not end in a colour ("a dark red") or in "one"."""
    last = what.split()[-1:]
    return bool(last) and last[0] not in (*COLOR_NAMES, "one", "thing", "object", "东西", "物体")


def _like(low: str, noun: str, language: str) -> str:
    if language == "zh":
        return _LIKE["zh"].sub(noun_in_chinese(noun) or noun, low, count=1)
    many = english_plural(noun)
    text = _LIKE["en"].sub(many, low, count=1)
    if re.match(rf"^how many {re.escape(many)}[?. ]*$", text):
        return f"how many {many} are there?"
    return text


def translated(program: Program, question: str) -> Program:
    """The program for a Chinese question with its things under the English names that the dictionary has for them.

    The starter gets a program's form right more often than a name that it has to translate. Where the question names as
    many things as the program looks for, the dictionary's names stand, in the order of the question; else only names that
    were left in Chinese are translated.
    """
    if language_of(question) != "zh":
        return program
    program = Program(tuple(_in_chinese(item) for item in program.steps))
    sought = [
        item
        for item in program.steps
        if item.op == "LOC" and isinstance(item.arguments.get("object"), Literal)
    ]
    said = chinese_things(question)
    if len(sought) == 1 and len(set(said)) == 1:
        said = said[:1]
    fits = len(said) == len(sought)
    renamed: dict[str, Step] = {}
    for item, name in zip(sought, said if fits else [None] * len(sought), strict=True):
        written = str(item.arguments["object"].value)  # type: ignore[union-attr]
        english = name or thing_in_english(written) or written
        arguments = tuple((k, Literal(english) if k == "object" else v) for k, v in item.args)
        renamed[item.name] = Step(item.name, item.op, arguments)
    return Program(tuple(renamed.get(item.name, item) for item in program.steps))


def _in_chinese(item: Step) -> Step:
    """A caption, which the core MLLM writes in English, as the question that it answers in Chinese."""
    if item.op != "CAPTION":
        return item
    return Step(item.name, "VQA", (*item.args, ("question", Literal("描述这张图片。"))))


def mend(program: Program, asked: Asked) -> Program:
    """The program with its search for the stand-in noun replaced by the mark, or its look at the mark by a name.

    Raises:
        CannotError: the program does not look for it.
    """
    if asked.name and asked.mark is not None:
        if not any(item.op in ("SEGMENT", "CROP", "VQA") for item in program.steps):
            raise CannotError("the plan does not look at what was pointed at")
        return Program(tuple(covering_steps(asked.mark, asked.picture)))
    if asked.covers and asked.mark is not None:
        return _covering(program, asked)
    if asked.mark is None or not asked.noun:
        return program
    made: list[Step] = []
    taken = {item.name for item in program.steps}
    found = False
    for item in program.steps:
        arguments = item.arguments
        sought = arguments.get("object")
        if not found and item.op == "LOC" and isinstance(sought, Literal) and _is(sought.value, asked.noun):
            found = True
            number = next(n for n in range(len(taken) + 1) if f"OBJ{n}" not in taken)
            made.append(step(f"OBJ{number}", asked.mark, asked.picture))
            # FILTER without a condition makes one region a list of one, as LOC's result would be
            made.append(Step(item.name, "FILTER", (("object", Name(f"OBJ{number}")),)))
        else:
            made.append(item)
    if not found:
        raise CannotError("the plan does not speak of what was pointed at")
    return Program(tuple(made))


def _covering(program: Program, asked: Asked) -> Program:
    """The program with its first search left with what covers the mark.

    Raises:
        CannotError: the program looks for nothing.
    """
    assert asked.mark is not None
    steps = list(program.steps)
    at = next((n for n, item in enumerate(steps) if item.op == "LOC"), None)
    if at is None:
        raise CannotError("the plan does not look for what was asked about the mark")
    taken = {item.name for item in steps}
    new = next(f"BOX{n}" for n in range(len(steps) + 1) if f"BOX{n}" not in taken)
    kept = Step(steps[at].name, "FILTER", (("object", Name(new)), ("where", Literal(covers(asked.mark)))))
    steps[at : at + 1] = [Step(new, "LOC", steps[at].args), kept]
    return Program(tuple(steps))


def _is(value: object, noun: str) -> bool:
    return isinstance(value, str) and value.lower() in (noun.lower(), english_plural(noun).lower())
