"""Personal data: addresses, numbers and keys that identify someone.

Candidates are found by pattern over all rows at once; each is then checked by what it must satisfy:
telephone numbers by Google's metadata of numbering plans (phonenumbers), cards and accounts by
their check digits (python-stdnum), IP addresses by the standard library. Names of persons are not
looked for: without a language model a search finds more locations and brands than persons.
"""

# ruff: noqa: RUF001 (quotes, stops and dashes of print and of other scripts are meant)

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from curate.filter.found import Found, above
from curate.filter.rows import Rows
from curate.filter.rules.base import Inputs, Reason, Rule
from curate.filter.rules.checks import check_words, words_of
from pairwright.commands.options import option
from pairwright.errors import UsageError

# Patterns for polars, one per kind; cheap and too wide, the checks decide.
_CANDIDATE = {
    "email": r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+",
    "phone": r"\+?\(?\d[\d ().\-–/]{5,18}\d",
    "card": r"(?:\d[ -]?){12,18}\d",
    "iban": r"[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}",
    "ssn": r"\b\d{3}-\d{2}-\d{4}\b",
    "ip": r"\b(?:\d{1,3}\.){3}\d{1,3}\b|(?i:[0-9a-f]{1,4}:){2,7}(?i:[0-9a-f:]{0,30})",
    "secret": r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bhf_[A-Za-z]{34}\b|"
    r"\bsk-[A-Za-z0-9_-]{20,}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
# Hits of one text that are counted.
_MOST = 1_000
# Reserved for examples (RFC 2606 and 6761).
_EXAMPLES = re.compile(
    r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net)|example|test|invalid|localhost|domain\.com|email\.com)$",
    re.IGNORECASE,
)
_MAIL = re.compile(r"[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}")
_VERSION = re.compile(r"(?:\bv|version|release|section|firmware|build)[\s:]*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PiiOptions:
    """The kinds of personal data that are looked for."""

    pii: str | None = option(
        None, help=f"comma list of {', '.join(_CANDIDATE)}, or all; a row with one is removed"
    )
    phone_region: str = option(
        "US", help="country of telephone numbers without a country code; ZZ for none"
    )

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_words("pii", self.pii, tuple(_CANDIDATE))


def find(rows: Rows, options: PiiOptions, _: Inputs) -> Iterator[Found]:
    """Rows with personal data of the wanted kinds.

    What was found is never kept: in a row's passage all but its first and last character is masked.

    Raises:
        UsageError: If the region is not known.
    """
    import polars as pl

    chosen = words_of(options.pii)
    kinds = tuple(kind for kind in _CANDIDATE if kind in chosen or "all" in chosen)
    checks = _checks(kinds, options.phone_region)
    turns = rows.turns.filter(pl.col("role") != "system").select("row", "text")
    any_kind = "|".join(f"(?:{_CANDIDATE[kind]})" for kind in kinds)
    some = turns.filter(pl.col("text").str.contains(any_kind))
    counts: Counter[int] = Counter()
    found_kinds: dict[int, set[str]] = {}
    passages: dict[int, str] = {}
    for row, text in some.iter_rows():
        hits = list(_in_text(text, kinds, checks))
        if hits:
            counts[row] += len(hits)
            found_kinds.setdefault(row, set()).update(kind for kind, _, _ in hits)
            passages.setdefault(row, _masked(text, hits))
    hits_of = pl.DataFrame(
        {"row": list(counts), "n": list(counts.values())},
        schema={"row": pl.UInt32, "n": pl.Float64},
    )
    values = rows.spread(hits_of, "n", "sum").fill_null(0.0)
    found = Found("pii", f"personal data ({', '.join(kinds)})", values, above(values, 0),
                  threshold=0.5, masked=True, unit="pieces of personal data")  # fmt: skip
    found.detail = {row: ",".join(k for k in kinds if k in of) for row, of in found_kinds.items()}
    found.evidence = {row: f"[{found.detail[row]}] {text}" for row, text in passages.items()}
    yield found


Check = Callable[[str], Iterator[tuple[int, int]]]


def _in_text(
    text: str, kinds: tuple[str, ...], checks: dict[str, Check]
) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of what is found; of what overlaps, the kind that comes first."""
    taken: list[tuple[int, int]] = []
    for kind in sorted(kinds, key=("email", "iban", "card", "ssn", "ip", "secret", "phone").index):
        for start, end in checks[kind](text):
            if all(end <= a or b <= start for a, b in taken):
                taken.append((start, end))
                yield kind, start, end
                if len(taken) == _MOST:
                    return


def _masked(text: str, hits: list[tuple[str, int, int]]) -> str:
    """The passage around the first hit, every hit masked."""
    ordered = sorted(hits, key=lambda hit: hit[1])
    begin, end = max(0, ordered[0][1] - 40), ordered[0][2] + 40
    out, at = [], 0
    for _, a, b in ordered:
        out += [text[at:a], f"{text[a]}***{text[b - 1]}"]
        at = b
        if a > end:
            break
    masked = "".join([*out, text[at:]])
    return masked[begin : end + 1]


def _checks(kinds: tuple[str, ...], region: str) -> dict[str, Check]:
    makers: dict[str, Callable[[], Check]] = {
        "email": lambda: _emails,
        "phone": lambda: _phones(region),
        "card": lambda: _by_number("card"),
        "iban": lambda: _by_number("iban"),
        "ssn": lambda: _by_number("ssn"),
        "ip": lambda: _addresses,
        "secret": lambda: _secrets,
    }
    return {kind: makers[kind]() for kind in kinds}


def _emails(text: str) -> Iterator[tuple[int, int]]:
    for match in _MAIL.finditer(text):
        if not _EXAMPLES.search(match.group()):
            yield match.span()


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(_CANDIDATE["secret"], text):
        if len(set(match.group())) > 8:  # not sk-xxxxxxxxxxxxxxxxxxxxxxxx
            yield match.span()


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(_CANDIDATE["ip"].replace("(?i:", "(?:"), text, re.IGNORECASE):
        word = match.group()
        if (
            _VERSION.search(text[max(0, match.start() - 20) : match.start()])
            or text[match.end() : match.end() + 1] == "."
        ):
            continue
        try:
            address = ipaddress.ip_address(word.rstrip(":") if "::" not in word else word)
        except ValueError:
            continue
        # 1.2.3.4 is a heading or a version more often than a host.
        small = address.version == 4 and all(int(x) < 10 for x in word.split("."))
        few = address.version == 6 and sum(bool(x) for x in word.split(":")) < 4
        if address.is_global and not small and not few:
            yield match.span()


def _by_number(kind: str) -> Check:
    from stdnum import iban, luhn
    from stdnum.us import ssn

    def card(digits: str) -> bool:
        known = re.match(r"4|5[1-5]|2[2-7]|3[47]|6(?:011|5)|35|3[068]", digits)
        return bool(known) and len(set(digits)) > 1 and bool(luhn.is_valid(digits))

    valid: Callable[[str], Any] = {"card": card, "iban": iban.is_valid, "ssn": ssn.is_valid}[kind]
    edge = r"(?<![\w.+-])(?:{})(?![\w-])"
    pattern = re.compile(edge.format(_CANDIDATE[kind]))

    def check(text: str) -> Iterator[tuple[int, int]]:
        for match in pattern.finditer(text):
            word = re.sub(r"[ -]", "", match.group()) if kind != "ssn" else match.group()
            if valid(word):
                yield match.span()

    return check


def _phones(region: str) -> Check:
    import phonenumbers

    home = None if region.upper() == "ZZ" else region.upper()
    if home is not None and home not in phonenumbers.SUPPORTED_REGIONS:
        msg = f"--phone-region {region}: not a country code such as US, DE, IN; ZZ for none"
        raise UsageError(msg)
    leniency = phonenumbers.Leniency.STRICT_GROUPING

    def check(text: str) -> Iterator[tuple[int, int]]:
        if len(text) > 20_000:
            text = text[:20_000]
        for match in phonenumbers.PhoneNumberMatcher(text, home, leniency):
            # Ten bare digits in a row are an order number or a count as often as a telephone.
            if re.search(r"[+() .-]", match.raw_string):
                yield match.start, match.end

    return check


RULE = Rule(
    name="pii",
    reasons=(
        Reason(
            name="pii",
            words="personal data in the text",
            options=("pii",),
            elsewhere="DJ `clean_email_mapper`, `clean_ip_mapper`; presidio",
        ),
    ),
    options=PiiOptions,
    find=find,
    extra="filters",
)
