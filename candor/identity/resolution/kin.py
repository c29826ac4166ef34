"""Values that go together without looking alike: nicknames, a town and its county, two words for one trade, learned from the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from candor.identity.resolution.columns import Column

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt

KINDS = ("given", "text", "phrase")
# Two values go together if at least so many persons have both: three could be one wrong join, or chance among thousands of values ...
LEAST_PERSONS = 4
# ... if that is this share of those who have the rarer one (bill goes with william; john goes with albert only as far as anybody does) ...
LEAST_SHARE = 0.3
# ... and this many times as many as if values met by chance.
LEAST_LIFT = 3.0


def learn(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], group: npt.NDArray[np.int64]) -> list[int]:
    """Numbers of the columns for which something was found; `kin_<column>` of table `records` then lists what goes with each value.

    `group[uid]` = the person as far as known. The idea is that of learned alias tables (Bilenko and Mooney, KDD 2003) without labels: a first
    grouping made by everything else tells which values the same persons bear.
    """
    import numpy as np
    import pyarrow

    found = []
    connection.register("grouped", pyarrow.table({"uid": np.arange(len(group)), "person": group}))
    for number, column in enumerate(columns):
        if column.kind not in KINDS:
            continue
        name = f'"{column.name}"'
        connection.execute(f"""
            create or replace temp table kin as
            with bearers as (
                select distinct person, {name} as value from records inner join grouped using (uid) where {name} is not null
            ), borne as (
                select value, count(*) as persons from bearers group by value having persons >= {LEAST_PERSONS}
            ), together as (
                select a.value as one, b.value as two, count(*) as persons
                from bearers as a inner join bearers as b on a.person = b.person and a.value <> b.value
                where a.value in (select value from borne) and b.value in (select value from borne)
                group by all having persons >= {LEAST_PERSONS}
            )
            select together.one as value, list_sort(list(together.two)) as goes_with
            from together
            inner join borne as first on first.value = together.one
            inner join borne as second on second.value = together.two
            where together.persons >= {LEAST_SHARE} * least(first.persons, second.persons)
                and together.persons * (select count(distinct person) from bearers) >= {LEAST_LIFT} * first.persons * second.persons
            group by together.one
        """)
        row = connection.execute("select count(*) from kin").fetchone()
        if row and row[0]:
            connection.execute(f"""
                create or replace table records as
                select records.* replace (kin.goes_with as "kin_{column.name}") from records left join kin on kin.value = {name} order by uid
            """)
            found.append(number)
    connection.unregister("grouped")
    return found
