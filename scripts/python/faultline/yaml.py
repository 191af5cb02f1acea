"""Reads the YAML that scenarios are written in, for Python brings no reader: mappings and lists in
blocks and on a line, scalars plain and quoted, literal blocks, comments. What else YAML knows
(tags, anchors, folded text) is an error with its place, never a guess. JSON is YAML."""

from __future__ import annotations

import json
import re
from typing import Any

from .errors import FaultlineError

QUOTED = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\n]|\'\')*\''
START = r"(?![-?:][\s]|[-?:]$)[^\s\"'\[\]{},#&*!|>%@`]"
BLANK = re.compile(r"(?:[ \t\r\n]|(?:(?<=\s)|(?<![\s\S]))#[^\n]*)*")
REST = re.compile(r"[ \t]*(?:(?<=\s)#[^\n]*)?\r?(?:\n|$)")
KEY = re.compile(rf"({QUOTED}|{START}(?:[^\n:#]|:(?=\S)|(?<=\S)#)*?)[ \t]*:(?=\s|$)", re.MULTILINE)
PLAIN = re.compile(rf"{START}(?:[^\n:#]|:(?=\S)|(?<=\S)#)*")
FLOW_PLAIN = re.compile(
    rf"{START}(?:[^\s,\[\]{{}}:#]|:(?=[^\s,\[\]{{}}])|(?<=\S)#|[ \t]+(?=[^\s,\[\]{{}}:#]))*")
LITERAL = re.compile(r"\|([-+]?)[ \t]*(?:(?<=\s)#[^\n]*)?\n")
DEPTH = 60


def scalar_of(text: str) -> Any:
    """A plain scalar: null, a truth, a number as JSON writes it, or text."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"0|-?[1-9]\d*", text) else text


class Reader:
    """One text. `at` is where the reading is."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file, self.at, self.depth = text, file, 0, 0

    def fail(self, what: str) -> FaultlineError:
        """An error here."""
        line = self.text.count("\n", 0, self.at) + 1
        return FaultlineError(f"{self.file}:{line}:{self.column() + 1}: {what}")

    def column(self) -> int:
        """From 0."""
        return self.at - (self.text.rfind("\n", 0, self.at) + 1)

    def skip(self) -> bool:
        """Blanks, ends of lines and comments; whether there is more."""
        found = BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at < len(self.text)

    def is_item(self) -> bool:
        """Whether an item of a list begins here."""
        return re.match(r"-(?:\s|$)", self.text[self.at:self.at + 2]) is not None

    def document(self) -> Any:
        """All of it."""
        if (start := re.match(r"\s*(?:#[^\n]*\n\s*)*---[ \t]*\r?\n", self.text)) is not None:
            self.at = start.end()
        value = self.block(-1)
        if self.skip():
            raise self.fail("there is more than one value")
        return value

    def block(self, parent: int) -> Any:
        """What stands further to the right than its parent."""
        if not self.skip() or self.column() <= parent:
            return None
        if self.depth > DEPTH:
            raise self.fail("too deep")
        self.depth += 1
        try:
            if self.is_item():
                return self.items(self.column())
            if KEY.match(self.text, self.at):
                return self.keys(self.column())
            return self.line()
        finally:
            self.depth -= 1

    def items(self, column: int) -> list[Any]:
        """A list in a block."""
        found: list[Any] = []
        while self.skip() and self.column() == column and self.is_item():
            self.at += 1
            found.append(self.block(column))
        return found

    def keys(self, column: int) -> dict[str, Any]:
        """A mapping in a block."""
        found: dict[str, Any] = {}
        while self.skip() and self.column() >= column:
            key = KEY.match(self.text, self.at)
            if key is None or self.column() > column:
                raise self.fail("a key was wanted here, in the column of the others")
            name = self.name(key[1])
            if name in found:
                raise self.fail(f"'{name}' a second time")
            self.at = key.end()
            found[name] = self.value(column)
        return found

    def name(self, text: str) -> str:
        """A key without its quotes."""
        return self.unquoted(text) if text[0] in "\"'" else text

    def value(self, column: int) -> Any:
        """What follows a key in a block."""
        if REST.match(self.text, self.at):
            # A list may stand in the column of its key.
            if self.skip() and self.column() == column and self.is_item():
                return self.items(column)
            return self.block(column)
        while self.text[self.at] in " \t":
            self.at += 1
        if (literal := LITERAL.match(self.text, self.at)) is not None:
            self.at = literal.end()
            return self.literal(column, literal[1])
        return self.line()

    def literal(self, column: int, chomp: str) -> str:
        """Lines as they are, without what all are indented by."""
        begin = self.at
        while self.at < len(self.text):
            end = self.text.find("\n", self.at)
            end = len(self.text) if end < 0 else end + 1
            line = self.text[self.at:end]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= column:
                break
            self.at = end
        lines = self.text[begin:self.at].splitlines(keepends=True)
        indent = next((len(one) - len(one.lstrip(" ")) for one in lines if one.strip()), 0)
        text = "".join(one[indent:] if one.strip() else "\n" for one in lines)
        if chomp == "+":
            return text
        return text.rstrip("\n") + ("\n" if not chomp and text.strip() else "")

    def line(self) -> Any:
        """A value up to the end of its line, or of its brackets."""
        if self.text[self.at] in "[{\"'":
            value = self.flow()
        else:
            found = PLAIN.match(self.text, self.at)
            if found is None:
                raise self.fail(f"{self.text[self.at]!r} is YAML that this reader does not know")
            self.at += len(found[0])
            value = scalar_of(found[0].strip())
        if (rest := REST.match(self.text, self.at)) is None:
            raise self.fail("the end of the line was wanted here")
        self.at = rest.end()
        return value

    def flow(self) -> Any:
        """A value on a line: in brackets, in quotes, or plain."""
        self.skip()
        opener = self.text[self.at:self.at + 1]
        if opener in ("[", "{") and self.depth > DEPTH:
            raise self.fail("too deep")
        if opener in ("[", "{"):
            self.depth += 1
            value = self.flow_items() if opener == "[" else self.flow_keys()
            self.depth -= 1
            return value
        found = re.compile(QUOTED).match(self.text, self.at)
        if found is not None:
            value = self.unquoted(found[0])
            self.at = found.end()
            return value
        return scalar_of(self.flow_plain())

    def flow_plain(self) -> str:
        """A plain scalar within brackets."""
        found = FLOW_PLAIN.match(self.text, self.at)
        if found is None:
            raise self.fail("a value was wanted here")
        self.at = found.end()
        return found[0]

    def is_pair(self) -> bool:
        """Whether a colon follows; it is taken."""
        self.skip()
        if self.text[self.at:self.at + 1] != ":":
            return False
        self.at += 1
        return True

    def flow_items(self) -> list[Any]:
        """[a, b: c]: a pair is a mapping of its own."""
        found: list[Any] = []
        while not self.closes("]", bool(found)):
            start = self.at
            one = self.flow()
            if isinstance(one, (dict, list)) or not self.is_pair():
                found.append(one)
            else:
                found.append({self.key_from(start): self.flow_value("]")})
        return found

    def flow_keys(self) -> dict[str, Any]:
        """{a: b, c}"""
        found: dict[str, Any] = {}
        while not self.closes("}", bool(found)):
            start = self.at
            self.flow()
            if (name := self.key_from(start)) in found:
                raise self.fail(f"'{name}' a second time")
            found[name] = self.flow_value("}") if self.is_pair() else None
        return found

    def key_from(self, start: int) -> str:
        """The key that was read from there on, as it was written."""
        quoted = re.compile(QUOTED).match(self.text, start)
        plain = FLOW_PLAIN.match(self.text, start)
        if quoted is None and plain is None:
            raise self.fail("a key was wanted here")
        return self.unquoted(quoted[0]) if quoted else plain[0] if plain else ""

    def flow_value(self, closer: str) -> Any:
        """What follows a colon within brackets."""
        self.skip()
        return None if self.text[self.at:self.at + 1] in (",", closer) else self.flow()

    def closes(self, closer: str, follows: bool) -> bool:
        """Goes past an opening bracket or a comma; whether the end is there, which is taken."""
        if not follows:
            self.at += 1
        self.skip()
        if follows and self.text[self.at:self.at + 1] == ",":
            self.at += 1
            self.skip()
        elif follows and self.text[self.at:self.at + 1] != closer:
            raise self.fail(f"',' or '{closer}' was wanted here")
        if self.text[self.at:self.at + 1] != closer:
            return False
        self.at += 1
        return True

    def unquoted(self, text: str) -> str:
        """What stands between quotes."""
        if text[0] == "'":
            return text[1:-1].replace("''", "'")
        try:
            return str(json.loads(re.sub(r"\\x([0-9A-Fa-f]{2})", r"\\u00\1", text), strict=False))
        except ValueError as error:
            raise self.fail(f"{text}: {error}") from error


def read(text: str, file: str = "text") -> Any:
    """The value that a text of YAML or JSON says."""
    return Reader(text, file).document()
