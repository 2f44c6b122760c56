"""Regular expressions whose cost is known before they meet a stranger's text.

The pattern is an operator's, the text is anybody's, and Python's engine goes
back over a text as often as a pattern leaves it a choice. So a pattern is read
here first. What could cost exponential time is refused: a repetition within a
repetition, or a choice within one. What is left costs a power of the text's
length: one for each repetition that can end at more places than one, since
what follows it could also be taken for more of it. That power, and the number
of other choices, say how long a text may be so that looking at it ends soon; a
longer one is not looked at. The estimate errs towards dear, never towards cheap.

The syntax is what Java and Python read alike, letters and digits being ASCII's.
"""

from __future__ import annotations

import math
import re

import msgspec

from streamer.core.mapping_limits import (
    REGEX_CHARACTERS_MAX,
    REGEX_CHOICES_MAX,
    REGEX_PIECES_MAX,
    REGEX_STEPS_MAX,
    SEARCHED_CHARACTERS_MAX,
    SEARCHED_CHARACTERS_MIN,
)

# Tells sets of characters apart: all of Latin-1, and one of what lies beyond.
_SAMPLE = "".join(map(chr, range(256))) + "\u20ac"

_ATOM = re.compile(
    r"""
      (?P<set>\[\^?(?:[^\]\\\[]|\\[dDwWsSntr]|\\[^\w\s])+\]  # [^,]
        | \\[dDwWsSntr] | \\[^\w\s] | \.       # \d and the like, an escaped sign, any
        | [^\\\[\](){}|*+?^$.]                 # a character for itself
      )
    | (?P<place>\\[bB] | \^ | \$)
    | (?P<open>\((?:\?:)?(?!\?))
    | (?P<close>\))
    | (?P<either>\|)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_REPEAT = re.compile(
    r"(?P<sign>[*+?]|\{(?P<least>\d{1,3})(?P<to>,(?P<most>\d{0,3}))?\})(?P<lazy>\??)"
)

_SIGNS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_TWICE = re.compile(r"--|&&|\|\||~~")


class UnsafePattern(ValueError):
    """A pattern that is not understood, or could take for ever."""

    hint = (
        "Repeat one set of characters, such as `[a-z.]+`, and write a choice once. docs/mapping.md "
        "says below *Patterns* what is understood."
    )


class Pattern(msgspec.Struct, frozen=True):
    """A pattern that may be tried on texts up to a length."""

    regex: re.Pattern[str]
    characters_max: int

    def require_short(self, text: str) -> None:
        """Raise ValueError for a text that is too long to be looked at."""
        if len(text) > self.characters_max:
            raise ValueError("the text is too long for the pattern")


class _Piece(msgspec.Struct, frozen=True):
    """One atom with its repetition, in the order of the pattern."""

    characters: frozenset[str]
    """What it can be; every piece takes a character."""
    repeats: bool
    optional: bool


def compile_pattern(text: str) -> Pattern:
    """Read and compile a pattern.

    Raises:
        UnsafePattern: With what is wrong, as a clause.
    """
    if len(text) > REGEX_CHARACTERS_MAX:
        raise UnsafePattern(f"the pattern has more than {REGEX_CHARACTERS_MAX} characters")
    reader = _Reader(text)
    reader.read()
    try:
        regex = re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsafePattern(f"the pattern is wrong: {error}") from None
    characters_max = _characters_max(reader)
    if characters_max < SEARCHED_CHARACTERS_MIN:
        raise UnsafePattern("the pattern leaves too many choices to be tried on a stranger's text")
    return Pattern(regex, characters_max)


def _characters_max(reader: _Reader) -> int:
    """Say how long a text may be: a search can cost ``choices * n ** power / power!`` steps."""
    pieces = reader.pieces
    power = sum(_leaves_a_choice(pieces, index) for index in range(len(pieces)))
    power += any(piece.repeats for piece in pieces)
    power += not reader.is_anchored
    length = (REGEX_STEPS_MAX / reader.choices * math.factorial(power)) ** (1 / max(power, 1))
    return min(SEARCHED_CHARACTERS_MAX, int(length))


def _leaves_a_choice(pieces: list[_Piece], index: int) -> bool:
    """Say whether a repetition could end at several places with the rest fitting so far."""
    piece = pieces[index]
    if not piece.repeats:
        return False
    for follower in pieces[index + 1 :]:
        if not follower.characters.isdisjoint(piece.characters):
            return True
        if not follower.optional:
            return False
    return False


class _Reader:
    """Reads a pattern into its pieces; groups and their alternatives lie one behind the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.pieces: list[_Piece] = []
        self.choices = 1
        """Ways through its alternatives and optional parts, whatever the text."""
        self.is_anchored = False
        """It fits at the beginning of a text only."""

    def read(self) -> None:
        """Read the whole pattern."""
        alternatives = self._alternatives()
        if self._position < len(self._text):
            raise UnsafePattern("the pattern closes a group that was not opened")
        self.is_anchored = self._text.startswith("^") and alternatives == 1

    def _alternatives(self) -> int:
        """Read up to the end of a group; return how many alternatives it has."""
        begin, alternatives = len(self.pieces), 1
        while (found := self._atom()) and not found["close"]:
            self._position = found.end()
            if found["open"]:
                self._group()
            elif found["set"]:
                self._add([_Piece(_matched_by(found["set"]), repeats=False, optional=False)])
            elif found["either"]:
                alternatives += 1
        if alternatives > 1:
            self._make_optional(begin)
            self.choices *= alternatives
            if self.choices > REGEX_CHOICES_MAX:
                raise UnsafePattern("the pattern has too many parts or choices")
        return alternatives

    def _atom(self) -> re.Match[str] | None:
        if self._position >= len(self._text):
            return None
        found = _ATOM.match(self._text, self._position)
        if found is None or (found["set"] and _TWICE.search(found["set"])):
            odd = self._text[self._position :][:3]
            raise UnsafePattern(f"{odd!r} in the pattern is not supported here")
        return found

    def _group(self) -> None:
        begin, choices = len(self.pieces), self.choices
        self._alternatives()
        if self._position >= len(self._text):
            raise UnsafePattern("the pattern does not close a group")
        self._position += 1
        inside = self.pieces[begin:]
        del self.pieces[begin:]
        self._add(inside, choices=self.choices // choices)

    def _add(self, inside: list[_Piece], *, choices: int = 1) -> None:
        """Add an atom or a group with the repetition that stands behind it."""
        begin = len(self.pieces)
        least, most = self._repetition()
        if most != 1 and all(piece.optional for piece in inside):
            raise UnsafePattern("the pattern repeats what can be nothing")
        if most == 1 or (least == most and len(inside) == 1 and not inside[0].repeats):
            self.pieces += inside
            self.choices *= 1 if least else 2
        elif least == most:
            self.pieces += inside * least
            self.choices *= choices ** max(least - 1, 0)
        elif any(piece.repeats or piece.optional for piece in inside):
            raise UnsafePattern(
                "the pattern repeats what itself repeats, or is a choice, and might never end"
            )
        else:
            characters = frozenset[str]().union(*(piece.characters for piece in inside))
            self.pieces.append(_Piece(characters, repeats=True, optional=False))
        if least == 0:
            self._make_optional(begin)
        if len(self.pieces) > REGEX_PIECES_MAX or self.choices > REGEX_CHOICES_MAX:
            raise UnsafePattern("the pattern has too many parts or choices")

    def _make_optional(self, begin: int) -> None:
        self.pieces[begin:] = [
            msgspec.structs.replace(piece, optional=True) for piece in self.pieces[begin:]
        ]

    def _repetition(self) -> tuple[int, int | None]:
        """Read what stands behind an atom: how often at least, and at most."""
        found = _REPEAT.match(self._text, self._position)
        if found is None:
            return 1, 1
        self._position = found.end()
        if found["least"] is None:
            least, most = _SIGNS[found["sign"]]
            return least, most
        least = int(found["least"])
        if found["to"] is None:
            return least, least
        return least, int(found["most"]) if found["most"] else None


def _matched_by(atom: str) -> frozenset[str]:
    try:
        found = frozenset(re.findall(atom, _SAMPLE, re.ASCII | re.DOTALL))
    except re.error as error:
        raise UnsafePattern(f"the pattern is wrong: {error}") from None
    # What one character beyond the sample has to do with another is not looked into.
    return found if max(atom) < "\u0100" else found | {_SAMPLE[-1]}
