"""One job's walk over its plan: what is asked for, what is known, and which steps can run now.

Demand-driven: a step runs only when a result asks for it, so dead steps, branches of IF that are not taken, and
everything below a cached result are never computed.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SightlineError, ToolError
from ..tools.declaration import Tool
from ..tools.values import Regions
from .broadcast import Broadcast, fit
from .graph import INPUT, Items, Line, Node, Operand, Ref
from .optimise import truth
from .results import CACHED, DONE, FAILED, SKIPPED, ProgramResult, StepError, StepReport, Watch
from .template import Template, constant

UNSEEN, WAITING, READY, KNOWN, BROKEN, BLOCKED = range(6)  # BLOCKED: something it needs is broken


@dataclass(slots=True)
class Call:
    """One call of a tool that waits for its batch. `item` is its place in a broadcast, or -1."""

    instance: Instance
    node: int
    args: dict[str, Any]
    item: int = -1


@dataclass(slots=True)
class Instance:
    """The state of one job. The engine calls `start`, runs the calls it is handed, and gives results to `finish`."""

    key: Any
    template: Template
    inputs: dict[str, Any]
    enqueue: Callable[[Tool, Call], None]
    stored: dict[str, str] = field(default_factory=dict)
    decode: Callable[[str], Any] | None = None
    store: Callable[[str, Any], None] | None = None
    observe: bool = False  # compute every live step, for a run whose steps will be looked at
    models: Any = None
    watch: Watch | None = None
    keys: list[str] = field(init=False)
    state: list[int] = field(init=False)
    values: list[Any] = field(init=False)
    ms: list[float] = field(init=False)
    batch: list[int] = field(init=False)
    cached: list[bool] = field(init=False)
    errors: dict[int, BaseException] = field(default_factory=dict)
    _waiting: dict[int, int] = field(default_factory=dict)
    _waiters: dict[int, list[int]] = field(default_factory=dict)
    _branch: dict[int, Operand] = field(default_factory=dict)
    _broadcasts: dict[int, Broadcast] = field(default_factory=dict)
    _untrusted: set[int] = field(default_factory=set)  # made by a fallback, or from something that was
    _open: int = 0
    _begun: list[int] = field(default_factory=list)  # nodes, and those that are settled: to be told
    _settled: list[int] = field(default_factory=list)
    _told: set[tuple[str, int, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        size = len(self.template.plan.nodes)
        self.keys = self.template.keys(self.inputs)
        self.state = [UNSEEN] * size
        self.values = [None] * size
        self.ms = [0.0] * size
        self.batch = [0] * size
        self.cached = [False] * size

    def start(self) -> None:
        """Ask for every result (and every live step, where the run is observed)."""
        plan = self.template.plan
        roots = sorted(plan.live() - self.template.only_in_branches) if self.observe else plan.results
        self._run_ready(self._demand(roots))

    @property
    def done(self) -> bool:
        return self._open == 0

    # -- demand -----------------------------------------------------------------------------------------------

    def _demand(self, roots: Iterable[int]) -> list[int]:
        """Mark what the roots need as wanted; returns what can run at once. An explicit stack, so depth is no limit."""
        stack = list(roots)
        ready: list[int] = []
        while stack:
            node = stack.pop()
            if self.state[node] != UNSEEN:
                continue
            if self._from_cache(node):
                ready.extend(self._notify(node))
                continue
            self.state[node] = WAITING
            self._open += 1
            needs = self._first_needs(node)
            open_needs = [dep for dep in needs if self.state[dep] < KNOWN]
            if open_needs:
                self._wait(node, open_needs)
                stack.extend(open_needs)
            else:
                ready.append(node)
        return ready

    def _first_needs(self, node: int) -> tuple[int, ...]:
        """What a node needs first: an IF its condition only, everything else all of its inputs."""
        if self.template.plan.nodes[node].op == "IF" and node not in self._branch:
            condition = dict(self.template.plan.nodes[node].args)["condition"]
            return (condition.node,) if isinstance(condition, Ref) else ()
        return self.template.deps[node]

    def _wait(self, node: int, needs: list[int]) -> None:
        distinct = set(needs)
        self._waiting[node] = len(distinct)
        for dep in distinct:
            self._waiters.setdefault(dep, []).append(node)

    def _from_cache(self, node: int) -> bool:
        if self.decode is None or not self.template.cacheable[node]:
            return False
        text = self.stored.get(self.keys[node])
        if text is None:
            return False
        try:
            value = self.decode(text)
        except (SightlineError, ValueError, KeyError, TypeError):  # a damaged entry counts as absent
            return False
        self.values[node], self.cached[node], self.state[node] = value, True, KNOWN
        self._settled.append(node)
        return True

    def _run_ready(self, ready: list[int]) -> None:
        """Run ready nodes until none is left that needs no batch."""
        while ready:
            node = ready.pop()
            if self.state[node] == WAITING:
                ready.extend(self._execute(node))

    # -- execution --------------------------------------------------------------------------------------------

    def _execute(self, node_id: int) -> list[int]:
        """Run a node whose needs are settled, or hand it to its tool's queue; returns nodes that became ready."""
        node = self.template.plan.nodes[node_id]
        needs = self._first_needs(node_id) if node_id not in self._branch else self._branch_needs(node_id)
        if any(self.state[dep] in (BROKEN, BLOCKED) for dep in needs):
            return self._settle(node_id, BLOCKED, None)
        if any(dep in self._untrusted for dep in needs):
            self._untrusted.add(node_id)
        try:
            if node.op == INPUT:
                name = str(constant(node.args[0][1]))
                if name not in self.inputs:
                    raise ToolError(f"the program reads {name}, and no such picture was given")
                return self._settle(node_id, KNOWN, self.inputs[name])
            if node.op in ("VALUE", "RESULT"):
                return self._settle(node_id, KNOWN, self._value(node.args[0][1]))
            if node.op == "EVAL":
                environment = {slot: self.values[dep] for slot, dep in node.slots}
                return self._settle(node_id, KNOWN, self.template.expressions[node_id].evaluate(environment))
            if node.op == "IF":
                return self._choose(node_id, node)
            return self._call(node_id, node)
        except Exception as error:  # whatever a step does wrong is this job's alone
            return self._settle(node_id, BROKEN, error)

    def _branch_needs(self, node: int) -> tuple[int, ...]:
        branch = self._branch[node]
        return (branch.node,) if isinstance(branch, Ref) else ()

    def _choose(self, node_id: int, node: Node) -> list[int]:
        """IF: the condition is known; ask for the branch it chooses, then take the branch's value."""
        args = dict(node.args)
        if node_id not in self._branch:
            chosen = args["then" if truth(self._value(args["condition"])) else "otherwise"]
            self._branch[node_id] = chosen
            if isinstance(chosen, Ref) and self.state[chosen.node] < KNOWN:
                self._wait(node_id, [chosen.node])
                return self._demand([chosen.node])
            return [node_id]
        return self._settle(node_id, KNOWN, self._value(self._branch[node_id]))

    def _value(self, operand: Operand) -> Any:
        if isinstance(operand, Ref):
            return self.values[operand.node]
        if isinstance(operand, Items):
            return [self._value(item) for item in operand.items]
        return list(operand.value) if isinstance(operand.value, tuple) else operand.value

    def _call(self, node_id: int, node: Node) -> list[int]:
        tool = self.template.tools[node_id]
        assert tool is not None
        args: dict[str, Any] = {}
        plural: dict[str, list[Any]] = {}
        given = dict(node.args)
        for argument in tool.arguments:
            value = self._value(given[argument.name])
            fitted, items = fit(tool, argument, value)
            if items is None:
                args[argument.name] = fitted
            else:
                plural[argument.name] = items
        self.state[node_id] = READY
        if not plural:
            self.enqueue(tool, Call(self, node_id, args))
            return []
        lengths = {name: len(items) for name, items in plural.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ToolError(f"{tool.name}: lists of one length are needed, but {told}")
        count = next(iter(lengths.values()))
        regions = tool.returns.atoms <= {"Region", "Regions"}
        if count == 0:
            return self._settle(node_id, KNOWN, Regions() if regions else [])
        self._broadcasts[node_id] = Broadcast([None] * count, count, regions)
        for index in range(count):
            item_args = args | {name: items[index] for name, items in plural.items()}
            self.enqueue(tool, Call(self, node_id, item_args, index))
        return []

    def finish(self, call: Call, result: Any, ms: float, batch: int, trusted: bool = True) -> None:
        """Take the result of a call (an exception where it failed) and run what it makes ready."""
        node = call.node
        self.ms[node] += ms
        self.batch[node] = max(self.batch[node], batch)
        if not trusted:
            self._untrusted.add(node)
        if call.item >= 0:
            broadcast = self._broadcasts.get(node)
            if broadcast is None:  # another item has failed already
                return
            if isinstance(result, BaseException):
                del self._broadcasts[node]
            else:
                broadcast.results[call.item] = result
                broadcast.left -= 1
                if broadcast.left:
                    return
                del self._broadcasts[node]
                result = broadcast.gather()
        if isinstance(result, BaseException):
            self._run_ready(self._settle(node, BROKEN, result))
        else:
            self._run_ready(self._settle(node, KNOWN, result))

    def _settle(self, node: int, state: int, value: Any) -> list[int]:
        if (
            state == KNOWN
            and self.store is not None
            and self.template.cacheable[node]
            and node not in self._untrusted
        ):
            try:
                self.store(self.keys[node], value)
            except TypeError:  # a third-party value that the codec does not know is simply not kept
                self.store = None
            except Exception as error:  # a picture whose pixels prove unreadable when they are to be kept
                state, value = BROKEN, error
        self.state[node] = state
        self._settled.append(node)
        self._open -= 1
        if state == BROKEN:
            self.errors[node] = value
        elif state == KNOWN:
            self.values[node] = value
        return self._notify(node)

    def _notify(self, node: int) -> list[int]:
        """Tell those who wait for a settled node; returns the ones that wait for nothing more."""
        ready = []
        for waiter in self._waiters.pop(node, ()):
            self._waiting[waiter] -= 1
            if self._waiting[waiter] == 0:
                ready.append(waiter)
        return ready

    # -- report -----------------------------------------------------------------------------------------------

    def began(self, node: int) -> None:
        """A worker takes up a call of the node."""
        if self.watch is not None:
            self._begun.append(node)

    def tell(self) -> None:
        """Tell who watches what began and what was settled since; not from within a step, whose errors are its own."""
        if self.watch is None:
            return
        begun, self._begun = self._begun, []
        settled, self._settled = self._settled, []
        for index, lines in enumerate(self.template.plan.lines):
            for line in lines:
                name, op = line.step.name, line.step.op
                if any(node in begun for node in (line.node, *line.behind)) and self._first(
                    "began", index, name
                ):
                    self.watch.started(index, name, op)
            if any(line.node in settled for line in lines):
                _, broken = self._failures(index)
                for line in lines:
                    if line.node in settled and self._first("settled", index, line.step.name):
                        self.watch.finished(index, self._step(line, broken))

    def _first(self, what: str, index: int, name: str) -> bool:
        """Whether this was not told before."""
        before = len(self._told)
        self._told.add((what, index, name))
        return len(self._told) > before

    def report(self) -> tuple[ProgramResult, ...]:
        """What became of every program, step by step."""
        self.tell()
        results = tuple(self._report(index) for index in range(len(self.template.plan.programs)))
        if self.watch is not None:
            for index, result in enumerate(results):
                for step in result.steps:
                    if self._first("settled", index, step.name):
                        self.watch.finished(index, step)
        return results

    def _report(self, index: int) -> ProgramResult:
        plan = self.template.plan
        errors, broken = self._failures(index)
        steps = tuple(self._step(line, broken) for line in plan.lines[index])
        result = plan.results[index]
        ok = self.state[result] == KNOWN
        return ProgramResult(DONE if ok else FAILED, self.values[result], steps, tuple(errors))

    def _failures(self, index: int) -> tuple[list[StepError], dict[int, str]]:
        """The errors that a program's result depends on, and their messages by node."""
        if not self.errors:
            return [], {}
        plan = self.template.plan
        names: dict[int, str] = {}
        for line in plan.lines[index]:
            for node in (line.node, *line.behind):
                names.setdefault(node, line.step.name)
        reachable = self._reachable(plan.results[index])
        errors: list[StepError] = []
        broken: dict[int, str] = {}
        for node, error in self.errors.items():
            if node in reachable:
                name = names.get(node, plan.nodes[node].op)
                step_error = describe(error, name, plan.nodes[node].op, names)
                errors.append(step_error)
                broken[node] = step_error.message
        return errors, broken

    def _step(self, line: Line, broken: Mapping[int, str]) -> StepReport:
        """What became of one line of a program."""
        state = self.state[line.node]
        nodes = (*line.behind, line.node) if state != UNSEEN else (line.node,)
        cached = state == KNOWN and any(self.cached[n] for n in nodes)
        message = next((broken[n] for n in nodes if n in broken), None)
        if message is not None:
            status = FAILED
        elif state == KNOWN:
            status = CACHED if cached else DONE
        else:
            status = SKIPPED
        return StepReport(
            line.step.name,
            line.step.op,
            status,
            sum(self.ms[n] for n in nodes),
            cached,
            max(self.batch[n] for n in nodes),
            self.values[line.node],
            message,
        )

    def _reachable(self, root: int) -> set[int]:
        seen: set[int] = set()
        stack = [root]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(self.template.deps[node])
        return seen


def describe(error: BaseException, step: str, op: str, names: dict[int, str] | None = None) -> StepError:
    """An error as a record: Sightline's own in one line, an unexpected one with its traceback."""
    message = " ".join(str(error).split()) or type(error).__name__
    if names and op == "EVAL":  # slots carry node numbers inside the engine
        message = re.sub(r"\bS(\d+)\b", lambda m: names.get(int(m[1]), m[0]), message)
    if isinstance(error, SightlineError):
        return StepError(step, op, message, type(error).__name__)
    trace = "".join(traceback.format_exception(error))
    return StepError(step, op, f"{type(error).__name__}: {message}", type(error).__name__, trace)
