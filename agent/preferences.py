"""Preference pairs for the starter core MLLM: its own answers about training scenes, judged by truth or by verification.

    sightline train pairs --config mllm/configs/starter-pairs.yaml

Two sources. *Truth*: of several sampled answers to one prompt the best is preferred to the greedy answer where that is worse,
and to the sampled answer most like it that is worse, so that a pair differs in little but the fault. *Verification*: a greedy
caption that `verify` changed is rejected, the corrected text chosen; no truth is looked at.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..mllm.data.conversation import IMAGE
from ..mllm.scenes.describe import place
from ..mllm.scenes.questions import TASKS, make_turns
from ..mllm.scenes.render import render
from ..mllm.scenes.schema import Scene, Turn
from ..mllm.scenes.view import SURE, View
from ..mllm.scenes.vocabulary import KINDS
from ..mllm.scenes.world import make_scene, split_seed
from ..mllm.stock.pairs import Pair
from ..tools.imagefile import write_whole
from .oracle import is_called
from .verification.claims import extract
from .verification.scene_truth import truth

if TYPE_CHECKING:
    from ..mllm.answerer import Answerer, Reply, Seen
    from ..programs.engine import Engine

MISSED = 0.5  # what a thing left out of a caption costs; a false claim costs 1
_PLACED = re.compile(
    r'There is an? ([^".]+?)(?: that says "[^"]*")? '
    r"((?:at the (?:top|bottom)(?: left| right)?|on the (?:left|right)|in the middle))\."
)
_AT_ONCE = 32  # scenes looked at and asked about together
_CAPTION_TOKENS, _ANSWER_TOKENS = 120, 48


@dataclass
class PairsPlan:
    """How many pairs to make, of what. Paths are taken from the folder where the command is given."""

    output: str  # .jsonl file to write
    model: str  # folder of the starter whose answers are judged
    pack: str = "scenes"  # models that verification looks with
    seed: int = 1  # of prompts and samples
    stream: int = 9001  # of the training split; `verified` takes the next
    threads: int = 1
    scenes: int = 600  # scenes asked about, for pairs judged by truth
    samples: int = 5  # answers sampled to a prompt, beside the greedy one
    temperature: float = 1.0
    captions: int = 2  # prompts for a caption a scene
    questions: int = 2  # other questions a scene
    tasks: dict[str, float] = field(default_factory=dict)  # how often each is asked; empty: all alike
    verified: int = 400  # scenes whose greedy caption is verified


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing asked about a training scene."""

    name: str  # of the picture, as a pair names it
    scene: Scene
    text: str
    turn: Turn | None  # None: a caption, judged by its claims


def caption_faults(text: str, scene: Scene) -> float:
    """What is wrong with a caption: false claims and places, things told more often than they are there, things left out.

    Half-hidden things may be told or not.
    """
    found = extract(text)
    wrong = sum(truth(claim, found, scene) is False for claim in found.claims) + misplaced(text, scene)
    told: Counter[str] = Counter()
    for entity in found.entities:  # more than the claims: none says that a word or an arrow is there
        if not entity.denied:
            told[entity.name] += entity.number or 1
    claimed = {claim.entities[0] for claim in found.claims if claim.kind == "existence" and claim.entities}
    wrong += sum(name in KINDS and name not in claimed and not _there(name, scene) for name in told)
    surplus = sum(max(0, n - _there(name, scene)) for name, n in told.items() if _there(name, scene))
    missed = 0
    for kind, n in Counter(o.kind for o in scene.objects if o.visible >= SURE).items():
        item = next(o for o in scene.objects if o.kind == kind)
        missed += max(0, n - sum(times for name, times in told.items() if is_called(item, name)))
    return wrong + surplus + MISSED * missed


def misplaced(text: str, scene: Scene) -> int:
    """How many sentences of a detailed caption put a thing where nothing of its name is."""
    view, wrong = View(scene), 0
    for said in _PLACED.finditer(text):
        items = [i for i, o in enumerate(scene.objects) if is_called(o, said.group(1))]
        wrong += bool(items) and all(place(view, i, "en") != said.group(2) for i in items)
    return wrong


def _there(name: str, scene: Scene) -> int:
    return sum(is_called(o, name) for o in scene.objects)


@cache
def caption_prompts(seed: int = 0, scenes: int = 250) -> tuple[str, ...]:
    """The wordings in which a caption is asked for in training, short and detailed, as met in so many scenes."""
    found: dict[str, None] = {}
    for index in range(scenes):
        scene = make_scene(split_seed("train", seed, index))
        for turn in make_turns(
            scene, Random(f"prompts/{seed}/{index}"), tasks=("caption",) * 4, language="en"
        ):
            if turn.form in ("caption.short", "caption.detail"):
                found[turn.question] = None
    return tuple(found)


def prompts_of(plan: PairsPlan, name: str, scene: Scene, rng: Random) -> list[Prompt]:
    """What a scene is asked: some captions, and questions of the plan's tasks."""
    asked = [Prompt(name, scene, text, None) for text in rng.sample(caption_prompts(), plan.captions)]
    weights = plan.tasks or dict.fromkeys((t for t in TASKS if t != "caption"), 1.0)
    names = rng.choices(list(weights), list(weights.values()), k=3 * plan.questions)
    turns = [t for t in make_turns(scene, rng, tasks=names) if not t.words_only][: plan.questions]
    return [*asked, *(Prompt(name, scene, turn.question, turn) for turn in turns)]


def judge(prompt: Prompt, reply: Reply) -> float:
    """How good an answer is; the higher the better."""
    if prompt.turn is None:
        return -caption_faults(reply.text, prompt.scene)
    from ..mllm.evaluation.scenes import score

    return score(prompt.turn, reply)


def choose(candidates: Mapping[str, float], greedy: str) -> list[tuple[str, str]]:
    """(chosen, rejected) among raw answers and how good they are: the best against the greedy one and against its like.

    Args:
        candidates: raw answer -> its score; the greedy one first, which is preferred among equals.
        greedy: the greedy answer; '' where it was not finished.
    """
    if not candidates:
        return []
    best = max(candidates, key=lambda raw: candidates[raw])
    worse = [raw for raw, score in candidates.items() if score < candidates[best]]
    if not worse:
        return []
    like = max(
        worse, key=lambda raw: SequenceMatcher(None, best.split(), raw.split(), autojunk=False).ratio()
    )
    return [(best, raw) for raw in dict.fromkeys([greedy, like]) if raw in worse]


def sampled_pairs(answerer: Answerer, plan: PairsPlan, done: int = 0) -> Iterator[list[Pair]]:
    """Pairs of sampled answers, judged by the scenes' ground truth; a list for each part of the scenes after `done`."""
    import torch

    from ..mllm.training.preferences import scene_name

    for part in _parts(plan.scenes, done):
        made: list[Pair] = []
        prompts: list[Prompt] = []
        drawn = [render(make_scene(split_seed("train", plan.stream, index))) for index in part]
        for index, picture in zip(part, drawn, strict=True):
            rng = Random(f"pairs/{plan.seed}/{index}")
            prompts += prompts_of(plan, scene_name(plan.stream, index), picture.scene, rng)
        looked = answerer.look([picture.image for picture in drawn])
        seen = {scene_name(plan.stream, i): one for i, one in zip(part, looked, strict=True)}
        # Captions with captions: a batch goes on until its longest answer ends.
        for kind in (True, False):
            some = [p for p in prompts if (p.turn is None) == kind]
            tokens = _CAPTION_TOKENS if kind else _ANSWER_TOKENS
            first = ask(answerer, some, seen, tokens)
            torch.manual_seed(plan.seed * 1_000_003 + part[0] * 2 + kind)
            more = ask(
                answerer, [p for p in some for _ in range(plan.samples)], seen, tokens,
                do_sample=True, temperature=plan.temperature, top_k=0,
            )  # fmt: skip
            for i, prompt in enumerate(some):
                replies = [first[i], *more[i * plan.samples : (i + 1) * plan.samples]]
                whole = {raw_text(answerer, r): r for r in replies if r.text and len(r.ids) < tokens}
                scores = {raw: judge(prompt, reply) for raw, reply in whole.items()}
                # A rationale and no answer after it, or the other way round, is no like of the best.
                scores = {raw: value for raw, value in scores.items() if raw.count("<answer>") == 1}
                for n, (chosen, rejected) in enumerate(choose(scores, raw_text(answerer, first[i]))):
                    made.append(
                        pair_of(f"truth/{plan.stream}/{part[0]}/{kind:d}/{i}/{n}", prompt, chosen, rejected)
                    )
        yield made


def _parts(count: int, done: int) -> Iterator[range]:
    for start in range(done * _AT_ONCE, count, _AT_ONCE):
        yield range(start, min(count, start + _AT_ONCE))


def pair_of(name: str, prompt: Prompt, chosen: str, rejected: str) -> Pair:
    """The pair as it is stored; a region is written as a box into the question."""
    from ..mllm.boxes import BoxCodec

    text = prompt.text
    if prompt.turn is not None and prompt.turn.region is not None:
        box = BoxCodec("plain").encode([prompt.turn.region], prompt.scene.width, prompt.scene.height)
        text = text.replace("<region>", box) if "<region>" in text else f"{text} {box}"
    return Pair(name, (prompt.name,), ({"role": "user", "content": f"{IMAGE}\n{text}"},), chosen, rejected)


def ask(
    answerer: Answerer, prompts: Sequence[Prompt], seen: Mapping[str, Seen], tokens: int, **generation: Any
) -> list[Reply]:
    """Answers with their rationales."""
    from ..mllm.answerer import Question

    asked = [Question(p.text, (seen[p.name],), p.turn.region if p.turn else None) for p in prompts]
    return answerer.ask(asked, max_new_tokens=tokens, **generation)


def raw_text(answerer: Answerer, reply: Reply) -> str:
    """Everything that was written, pointers and the mark between rationale and answer included."""
    return str(answerer.processor.tokenizer.decode(reply.ids)).strip()


def verified_pairs(
    answerer: Answerer, engine: Engine, plan: PairsPlan, done: int = 0
) -> Iterator[list[Pair]]:
    """Greedy captions that verification changed: the corrected text is chosen, the draft rejected; part by part."""
    from ..mllm.training.preferences import scene_name
    from ..tools.values import Image
    from .verification.verify import verify

    for part in _parts(plan.verified, done):
        made: list[Pair] = []
        drawn = [render(make_scene(split_seed("train", plan.stream + 1, index))) for index in part]
        names = [scene_name(plan.stream + 1, index) for index in part]
        looked = dict(zip(names, answerer.look([picture.image for picture in drawn]), strict=True))
        prompts = [
            Prompt(
                name, picture.scene, Random(f"verified/{plan.seed}/{name}").choice(caption_prompts()), None
            )
            for name, picture in zip(names, drawn, strict=True)
        ]
        for prompt, picture, reply in zip(
            prompts, drawn, ask(answerer, prompts, looked, _CAPTION_TOKENS), strict=True
        ):
            if not reply.text or len(reply.ids) >= _CAPTION_TOKENS:
                continue
            result = verify(Image.from_array(picture.image, source=prompt.name), reply.text, engine=engine)
            texts = corrected(raw_text(answerer, reply), reply.text, result.text) if result.edits else None
            if texts is not None:
                made.append(pair_of(f"verified/{prompt.name}", prompt, *texts))
        yield made


def corrected(raw: str, draft: str, text: str) -> tuple[str, str] | None:
    """(chosen, rejected): a raw answer with its draft replaced by the corrected text, the rationale before it kept.

    Where the answer points or reads, both are given in plain words, so that they differ in the edits alone. None where
    nothing is left to say.
    """
    if not text.strip() or text.strip() == draft.strip():
        return None
    thought, mark, answer = raw.rpartition("<answer>")
    plain = re.sub(r" {2,}", " ", answer).strip()
    rejected = answer.strip() if plain == draft else draft
    return f"{thought}{mark} {text.strip()}", f"{thought}{mark} {rejected}"


def write_starter_pairs(plan: PairsPlan, say: Callable[[str], None] = print) -> dict[str, int]:
    """Make the pairs of a plan and write them; how many of each source. The same plan and model give the same file.

    What is made stands in `OUTPUT.part` until all is; the same plan given again goes on from there.
    """
    import torch

    from ..mllm.answerer import Answerer
    from ..programs.engine import Engine
    from ..tools.models import Models

    unknown = [task for task in plan.tasks if task not in TASKS]
    if unknown or plan.samples < 1 or plan.temperature <= 0:
        raise InputError(
            f"no task {unknown[0]!r}; there are {', '.join(TASKS)}"
            if unknown
            else "pairs need `samples` of 1 or more and a `temperature` above 0"
        )
    torch.set_num_threads(plan.threads)
    answerer = Answerer.load(plan.model)
    began = Path(f"{plan.output}.part")
    lines = _begun(began, asdict(plan))
    done = Counter(line["part"] for line in lines if "part" in line)
    makers: dict[str, Callable[[int], Iterator[list[Pair]]]] = {
        "truth": lambda n: sampled_pairs(answerer, plan, n),
        "verified": lambda n: verified_pairs(answerer, Engine(Models.from_pack(plan.pack)), plan, n),
    }
    began.parent.mkdir(parents=True, exist_ok=True)
    with open(began, "w", encoding="utf-8") as file:
        for line in [{"plan": asdict(plan)}, *lines]:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        for source, maker in makers.items():
            for made in maker(done[source]):
                told = [pair.to_json() for pair in made] + [{"part": source}]
                lines += told
                file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in told))
                file.flush()
                say(f"{source}: {sum('chosen' in line for line in lines)} pairs so far")
    pairs = [line for line in lines if "chosen" in line]
    if not pairs:
        raise InputError("no two answers were told apart; take more scenes or samples")
    text = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
    write_whole(Path(plan.output), text.encode())
    began.unlink()
    counts = Counter(str(pair["id"]).split("/")[0] for pair in pairs)
    say(f"{plan.output}: " + ", ".join(f"{n} pairs by {source}" for source, n in counts.items()))
    return dict(counts)


def _begun(path: Path, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a file that an earlier run of the same plan left, up to the end of its last whole part."""
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break  # the line that was being written
    if not lines or lines[0].get("plan") != plan:
        return []
    ends = [n for n, line in enumerate(lines) if "part" in line]
    return lines[1 : ends[-1] + 1] if ends else []
