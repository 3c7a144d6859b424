"""LLM as decision maker by decomposition: sub-questions, each answered by whoever can, then one conclusion.

After DDCoT (Zheng et al. 2023: sub-questions, each to the language model or to a vision expert) and IdealGPT (You et al.
2023: ask, look, reason, until the evidence suffices). A sub-question goes to a program, to one look of the core MLLM, or to
ASK. Text that was found in a picture fills a later question for a look, never one for which a program is planned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from .. import prompts
from ..errors import SightlineError
from ..tools.values import Region, Regions
from .answering import short
from .budget import Budget
from .controllers.base import Controller, Fact, SubQuestion
from .errors import ControllerError, LimitReached
from .events import Recorder
from .language import NO, YES, language_of
from .outcome import Outcome
from .program_mode import make_plan, outcome_of
from .quarantine import veiled_facts
from .records import Decomposition, Limits, Request, Status

if TYPE_CHECKING:
    from .toolbox import Toolbox

By = Literal["program", "mllm", "tool"]
_SLOT = re.compile(r"\{(\w+)\}")
_UNKNOWN = re.compile(
    r"\b(?:unknown|unclear|not known|cannot (?:be )?(?:tell|told|say|said))\b|未知|不知道|无法", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Finding:
    """An answered sub-question: as the controller wrote it, and as it was asked (`fact`), earlier answers in their places."""

    question: SubQuestion
    fact: Fact
    by: By
    evidence: Regions


def run_decompose(
    request: Request,
    controller: Controller,
    toolbox: Toolbox,
    limits: Limits,
    recorder: Recorder,
    options: Decomposition | None = None,
) -> Outcome:
    """Ask, answer, conclude, as `options` say, or else the request. Sub-questions and findings are events of these names.

    The outcome is "partial" where a limit ended the questions; it then says what follows from the findings so far.

    Raises:
        ControllerError: the controller could not be asked before anything was found.
        LimitReached: nothing is left to spend at the start.
    """
    Budget(limits, recorder).check()
    if options is not None:
        request = replace(request, decomposition=options)
    work = _Work(request, controller, toolbox, limits, recorder)
    cut: str | None = None
    try:
        if request.decomposition.pattern == "infill":
            work.infill()
        else:
            work.predict()
    except LimitReached as error:
        cut = str(error)
    except ControllerError as error:
        if not work.findings:
            raise
        cut = str(error)
        recorder.emit("error", message=cut, traceback=None, where="decompose")
    return work.conclude(cut)


class _Work:
    def __init__(
        self,
        request: Request,
        controller: Controller,
        toolbox: Toolbox,
        limits: Limits,
        recorder: Recorder,
    ) -> None:
        self.request = request
        self.controller = controller
        self.toolbox = toolbox
        self.budget = Budget(limits, recorder)
        self.limits = limits
        self.recorder = recorder
        self.options = request.decomposition
        self.findings: list[Finding] = []  # in the order of the chain
        self._numbers = 0
        self._texts: set[str] = set()

    @property
    def known(self) -> list[Fact]:
        return [finding.fact for finding in self.findings]

    # -- the patterns ----------------------------------------------------------------------------------------------

    def predict(self) -> None:
        """Round after round: the questions that can be asked now, answered; then what is still missing."""
        waiting: list[SubQuestion] = []
        for number in range(1, self.limits.rounds + 1):
            if len(self.findings) >= self.options.length:
                return
            self.budget.check()
            if not waiting:
                waiting = self._ask(self.request, number == 1)
            if not waiting:
                self._fewer()
                return
            ready = [q for q in waiting if self._met(q)] or waiting[
                :1
            ]  # what waits in a ring is asked as it stands
            taken = ready[:1] if self.options.shape == "chain" else ready
            taken = taken[: self.options.length - len(self.findings)]
            self.findings += self._answer(taken)
            waiting = [q for q in waiting if q not in taken]
        if waiting:
            raise LimitReached(f"the limit of {self.limits.rounds} rounds is reached; raise Limits.rounds")

    def _fewer(self) -> None:
        """Tell the trace where a set length was not reached because nothing more was asked."""
        if self.options.stop == "fixed":
            told = f"{len(self.findings)} of {self.options.length} sub-questions were asked; the controller had no more"
            self.recorder.emit("error", message=told, traceback=None, where="decompose")

    def infill(self) -> None:
        """The ends of the chain first, then what is missing between them, as long as something is."""
        chain = self._ask(self.request, True)
        self.findings += self._answer([replace(q, needs=()) for q in dict.fromkeys((chain[0], chain[-1]))])
        at = 0
        while at + 1 < len(self.findings) and len(self.findings) < self.options.length:
            self.budget.check()
            before, after = self.findings[at], self.findings[at + 1]
            asked = prompts.text(
                "infill", question=self.request.asked, before=before.question.text, after=after.question.text
            )
            missing = self._ask(replace(self.request, question=asked, alone=""), False)
            if not missing:
                at += 1
                continue
            fitting = self._between(missing[0], before, after)
            if fitting is None:
                at += 1
            else:
                self.findings.insert(at + 1, fitting)

    def _between(self, question: SubQuestion, before: Finding, after: Finding) -> Finding | None:
        """The answer to a middle step that agrees with both sides; asked of another answerer where the first disagrees."""
        first: By = question.by if question.by in ("program", "mllm", "tool") else "program"  # type: ignore[assignment]
        other: By = "mllm" if first == "program" else "program"
        for by in (first, other):
            (finding,) = self._answer([replace(question, by=by)], told=by == first, tell=False)
            left = self._follows(question.text, [before.fact], finding.fact.found)
            right = self._follows(after.question.text, [before.fact, finding.fact], after.fact.found)
            self._tell(finding, checked={"before": left, "after": right})
            if left and right:
                return finding
        return None

    def _follows(self, question: str, facts: Sequence[Fact], found: str) -> bool:
        """Whether what the facts give as answer to a question does not contradict what was found for it."""
        self.budget.check()
        said = self.controller.conclude(
            replace(self.request, question=question, alone="", history=()), facts, self.recorder
        )
        return agree(said, found)

    # -- questions -------------------------------------------------------------------------------------------------

    def _ask(self, request: Request, first: bool) -> list[SubQuestion]:
        """New sub-questions under ids of our own; the question itself where the controller takes nothing apart."""
        # it chooses the next steps: it sees its questions as it wrote them, and no long words from a picture
        known = [Fact(f.question.text, f.fact.found, f.fact.value) for f in self.findings]
        asked = self.controller.divide(request, veiled_facts(known), self.recorder)
        ids: dict[str, str] = {f.question.id: f.question.id for f in self.findings}
        once = {q.text: q for q in reversed(asked)}  # the first of those that ask the same
        fresh = [q for q in asked if once[q.text] is q and q.text not in self._texts]
        for question in fresh:
            self._numbers += 1
            ids[question.id] = f"q{self._numbers}"
        found = []
        for question in fresh:
            text = _SLOT.sub(lambda slot: "{" + ids.get(slot[1], slot[1]) + "}", question.text)
            needs = {ids[n] for n in question.needs if n in ids} | {
                n for n in _SLOT.findall(text) if n in ids.values()
            }
            parent = ids.get(question.parent or "")
            found.append(SubQuestion(ids[question.id], text, parent, tuple(sorted(needs)), question.by))
            self._texts.add(question.text)
        if first and not found:
            self._numbers += 1
            found = [SubQuestion(f"q{self._numbers}", self.request.asked)]
        return found

    def _met(self, question: SubQuestion) -> bool:
        return set(question.needs) <= {finding.question.id for finding in self.findings}

    # -- answers ---------------------------------------------------------------------------------------------------

    def _answer(
        self, questions: Sequence[SubQuestion], *, told: bool = True, tell: bool = True
    ) -> list[Finding]:
        """Findings in the order of the questions; the looks among them run as one batch."""
        done: dict[str, Finding] = {}
        looks: list[tuple[SubQuestion, By, dict[str, str]]] = []
        try:
            for question in questions:
                text, filled = self._filled(question.text)
                by = self._by(question, filled)
                if told:
                    self.recorder.emit("question", id=question.id, parent=question.parent, text=text, by=by)
                finding = self._by_program(replace(question, text=text)) if by == "program" else None
                if finding is not None:
                    done[question.id] = replace(finding, question=question)
                elif by == "tool":
                    looks.append((question, "tool", {"question": text}))
                else:
                    looks.append((question, "mllm", {"image": self._picture(text), "question": text}))
            done |= self._look(looks)
        except LimitReached:  # what was found before it counts
            self.findings += done.values()
            for finding in done.values():
                self._tell(finding)
            raise
        findings = [done[question.id] for question in questions]
        if tell:
            for finding in findings:
                self._tell(finding)
        return findings

    def _look(self, looks: Sequence[tuple[SubQuestion, By, dict[str, str]]]) -> dict[str, Finding]:
        """Looks of the core MLLM and questions of knowledge, as one batch; findings by id."""
        if not looks:
            return {}
        batch = [("ASK" if by == "tool" else "VQA", arguments) for _, by, arguments in looks]
        found: dict[str, Finding] = {}
        for (question, by, arguments), seen in zip(looks, self.toolbox.call(batch), strict=True):
            asked = arguments["question"]
            text = short(seen.value, language_of(asked)) if seen.ok else "unknown"
            found[question.id] = Finding(question, Fact(asked, text, seen.value), by, Regions())
        return found

    def _tell(self, finding: Finding, **more: object) -> None:
        boxes = [[round(v, 1) for v in region.box] for region in finding.evidence]
        self.recorder.emit(
            "finding", id=finding.question.id, text=finding.fact.found, boxes=boxes, by=finding.by, **more
        )

    def _filled(self, text: str) -> tuple[str, bool]:
        """A question with earlier answers in their places, and whether there were any."""
        found = {f.question.id: f.fact.found for f in self.findings}
        places = [name for name in _SLOT.findall(text) if name in found]
        return _SLOT.sub(lambda slot: found.get(slot[1], "it"), text), bool(places)

    def _by(self, question: SubQuestion, filled: bool) -> By:
        if question.by == "tool" and self.controller.knows:
            return "tool"
        # words from a picture may fill a question for a look; a plan is made from the model's own words alone
        return "mllm" if filled or question.by == "mllm" else "program"

    def _by_program(self, question: SubQuestion) -> Finding | None:
        """A program's answer; None where none could be made or it failed, which the trace says."""
        text = question.text
        asked = replace(self.request, question=text, alone="", history=())
        try:
            program = make_plan(asked, self.controller, self.toolbox.engine, self.recorder)
            outcome = outcome_of(asked, program, self.toolbox.run_program(program.text))
        except LimitReached:
            raise
        except SightlineError as error:
            why = str(error)
        else:
            if outcome.status == "done":
                found = short(outcome.value, language_of(text))
                return Finding(question, Fact(text, found, outcome.value), "program", outcome.evidence)
            why = outcome.error or "the program failed"
        self.recorder.emit("fallback", **{"from": "program", "to": "mllm", "why": why})
        return None

    def _picture(self, question: str) -> str:
        """The picture that a question speaks of: by its name, or by left and right; the first where it names none."""
        names = self.request.picture_names
        for name in names:
            if re.search(rf"\b{name}\b", question):
                return name
        low = question.lower()
        words = (r"\b(?:left|first)\b|左|第一", r"\b(?:right|second)\b|右|第二")
        if len(names) == 2 and re.search(words[1], low) and not re.search(words[0], low):
            return names[1]
        return names[0]

    # -- the end ---------------------------------------------------------------------------------------------------

    def conclude(self, cut: str | None) -> Outcome:
        """What follows from the findings."""
        seen = [region for finding in self.findings for region in finding.evidence]
        evidence = Regions(
            dict.fromkeys([*seen, *(r for r in self.toolbox.evidence if isinstance(r, Region))])
        )
        facts = tuple(self.known)
        if not facts:
            return Outcome("failed", evidence=evidence, error=cut or "no sub-question could be answered")
        text = ""
        try:
            self.budget.check()
            text = self.controller.conclude(self.request, self.known, self.recorder)
        except LimitReached as error:
            cut = cut or str(error)
        except ControllerError as error:
            self.recorder.emit("error", message=str(error), traceback=None, where="decompose")
            if cut is None:  # findings alone are no answer: the next mode is tried
                program = self.toolbox.program() or None
                return Outcome("failed", facts=facts, evidence=evidence, program=program, error=str(error))
        last = self.findings[-1].fact
        status: Status = "partial" if cut else "done"
        return Outcome(
            status,
            value=text or last.value,
            text=text or last.found,
            facts=facts,
            evidence=evidence,
            program=self.toolbox.program() or None,
            error=cut,
        )


def agree(one: str, other: str) -> bool:
    """Whether two short answers do not contradict one another; what is unknown contradicts nothing."""
    first, second = (" ".join(re.findall(r"\w+", text.lower())) for text in (one, other))
    if not first or not second or _UNKNOWN.search(one) or _UNKNOWN.search(other):
        return True
    for words in (YES, NO):
        if first in words or second in words:
            return first in words and second in words
    numbers = [re.findall(r"\d+(?:\.\d+)?", text) for text in (one, other)]
    if numbers[0] and numbers[1]:
        return bool(set(map(float, numbers[0])) & set(map(float, numbers[1])))
    return first in second or second in first or bool(set(first.split()) & set(second.split()))
