"""Program text to a Program: NAME=OP(keyword=value, ...), a closed subset of Python's syntax read without executing.

The language is small enough for a recursive descent of its own, which gives every line's fault at its column; Python's
`ast` stops at the first one, and hostile text can exhaust its stack. A test holds that `ast` reads the same structure
from every accepted program.

Codes: E001 apostrophe inside a text, E002 quotes, E003 syntax, E004 numbers and escapes, E104 argument given twice,
E401 no step, E6xx limits (E601 bytes, E602 steps, E603 depth, E604 list, E605 text, E606 name, E607 arguments).
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field

from . import limits
from .flatten import Call, Flattener, Value
from .quoting import QuotingError, unquote, visible
from .syntax import ListOf, Literal, Name, Place, Problem, Program, ProgramError
from .tokens import Fault, Token, Tokens

_CONSTANTS = {"True": True, "False": False, "None": None}
_KEYWORDS = frozenset(keyword.kwlist)  # the language stays a subset of Python


@dataclass
class Parsed:
    """What could be read of a text: its good steps, its problems, and (name, op) of the statements that are lost."""

    program: Program
    problems: list[Problem] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)


def parse(text: str) -> Program:
    """The program of a text; raises ProgramError with the problems of all its lines."""
    parsed = read(text)
    if parsed.problems:
        raise ProgramError(parsed.problems)
    return parsed.program


def read(text: str) -> Parsed:
    """Parse as much as can be parsed; never raises for a bad text."""
    if not isinstance(text, str):
        return _refused("E003", f"a program is a text, not {type(text).__name__}", 1, 1)
    if len(text) > limits.SOURCE_BYTES or len(text.encode(errors="surrogatepass")) > limits.SOURCE_BYTES:
        return _refused(
            "E601", f"the program is longer than {limits.SOURCE_BYTES // 1024} KiB", 1, 1, "split it"
        )
    source = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for position, char in enumerate(source):
        if char == "\0" or "\ud800" <= char <= "\udfff":
            line, column = source.count("\n", 0, position) + 1, position - source.rfind("\n", 0, position)
            return _refused(
                "E003", f"U+{ord(char):04X} is no character of a text", line, column, "take it out"
            )
    return _Parser(source).run()


def _refused(code: str, message: str, line: int, column: int, suggestion: str = "") -> Parsed:
    return Parsed(Program(()), [Problem(code, message, line, column, suggestion)])


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = Tokens(source)
        self.problems: list[Problem] = []
        self.lost: list[tuple[str, str]] = []
        self.statements: list[tuple[Token, Call]] = []
        self.calls = 0

    def run(self) -> Parsed:
        while self.tokens.begin():
            started = self.tokens.line + 1
            try:
                self.statements.append(self.statement())
            except Fault as fault:
                self.problem(fault)
                self.lost.append(self.tokens.called(started))
                self.tokens.recover(started, max(started, fault.line))
            if len(self.problems) >= limits.PROBLEMS:
                self.problem(Fault("E003", "too many problems to list; the rest was not read", started, 1))
                break
            if self.calls > limits.STEPS:
                self.problem(
                    Fault("E602", f"more than {limits.STEPS} steps", started, 1, "split the program in two")
                )
                break
        if not self.statements and not self.problems:
            self.problem(
                Fault(
                    "E401",
                    "the program has no step",
                    1,
                    1,
                    "write steps, and end with FINAL_RESULT=RESULT(var=...)",
                )
            )
        program = Program(tuple(Flattener(self.statements).steps()), self.source)
        if not self.problems and len(program.text.encode()) > limits.SOURCE_BYTES:
            self.problem(
                Fault(
                    "E601",
                    f"in canonical form longer than {limits.SOURCE_BYTES // 1024} KiB",
                    1,
                    1,
                    "split it",
                )
            )
        return Parsed(program, self.problems, self.lost)

    def problem(self, fault: Fault) -> None:
        self.problems.append(Problem(fault.code, fault.message, fault.line, fault.column, fault.suggestion))

    def statement(self) -> tuple[Token, Call]:
        target = self.name("a step starts with a name, as in BOX0=LOC(...)")
        if not self.take("="):
            raise self.unexpected("= is missing", "a step is NAME=OP(argument=value, ...)")
        op = self.name("after = comes a tool, as in BOX0=LOC(...)")
        if not self.take("("):
            raise self.unexpected(
                "( is missing", f"a step calls a tool: {visible(target.text)}=OP(argument=value)"
            )
        call = self.call(op, 1)
        token = self.tokens.peek
        if token.kind != "newline":
            remedy = "write one step on a line" if token.kind == "name" else ""
            raise self.unexpected(f"'{visible(token.text, 20)}' follows the end of the step", remedy)
        self.tokens.next()
        return target, call

    def call(self, op: Token, depth: int) -> Call:
        """A call's arguments, after its opening bracket."""
        self.check_depth(depth, op)
        self.calls += 1
        call = Call(op, [])
        seen: set[str] = set()
        while not self.take(")"):
            token = self.tokens.peek
            if token.kind == "name" and self.tokens.starts_step(token):
                raise self.unclosed(op)
            key = self.name("an argument is written keyword=value") if token.kind == "name" else None
            if key is None or not self.take("="):
                raise self.not_keyword(token, op)
            place = self.place()
            value = self.value(depth)
            if key.text in seen:
                self.problem(
                    Fault(
                        "E104",
                        f"argument {key.text} is given twice",
                        key.line,
                        key.column,
                        "keep one of them",
                    )
                )
            else:
                seen.add(key.text)
                call.args.append((key, value, place))
            if len(call.args) > limits.ARGUMENTS:
                raise Fault("E607", f"more than {limits.ARGUMENTS} arguments", key.line, key.column)
            if not self.take(","):
                if self.take(")"):
                    break
                raise self.not_continued(op, ")")
        return call

    def value(self, depth: int) -> Value:
        token = self.tokens.peek
        if token.kind == "text":
            self.tokens.next()
            return Literal(self.text(token))
        if token.kind == "number" or (token.kind == "sign" and token.text in "+-"):
            return Literal(self.number())
        if token.kind == "sign" and token.text in "[(":
            self.tokens.next()
            return self.list_of("]" if token.text == "[" else ")", depth + 1, token)
        if token.kind == "name":
            if token.text in _CONSTANTS:
                self.tokens.next()
                return Literal(_CONSTANTS[token.text])
            name = self.name("a value is a text, a number, True, False, None, a name or a list")
            if self.take("("):
                return self.call(name, depth + 1)
            return Name(name.text)
        raise self.unexpected("a value is missing", "a text, a number, True, False, None, a name or a list")

    def list_of(self, closing: str, depth: int, opening: Token) -> Value:
        """A list's items, after its opening bracket. `(x)` is x; `(x, y)` and `(x,)` are lists."""
        self.check_depth(depth, opening)
        items: list[Value] = []
        comma = False
        while not self.take(closing):
            token = self.tokens.peek
            item = self.value(depth)
            if isinstance(item, list | ListOf):
                raise Fault(
                    "E003", "a list inside a list", token.line, token.column, "a list holds texts and numbers"
                )
            items.append(item)
            if len(items) > limits.LIST_ITEMS:
                raise Fault(
                    "E604", f"a list of more than {limits.LIST_ITEMS} items", token.line, token.column
                )
            if self.take(","):
                comma = True
            elif not self.take(closing):
                raise self.not_continued(opening, closing)
            else:
                break
        return items[0] if closing == ")" and len(items) == 1 and not comma else items

    def text(self, token: Token) -> str:
        try:
            text = unquote(token.text)
        except QuotingError as error:
            raise Fault("E004", str(error), token.line, token.column + error.offset, error.remedy) from error
        if len(text) > limits.TEXT_CHARS:
            raise Fault(
                "E605", f"a text longer than {limits.TEXT_CHARS} characters", token.line, token.column
            )
        return text

    def number(self) -> int | float:
        sign = self.tokens.next().text if self.tokens.peek.kind == "sign" else ""
        token = self.tokens.peek
        if token.kind != "number":
            raise self.unexpected(
                f"a number is missing after {sign}", "arithmetic belongs into EVAL(expr='...')"
            )
        self.tokens.next()
        written = token.text
        whole = written.isdigit()
        if len(written) > 32:
            raise Fault("E004", "a number of more than 32 characters", token.line, token.column)
        if whole and len(written) > 1 and written[0] == "0":
            raise Fault("E004", f"{written} starts with 0", token.line, token.column, f"write {int(written)}")
        number = int(written) if whole else float(written)
        if not number < limits.NUMBER:
            raise Fault(
                "E004", f"{written} is too large; the limit is {limits.NUMBER:.0e}", token.line, token.column
            )
        return -number if sign == "-" and number else number

    # Tokens

    def take(self, sign: str) -> bool:
        token = self.tokens.peek
        if token.kind == "sign" and token.text == sign:
            self.tokens.next()
            return True
        return False

    def name(self, hint: str) -> Token:
        token = self.tokens.peek
        if token.kind != "name":
            raise self.unexpected("a name is missing", hint)
        if token.text in _KEYWORDS:
            raise Fault("E003", f"{token.text} cannot be a name", token.line, token.column, hint)
        if token.text.startswith("_"):
            raise Fault(
                "E003",
                f"{visible(token.text)} starts with _",
                token.line,
                token.column,
                "start with a letter",
            )
        if len(token.text) > limits.NAME_CHARS:
            raise Fault(
                "E606", f"a name longer than {limits.NAME_CHARS} characters", token.line, token.column
            )
        return self.tokens.next()

    def place(self) -> Place:
        token = self.tokens.peek
        return Place(token.line, token.column)

    def check_depth(self, depth: int, token: Token) -> None:
        if depth > limits.DEPTH:
            raise Fault(
                "E603",
                f"more than {limits.DEPTH} calls and lists inside one another",
                token.line,
                token.column,
                "give inner calls names of their own, one step a line",
            )

    # Faults

    def unexpected(self, message: str, suggestion: str = "") -> Fault:
        token = self.tokens.peek
        return Fault("E003", message, token.line, token.column, suggestion)

    def unclosed(self, op: Token) -> Fault:
        """The next step begins, or the text ends, before the call's bracket is closed."""
        last = self.tokens.previous
        return Fault(
            "E003", f"the bracket of {visible(op.text)}( is not closed", last.line, last.end, "add )"
        )

    def not_keyword(self, token: Token, op: Token) -> Fault:
        if token.kind == "newline":
            return self.unclosed(op)
        if token.kind == "sign" and token.text in ",=)]":
            return Fault("E003", "an argument is missing", token.line, token.column, "write keyword=value")
        return Fault(
            "E003",
            f"'{visible(token.text, 20)}' has no keyword",
            token.line,
            token.column,
            f"write {visible(op.text)}(keyword=value, ...)",
        )

    def not_continued(self, opening: Token, closing: str) -> Fault:
        """After a value comes neither a comma nor the closing bracket."""
        token, last = self.tokens.peek, self.tokens.previous
        if token.kind == "newline" or self.tokens.starts_step(token):
            named = f"{visible(opening.text)}(" if opening.kind == "name" else opening.text
            return Fault(
                "E003", f"the bracket of {named} is not closed", last.line, last.end, f"add {closing}"
            )
        if token.line > last.line:
            return Fault(
                "E003", "the line ends without a comma", last.line, last.end, f"add a comma, or {closing}"
            )
        if token.text in ("(", "["):
            return Fault(
                "E003",
                f"'{token.text}' follows a value",
                token.line,
                token.column,
                "there are no indices and no methods; an item of a list is EVAL(expr='{LIST0}[0]')",
            )
        if token.text in ("+", "-"):
            return Fault(
                "E003",
                "arithmetic outside EVAL",
                token.line,
                token.column,
                "write EVAL(expr='{ANSWER0} + 1')",
            )
        return Fault(
            "E003", "a comma is missing", token.line, token.column, f"add a comma before it, or {closing}"
        )
