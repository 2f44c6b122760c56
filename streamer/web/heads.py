"""What is not served although a parser can read it: rules of RFC 9112 for the head of a request.

A request that two programs could read differently is the way past a proxy. The
rules are here because not every parser knows them; they must not know which
one it is, and decide from the head alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.core.limits import HEADER_BYTES_MAX

_BLANKS = (b" ", b"\t")
_FRAME_BYTES = len(b"  HTTP/1.1\r\n\r\n")
"""What a head consists of besides method, target and headers."""

Header = tuple[bytes, bytes]
"""Name, in lower case, and value."""


class Refused(Exception):
    """This request is not served, and nothing that comes after it on its connection is."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def check(method: bytes, target: bytes, http_version: str, headers: list[Header]) -> None:
    """Refuse a head that is too large, or leaves open whom it is for or where its body ends.

    The size is that of the whole head, so that it is the same whether a parser saw the head grow
    or found it complete. Blanks at the end of a value, which are no part of it, are taken off in
    place.
    """
    if http_version not in {"1.0", "1.1"}:
        raise Refused(400)
    hosts = 0
    size = len(method) + len(target) + _FRAME_BYTES
    for index, (name, value) in enumerate(headers):
        size += len(name) + len(value) + 4  # the colon, the blank and the line's end
        if value[-1:] in _BLANKS:
            headers[index] = (name, value.rstrip(b" \t"))
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and headers[index][1].lower() != b"chunked":
            raise Refused(501)
        elif name == b"transfer-encoding" and http_version == "1.0":
            raise Refused(400)
    if hosts > 1 or (hosts == 0 and http_version == "1.1"):
        raise Refused(400)
    if size > HEADER_BYTES_MAX:
        raise Refused(431)


def path_of(target: bytes) -> bytes:
    """Return path and query of a target; one that names the whole URL is known by its path.

    Whose host is named was the concern of the proxy before us (section 3.2.2).
    """
    if b"#" in target:
        raise Refused(400)
    if target.startswith(b"/"):
        return target
    scheme, _, rest = target.partition(b"://")
    if scheme.lower() not in {b"http", b"https"}:
        raise Refused(400)
    authority, question, query = rest.partition(b"?")
    return b"/" + authority.partition(b"/")[2] + question + query


def without_upgrade(
    method: bytes, target: bytes, http_version: str, headers: Sequence[Header]
) -> bytes:
    """Write a head again without the offer to speak another protocol, which may be ignored."""
    if method == b"CONNECT":
        raise Refused(400)
    lines = [b"%b %b HTTP/%b" % (method, target, http_version.encode())]
    lines += [b"%b: %b" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join(lines) + b"\r\n\r\n"
