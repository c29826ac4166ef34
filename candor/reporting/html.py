"""What the pieces of the page share."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """An HTML table; numbers are set right, strings beginning with `<` are taken as HTML made here."""

    def cell(value: Any) -> str:
        if isinstance(value, bool) or value is None:
            return f"<td>{escape(str(value))}</td>"
        if isinstance(value, int | float):
            return f'<td class="n">{value:,}</td>' if isinstance(value, int) else f'<td class="n">{value:,.4g}</td>'
        return f"<td>{value if str(value).startswith('<') else escape(str(value))}</td>"

    head_cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head_cells}</tr></thead><tbody>{body}</tbody></table>"
