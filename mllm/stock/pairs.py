"""Preference pairs: from answers whose wrong spans were edited, and from sampled answers that a judge has scored.

A line of a pairs file: `{"id", "images": [path], "prompt": [{"role", "content"}], "chosen": str, "rejected": str}`;
`<image>` in the content marks where a picture stands. TRL's own layout, `chosen` as a list of one message, is read too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..data.conversation import IMAGE, Conversation
from ..data.convert import read_json

Judge = Callable[
    [Mapping[str, Any], str], float
]  # (the record, an answer) -> how good it is; the higher the better


@dataclass(frozen=True, slots=True)
class Pair:
    """One prompt with a better and a worse answer."""

    id: str
    images: tuple[str, ...]  # paths
    prompt: tuple[dict[str, str], ...]  # messages {"role", "content"}, the last by the user
    chosen: str
    rejected: str

    def __post_init__(self) -> None:
        if not self.chosen.strip() or not self.rejected.strip():
            raise InputError(f"pair {self.id!r}: an answer is empty; nothing in it could be supervised")
        if self.chosen == self.rejected:
            raise InputError(f"pair {self.id!r}: both answers are the same: {self.chosen[:60]!r}")
        if not self.prompt or self.prompt[-1]["role"] != "user":
            raise InputError(f"pair {self.id!r}: the prompt must end with a message of the user")
        marks = sum(m["content"].count(IMAGE) for m in self.prompt)
        if marks != len(self.images):
            raise InputError(f"pair {self.id!r}: {marks} {IMAGE} marks, {len(self.images)} pictures")

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id, "images": list(self.images), "prompt": list(self.prompt),
            "chosen": self.chosen, "rejected": self.rejected,
        }  # fmt: skip


def read_pairs(path: str | Path) -> list[Pair]:
    """The pairs of a .jsonl (or .json) file; edited answers (`answer`, `edits`) may stand among them."""
    pairs = []
    for n, record in enumerate(read_json(path), 1):
        where = f"{path}: record {n}"
        if not isinstance(record, dict):
            raise InputError(f"{where}: an object expected, got {type(record).__name__}")
        record = {"id": str(n), **record}
        if "edits" in record:
            pairs.append(pair_from_edits(record))
            continue
        missing = [k for k in ("prompt", "chosen", "rejected") if k not in record]
        if missing:
            raise InputError(f"{where}: no {', '.join(missing)}")
        images = tuple(record.get("images", ()))
        prompt = _messages(record["prompt"], where)
        if images and not any(IMAGE in m["content"] for m in prompt):  # TRL puts unmarked pictures first
            marks = "\n".join([IMAGE] * len(images))
            prompt = ({"role": prompt[0]["role"], "content": f"{marks}\n{prompt[0]['content']}"}, *prompt[1:])
        chosen, rejected = _answer(record["chosen"], where), _answer(record["rejected"], where)
        pairs.append(Pair(str(record["id"]), images, prompt, chosen, rejected))
    if not pairs:
        raise InputError(f"{path} holds no pairs")
    return pairs


def pair_from_edits(record: Mapping[str, Any]) -> Pair:
    """A pair from an answer and the edits that correct it.

    Args:
        record: `id`, `images`, `prompt`, `answer` and `edits`: a list of `{"start", "end", "text"}`, where the
            characters start..end of the answer become `text`; edits may not overlap.
    """
    where = f"pair {record.get('id')!r}"
    missing = [k for k in ("prompt", "answer", "edits") if k not in record]
    if missing:
        raise InputError(f"{where}: no {', '.join(missing)}")
    answer: str = record["answer"]
    out, at = [], 0
    for edit in sorted(record["edits"], key=lambda e: e["start"]):
        if not at <= edit["start"] <= edit["end"] <= len(answer):
            raise InputError(
                f"{where}: the edit {edit['start']}-{edit['end']} overlaps another or leaves the answer"
            )
        out += [answer[at : edit["start"]], edit["text"]]
        at = edit["end"]
    chosen = "".join([*out, answer[at:]])
    return Pair(
        str(record.get("id")),
        tuple(record.get("images", ())),
        _messages(record["prompt"], where),
        chosen,
        answer,
    )


def pairs_from_samples(
    records: Iterable[Mapping[str, Any]],
    sample: Callable[[Mapping[str, Any], int], Sequence[str]],
    judge: Judge,
    count: int = 4,
    margin: float = 0.0,
    with_truth: bool = False,
) -> Iterator[Pair]:
    """The best and the worst of `count` sampled answers of each record, where the judge tells them apart.

    Args:
        records: `id`, `images`, `prompt`, and whatever the judge needs (the true answer, detections).
        sample: (record, count) -> answers, e.g. `mllm.stock.sampling.sampler(model, processor)`.
        judge: (record, answer) -> score.
        margin: the least difference of scores that makes a pair.
        with_truth: the first of `record["answers"]` stands among the samples, for a model that is seldom right.
    """
    for record in records:
        told = [*sample(record, count), *(record["answers"][:1] if with_truth else ())]
        answers = list(dict.fromkeys(a.strip() for a in told if a.strip()))
        scored = sorted(((judge(record, a), a) for a in answers), key=lambda s: s[0])
        if len(scored) > 1 and scored[-1][0] - scored[0][0] > margin:
            where = f"pair {record['id']!r}"
            prompt = _messages(record["prompt"], where)
            yield Pair(str(record["id"]), tuple(record["images"]), prompt, scored[-1][1], scored[0][1])


def truth_judge(record: Mapping[str, Any], answer: str) -> float:
    """1 where `answer` says one of `record["answers"]` (case and a full stop aside), else 0."""

    def plain(text: str) -> str:
        return " ".join(text.lower().strip().rstrip(".。").split())

    return float(plain(answer) in {plain(a) for a in record["answers"]})


def prompts_of(conversations: Iterable[Conversation], root: str | Path = ".") -> Iterator[dict[str, Any]]:
    """Records for `pairs_from_samples` from conversations: the first question of each, its answer as the truth."""
    for c in conversations:
        if c.messages[0].boxes or c.messages[1].boxes or IMAGE in c.messages[1].text:
            continue  # a judge of words cannot judge places
        images = [str(Path(root) / p.path) for p in c.images[: c.messages[0].text.count(IMAGE)]]
        prompt = [{"role": "user", "content": c.messages[0].text}]
        yield {"id": c.id, "images": images, "prompt": prompt, "answers": [c.messages[1].text]}


def write_pairs(path: str | Path, pairs: Iterable[Pair]) -> int:
    """Write a .jsonl file; returns how many."""
    lines = [json.dumps(p.to_json(), ensure_ascii=False) + "\n" for p in pairs]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _messages(value: Any, where: str) -> tuple[dict[str, str], ...]:
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    out = []
    for m in value:
        content = m["content"]
        if not isinstance(content, str):
            content = "".join(IMAGE if part["type"] == "image" else part["text"] for part in content)
        if m["role"] not in ("user", "assistant"):
            raise InputError(f"{where}: a message by {m['role']!r}; user and assistant are known")
        out.append({"role": m["role"], "content": content})
    return tuple(out)


def _answer(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if len(value) != 1:
        raise InputError(f"{where}: an answer of {len(value)} messages; one expected")
    return _messages([*value], where)[0]["content"]
