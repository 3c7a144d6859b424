"""The plain interpreter that the engine is compared with: one program, one step, one picture at a time, no cache.

It runs the same tools on the same models as the engine does, so the difference is scheduling alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.programs.broadcast import fit
from sightline.programs.expressions import compile_expression
from sightline.programs.optimise import truth
from sightline.programs.syntax import ListOf, Literal, Name, Program
from sightline.tools.registry import Registry
from sightline.tools.values import Image, Region, Regions


def run(program: Program, inputs: dict[str, Any], registry: Registry, models: Any) -> Any:
    """The program's result on pictures given as paths."""
    names: dict[str, Any] = {n: Image.open(v) if isinstance(v, str | Path) else v for n, v in inputs.items()}

    def value(argument: Literal | Name | ListOf) -> Any:
        if isinstance(argument, Name):
            return names[argument.id]
        if isinstance(argument, Literal):
            return argument.value
        return [value(item) for item in argument.items]

    for step in program.steps:
        tool = registry[step.op]
        given = {key: value(argument) for key, argument in step.args}
        if step.op == "RESULT":
            names[step.name] = given["var"]
        elif step.op == "EVAL":
            expression = compile_expression(given["expr"])
            names[step.name] = expression.evaluate({name: names[name] for name in expression.names})
        elif step.op == "IF":
            names[step.name] = given["then"] if truth(given["condition"]) else given["otherwise"]
        else:
            full = {a.name: given.get(a.name, a.default) for a in tool.arguments}
            names[step.name] = call(tool, full, models)
    return names[program.result]


def call(tool: Any, given: dict[str, Any], models: Any) -> Any:
    """One op, item by item where an argument holds several and the op takes one."""
    args: dict[str, Any] = {}
    plural: dict[str, list[Any]] = {}
    for argument in tool.arguments:
        fitted, items = fit(tool, argument, given[argument.name])
        if items is None:
            args[argument.name] = fitted
        else:
            plural[argument.name] = items
    if not plural:
        return one(tool, args, models)
    count = len(next(iter(plural.values())))
    results = [one(tool, args | {k: v[i] for k, v in plural.items()}, models) for i in range(count)]
    if tool.returns.atoms <= {"Region", "Regions"}:
        return Regions(r for item in results for r in ([item] if isinstance(item, Region) else item))
    return results


def one(tool: Any, args: dict[str, Any], models: Any) -> Any:
    (result,) = tool.run([args], models)
    if isinstance(result, BaseException):
        raise result
    return result
