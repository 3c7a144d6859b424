"""EVAL's own small evaluator: a closed expression language, compiled once to closures over typed values.

    'yes' if {ANSWER0} + {ANSWER1} > 0 else 'no'

`{NAME}` is a slot: a value goes in as a value and is never read as an expression. Inside a quoted text a slot is
replaced by its value as text. Operators, loosest first: `x if c else y`, or, xor, and, not, comparisons (chained, `in`,
`not in`), + -, * / // %, sign, [index]. Functions: see `functions`. How values compare: see `coercion`.
"""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from . import limits
from .closures import (
    ARITHMETIC,
    COMPARISONS,
    Closure,
    Environment,
    Node,
    all_of,
    any_of,
    calculation,
    choice,
    comparison,
    constant,
    item_of,
    parity,
    slot_value,
)
from .coercion import EvalError, admit, is_list, joined, number_of, text_of, truth
from .expression_tokens import SLOT, ExpressionError, Token, tokens
from .functions import FUNCTIONS
from .quoting import QuotingError, unquote, visible

__all__ = ["EvalError", "Expression", "ExpressionError", "compile_expression", "rename_slots", "slots"]

_OPERATORS = frozenset({"if", "else", "or", "xor", "and", "not", "in"})
_CONSTANTS = {"True": True, "False": False, "None": None, "true": True, "false": False}
_REFUSED = frozenset(keyword.kwlist) - _OPERATORS - _CONSTANTS.keys()


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `names` are its slots in order of first mention, `numeric` those used as numbers."""

    text: str
    names: tuple[str, ...]
    numeric: frozenset[str]  # operands of arithmetic and of <, <=, >, >=
    run: Closure = field(repr=False, compare=False)

    def evaluate(self, values: Environment) -> str | int | float | bool:
        """The result with `values` by slot name; raises EvalError, in one line, and nothing else."""
        result = self.run(values)
        if type(result) in (bool, str, int, float):
            return result
        if is_list(result):
            raise EvalError(
                "the expression gives a list; EVAL gives one value: take an item with [0], or len, sum, join"
            )
        if result is None:
            raise EvalError("the expression gives nothing; EVAL gives a text, a number or a flag")
        return text_of(result, "the result")


def slots(text: str) -> tuple[str, ...]:
    """Names of all `{NAME}` in an expression, also inside its quoted texts, in order of first mention."""
    return tuple(dict.fromkeys(SLOT.findall(text)))


def rename_slots(text: str, names: Mapping[str, str]) -> str:
    """The expression with its slots renamed (names not in the mapping stay): a form to compare expressions by."""
    return SLOT.sub(lambda match: "{" + names.get(match[1], match[1]) + "}", text)


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """Parse an expression once; raises ExpressionError with the place of the first fault."""
    if len(text) > limits.EXPRESSION_CHARS:
        raise ExpressionError(
            f"an expression of {len(text)} characters; the limit is {limits.EXPRESSION_CHARS}",
            0,
            "split it into several EVAL steps",
        )
    parser = _Parser(text)
    node = parser.whole()
    return Expression(text, slots(text), frozenset(parser.numeric), node.run)


class _Parser:
    """Recursive descent, one method a precedence; each returns a closure and what to call it in messages."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.position = 0
        self.depth = 0
        self.numeric: set[str] = set()
        if len(self.tokens) > limits.EXPRESSION_TOKENS:
            raise ExpressionError(
                f"more than {limits.EXPRESSION_TOKENS} words and signs",
                0,
                "split it into several EVAL steps",
            )

    def whole(self) -> Node:
        if self.token.kind == "end":
            raise ExpressionError(
                "the expression is empty", 0, "write a condition or a value, as in {ANSWER0} > 0"
            )
        node = self.conditional()
        if self.token.kind != "end":
            raise self.unexpected("an operator is missing")
        return node

    # Walking the tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def take(self, *texts: str) -> str:
        """The next token's text where it is one of these words or signs, which is then consumed; else ''."""
        token = self.token
        if token.kind in ("sign", "word") and token.text in texts:
            self.position += 1
            return token.text
        return ""

    def need(self, text: str) -> None:
        if not self.take(text):
            raise self.unexpected(f"{text} is missing")

    def unexpected(self, what: str) -> ExpressionError:
        """`what`, with the tokens that it lies between."""
        token = self.token
        before = self.tokens[self.position - 1] if self.position else None
        if token.kind == "word" and token.text in _REFUSED:
            return ExpressionError(f"{token.text} is not in the language", token.offset, _refused(token.text))
        place = f"before {self.shown(token)}" if before is None else (
            f"between {self.shown(before)} and {self.shown(token)}" if token.kind != "end" else
            f"after {self.shown(before)}"
        )  # fmt: skip
        return ExpressionError(f"{what} {place}", token.offset)

    def shown(self, token: Token) -> str:
        text = f"{{{token.text}}}" if token.kind == "slot" else token.text
        text = visible(text, 30)
        return text if token.kind == "text" else f"'{text}'" if token.kind != "end" else text

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > limits.EXPRESSION_DEPTH:
            raise ExpressionError(
                f"more than {limits.EXPRESSION_DEPTH} levels inside one another",
                self.token.offset,
                "split it into several EVAL steps",
            )

    def source(self, start: int) -> str:
        """What was written from token number `start` up to here."""
        end = self.tokens[self.position - 1]
        stop = self.tokens[self.position].offset
        return visible(self.text[self.tokens[start].offset : max(stop, end.offset)])

    # Precedences, loosest first

    def conditional(self) -> Node:
        self.deeper()
        start = self.position
        value = self.either()
        branches: list[tuple[Node, Node]] = []  # (condition, value), so that a long chain needs no deep stack
        while self.take("if"):
            branches.append((self.either(), value))
            self.need("else")
            value = self.either()
        if branches:
            value = Node(choice(branches, value), self.source(start))
        self.depth -= 1
        return value

    def either(self) -> Node:
        return self.logical("or", self.exclusive, any_of)

    def exclusive(self) -> Node:
        return self.logical("xor", self.both, parity)

    def both(self) -> Node:
        return self.logical("and", self.negation, all_of)

    def logical(self, word: str, operand: Callable[[], Node], join: Callable[[list[Node]], Closure]) -> Node:
        start = self.position
        nodes = [operand()]
        while self.take(word):
            nodes.append(operand())
        return nodes[0] if len(nodes) == 1 else Node(join(nodes), self.source(start))

    def negation(self) -> Node:
        start = self.position
        if self.take("not"):
            self.deeper()
            node = self.negation()
            self.depth -= 1
            return Node(lambda values: not truth(node.run(values), node.source), self.source(start))
        return self.comparison()

    def comparison(self) -> Node:
        start = self.position
        first = self.sum()
        pairs: list[tuple[Callable[..., bool], Node]] = []
        while sign := self.take("==", "!=", "<=", ">=", "<", ">", "in", "not"):
            if sign == "not":
                self.need("in")
                sign = "not in"
            pairs.append((COMPARISONS[sign], self.sum()))
            if sign[0] in "<>":
                self.as_numbers(pairs[-2][1] if len(pairs) > 1 else first, pairs[-1][1])
        if not pairs:
            return first
        return Node(comparison(first, pairs), self.source(start))

    def sum(self) -> Node:
        return self.arithmetic(self.product, "+", "-")

    def product(self) -> Node:
        return self.arithmetic(self.signed, "*", "/", "//", "%")

    def arithmetic(self, operand: Callable[[], Node], *signs: str) -> Node:
        start = self.position
        first = operand()
        pairs = []
        while sign := self.take(*signs):
            pairs.append((ARITHMETIC[sign], operand()))
            self.as_numbers(first, pairs[-1][1])
        return Node(calculation(first, pairs), self.source(start)) if pairs else first

    def as_numbers(self, *nodes: Node) -> None:
        self.numeric.update(node.slot for node in nodes if node.slot)

    def signed(self) -> Node:
        start = self.position
        if sign := self.take("-", "+"):
            self.deeper()
            node = self.signed()
            self.depth -= 1
            factor = -1 if sign == "-" else 1
            return Node(lambda values: factor * number_of(node.run(values), node.source), self.source(start))
        return self.indexed()

    def indexed(self) -> Node:
        start = self.position
        node = self.atom()
        while self.take("["):
            index = self.conditional()
            self.need("]")
            self.deeper()  # not undone: a chain of indices nests the closures
            node = Node(item_of(node, index), self.source(start))
        return node

    def atom(self) -> Node:
        token = self.token
        if token.kind == "number":
            self.position += 1
            return Node(constant(self.number(token)), token.text)
        if token.kind == "text":
            self.position += 1
            return Node(self.text_value(token), self.shown(token))
        if token.kind == "slot":
            self.position += 1
            return Node(slot_value(token.text), f"{{{token.text}}}", token.text)
        if self.take("("):
            return self.grouped()
        if self.take("["):
            return self.list_of([], "]")
        if token.kind == "word" and token.text not in _OPERATORS | _REFUSED:
            return self.word(token)
        raise self.unexpected("a value is missing")

    def grouped(self) -> Node:
        """After `(`: one value in brackets, or a list written as a tuple."""
        node = self.conditional()
        if self.take(","):
            return self.list_of([node], ")")
        self.need(")")
        return node

    def list_of(self, nodes: list[Node], closing: str) -> Node:
        start = max(self.position - 1, 0)
        while not self.take(closing):
            nodes.append(self.conditional())
            if len(nodes) > limits.LIST_ITEMS:
                raise ExpressionError(f"a list of more than {limits.LIST_ITEMS} items", self.token.offset)
            if not self.take(","):
                self.need(closing)
                break
        runs = [node.run for node in nodes]
        return Node(lambda values: [run(values) for run in runs], self.source(start))

    def word(self, token: Token) -> Node:
        self.position += 1
        if token.text in _CONSTANTS:
            return Node(constant(_CONSTANTS[token.text]), token.text)
        if not self.take("("):
            if token.text.lower() in ("yes", "no"):
                raise ExpressionError(f"{token.text} without quotes", token.offset, f"write '{token.text}'")
            raise ExpressionError(
                f"{visible(token.text)} is no value here",
                token.offset,
                f"write {{{visible(token.text)}}} for a step's value, '{visible(token.text)}' for a text",
            )
        function = FUNCTIONS.get(token.text)
        if function is None:
            near = difflib.get_close_matches(token.text, FUNCTIONS, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(FUNCTIONS)}"
            raise ExpressionError(f"there is no function {visible(token.text)}", token.offset, remedy)
        start = self.position - 2
        nodes: list[Node] = []
        while not self.take(")"):
            nodes.append(self.conditional())
            if not self.take(","):
                self.need(")")
                break
        least, most = function.least, function.most
        if not least <= len(nodes) <= most:
            takes = (
                str(least) if least == most else f"{least} to {most}" if most < 99 else f"at least {least}"
            )
            raise ExpressionError(f"{token.text} takes {takes} values, not {len(nodes)}", token.offset)
        runs, sources, apply = [node.run for node in nodes], [node.source for node in nodes], function.apply
        source = self.source(start)
        return Node(
            lambda values: admit(apply(*(run(values) for run in runs), where=sources), source), source
        )

    def number(self, token: Token) -> int | float:
        written = token.text
        whole = written.isdigit()
        if len(written) > 32:
            raise ExpressionError("a number of more than 32 digits", token.offset)
        number = int(written) if whole else float(written)
        if not number < limits.NUMBER:
            raise ExpressionError(f"the number is too large; the limit is {limits.NUMBER:.0e}", token.offset)
        return number

    def text_value(self, token: Token) -> Closure:
        """A quoted text; each `{NAME}` in it is replaced by the value's text, which is not looked at again."""
        raw = token.text
        try:
            text = unquote(raw)
        except QuotingError as error:
            raise ExpressionError(str(error), token.offset + error.offset, error.remedy) from error
        if "{" not in text and "}" not in text:
            return constant(text)
        parts: list[Node | str] = []
        position = 0
        for match in SLOT.finditer(text):
            parts.append(text[position : match.start()])
            parts.append(Node(slot_value(match[1]), f"{{{match[1]}}}"))
            position = match.end()
        parts.append(text[position:])
        if any("{" in part or "}" in part for part in parts if isinstance(part, str)):
            raise ExpressionError(
                "a brace in a text that is no {NAME}", token.offset, "write only a name between the braces"
            )
        kept = [part for part in parts if part]
        return lambda values: joined(
            (part if isinstance(part, str) else text_of(part.run(values), part.source) for part in kept), ""
        )


def _refused(word: str) -> str:
    return "write == to compare" if word == "is" else "an expression only computes a value"
