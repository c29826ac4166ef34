"""`candor catalogue lint`: what the catalogue may not say, quoted with its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

READERS = {
    ".csv": "read_csv({path}, all_varchar := true)",
    ".parquet": "read_parquet({path})",
    ".jsonl": "read_json({path}, format := 'newline_delimited')",
    ".json": "read_json({path})",
}
NEEDED = ("creative_id", "locale", "title", "body")
OPTIONAL = ("offer_id", "offer_version", "channel", "why_template")
AROUND = 30  # characters of context on each side of a quote

COLUMNS = ("offer_id", "offer_version", "creative_id", "channel", "locale", "field", "finding", "quote", "place")

# Texts that a rule demands of a creative somewhere and that it does not carry: for everybody, and by regimes.
MISSING_TEXTS = """
select
    facts.offer_id, facts.offer_version, facts.channel, facts.locale, 'everywhere' as place, string_agg(distinct hits.code, ', ' order by hits.code)
from {offer_hits} as hits
inner join {offer_facts} as facts on hits.creative_id = facts.creative_id
where hits.code like 'DISC_MISSING%' and hits.code not like '%_UNKNOWN'
group by all
union all
select
    facts.offer_id, facts.offer_version, facts.channel, facts.locale, array_to_string(places.u_regimes, '+'),
    string_agg(distinct hits.code, ', ' order by hits.code)
from {offer_regime_hits} as hits
inner join {offer_facts} as facts on hits.creative_id = facts.creative_id
inner join {places} as places on hits.place_id = places.place_id
where hits.code like 'DISC_MISSING%' and hits.code not like '%_UNKNOWN'
group by all
order by all
"""


def lint(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Creatives that nobody has delivered yet (.csv, .parquet, .json, .jsonl) with creative_id, locale, title, body and, if they "
            "have them, offer_id, channel, why_template. Without a file: the catalogue of the latest run.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write every finding here (.csv).", show_default=False)] = None,
) -> None:
    """Hold the catalogue against policy/brand.yml: quotes every word that must not be said, with its place.

    Pressure, promises of returns or yields, talk of where a price is going, false scarcity, hidden characters, a reading level over the
    language's limit, a language nobody has a lexicon for; offers without brand values, target market or negative target market; and, of a
    run, the texts that its markets demand and its creatives lack. What is found is not served.

    Exit code 0: nothing found. 1: something was. 2: wrong use.
    """
    from candor import warehouse
    from candor.errors import UsageError
    from candor.settings import load

    if out is not None and out.suffix != ".csv":
        raise UsageError(f"{out.name} does not end in .csv", hint="findings are written as CSV")
    settings = load()
    if file is not None:
        with warehouse.scratch(settings) as connection:
            found, missing, linted = _of_file(connection, settings, file), [], "creatives of " + file.name
    else:
        with warehouse.connect(settings, restricted=True) as connection:
            found, missing, linted = *_of_run(connection), "the catalogue of the latest run"
    if out is not None:
        _write(out, found)
    _print(found, missing, linted, out)
    if found or missing:
        raise typer.Exit(1)


def _of_file(connection: duckdb.DuckDBPyConnection, settings: Settings, file: Path) -> list[dict[str, Any]]:
    import duckdb

    from candor import policy
    from candor.catalogue.linting import findings
    from candor.errors import UsageError

    if not file.is_file():
        raise UsageError(f"there is no file {file}", hint="a table of creatives: .csv, .parquet, .json or .jsonl")
    if file.suffix not in READERS:
        raise UsageError(f"{file.name} is no table that can be read", hint=f"one of {', '.join(READERS)}")
    source = READERS[file.suffix].format(path="'" + str(file).replace("'", "''") + "'")
    try:
        given = [name for name, *_ in connection.execute(f"describe select * from {source}").fetchall()]
    except duckdb.Error as error:
        raise UsageError(
            f"{file.name} cannot be read: {str(error).splitlines()[0]}", hint="is it the format its name says?"
        ) from error
    if lacking := [name for name in NEEDED if name not in given]:
        raise UsageError(
            f"{file.name} has no column {lacking[0]!r}", hint=f"it has {', '.join(given)}; needed: {', '.join(NEEDED)}"
        )
    columns = [f"{name}::varchar as {name}" if name in given else f"null::varchar as {name}" for name in (*NEEDED, *OPTIONAL)]
    connection.execute(f"create temp table creatives as select {', '.join(columns)} from {source}")
    doubled = connection.execute(
        "select creative_id from creatives group by all having count(*) > 1 order by all limit 1"
    ).fetchone()
    if doubled is not None:
        raise UsageError(f"creative {doubled[0]!r} is there twice in {file.name}", hint="one row per creative")
    # Of offers the file says nothing, so nothing is missing of them.
    offers = "(select '' as offer_id, '' as version, ['' ] as brand_values, '' as target_market, '' as negative_target_market where false)"
    query = findings(policy.load(settings.policy_dir, settings.shop).brand, creatives="creatives", offers=offers)
    return _rows(connection, query)


def _of_run(connection: duckdb.DuckDBPyConnection) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
    from candor.errors import UsageError

    names = "offer_hits, offer_facts, offer_regime_hits, places, creative_findings"
    where = dict(
        connection.execute(
            "select table_name, concat_ws('.', database_name, schema_name, table_name) from duckdb_tables() "
            "where schema_name in ('eligibility', 'policy') and list_contains(string_split(?, ', '), table_name)",
            [names],
        ).fetchall()
    )
    if len(where) < len(names.split(", ")):
        raise UsageError(
            "no run has come as far as eligibility yet",
            hint="candor run --as-of 2026-11-23T15:00:00Z, or give a file of creatives",
        )
    current = f"""
        select findings.* from {where.pop("creative_findings")} as findings
        semi join {where["offer_facts"]} as facts
            on findings.offer_id = facts.offer_id and findings.offer_version = facts.offer_version
        order by all
    """
    return _rows(connection, current), connection.execute(MISSING_TEXTS.format(**where)).fetchall()


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _write(out: Path, found: list[dict[str, Any]]) -> None:
    import csv

    with out.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(found)


def _print(found: list[dict[str, Any]], missing: list[tuple[Any, ...]], linted: str, out: Path | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not found and not missing:
        console.print(f"Nothing to object to in {linted}.")
        return
    if found:
        table = Table(title=f"What may not be said, {linted}", box=box.SIMPLE, title_justify="left")
        for name in ("offer", "creative", "where", "finding", "words and place"):
            table.add_column(name, overflow="fold")
        for row in found:
            quoted = Text(row["quote"] or "")
            if row["place"] and row["finding"] != "hard_to_read":
                quoted = _quoted(row["words"], row["quote"], row["place"])
            where = " ".join(filter(None, (row["channel"], row["locale"], row["field"])))
            table.add_row(str(row["offer_id"] or ""), row["creative_id"] or "the offer", where, row["finding"], quoted)
        console.print(table)
    if missing:
        table = Table(title="Texts that a market demands and the creative lacks", box=box.SIMPLE, title_justify="left")
        for name in ("offer", "version", "channel", "locale", "regimes", "missing"):
            table.add_column(name, overflow="fold")
        for line in missing:
            table.add_row(*(str(cell) for cell in line))
        console.print(table)
    console.print(f"{len(found):,} findings, {len(missing):,} places where texts are missing; none of these is served there.")
    if out is not None:
        console.print(f"every finding: {out}")


def _quoted(words: str, quote: str, place: int) -> Any:
    """The quote in bold between some words around it, and the character it starts at."""
    from rich.text import Text

    start = place - 1
    end = start + len(quote)
    before, after = words[max(0, start - AROUND) : start], words[end : end + AROUND]
    text = Text(("…" if start > AROUND else "") + before)
    shown = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in quote)
    text.append(f"[{shown}]", style="bold red")
    text.append(after + ("…" if end + AROUND < len(words) else "") + f"  (character {place})")
    return text
