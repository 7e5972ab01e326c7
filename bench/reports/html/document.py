"""One self-contained HTML file: styles, scripts and data inside it, nothing loaded from elsewhere.

The data are JSON that no browser parses as markup, and a content security policy allows only the
script of this page: a class named `<script>` is a name. Large data are in blocks of their own,
which the page decodes on first use.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

STATIC = Path(__file__).parent / "static"
SCRIPTS = ("dom.js", "chart.js", "panel.js", "table.js", "images.js", "page.js")
DEPTH = 5  # to the rows of a section's tables
_AS_CODES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def document(title: str, data: Mapping[str, Any], blocks: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page of `data`, drawn by files of `static/`; `blocks` are decoded on demand.

    In parts, as the page of thousands of trials would take several times its length.
    """
    style, scripts = _read("page.css"), "\n".join(map(_read, SCRIPTS))
    script = f'"use strict";\n(() => {{\n{scripts}\n}})();'
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        f"img-src data:; base-uri 'none'; form-action 'none'"
    )
    before, _, rest = _read("page.html").partition("$data")
    between, _, after = rest.partition("$blocks")
    yield Template(before).substitute(
        policy=html.escape(policy, quote=False), title=html.escape(title), style=style
    )
    yield from script_json(data)
    yield between
    for name, block in blocks.items():
        yield f'<script type="application/json" id="block-{name}">'
        yield from script_json(block)
        yield "</script>\n"
    yield Template(after).substitute(script=script)


def script_json(value: Any, depth: int = DEPTH) -> Iterator[str]:
    """Yield JSON for a script element: ASCII, with no character that could end the element. A part
    may be a function that makes it."""
    if callable(value):
        value = value()
    if depth and isinstance(value, Mapping):
        for number, (key, part) in enumerate(value.items()):
            yield f"{',' if number else '{'}{_dense(str(key))}:"
            yield from script_json(part, depth - 1)
        yield "}" if value else "{}"
    elif depth and isinstance(value, list):
        for number, part in enumerate(value):
            yield "," if number else "["
            yield from script_json(part, depth - 1)
        yield "]" if value else "[]"
    else:
        yield _dense(value)


def _dense(value: Any) -> str:
    dense = json.dumps(value, allow_nan=False, separators=(",", ":"), default=lambda make: make())
    return dense.translate(_AS_CODES)


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
