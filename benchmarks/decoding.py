"""Against hallucination, side by side: decoding, alignment, verification and their combinations, for the starter core MLLM.

    python -m benchmarks.decoding [--pictures 120] [--stream 11] [--aligned runs/align/model] [--out FILE] [--json]

The starter speaks about held-out scenes (split test): a caption of each, short and detailed by turns, and a sentence on how two
things stand to each other, made of its answer to "left or right?". Each claim is held against the scene. Arms: greedy; sampling
at temperature 1; the same behind VCD's plausibility mask alone; visual contrastive decoding, sampled as its authors do and greedy
(the mask alone changes nothing in greedy decoding: the likeliest token always passes it). Each with the starter as it ships and, with
`--aligned`, as preference training left it; each as it is and verified. Differences are to the first arm, over the same pictures.

Then POPE's questions on the same scenes, answered at once: the same decodings, and both at a matched yes-ratio of one half, where a
method can no longer win by saying yes or no more often.

Milliseconds are processor time of one thread: looking (for VCD twice) and writing, and for verified arms also verifying.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from sightline import verify
from sightline.agent.verification.claims import extract
from sightline.agent.verification.live import kinds_of
from sightline.agent.verification.live import questions as pope_questions
from sightline.agent.verification.scene_truth import KINDS, Drawn, scenes, truth
from sightline.mllm.answerer import Answerer, Question, Seen
from sightline.mllm.evaluation.bootstrap import interval, ratio
from sightline.mllm.evaluation.hallucination import pope
from sightline.mllm.evaluation.scenes import named_kinds, normal
from sightline.mllm.scenes import vocabulary
from sightline.mllm.scenes.relations import direction, side_of
from sightline.mllm.scenes.view import View
from sightline.programs.engine import Engine
from sightline.tools.models import Models

SHIPPED = Path(__file__).resolve().parents[1] / "mllm" / "weights" / "starter"
ALPHA, BETA, NOISE = 1.0, 0.1, 500  # VCD's own
DECODINGS = ("greedy", "sampled", "sampled, mask only", "sampled, VCD", "greedy, VCD")
CAPTIONS = ("Describe the image briefly.", "Describe the picture in detail.")
_SIDES = {"left of": "to the left of", "right of": "to the right of", "above": "above", "below": "below"}


@dataclass
class Spoken:
    """One response: its text, how it counts, and what it cost."""

    text: str
    ms: float
    false: Counter[str] = field(default_factory=Counter)
    true: int = 0
    harmed: int = 0  # true claims that verification called contradicted
    named: int = 0  # kinds in plain view that it names
    there: int = 0  # kinds in plain view

    @property
    def words(self) -> int:
        return len(self.text.split())


def judged(text: str, ms: float, drawn: Drawn, caption: bool) -> Spoken:
    """A text held against its scene. Only captions are asked what of the scene they name."""
    found = extract(text) if text.strip() else None
    told = [(c.kind, truth(c, found, drawn.scene)) for c in found.claims] if found is not None else []
    there = set(kinds_of(drawn)) if caption else set()
    return Spoken(
        text, ms, Counter(kind for kind, value in told if value is False), sum(value is True for _, value in told),
        named=len(there & set(named_kinds(text, "en"))), there=len(there),
    )  # fmt: skip


def relation_question(drawn: Drawn, seed: int) -> tuple[str, str, str] | None:
    """(question, one thing, another) on two things of which there is one each; None where nothing is decided."""
    view = View(drawn.scene)
    names = Counter(o.kind for o in drawn.scene.objects)
    single = [i for i in view.sure if names[view.objects[i].kind] == 1 and view.objects[i].category != "text"]
    Random(f"relation/{seed}/{drawn.scene.seed}").shuffle(single)
    for a, b in zip(single[::2], single[1::2], strict=False):
        one, two = view.objects[a], view.objects[b]
        where = direction(one.box, two.box, side_of(drawn.scene))
        if where in ("left of", "right of"):
            return f"Is the {one.kind} to the left or to the right of the {two.kind}?", one.kind, two.kind
        if where in ("above", "below"):
            return f"Is the {one.kind} above or below the {two.kind}?", one.kind, two.kind
    return None


def related(answer: str, one: str, two: str) -> str:
    """The sentence that an answer amounts to; '' where it is none of the four."""
    words = set(normal(answer).split())
    side = next((s for s in _SIDES if s.split()[0] in words), None)
    return f"The {one} is {_SIDES[side]} the {two}." if side else ""


def decoded(
    answerer: Answerer, questions: Sequence[Question], decoding: str, seed: int, tokens: int
) -> list[str]:
    """Answers under one way of decoding; a seed gives the same answers again."""
    import torch

    from sightline.mllm.decoding import PlausibilityMask

    given: dict[str, Any] = {}
    if decoding.startswith("sampled"):
        torch.manual_seed(seed)
        given = {"do_sample": True, "temperature": 1.0, "top_k": 0}
    if decoding.endswith("mask only"):
        given["logits_processor"] = [PlausibilityMask(BETA)]
    if decoding.endswith("VCD"):
        given["contrast"] = (ALPHA, BETA)
    return [r.text for r in answerer.ask(questions, max_new_tokens=tokens, **given)]


@dataclass
class Looked:
    """The pictures as a model sees them, plain and distorted, and what looking cost a picture."""

    plain: list[Seen]
    distorted: list[Seen]
    ms: tuple[float, float]

    @classmethod
    def of(cls, answerer: Answerer, pictures: Sequence[Drawn], seed: int) -> Looked:
        began = time.process_time()
        plain = answerer.look([d.image.pixels for d in pictures])
        middle = time.process_time()
        distorted = answerer.look([d.image.pixels for d in pictures], noise=NOISE, seed=seed)
        scale = 1e3 / len(pictures)
        return cls(plain, distorted, ((middle - began) * scale, (time.process_time() - middle) * scale))

    def question(self, at: int, text: str, mode: Any = "think") -> Question:
        return Question(text, (self.plain[at],), mode=mode, against=(self.distorted[at],))


def spoken(
    answerer: Answerer, looked: Looked, pictures: Sequence[Drawn], decoding: str, seed: int
) -> list[list[Spoken]]:
    """For each picture its responses under one way of decoding: the caption, and the relation where there is one."""
    asked = [(at, looked.question(at, CAPTIONS[at % 2])) for at in range(len(pictures))]
    relations = [(at, relation_question(d, seed)) for at, d in enumerate(pictures)]
    pairs = [(at, told) for at, told in relations if told is not None]
    look = looked.ms[0] + (looked.ms[1] if decoding.endswith("VCD") else 0)
    out: list[list[Spoken]] = [[] for _ in pictures]
    began = time.process_time()
    texts = decoded(answerer, [q for _, q in asked], decoding, seed, 120)
    each = look + 1e3 * (time.process_time() - began) / len(asked)
    for (at, _), text in zip(asked, texts, strict=True):
        out[at].append(judged(text, each, pictures[at], True))
    began = time.process_time()
    texts = decoded(answerer, [looked.question(at, told[0]) for at, told in pairs], decoding, seed + 1, 40)
    each = 1e3 * (time.process_time() - began) / max(1, len(pairs))
    for (at, (_, one, two)), text in zip(pairs, texts, strict=True):
        out[at].append(judged(related(text, one, two), each, pictures[at], False))
    return out


def verified(
    responses: Sequence[Sequence[Spoken]], pictures: Sequence[Drawn], engine: Engine
) -> list[list[Spoken]]:
    """The same responses after verification."""
    out = []
    for some, drawn in zip(responses, pictures, strict=True):
        after = []
        for one in some:
            if not one.text.strip():
                after.append(one)
                continue
            began = time.process_time()
            result = verify(drawn.image, one.text, engine=engine)
            spent = 1e3 * (time.process_time() - began)
            new = judged(result.text, one.ms + spent, drawn, bool(one.there))
            before = extract(one.text)
            right = {c.id for c in before.claims if truth(c, before, drawn.scene) is True}
            wronged = {v.claim for v in result.verdicts if v.label == "contradicted" and not v.because}
            new.harmed = len(right & wronged)
            after.append(new)
        out.append(after)
    return out


def row_of(arm: Sequence[Sequence[Spoken]], first: Sequence[Sequence[Spoken]], seed: int) -> dict[str, Any]:
    """One arm in figures, with 95% intervals over pictures; `change` is its false claims a picture less the first arm's."""
    responses = [one for some in arm for one in some]
    captions = [one for one in responses if one.there]
    relations = max(1, len(responses) - len([some for some in arm if some]))
    false = {
        kind: sum(o.false[kind] for o in responses) / (relations if kind == "relation" else len(arm))
        for kind in KINDS
    }
    sums = [sum(sum(o.false.values()) for o in some) for some in arm]
    base = [sum(sum(o.false.values()) for o in some) for some in first]
    gaps = [(a - b, 1) for a, b in zip(sums, base, strict=True)]
    recall = [(o.named, o.there) for o in captions]
    right = sum(o.true for some in first for o in some)
    return {
        "false": {k: round(v, 3) for k, v in false.items()},
        "all": round(float(np.mean(sums)), 3),
        "all_ci": interval([(s, 1) for s in sums], ratio(0, 1), seed),
        "change": round(float(np.mean([g for g, _ in gaps])), 3),
        "change_ci": interval(gaps, ratio(0, 1), seed),
        "less": round(1 - sum(sums) / max(1, sum(base)), 3),
        "recall": round(sum(n for n, _ in recall) / max(1, sum(t for _, t in recall)), 3),
        "recall_ci": interval(recall, ratio(0, 1), seed),
        "harmed": round(sum(o.harmed for o in responses) / max(1, right), 4),
        "words": round(float(np.mean([o.words for o in captions])), 1),
        "ms": round(float(np.mean([sum(o.ms for o in some) for some in arm])), 1),
        "n": len(arm),
        "relations": relations,
    }


def side_by_side(
    models: dict[str, Answerer], pictures: Sequence[Drawn], engine: Engine, seed: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every arm's name and figures; the first is the starter as it ships, greedy and unverified."""
    first: list[list[Spoken]] | None = None
    looked = {name: Looked.of(answerer, pictures, seed) for name, answerer in models.items()}
    for decoding in DECODINGS:
        for name, answerer in models.items():
            said = spoken(answerer, looked[name], pictures, decoding, seed)
            first = first or said
            yield ", ".join(p for p in (name, decoding) if p), row_of(said, first, seed)
            mended = verified(said, pictures, engine)
            yield ", ".join(p for p in (name, decoding, "verified") if p), row_of(mended, first, seed)


def first_logits(answerer: Answerer, questions: Sequence[Question]) -> Any:
    """Log-probabilities [N, V] of the first token of each answer."""
    import torch
    from transformers import LogitsProcessor

    kept: list[Any] = []

    class Keeper(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            kept.append(scores.log_softmax(-1))
            return scores

    answerer.ask(questions, max_new_tokens=1, logits_processor=[Keeper()])
    return torch.cat(kept)


def drawn_tokens(scores: Any, seed: int) -> Any:
    """A token of each row, by chance."""
    import torch

    return torch.multinomial(scores.softmax(-1), 1, generator=torch.Generator().manual_seed(seed))[:, 0]


def pope_rows(
    answerer: Answerer, pictures: Sequence[Drawn], sampling: Any, engine: Engine | None, seed: int
) -> dict[str, dict[str, Any]]:
    """POPE under each way of decoding, answers given at once; with `engine` also greedy answers verified."""
    import torch

    from sightline.mllm.decoding import PlausibilityMask

    asked = pope_questions(pictures, sampling, seed)
    texts = [f"Is there {vocabulary.article(kind)} in the picture?" for _, kind, _ in asked]
    labels, images = [label for _, _, label in asked], [str(n) for n, _, _ in asked]
    looked = Looked.of(answerer, pictures, seed)
    plain = first_logits(
        answerer, [looked.question(n, t, "answer") for (n, _, _), t in zip(asked, texts, strict=True)]
    )
    other = first_logits(
        answerer,
        [
            Question(t, (looked.distorted[n],), mode="answer")
            for (n, _, _), t in zip(asked, texts, strict=True)
        ],
    )
    mask: Callable[[Any], Any] = lambda scores: PlausibilityMask(BETA)(torch.zeros(0), scores)  # noqa: E731
    contrast = ((1 + ALPHA) * plain - ALPHA * other).masked_fill(torch.isinf(mask(plain)), -torch.inf)
    free = (1 + ALPHA) * plain - ALPHA * other
    ids = answerer.processor.tokenizer([" yes", " no"], add_special_tokens=False)["input_ids"]
    yes, no = ids[0][0], ids[1][0]

    def matched(scores: Any) -> list[bool]:
        margin = (scores[:, yes] - scores[:, no]).numpy()
        order = np.argsort(-margin, kind="stable")
        said = np.zeros(len(margin), bool)
        said[order[: len(margin) // 2]] = True
        return said.tolist()

    said = {
        "greedy": (plain.argmax(-1) == yes).tolist(),
        "sampled": (drawn_tokens(plain, seed) == yes).tolist(),
        "sampled, mask only": (drawn_tokens(mask(plain), seed) == yes).tolist(),
        "sampled, VCD": (drawn_tokens(contrast, seed) == yes).tolist(),
        "greedy, VCD": (contrast.argmax(-1) == yes).tolist(),
        "matched yes-ratio": matched(plain),
        "matched yes-ratio, VCD": matched(free),
    }
    if engine is not None:
        said["greedy, verified"] = [
            pope.said_yes(
                verify(
                    pictures[n].image, "yes" if answer else "no", engine=engine, question=t, speaker="mllm"
                ).text
            )
            for (n, _, _), t, answer in zip(asked, texts, said["greedy"], strict=True)
        ]
    right = {name: [a == b for a, b in zip(answers, labels, strict=True)] for name, answers in said.items()}
    rows = {}
    for name, answers in said.items():
        found = pope.score(labels, answers, images, seed)
        by_picture: dict[str, list[float]] = {}
        for image, one, base in zip(images, right[name], right["greedy"], strict=True):
            cell = by_picture.setdefault(image, [0.0, 0.0])
            cell[0] += one - base
            cell[1] += 1
        rows[name] = {
            **{k: found[k] for k in ("accuracy", "precision", "recall", "yes_ratio", "n")},
            "ci": found["ci"]["accuracy"],
            "change_ci": interval(list(by_picture.values()), ratio(0, 1), seed),
        }
    return rows


def measure(given: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    pictures = list(scenes("test", given.stream, given.pictures))
    models = {"": Answerer.load(given.model)}
    if given.aligned is not None:
        models["DPO"] = Answerer.load(given.aligned)
    engine = Engine(Models.from_pack(given.pack))
    engine.models.get("mllm").answer([pictures[0].image], ["Is there a dog?"])  # load before the clock runs
    engine.models.get("detector").detect([pictures[0].image])
    found: dict[str, Any] = {"pictures": len(pictures), "stream": given.stream, "arms": {}, "pope": {}}
    for name, row in side_by_side(models, pictures, engine, given.seed):
        found["arms"][name] = row
        keep(found, given.out)
        if not given.json:
            print(line(name, row), flush=True)
    for name, answerer in models.items():
        for sampling in ("random", "popular", "adversarial"):
            rows = pope_rows(
                answerer, pictures, sampling, engine if sampling == "adversarial" else None, given.seed
            )
            found["pope"][", ".join(p for p in (name, sampling) if p)] = rows
            keep(found, given.out)
    return found


def keep(found: dict[str, Any], path: Path | None) -> None:
    """Write the figures so far."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


HEAD = (
    "| arm | existence | count | attribute | relation | all a picture | change | recall of kinds | true claims harmed | words | ms |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def line(name: str, row: dict[str, Any]) -> str:
    kinds = " | ".join(f"{row['false'][k]:.2f}" for k in KINDS)
    return (
        f"| {name} | {kinds} | {row['all']:.2f} | {row['change']:+.2f} [{row['change_ci'][0]:+.2f}, {row['change_ci'][1]:+.2f}] | "
        f"{row['recall']:.3f} | {100 * row['harmed']:.1f}% | {row['words']:.1f} | {row['ms']:.0f} |"
    )


def pope_table(found: dict[str, Any]) -> str:
    lines = [
        "| questions | decoding | accuracy | change to greedy | precision | recall | yes-ratio | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for sampling, rows in found.items():
        for name, r in rows.items():
            lines.append(
                f"| {sampling} | {name} | {r['accuracy']:.3f} [{r['ci'][0]:.3f}, {r['ci'][1]:.3f}] | [{r['change_ci'][0]:+.3f}, "
                f"{r['change_ci'][1]:+.3f}] | {r['precision']:.3f} | {r['recall']:.3f} | {r['yes_ratio']:.3f} | {r['n']} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=120)
    parser.add_argument("--stream", type=int, default=11, help="of the test split")
    parser.add_argument("--seed", type=int, default=0, help="of samples, noise and intervals")
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--aligned", type=Path, help="folder of the starter after `sightline train align`")
    parser.add_argument("--pack", default="scenes", help="what verification looks with")
    parser.add_argument("--out", type=Path, help="write the figures there too, as JSON")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.json:
        print(HEAD)
    found = measure(given)
    print(json.dumps(found, indent=1) if given.json else "\n" + pope_table(found["pope"]))


if __name__ == "__main__":
    main()
