"""`explain`: the optimised plan of programs before they run, with what each step is expected to cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .engine import Engine
from .graph import INPUT, Const, Items, Node, Operand, Plan, Ref
from .syntax import Program


@dataclass(frozen=True)
class PlannedStep:
    """One node of the plan: the source steps that it serves, what it reads, and its expected milliseconds."""

    node: int
    op: str
    names: tuple[str, ...]
    arguments: str
    ms: float
    measured: bool  # whether `ms` is a mean over earlier runs or the tool's own first guess
    roles: tuple[str, ...]
    batch: int


@dataclass(frozen=True)
class Explanation:
    """The plan in topological order, what the optimiser did, and the costs of all steps and of the longest chain."""

    steps: tuple[PlannedStep, ...]
    notes: tuple[str, ...]
    total_ms: float
    critical_ms: float

    def to_json(self) -> dict[str, Any]:
        return {
            "steps": [
                {
                    "node": step.node,
                    "op": step.op,
                    "names": list(step.names),
                    "arguments": step.arguments,
                    "ms": round(step.ms, 3),
                    "measured": step.measured,
                    "roles": list(step.roles),
                    "batch": step.batch,
                }
                for step in self.steps
            ],
            "notes": list(self.notes),
            "total_ms": round(self.total_ms, 3),
            "critical_ms": round(self.critical_ms, 3),
        }

    def text(self) -> str:
        lines = []
        for step in self.steps:
            cost = f"{step.ms:.2f} ms" + ("" if step.measured else " (guess)")
            needs = f"  [{', '.join(step.roles)}]" if step.roles else ""
            batch = f"  batch {step.batch}" if step.batch else ""
            names = ", ".join(step.names)
            lines.append(
                f"%{step.node:<3} {step.op}({step.arguments})  {cost}{needs}{batch}  {names}".rstrip()
            )
        lines += [f"- {note}" for note in self.notes]
        lines.append(f"all steps {self.total_ms:.1f} ms a picture, longest chain {self.critical_ms:.1f} ms")
        return "\n".join(lines)


def explain(engine: Engine, programs: Sequence[Program]) -> Explanation:
    """The plan that the engine would run for checked programs. Loads no model but a detector whose names are unknown."""
    import networkx

    plan = engine.plan(tuple(programs)).plan
    measured = engine.cache.costs() if engine.cache is not None else {}
    graph = plan.graph()
    order = list(networkx.lexicographical_topological_sort(graph))
    steps = []
    finish: dict[int, float] = {}
    for node_id in order:
        node = plan.nodes[node_id]
        tool = engine.registry.get(node.op)
        cost = measured.get(node.op, tool.cost if tool is not None else 0.0)
        finish[node_id] = cost + max((finish[dep] for dep in node.deps), default=0.0)
        names = tuple(graph.nodes[node_id]["names"])
        roles = tool.roles if tool is not None else ()
        known = node.op in measured
        batch = tool.batch if tool is not None else 0
        steps.append(PlannedStep(node_id, node.op, names, _arguments(node), cost, known, roles, batch))
    total = sum(step.ms for step in steps)
    return Explanation(tuple(steps), tuple(plan.notes), total, max(finish.values(), default=0.0))


def _arguments(node: Node) -> str:
    if node.op == INPUT:
        return str(node.args[0][1].value) if isinstance(node.args[0][1], Const) else ""
    return ", ".join(f"{name}={_operand(operand)}" for name, operand in node.args)


def _operand(operand: Operand) -> str:
    if isinstance(operand, Ref):
        return f"%{operand.node}"
    if isinstance(operand, Items):
        return f"[{', '.join(_operand(item) for item in operand.items)}]"
    value = list(operand.value) if isinstance(operand.value, tuple) else operand.value
    return repr(value)


__all__ = ["Explanation", "Plan", "PlannedStep", "explain"]
