"""Programs as one dataflow graph: each distinct step once, whichever programs and lines ask for it.

A `Plan` holds the merged steps of all programs that run on one set of inputs. Nodes are hash-consed while the programs
are read in: two steps with the same op and the same arguments are one node (common-subexpression elimination across
programs), so the engine never sees a duplicate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ..tools.registry import Registry
from .expressions import compile_expression, rename_slots
from .syntax import ListOf, Literal, Name, Program, Step

if TYPE_CHECKING:
    import networkx

INPUT = "INPUT"


@dataclass(frozen=True, slots=True)
class Ref:
    """An argument that is another node's value."""

    node: int


@dataclass(frozen=True, slots=True)
class Const:
    """An argument that is known before the run: a text, number, flag, None, or a list of them."""

    value: object


@dataclass(frozen=True, slots=True)
class Items:
    """A list argument of which some items are other nodes' values."""

    items: tuple[Ref | Const, ...]


Operand = Ref | Const | Items


@dataclass(frozen=True, slots=True)
class Node:
    """One step of the plan. `op` is INPUT for a picture handed in; its name is then the single Const argument."""

    id: int
    op: str
    args: tuple[tuple[str, Operand], ...]
    slots: tuple[tuple[str, int], ...] = ()  # EVAL's {NAME} -> node

    @property
    def deps(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys([*_operand_refs(self.args), *(node for _, node in self.slots)]))


def _operand_refs(args: Iterable[tuple[str, Operand]]) -> Iterator[int]:
    for _, operand in args:
        if isinstance(operand, Ref):
            yield operand.node
        elif isinstance(operand, Items):
            yield from (item.node for item in operand.items if isinstance(item, Ref))


@dataclass(frozen=True, slots=True)
class Line:
    """Where one source step of one program went: its node, and the nodes that stand behind it after lowering."""

    step: Step
    node: int
    behind: tuple[int, ...] = ()


@dataclass
class Plan:
    """The merged graph of several programs over one set of inputs."""

    programs: tuple[Program, ...]
    nodes: list[Node] = field(default_factory=list)
    lines: list[list[Line]] = field(default_factory=list)  # per program, its steps in order
    results: list[int] = field(default_factory=list)  # per program, the node of its RESULT
    notes: list[str] = field(default_factory=list)  # what the optimiser did, in words
    _known: dict[object, int] = field(default_factory=dict)

    def add(self, op: str, args: Sequence[tuple[str, Operand]], slots: Sequence[tuple[str, int]] = ()) -> int:
        """The node for this op and these arguments: the one there is, else a new one."""
        ordered = tuple(sorted(args, key=lambda item: item[0]))
        key = (op, tuple((name, _operand_key(operand)) for name, operand in ordered), tuple(slots))
        found = self._known.get(key)
        if found is None:
            found = len(self.nodes)
            self.nodes.append(Node(found, op, ordered, tuple(slots)))
            self._known[key] = found
        return found

    @cached_property
    def inputs(self) -> dict[str, int]:
        """Name of each picture that the programs read -> its node."""
        return {str(_const(node.args[0][1])): node.id for node in self.nodes if node.op == INPUT}

    def live(self) -> set[int]:
        """Nodes that some result depends on; the rest is dead and never runs."""
        alive: set[int] = set()
        stack = list(self.results)
        while stack:
            node = stack.pop()
            if node not in alive:
                alive.add(node)
                stack.extend(self.nodes[node].deps)
        return alive

    def graph(self) -> networkx.DiGraph:
        """The plan as a networkx DiGraph: edges run from a value to the steps that use it."""
        import networkx

        graph = networkx.DiGraph()
        alive = self.live()
        names: dict[int, list[str]] = {}
        for index, lines in enumerate(self.lines):
            for line in lines:
                prefix = f"{index}:" if len(self.lines) > 1 else ""
                names.setdefault(line.node, []).append(prefix + line.step.name)
        for node in self.nodes:
            if node.id in alive:
                graph.add_node(node.id, op=node.op, names=names.get(node.id, []))
        for node in self.nodes:
            if node.id in alive:
                graph.add_edges_from((dep, node.id) for dep in node.deps)
        return graph


def _const(operand: Operand) -> object:
    assert isinstance(operand, Const)
    return operand.value


def _operand_key(operand: Operand) -> object:
    """A hashable that tells operands apart, 1 from True and 'a' from ['a'] among them."""
    if isinstance(operand, Ref):
        return ("ref", operand.node)
    if isinstance(operand, Items):
        return ("items", tuple(_operand_key(item) for item in operand.items))
    return ("const", type(operand.value).__name__, json.dumps(operand.value, sort_keys=True, default=list))


def build(programs: Sequence[Program], registry: Registry) -> Plan:
    """Read checked programs into one merged plan. Defaults of omitted arguments are filled in, so that writing a
    default out changes nothing."""
    plan = Plan(tuple(programs))
    for program in programs:
        names: dict[str, int] = {}
        lines: list[Line] = []
        for step in program.steps:
            given = {name: _operand(plan, names, argument) for name, argument in step.args}
            tool = registry[step.op]
            args: list[tuple[str, Operand]] = []
            for argument in tool.arguments:
                if argument.name in given:
                    args.append((argument.name, given[argument.name]))
                elif not argument.required:
                    args.append((argument.name, Const(argument.default)))
            slots: list[tuple[str, int]] = []
            if step.op == "EVAL":
                text = str(_const(given["expr"]))
                named = [(name, _resolve(plan, names, name)) for name in compile_expression(text).names]
                text, slots = _canonical_slots(text, named)
                args = [("expr", Const(text))]
            node = plan.add(step.op, args, slots)
            names[step.name] = node
            lines.append(Line(step, node))
        plan.lines.append(lines)
        plan.results.append(lines[-1].node)
    return plan


def _canonical_slots(text: str, slots: list[tuple[str, int]]) -> tuple[str, list[tuple[str, int]]]:
    """`text` with each {NAME} written {S<node>}, so that equal expressions over equal values are one node."""
    renamed = rename_slots(text, {name: f"S{node}" for name, node in slots})
    return renamed, list(dict.fromkeys((f"S{node}", node) for _, node in slots))


def _resolve(plan: Plan, names: dict[str, int], name: str) -> int:
    """The node of a step's name, or of an input picture."""
    return names[name] if name in names else plan.add(INPUT, [("name", Const(name))])


def _operand(plan: Plan, names: dict[str, int], argument: Literal | Name | ListOf) -> Operand:
    if isinstance(argument, Name):
        return Ref(_resolve(plan, names, argument.id))
    if isinstance(argument, Literal):
        return Const(argument.value)
    items = tuple(_operand(plan, names, item) for item in argument.items)
    if all(isinstance(item, Const) for item in items):
        return Const(tuple(_const(item) for item in items))
    return Items(tuple(item for item in items if isinstance(item, Ref | Const)))
