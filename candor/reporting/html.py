"""What the pieces of the page share."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """An HTML table; numbers are set right and so are their heads, strings beginning with `<` are taken as HTML made here."""
    lines = [list(row) for row in rows]

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    def cell(value: Any) -> str:
        if is_number(value):
            return f'<td class="n">{value:,}</td>' if isinstance(value, int) else f'<td class="n">{value:,.4g}</td>'
        return f"<td>{value if str(value).startswith('<') else escape(str(value))}</td>"

    def title(column: int, name: str) -> str:
        of_numbers = bool(lines) and all(is_number(line[column]) for line in lines)
        return f'<th class="n">{escape(name)}</th>' if of_numbers else f"<th>{escape(name)}</th>"

    head_cells = "".join(title(column, name) for column, name in enumerate(head))
    body = "".join(f"<tr>{''.join(cell(value) for value in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{head_cells}</tr></thead><tbody>{body}</tbody></table>"
