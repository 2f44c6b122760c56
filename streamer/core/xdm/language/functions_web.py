"""The functions for hashes and for the parts of a URL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from streamer.core.xdm.language.function import Function, prepared, strict
from streamer.core.xdm.language.values import text_of

_CHARSETS = {
    "utf-8": ("utf-8", b""),
    # As Java writes it: the larger byte first, after a mark that says so.
    "utf-16": ("utf-16-be", b"\xfe\xff"),
    "iso-8859-1": ("iso-8859-1", b""),
    "us-ascii": ("ascii", b""),
}


def _hash(name: str) -> Callable[..., Callable[..., object]]:
    def prepare(charset: str = "UTF-8") -> Callable[..., object]:
        known = _CHARSETS.get(charset.lower())
        if known is None:
            raise ValueError(
                "there is no such character set: it is UTF-8, UTF-16, ISO-8859-1 or US-ASCII"
            )
        codec, mark = known

        def digest(value: object) -> str:
            content = mark + text_of(value).encode(codec, errors="replace")
            return hashlib.new(name, content, usedforsecurity=False).hexdigest()

        return digest

    return prepare


def _parts(url: object) -> SplitResult:
    parts = urlsplit(text_of(url))
    if not parts.scheme or not parts.hostname:
        raise ValueError("not a whole URL")
    return parts


def _path(url: object, full: object = True) -> str:
    path = _parts(url).path
    return path if full is True else path.rpartition("/")[2]


def _hashing(name: str, called: str, digest: str) -> Function:
    return Function(
        name=name,
        arguments=("text", "charset?"),
        summary=f"The {called} of a text, in hexadecimal digits; the charset is UTF-8 unless said.",
        examples=((f'{name}("my text")', digest),),
        build=prepared(_hash(name), literals=slice(1, None)),
    )


HASHES = (
    _hashing(
        "sha256",
        "SHA-256",
        "7330d2b39ca35eaf4cb95fc846c21ee6a39af698154a83a586ee270a0d372104",
    ),
    _hashing(
        "sha512",
        "SHA-512",
        "a3d7e45a0d9be5fd4e4b9a3b8c9c2163c21ef708bf11b4232bb21d2a8704ada2"
        "cdcd7b367dd0788a89a5c908cfe377aceb1072a7b386b7d4fd2ff68a8fd24d16",
    ),
    _hashing("sha1", "SHA-1", "c3599c11e47719df18a2448690840c5dfcce3c80"),
    _hashing("md5", "MD5", "d3b96ce8c9fb4e9bd0198d03ba6852c7"),
)

URLS = (
    Function(
        name="get_url_protocol",
        arguments=("url",),
        summary="The scheme of a URL.",
        examples=(('get_url_protocol("https://example.com/home")', "https"),),
        build=strict(lambda url: _parts(url).scheme),
    ),
    Function(
        name="get_url_host",
        arguments=("url",),
        summary="The host of a URL, in lower case.",
        examples=(('get_url_host("https://Example.com:8042/home")', "example.com"),),
        build=strict(lambda url: _parts(url).hostname),
    ),
    Function(
        name="get_url_path",
        arguments=("url", "full?"),
        summary="The path of a URL; its last part only if `full` is false.",
        examples=(
            (
                'get_url_path("sftp://example.com//home/joe/employee.csv")',
                "//home/joe/employee.csv",
            ),
            ('get_url_path("https://example.com/home/joe", false)', "joe"),
        ),
        build=strict(_path),
    ),
)
