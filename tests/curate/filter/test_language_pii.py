"""Rules that need the extra `filters`: languages and personal data."""

# ruff: noqa: RUF001 (quotes and stops of print and of other scripts are meant)

import json
import sys
from pathlib import Path

import pytest
from filter_rules import ask, text_rows
from tiny_dataset import make_dataset

from curate.filter.command import filter_samples
from curate.filter.found import Found
from curate.filter.options import FilterOptions
from curate.filter.rows import Rows
from pairwright.commands.options import RunOptions
from pairwright.errors import MissingExtraError, UsageError

pytest.importorskip("py3langid")
pytest.importorskip("phonenumbers")
pytest.importorskip("stdnum")

SENTENCES = {
    "fr": "Un homme est assis sur un banc dans un parc et lit un journal.",
    "de": "Ein Mann sitzt auf einer Bank im Park und liest eine Zeitung.",
    "es": "Un hombre está sentado en un banco del parque y lee un periódico.",
    "zh": "一个男人坐在公园的长椅上看报纸，两个孩子在旁边玩耍。",
    "ja": "男の人が公園のベンチに座って新聞を読んでいて、子供が遊んでいます。",
    "ru": "Мужчина сидит на скамейке в парке и читает газету, пока двое детей играют.",
    "ar": "رجل يجلس على مقعد في الحديقة ويقرأ جريدة بينما يلعب طفلان.",
    "hi": "एक आदमी पार्क में बेंच पर बैठा है और अखबार पढ़ रहा है।",
}


def speaks(texts: list[str], wanted: str) -> Found:
    return ask("language", _answers(texts), language=wanted)[0]


def pii(texts: list[str], **options: str) -> Found:
    return ask("pii", _answers(texts), **options)[0]


def _answers(texts: list[str]) -> Rows:
    return text_rows(*(["", text] for text in texts))


def test_other_languages_go_and_are_named():
    found = speaks(list(SENTENCES.values()), "en")
    assert found.removes.all()
    assert [found.detail[n] for n in range(len(SENTENCES))] == list(SENTENCES)
    assert speaks(list(SENTENCES.values()), "en,fr,de,es,zh,ja,ru,ar,hi").removes.sum() == 0


def test_short_texts_names_quotes_and_code_are_not_guessed():
    texts = [
        "yes", "no", "red", "rectangle", "Qui?", "11 o'clock", "3 elephants", "Bonjour!",
        "The films from Italy are:\n1. Boccaccio '70\n2. La Dolce Vita\n3. Il Sorpasso\n4. Amarcord",
        'The sign says "Défense de stationner devant la porte cochère" in white letters on a blue plate.',
        "The code is:\n```\nfor datei in liste:\n    drucke(datei)\n```\nand it prints every file.",
        "Menu: Pasta 12.00, Pizza Margherita 9.50, Risotto ai Funghi 14.00", "$x^2 + y^2 = z^2$",
    ]  # fmt: skip
    found = speaks(texts, "en")
    assert not found.removes.any(), found.evidence


def test_near_languages_are_one_and_wrong_codes_are_told():
    danish = ["En mand sidder på en bænk i parken og læser en avis, mens to børn leger."]
    assert not speaks(danish, "no").removes.any()
    with pytest.raises(UsageError, match=r"--language english: not a known code; there are: .*en"):
        speaks(danish, "english")


def test_questions_and_captions_of_real_sets_are_english(shared_data: Path):
    files = sorted((shared_data / "pope").glob("coco_pope_*.json"))
    texts = [json.loads(line)["text"] for file in files for line in file.open()]
    found = speaks([*dict.fromkeys(texts), "yes", "no"], "en")
    assert not found.removes.any()


PERSONAL = {
    "email": ["Write to jane.doe@gmail.com today.", "j_smith+news@sub.company.co.uk"],
    "phone": ["Call (212) 555-0187 now", "+44 20 7946 0958", "415.555.2671", "1-800-275-2273"],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432."],
    "ssn": ["SSN 536-90-4399"],
    "ip": ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"],
    "secret": ["AKIAIOSFODNN7EXAMPLQ", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"],
}
PLAIN = [
    "1990-2000 and 2010-2020", "1,234,567,890", "[123, 456, 789, 1011]", "2021-01-05T23:26:12",
    "ISBN 978-3-16-148410-0", "order 1234567890", "v1.2.3.4", "40.7128, -74.0060", "3.14159265358979",
    "user@example.com", "192.168.1.1 and 127.0.0.1", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
    "0000 0000 0000 0000", "std::vector<a::b>", "555-1234", "$1,000,000 - $2,000,000", "call 911",
    "1552.63 1751.00 2023-06-30", "ABCD 1234 5678 9012", "@handle", "105-103, 98-110, 121-118",
    "(198.37 / 1552.63) x 100", "4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00", "12:30:45",
]  # fmt: skip


def test_personal_data_is_found_by_kind_and_never_shown():
    for kind, texts in PERSONAL.items():
        found = pii(texts, pii="all")
        assert found.removes.all(), (kind, texts)
        assert set(found.detail.values()) == {kind}
        for row, text in enumerate(texts):
            digits = [
                word for word in text.split() if len(word) > 6 and any(map(str.isdigit, word))
            ]
            assert not any(word in found.evidence[row] for word in digits)
    other = pii(PERSONAL["email"], pii="phone,card")
    assert not other.removes.any()


def test_numbers_that_are_none_of_it_stay():
    found = pii(PLAIN, pii="all")
    assert not found.removes.any(), found.evidence


def test_a_region_makes_its_own_numbers_known():
    text = ["Ruf an: 030 901820 oder 089 1234567"]
    assert not pii(text, pii="phone").removes.any()
    assert pii(text, pii="phone", phone_region="DE").removes.all()
    with pytest.raises(UsageError, match="--phone-region XX: not a country code"):
        pii(text, pii="phone", phone_region="XX")


def test_a_missing_library_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    data = make_dataset(tmp_path / "data")
    with pytest.raises(MissingExtraError, match=r"phonenumbers.*'\.\[filters\]'"):
        filter_samples(data, FilterOptions(pii="phone"), RunOptions())
    assert not (data.path / "decisions").exists()
