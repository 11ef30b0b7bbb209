"""Parse protobuf's text format, as Caffe's ``.prototxt`` files use it, without a schema.

Grammar: a message is a sequence of ``name: scalar``, ``name { ... }``, ``name: { ... }``,
``name < ... >`` and ``name: [ ... ]``; ``#`` starts a comment; ``,`` and ``;`` may follow a field.
Values keep their spelling and line; what they mean is decided where a field is asked for.

Ref: https://protobuf.dev/reference/protobuf/textformat-spec/ (extensions and Any are refused: no
Caffe file has them).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tf2.errors import ImportModelError

MAX_BYTES = 16 << 20  # the largest published prototxt is under 1 MB
MAX_DEPTH = 16  # Caffe's own messages nest 5 deep

_TOKEN = re.compile(
    r"""
      (?P<space>(?:[ \t\r\n\f\v]|\#[^\n]*)+)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<word>[-+.\w]+)
    | (?P<mark>[{}<>:;,\[\]])
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CLOSES = {"{": "}", "<": ">"}


@dataclass(frozen=True, kw_only=True)
class Scalar:
    """One value as it is spelled in the file."""

    text: str
    quoted: bool
    line: int


@dataclass(frozen=True, kw_only=True)
class Message:
    """Fields in file order; a field may occur several times."""

    line: int
    fields: list[tuple[str, Scalar | Message]] = field(default_factory=list)

    def all(self, name: str) -> list[Scalar | Message]:
        """Return every value of a field, in file order."""
        return [value for key, value in self.fields if key == name]

    def messages(self, name: str) -> list[Message]:
        """Return every value of a field that must hold messages.

        Raises:
            ImportModelError: One of them is a plain value.
        """
        values = self.all(name)
        for value in values:
            if isinstance(value, Scalar):
                raise ImportModelError(
                    f"line {value.line}: {name!r} is {value.text!r}; it must be a block {{ ... }}"
                )
        return [value for value in values if isinstance(value, Message)]

    def strings(self, name: str) -> list[str]:
        """Return every value of a field that must hold text.

        Raises:
            ImportModelError: One of them is a block or not in quotes.
        """
        values = self.all(name)
        for value in values:
            if isinstance(value, Message) or not value.quoted:
                raise ImportModelError(
                    f"line {value.line}: {name!r} must be a text in quotes; correct the prototxt"
                )
        return [value.text for value in values if isinstance(value, Scalar)]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def parse_prototxt(data: bytes) -> Message:
    """Return the file as a message, or raise naming the line that cannot be read.

    Bytes that are not UTF-8 (comments in other encodings are common) become U+FFFD.

    Raises:
        ImportModelError: The text breaks the grammar, nests too deep or is too long.
    """
    if len(data) > MAX_BYTES:
        raise ImportModelError(
            f"prototxt has {len(data)} bytes; at most {MAX_BYTES} are read. Is it a caffemodel?"
        )
    if b"\0" in data:
        raise ImportModelError(
            "prototxt holds binary data; give the text file first and the caffemodel second"
        )
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    return _Parser(_tokens(text)).message(line=1, closing="", depth=0)


def _tokens(text: str) -> Iterator[_Token]:
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ImportModelError(
                f"prototxt line {line}: cannot read {text[position : position + 20]!r}; "
                "expected a name, a value or one of {}<>:;,[]"
            )
        kind = str(match.lastgroup)
        if kind != "space":
            yield _Token(kind, match.group(), line)
        line += match.group().count("\n")
        position = match.end()
    yield _Token("end", "", line)


class _Parser:
    """A recursive descent over the tokens, one token ahead."""

    def __init__(self, tokens: Iterator[_Token]) -> None:
        self._tokens = tokens
        self._next = next(tokens)

    def message(self, *, line: int, closing: str, depth: int) -> Message:
        if depth > MAX_DEPTH:
            raise ImportModelError(
                f"prototxt line {line}: blocks nest deeper than {MAX_DEPTH}; this is no Caffe net"
            )
        message = Message(line=line)
        while self._next.text != closing or self._next.kind not in ("mark", "end"):
            if self._next.kind == "end":
                raise ImportModelError(
                    f"prototxt ends inside the block opened in line {line}; "
                    f"{closing!r} is missing. Is the file complete?"
                )
            message.fields.extend(self._field(depth))
        self._take()
        return message

    def _field(self, depth: int) -> list[tuple[str, Scalar | Message]]:
        token = self._take()
        if token.kind != "word" or _NAME.match(token.text) is None:
            raise self._unexpected(token, "a field name")
        has_colon = self._skip(":")
        if has_colon and self._skip("["):
            values = self._list(depth)
        elif self._next.text in _CLOSES and self._next.kind == "mark":
            values = [self._block(depth)]
        elif has_colon:
            values = [self._scalar()]
        else:
            raise self._unexpected(self._next, f"':' or '{{' after {token.text!r}")
        if not self._skip(","):
            self._skip(";")
        return [(token.text, value) for value in values]

    def _list(self, depth: int) -> list[Scalar | Message]:
        values: list[Scalar | Message] = []
        while not self._skip("]"):
            if values and not self._skip(","):
                raise self._unexpected(self._next, "',' or ']'")
            is_block = self._next.text in _CLOSES and self._next.kind == "mark"
            values.append(self._block(depth) if is_block else self._scalar())
        return values

    def _block(self, depth: int) -> Message:
        token = self._take()
        return self.message(line=token.line, closing=_CLOSES[token.text], depth=depth + 1)

    def _scalar(self) -> Scalar:
        token = self._take()
        if token.kind == "word":
            return Scalar(text=token.text, quoted=False, line=token.line)
        if token.kind != "string":
            raise self._unexpected(token, "a value")
        text = _unescape(token.text)
        while self._next.kind == "string":  # adjacent strings are one
            text += _unescape(self._take().text)
        return Scalar(text=text, quoted=True, line=token.line)

    def _take(self) -> _Token:
        token = self._next
        self._next = next(self._tokens, token)
        return token

    def _skip(self, mark: str) -> bool:
        if self._next.kind != "mark" or self._next.text != mark:
            return False
        self._take()
        return True

    def _unexpected(self, token: _Token, expected: str) -> ImportModelError:
        found = repr(token.text) if token.kind != "end" else "the end of the file"
        return ImportModelError(f"prototxt line {token.line}: found {found}, expected {expected}")


def _unescape(quoted: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] == "x" and len(code) > 1:
            return chr(int(code[1:], 16))
        if code[0] in "01234567":
            return chr(int(code, 8))
        return _ESCAPED.get(code, code)

    return _ESCAPE.sub(replacement, quoted[1:-1])
