"""The grammar of programs, made from the tools: as GBNF text for other decoders, and as an exact automaton for ours.

`grammar_text` is context-free: it knows every op with its arguments, kinds of literal and choices, but not which names are
defined by then nor their types; it serves decoders that take GBNF (llama.cpp, vLLM, XGrammar), with the checker and a
repair after them. `ProgramAutomaton` knows names and types as well, and is what the starter decodes with.

Why an automaton of our own (measured on one core with a vocabulary of 5,120): XGrammar 0.2.8 compiles the
text below in 42 ms and masks in at most 0.7 ms (wall time on a busy machine), but the names defined so far
would have to be compiled in after every step; its matchers follow one row and cannot be reordered for
beams; it cannot promise an end within the tokens left; and it knows nothing of the space that the starter's
tokenizer puts behind a quote (it refuses `relation=' left'`). The automaton masks in 0.1 ms of CPU on
average once warm, 2 to 8 ms for a state never seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..tools import types
from ..tools.declaration import Argument, Tool
from ..tools.registry import Registry
from ..tools.types import ValueType
from .automaton import ProgramAutomaton, ProgramState
from .expression_automaton import FUNCTIONS
from .quoting import quote
from .syntax import EXPRESSIONS

__all__ = ["ProgramAutomaton", "ProgramState", "grammar_text"]

_COMMON = r"""
name ::= [A-Z] [A-Z0-9_]*
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)?
text ::= "'" ([^'\\\n] | "\\" [\\'nrt] | hex)* "'" | "\"" ([^"\\\n] | "\\" [\\"nrt] | hex)* "\""
hex ::= "\\x" [0-9a-f] [0-9a-f] | "\\u" [0-9a-f] [0-9a-f] [0-9a-f] [0-9a-f]
flag ::= "True" | "False"
nothing ::= "None"
eval-expression ::= "\"" if-d "\"" | "'" if-s "'"
slot ::= "{" name "}"
quoted-d ::= "'" ([^'"\\{}\n] | slot)* "'"
quoted-s ::= "\"" ([^'"\\{}\n] | slot)* "\"" | "\\'" ([^'\\{}\n] | slot)* "\\'"
"""
_EXPRESSION = r"""
if-X ::= or-X (" if " or-X " else " if-X)?
or-X ::= not-X ((" and " | " or " | " xor ") not-X)*
not-X ::= "not "? sum-X (compare sum-X)?
sum-X ::= operand-X (arithmetic operand-X)*
operand-X ::= "-"? value-X ("[" "-"? [0-9]+ "]")?
value-X ::= slot | number | quoted-X | flag | "(" if-X ")" | "[" if-X (", " if-X)* "]" | function "(" if-X (", " if-X)* ")"
"""
_SIGNS = """
compare ::= " == " | " != " | " < " | " <= " | " > " | " >= " | " in " | " not in "
arithmetic ::= " + " | " - " | " * " | " / " | " // " | " % "
"""


def grammar_text(registry: Registry, names: Mapping[str, ValueType] | None = None) -> str:
    """The grammar of canonical programs in GBNF, arguments in their declared order.

    Args:
        registry: the tools; hidden ones are left out.
        names: the only names that may be used, with their types; by default any name goes anywhere.
    """
    tools = [tool for tool in registry.visible() if tool.name != "RESULT"]
    lines = [
        'root ::= (step "\\n")* final "\\n"?',
        f'final ::= name "=" {_rule("RESULT")}',
        f'step ::= name "=" ({" | ".join(_rule(tool.name) for tool in tools)})',
    ]
    for tool in (*tools, registry["RESULT"]):
        lines += _call(tool, names)
    for kind in "ds":
        lines += _EXPRESSION.strip().replace("-X", f"-{kind}").splitlines()
    lines += [*_COMMON.strip().splitlines(), *_SIGNS.strip().splitlines()]
    lines.append(f"function ::= {' | '.join(_terminal(name) for name in FUNCTIONS)}")
    return "\n".join(lines) + "\n"


def _rule(name: str) -> str:
    return "op-" + name.lower().replace("_", "-")


def _terminal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _call(tool: Tool, names: Mapping[str, ValueType] | None) -> list[str]:
    """The rules of one tool: its call, and each argument."""
    rule = _rule(tool.name)
    arguments = [f"{rule}-{index}" for index, _ in enumerate(tool.arguments)]
    starts = []  # one alternative for each argument that may be the first one written
    for index, argument in enumerate(tool.arguments):
        following = [
            f'"," {later}' if after.required else f'("," {later})?'
            for later, after in zip(arguments[index + 1 :], tool.arguments[index + 1 :], strict=True)
        ]
        starts.append(" ".join([arguments[index], *following]))
        if argument.required:
            break
    else:
        starts.append('""')
    lines = [f'{rule} ::= {_terminal(tool.name + "(")} ({" | ".join(starts)}) ")"']
    for argument, name in zip(tool.arguments, arguments, strict=True):
        lines.append(f"{name} ::= {_terminal(argument.name + '=')} ({_values(tool, argument, names)})")
    return lines


def _values(tool: Tool, argument: Argument, names: Mapping[str, ValueType] | None) -> str:
    """What may be written for an argument."""
    if EXPRESSIONS.get(tool.name) == argument.name:
        return "eval-expression"
    declared = argument.type
    literals = {"Text": "text", "Number": "number", "Flag": "flag", "Nothing": "nothing"}
    if argument.choices:
        literals["Text"] = " | ".join(_terminal(quote(choice)) for choice in argument.choices)
    single = [rule for atom, rule in literals.items() if _takes(declared, types.of(atom))]
    items = [
        rule
        for atom, rule in literals.items()
        if atom != "Nothing" and _takes(declared, types.of(atom).plural())
    ]
    if names is None:
        single.insert(0, "name")
        items.insert(0, "name")
    else:
        single = [_terminal(name) for name, type_ in names.items() if _takes(declared, type_)] + single
        items = [
            _terminal(name)
            for name, type_ in names.items()
            if not type_.atoms <= types.SINGULAR.keys() and _takes(declared, type_.plural())
        ] + items
    if items:
        item = " | ".join(items)
        single.append(f'"[" ({item}) ("," ({item}))* "]"')
    return " | ".join(single)


def _takes(declared: ValueType, given: ValueType) -> bool:
    return declared.accepts(given) or declared.broadcasts(given)
