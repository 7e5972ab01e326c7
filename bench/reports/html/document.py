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
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

STYLES = ("base.css", "report.css")
SCRIPTS = (
    *("dom.js", "theme.js", "tip.js", "scale.js", "chart.js", "panel.js", "table.js"),
    *("sheet.js", "blocks.js", "confusion.js", "report.js"),
)
STATIC = Path(__file__).parent / "static"
_AS_CODES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def document(title: str, data: Mapping[str, Any], blocks: Mapping[str, Any]) -> str:
    """Return the page of `data`, drawn by files of `static/`; `blocks` are decoded on demand."""
    style, script = _joined(STYLES), _script(SCRIPTS)
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        f"img-src data:; base-uri 'none'; form-action 'none'"
    )
    template = Template((STATIC / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        policy=html.escape(policy, quote=False),
        title=html.escape(title),
        style=style,
        script=script,
        data=script_json(data),
        blocks="\n".join(
            f'<script type="application/json" id="block-{name}">{script_json(block)}</script>'
            for name, block in blocks.items()
        ),
    )


def script_json(value: Any) -> str:
    """Return JSON for a script element: ASCII, with no character that could end the element. A part
    may be a function that makes it."""
    dense = json.dumps(value, allow_nan=False, separators=(",", ":"), default=lambda make: make())
    return dense.translate(_AS_CODES)


def _script(names: Sequence[str]) -> str:
    return f'"use strict";\n(() => {{\n{_joined(names)}\n}})();'


def _joined(names: Sequence[str]) -> str:
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
