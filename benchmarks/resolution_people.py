"""Made-up records of persons with heavy errors and known truth: what probabilistic linkage is measured on beside public sets.

Errors are those of catalogues of historical persons and of old customer files: nicknames, initials, swapped and middle names, typing and
reading errors, 1 January for an unknown day, day and month swapped, years off by one or ten, places at another level, postcodes nearby,
another occupation of the same person, many gaps; and strangers who look alike: common names, fathers and sons, families at one place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Text = npt.NDArray[np.str_]

MEN = (
    "john:jack,johnny|william:will,bill,billy|thomas:tom|george:|james:jim,jimmy|henry:harry,hal|charles:charlie|robert:bob,rob,robbie|edward:ted,ned,eddie"
    "|richard:dick,rick|joseph:joe|samuel:sam|francis:frank|david:dave|alexander:alec,sandy|frederick:fred|arthur:|walter:walt|peter:|hugh:"
    "|philip:phil|edmund:|andrew:andy|daniel:dan|benjamin:ben|michael:mick,mike|stephen:steve|nicholas:nick|matthew:matt|albert:bert|alfred:alf"
    "|ernest:ernie|herbert:bert|patrick:pat|simon:|anthony:tony|ralph:|roger:|lawrence:larry|leonard:len|nathaniel:nat|christopher:kit,chris"
    "|augustus:gus|theodore:ted|reginald:reg|percy:|archibald:archie|gilbert:|humphrey:|horace:"
)
WOMEN = (
    "mary:molly,polly|elizabeth:betty,eliza,lizzie,bess|anne:nancy,annie|margaret:peggy,maggie,meg|jane:jenny|sarah:sally|catherine:kate,kitty"
    "|frances:fanny|charlotte:lottie|emma:|harriet:hattie|dorothy:dolly,dot|alice:|eleanor:nell,nellie|florence:flo|helen:nell|isabella:bella"
    "|caroline:carrie|martha:patty|susan:sue|edith:|ellen:nelly|emily:|lucy:|victoria:vicky|rebecca:becky|joan:|barbara:babs|agnes:|louisa:lou"
)
FAMILY = """
    smith jones taylor brown williams wilson johnson davies robinson wright thompson evans walker white roberts green hall
    wood jackson clarke clark hughes edwards thomas harris martin turner hill cooper ward morris moore king watson
    harrison baker morgan james scott phillips lewis allen mitchell parker carter bell cook shaw kelly murphy cox price
    richards collins bennett foster gray graham stewart hamilton campbell
"""
STARTS = """
    al ash bar bex bland bram brad car chal clif cor cray dal den der eld fair fen gar glas grim had hal hart haw hol kel
    kirk lang lin mal mor nor ox pem pen rad raw rud sal sel stan stok swin thorn tre wal war wes whit win wyn
"""
ENDS = """
    beck bert bridge burn bury by combe cott croft den don field ford gate grave ham hurst ing land ley lock loner man
    mere more ney ridge rick row shaw son stead stock ston thorpe ton wick well wood worth
"""
TRADES = (
    "politician|writer:author,novelist|painter:artist|military officer:soldier,officer|priest:clergyman,cleric"
    "|lawyer:barrister,judge|physician:doctor,surgeon|merchant:trader|cricketer:sportsman"
    "|footballer:association football player|actor:stage actor,film actor|composer:musician"
    "|engineer:civil engineer|poet:writer|architect|botanist:naturalist,gardener|historian:scholar"
    "|farmer:landowner|teacher:schoolmaster|banker:financier|printer:publisher|chemist:scientist"
    "|explorer:navigator|journalist:editor|singer:opera singer|sculptor:artist|mathematician:scientist"
    "|photographer|rower|economist"
)


def heavy(records: int, seed: int, per_person: float = 10.0) -> tuple[pa.Table, pa.Array]:
    """(about `records` records, the true person of each): record_id, first_name, last_name, full_name, birth_date, place, postal_code,
    gender, occupation; in random order, about `per_person` of each person."""
    draw = np.random.default_rng(seed)
    people = _people(max(2, round(records / per_person)), draw)
    size = 1 + draw.geometric(1 / max(per_person, 1.0001), len(people["given"])) - (1 if per_person > 1 else 0)
    of = np.repeat(np.arange(len(size)), size)
    draw.shuffle(of)
    count = len(of)
    row = {name: values[of] for name, values in people.items()}

    def share(part: float) -> npt.NDArray[np.bool_]:
        return draw.random(count) < part

    given = _pick_other(row["given"], people["given_also"][of], share(0.12), draw)
    middle_instead = share(0.04) & (row["middle"] != "")
    given = np.where(middle_instead, row["middle"], given)
    initial = share(0.03)
    given = np.where(initial, given.astype("U1"), given)
    given = _misspell(given, share(0.08) & ~initial, draw)
    family = _misspell(row["family"], share(0.1), draw)
    married = share(0.03) & (row["gender"] == "female")
    family = np.where(married, row["married"], family)
    swapped = share(0.04)
    given, family = np.where(swapped, family, given), np.where(swapped, given, family)
    middle = np.where(share(0.5), row["middle"], "")
    middle = np.where(share(0.2), middle.astype("U1"), middle)
    full = _join(_join(given, middle), family)
    full = np.where(share(0.5), _join(full, row["title"]), full)
    no_given, no_family, only_full = share(0.04), share(0.05), share(0.03)

    year = row["year"].astype(np.int64)
    moved = share(0.04) * draw.choice([-1, 1], count) + share(0.02) * draw.choice([-10, 10, 100, -2, 3], count)
    month, day = row["month"].astype(np.int64), row["day"].astype(np.int64)
    exchange = share(0.03) & (day <= 12)
    month, day = np.where(exchange, day, month), np.where(exchange, month, day)
    vague = share(0.25)
    month, day = np.where(vague, 1, month), np.where(vague, 1, day)
    digits = (year + moved) * 10000 + month * 100 + day
    text = digits.astype("U8")
    text = _wrong_digit(text, share(0.06), draw)
    born = np.char.add(
        np.char.add(np.char.add(text.astype("U4"), "-"), _slice(text, 4, 6)), np.char.add("-", _slice(text, 6, 8))
    )

    place = _misspell(np.where(share(0.2), row["county"], row["place"]), share(0.06), draw)
    elsewhere = share(0.04)
    place = np.where(elsewhere, draw.permutation(row["place"]), place)
    postal = np.where(share(0.25), row["postal_near"], row["postal"])
    postal = _misspell(postal, share(0.05), draw)
    trade = _misspell(_pick_other(row["trade"], people["trade_also"][of], share(0.25), draw), share(0.03), draw)
    sex = np.where(share(0.01), "female", row["gender"])
    columns = {
        "record_id": (np.arange(count), np.zeros(count, dtype=bool)),
        "first_name": (given, no_given | only_full),
        "last_name": (family, no_family | only_full),
        "full_name": (full, share(0.05) & ~only_full),
        "birth_date": (born, share(0.18)),
        "place": (place, share(0.25)),
        "postal_code": (postal, share(0.35)),
        "gender": (sex, share(0.15)),
        "occupation": (trade, share(0.2)),
    }
    table = pa.table({name: pa.array(values.astype(str), mask=gap) for name, (values, gap) in columns.items()})
    return table, pa.array(of)


def _people(count: int, draw: np.random.Generator) -> dict[str, Text]:
    """True attributes, one entry per person; a third belongs to families that share name, place, often trade and first name."""
    family_of = np.where(draw.random(count) < 0.33, draw.integers(0, max(1, count // 9), count), count + np.arange(count))
    _, family_of = np.unique(family_of, return_inverse=True)
    families = int(family_of.max()) + 1
    is_man = draw.random(count) < 0.8
    men, men_also = _variants(MEN)
    women, women_also = _variants(WOMEN)
    man, woman = _zipf(len(men), count, draw), _zipf(len(women), count, draw)
    house_man = _zipf(len(men), families, draw)[family_of]
    man = np.where(draw.random(count) < 0.3, house_man, man)
    common, starts, ends = FAMILY.split(), STARTS.split(), ENDS.split()
    surnames = np.array(common + [a + b for a in starts for b in ends])
    draw.shuffle(surnames[len(common) :])
    surname = _zipf(len(surnames), families, draw, 0.85)[family_of]
    places = np.array([a + b for a in starts[::2] for b in ends[::2]])
    draw.shuffle(places)
    place = _zipf(len(places), families, draw)[family_of]
    place = np.where(draw.random(count) < 0.3, _zipf(len(places), count, draw), place)
    counties = np.array([f"{name}shire" for name in starts[:40]])
    area = np.array([f"{a}{b}{n}" for a in "abcdefghklmnprstw" for b in "abdelnors" for n in range(1, 10)])
    trades, trades_also = _variants(TRADES)
    trade = _zipf(len(trades), families, draw)[family_of]
    trade = np.where(draw.random(count) < 0.5, _zipf(len(trades), count, draw), trade)
    born = draw.integers(1550, 1920, families)[family_of] + draw.integers(-35, 36, count)
    only_year = draw.random(count) < 0.25
    ordinal = np.array(["1st baronet", "2nd baronet", "3rd baronet", "4th baronet", "baron", "earl", "jr"])
    title = np.where(draw.random(count) < 0.12, ordinal[draw.integers(0, len(ordinal), count)], "")
    middle = np.where(is_man, men[_zipf(len(men), count, draw)], women[_zipf(len(women), count, draw)])
    maiden = draw.random(count) < 0.25
    middle = np.where(maiden, surnames[_zipf(len(surnames), count, draw, 0.85)], middle)
    middle = np.where(draw.random(count) < 0.55, middle, "")

    def postal() -> Text:
        tail = np.char.add(draw.integers(1, 10, count).astype("U1"), np.array(list("abdefghjln"))[draw.integers(0, 10, count)])
        return np.char.add(
            np.char.add(area[place % len(area)], " "),
            np.char.add(tail, np.array(list("abdefghjln"))[draw.integers(0, 10, count)]),
        )

    return {
        "given": np.where(is_man, men[man], women[woman]),
        "given_also": np.where(is_man, men_also[man], women_also[woman]),
        "middle": middle,
        "family": surnames[surname],
        "married": surnames[_zipf(len(surnames), count, draw, 0.85)],
        "gender": np.where(is_man, "male", "female"),
        "title": title,
        "year": born.astype(str),
        "month": np.where(only_year, 1, draw.integers(1, 13, count)).astype(str),
        "day": np.where(only_year, 1, draw.integers(1, 29, count)).astype(str),
        "place": places[place],
        "county": counties[place % len(counties)],
        "postal": postal(),
        "postal_near": postal(),
        "trade": trades[trade],
        "trade_also": trades_also[trade],
    }


def _variants(spec: str) -> tuple[Text, Text]:
    pairs = [entry.partition(":") for entry in spec.split("|")]
    return np.array([name for name, _, _ in pairs]), np.array([also or name for name, _, also in pairs])


def _zipf(values: int, count: int, draw: np.random.Generator, power: float = 1.0) -> npt.NDArray[np.int64]:
    """`count` ranks below `values`, the k-th with a share proportional to k ** -power, as names and places are."""
    weights = 1.0 / np.arange(1, values + 1) ** power
    return draw.choice(values, count, p=weights / weights.sum())


def _pick_other(usual: Text, others: Text, where: npt.NDArray[np.bool_], draw: np.random.Generator) -> Text:
    """`usual`, or where asked one of the comma-separated `others`; each distinct list is split once."""
    lists, which = np.unique(others, return_inverse=True)
    width = max(value.count(",") for value in lists) + 1
    table = np.array([(value.split(",") * width)[:width] for value in lists])
    return np.where(where, table[which, draw.integers(0, width, len(usual))], usual)


def _join(one: Text, two: Text) -> Text:
    return np.char.strip(np.char.add(np.char.add(one, " "), two))


def _slice(text: Text, start: int, stop: int) -> Text:
    letters = np.ascontiguousarray(text.astype("U8")).view("U1").reshape(len(text), -1)
    return np.ascontiguousarray(letters[:, start:stop]).view(f"U{stop - start}").ravel()


def _misspell(text: Text, where: npt.NDArray[np.bool_], draw: np.random.Generator) -> Text:
    """`text` with one letter replaced, dropped, doubled or exchanged with its neighbour, where asked."""
    width = int(np.char.str_len(text).max()) + 1
    letters = np.ascontiguousarray(text.astype(f"U{width}")).view("U1").reshape(len(text), width).copy()
    length = np.char.str_len(text)
    at = (draw.random(len(text)) * np.maximum(length, 1)).astype(np.int64)
    kind = draw.integers(0, 4, len(text))
    rows = np.arange(len(text))
    step = np.arange(width)[None, :]
    new = np.array(list("aeioutnrslcdmhbpgfywkv"))[draw.integers(0, 22, len(text))]
    replaced = letters.copy()
    replaced[rows, at] = new
    dropped = np.take_along_axis(letters, np.minimum(step + (step >= at[:, None]), width - 1), axis=1)
    doubled = np.take_along_axis(letters, np.maximum(step - (step > at[:, None]), 0), axis=1)
    beside = np.minimum(at + 1, np.maximum(length - 1, 0))
    exchanged = letters.copy()
    exchanged[rows, at], exchanged[rows, beside] = letters[rows, beside], letters[rows, at]
    made = np.choose(kind[:, None], [replaced, dropped, doubled, exchanged])
    made = np.where((where & (length > 2))[:, None], made, letters)
    return np.ascontiguousarray(made).view(f"U{width}").ravel()


def _wrong_digit(text: Text, where: npt.NDArray[np.bool_], draw: np.random.Generator) -> Text:
    letters = np.ascontiguousarray(text).view("U1").reshape(len(text), 8).copy()
    rows = np.flatnonzero(where)
    letters[rows, draw.integers(1, 8, len(rows))] = draw.integers(0, 10, len(rows)).astype("U1")
    return np.ascontiguousarray(letters).view("U8").ravel()
