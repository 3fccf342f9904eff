"""The frame of every page here: one HTML file, light and dark, loaded from nowhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from string import Template


def page(title: str, body: str, style: str = "", script: str = "") -> str:
    """A whole page; its policy forbids the browser to fetch anything.

    Parameters
    ----------
    title : str
        Plain text.
    body, style, script : str
        HTML, CSS beside that of every page, and JavaScript.

    Returns
    -------
    str
    """
    return _PAGE.substitute(
        title=html.escape(title),
        style=style,
        body=body,
        script=f"<script>\n{script}\n</script>" if script else "",
    )


def listed(title: str, sentences: Sequence[str]) -> str:
    """A heading and a list of plain sentences; nothing where there are none."""
    items = "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<h2>{title}</h2>\n<ul>\n{items}\n</ul>" if sentences else ""


def fact_table(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and values, both plain text.

    Parameters
    ----------
    rows : iterable of (name, value)

    Returns
    -------
    str
    """
    cells = "\n".join(
        f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in rows
    )
    return f"<table>\n{cells}\n</table>"


def number_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of numbers under heads, all plain text; the first column has names."""
    top = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    cells = "\n".join(
        f"<tr><th>{html.escape(name)}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        + "</tr>"
        for name, *row in rows
    )
    return f'<div class="wide"><table class="numbers">\n<tr>{top}</tr>\n{cells}\n</table></div>'


_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark; --back: #fff; --text: #222; --quiet: #5a5a5a; --line: #ddd;
  --data: #dcdcdc; --curve: #2e6da4; --up: #c0392b; --down: #2e6da4; --card: #fafafa }
@media (prefers-color-scheme: dark) { :root { --back: #16181b; --text: #e6e6e6; --quiet: #a5a5a5;
  --line: #3a3d41; --data: #33373c; --curve: #74b0e6; --up: #ee7d6f; --down: #74b0e6;
  --card: #1d2024 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: var(--text); background: var(--back) }
h1 { font-size: 1rem; font-weight: normal; color: var(--quiet); margin: 0 }
.verdict { font-size: 1.5rem; line-height: 1.3; margin: .3rem 0 1rem; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
li { margin-bottom: .4rem }
table { border-collapse: collapse; width: 100% }
tr { border-top: 1px solid var(--line) }
th { text-align: left; vertical-align: top; padding: .3rem 1.5rem .3rem 0;
  font-weight: 600 }
td { padding: .3rem 0; overflow-wrap: anywhere }
.wide { overflow-x: auto } .numbers td { white-space: nowrap }
.numbers td, .numbers tr:first-child th:not(:first-child)
  { text-align: right; padding-left: 1rem; font-variant-numeric: tabular-nums }
img { max-width: 100%; background: #fff }
figure { margin: 1rem 0 }
figcaption, .quiet { color: var(--quiet); font-size: .9rem }
$style
</style></head><body>
$body
$script
</body></html>
""")
