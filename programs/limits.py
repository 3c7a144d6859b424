"""Every limit of the program language, in one place: programs are untrusted text."""

from __future__ import annotations

SOURCE_BYTES = 64 * 1024  # UTF-8 bytes of a program, as written and in canonical form
STEPS = 256  # steps after nested calls are flattened
DEPTH = 16  # calls and lists inside one another
LIST_ITEMS = 256  # items of a list, written or computed
ARGUMENTS = 64  # arguments of one call
TEXT_CHARS = 8 * 1024  # characters of a text, written or computed
NAME_CHARS = 64  # characters of a name
NUMBER = (
    1e15  # largest magnitude of a number, written or computed: below it a float still holds every integer
)
PROBLEMS = 100  # problems reported at once

EXPRESSION_CHARS = 4 * 1024  # characters of an EVAL expression
EXPRESSION_TOKENS = 1024  # words, values and signs of one expression
EXPRESSION_DEPTH = 16  # brackets, calls and operators inside one another
VALUE_ITEMS = 10_000  # items of a list that a tool gave and an expression reads
