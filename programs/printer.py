"""The canonical text of a program: one step a line, no spaces, stable quoting; parse(print(p)) == p."""

from __future__ import annotations

from .quoting import quote
from .syntax import Argument, ListOf, Name, Program, Step


def print_program(program: Program) -> str:
    """The canonical text, each step on a line of its own, ending with a newline."""
    return "".join(f"{print_step(step)}\n" for step in program.steps)


def print_step(step: Step) -> str:
    """`NAME=OP(key=value,...)`, arguments in their order."""
    arguments = ",".join(f"{key}={print_argument(value)}" for key, value in step.args)
    return f"{step.name}={step.op}({arguments})"


def print_argument(argument: Argument) -> str:
    """One argument as it is written in a program."""
    if isinstance(argument, Name):
        return argument.id
    if isinstance(argument, ListOf):
        return f"[{','.join(print_argument(item) for item in argument.items)}]"
    return quote(argument.value) if isinstance(argument.value, str) else repr(argument.value)
