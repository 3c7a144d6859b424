"""A plan made ready to run many times: tools looked up, expressions compiled, cache keys prepared."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ..tools.declaration import Tool
from ..tools.registry import Registry
from ..tools.values import Image, Region, Regions, digest
from .cache import CODE_VERSION
from .expressions import Expression, compile_expression
from .graph import INPUT, Const, Items, Operand, Plan, Ref


class Template:
    """A plan made ready to run: for every node its tool, its compiled expression and the fixed part of its key."""

    def __init__(self, plan: Plan, registry: Registry, weights: Callable[[Tool], str | None]) -> None:
        self.plan = plan
        self.tools: list[Tool | None] = []
        self.expressions: dict[int, Expression] = {}
        self.deps = [node.deps for node in plan.nodes]
        self.cacheable: list[bool] = []
        self._prefixes: list[str] = []
        results = set(plan.results)
        volatile: set[int] = (
            set()
        )  # made by a tool that forbids keeping or whose weights are unknown, or from that
        for node in plan.nodes:
            tool = registry.get(node.op)
            self.tools.append(tool)
            if node.op == "EVAL":
                self.expressions[node.id] = compile_expression(str(constant(node.args[0][1])))
            loaded = weights(tool) if tool else ""
            version = f"{tool.version} {loaded}" if tool else ""
            place = {dep: index for index, dep in enumerate(node.deps)}
            shape = [[name, _shape(operand, place)] for name, operand in node.args]
            shape += [list(s) for s in node.slots]
            self._prefixes.append(f"{CODE_VERSION} {node.op} {version} {json.dumps(shape)}")
            keep = tool is not None and tool.cache and not tool.control
            unsure = loaded is None or (tool is not None and tool.volatile)
            if unsure or any(dep in volatile for dep in node.deps):
                volatile.add(node.id)
            wanted = keep or (node.id in results and node.op not in (INPUT, "VALUE"))
            self.cacheable.append(wanted and node.id not in volatile)

    @cached_property
    def only_in_branches(self) -> set[int]:
        """Live nodes that the results reach through branches of IF alone: observing them would undo its laziness."""
        strict: set[int] = set()
        stack = list(self.plan.results)
        while stack:
            current = stack.pop()
            if current in strict:
                continue
            strict.add(current)
            node = self.plan.nodes[current]
            if node.op == "IF":
                condition = dict(node.args)["condition"]
                stack.extend([condition.node] if isinstance(condition, Ref) else [])
            else:
                stack.extend(node.deps)
        return self.plan.live() - strict

    @cached_property
    def pictures(self) -> int:
        """How many live nodes make new pictures of their input's size (crops share its pixels)."""
        return sum(
            tool is not None
            and tool.returns.atoms <= {"Image", "Images"}
            and not tool.name.startswith("CROP")
            for tool in (self.tools[node] for node in self.plan.live())
        )

    def keys(self, inputs: dict[str, Any]) -> list[str]:
        """The cache key of every node for these inputs, each made from the keys of the nodes it depends on."""
        keys: list[str] = []
        for node, prefix, deps in zip(self.plan.nodes, self._prefixes, self.deps, strict=True):
            if node.op == INPUT:
                keys.append(input_key(inputs.get(str(constant(node.args[0][1])))))
            else:
                keys.append(digest(prefix, *[keys[dep] for dep in deps]))
        return keys


def constant(operand: Operand) -> Any:
    """The value of an operand that is known to be constant."""
    assert isinstance(operand, Const)
    return operand.value


def _shape(operand: Operand, place: dict[int, int]) -> Any:
    """An operand for the key: constants by value and type, references by their place among the keys that follow."""
    if isinstance(operand, Ref):
        return place[operand.node]
    if isinstance(operand, Items):
        return [_shape(item, place) for item in operand.items]
    return [type(operand.value).__name__, operand.value]


def input_key(value: Any) -> str:
    """The key of a value handed in: a picture's content and frame, or a digest of anything else's JSON."""
    if isinstance(value, Image):
        if value.picture == value.hash:
            return value.hash
        return digest(
            value.hash, value.picture, str(value.offset)
        )  # equal pixels, another place: other boxes
    if isinstance(value, Regions | Region):
        return digest("regions", json.dumps(value.to_json(exact=True), sort_keys=True))
    if isinstance(value, list | tuple):
        return digest("list", *[input_key(item) for item in value])
    return digest("value", json.dumps(value))
