"""Code that students read, shown where they read it: ``labkit.show(ChordNode.find_successor)``."""

from __future__ import annotations

import html
import inspect
import keyword
import re
import textwrap
from typing import Any

__all__ = ["Source", "show"]


#: The colours are the theme's own. Lines stay whole: JupyterLab would break them, also inside a word.
STYLE = """<style>
.labkit-source { white-space: pre !important; overflow-x: auto; }
.labkit-source .k { color: var(--jp-mirror-editor-keyword-color); }
.labkit-source .s { color: var(--jp-mirror-editor-string-color); }
.labkit-source .c { color: var(--jp-mirror-editor-comment-color); }
.labkit-source .m { color: var(--jp-mirror-editor-number-color); }
</style>"""


#: What has a colour of its own, by its class in ``STYLE``: strings, comments, keywords, numbers.
TOKENS = re.compile(
    rf"""(?P<s>[\"]{{3}}[\s\S]*?[\"]{{3}}|"[^"\n]*"|'[^'\n]*')|(?P<c>\#.*)"""
    rf"|(?P<k>\b(?:{'|'.join(keyword.kwlist)})\b)|(?P<m>\b\d[\d_.]*)"
)


class Source:
    """Source text that a notebook shows with colours, and a terminal as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}\n```"

    def _repr_html_(self) -> str:
        text = html.escape(self.text, quote=False)
        return f'{STYLE}<pre class="labkit-source">{TOKENS.sub(_coloured, text)}</pre>'


def _coloured(token: re.Match[str]) -> str:
    return f'<span class="{token.lastgroup}">{token[0]}</span>'


def show(thing: Any) -> Source:
    """The source of a class, method, function or module of the package, as it runs.

    Raises ``TypeError`` for what has no Python source, such as a number or a built-in.
    """
    try:
        return Source(textwrap.dedent(inspect.getsource(thing)).rstrip())
    except (TypeError, OSError) as error:
        raise TypeError(
            f"{thing!r} has no Python source to show; give a class, a method, a function or a module, "
            "such as ChordNode.find_successor"
        ) from error
