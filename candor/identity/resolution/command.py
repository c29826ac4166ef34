"""`candor identity resolve`: the command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def resolve(
    records: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of person records.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Where to write the answer, a Parquet file.", show_default=False)],
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="`their_column=our_name`; repeat for each column.", show_default=False)
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            help="How probable it must be on average that records are one person. 0.5: fewest wrong decisions; 0.99: join only what is sure."
        ),
    ] = 0.5,
    unique_source: Annotated[
        list[str] | None,
        typer.Option(
            "--unique-source",
            help="A source that holds each person at most once; repeat. Default: found out from the records.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Learned parameters (JSON, Splink's settings inside): read if the file exists, else written.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the random pairs from which it is learned how strangers compare.")] = 1,
) -> None:
    """Who is who among records that share no key: learned from the records themselves, nothing to tune.

    Needs a column **record_id**, unique within its source, and uses whatever there is of *source* (else the file's name), *first_name,
    last_name, full_name, birth_date, postal_code, street, place, region, country, email, phone, occupation, gender, national_id*.
    Well-known other names (surname, dob, postcode, city …) are understood, others with `--map`; any further column is compared too.

    Writes one row per record: source, record_id, person_id, probability (how well the record fits the person's other records; 1.0 for a
    record alone). The same records give the same ids whatever the order of rows and files.

    `candor identity resolve crm.csv kyc.parquet --map cust_no=record_id --map ort=place --out who.parquet`

    Exit codes: 0 done, 2 wrong use (the message names column, file or value), 3 a fault.
    """
    from candor.errors import UsageError
    from candor.identity.answers import write_parquet
    from candor.identity.resolution import persons, reading
    from candor.identity.resolution.columns import parse_map
    from candor.settings import load
    from candor.warehouse import scratch

    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}", hint="make the folder first")
    tables = reading.read(records, parse_map(mapping or []))
    settings = load()
    with scratch(settings, threads=settings.threads) as connection:
        resolution = persons.resolve(
            tables,
            threshold=threshold,
            unique_sources=unique_source or None,
            saved=model,
            seed=seed,
            connection=connection,
            told=_tell,
        )
    write_parquet(resolution.table, out)
    for note in resolution.notes:
        typer.echo(note, err=True)
    if resolution.unique_sources:
        typer.echo(f"at most one record per person from {', '.join(resolution.unique_sources)}", err=True)
    found = len(resolution.table["person_id"].unique())
    typer.echo(
        f"{resolution.table.num_rows:,} records are {found:,} persons; {resolution.pairs_compared:,} pairs compared; {out}"
    )


def _tell(line: str) -> None:
    """What is being done now, on a terminal only."""
    if sys.stderr.isatty():
        typer.echo(f"  … {line}", err=True)
