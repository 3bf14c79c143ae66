"""Figures in words: the sentence on top, and what the command prints."""

from __future__ import annotations

from typing import Any, Final

from judge.agreement.figures import pick

# Landis and Koch (1977) named these levels of kappa; they are a habit of speech, not a law.
_LEVELS: Final = (
    (0.8, "almost perfectly"), (0.6, "substantially"), (0.4, "moderately"), (0.2, "fairly"),
    (0.0, "slightly"),
)  # fmt: skip


def verdict_sentence(figures: dict[str, Any]) -> str:
    """What a reader who reads one sentence should know."""
    if not figures["topics"]:
        return (
            "No labels were given, so this says what moves the judge, not whether it is right: name "
            "labels with --labels."
        )
    return " ".join(_topic_sentence(topic, figures) for topic in figures["topics"])


def _topic_sentence(topic: dict[str, Any], figures: dict[str, Any]) -> str:
    about = f"On {topic['name']}, " if len(figures["topics"]) > 1 else ""
    if topic["labels_alike"]:
        return (
            f"On {topic['name']}, all labels say the same, so nothing can be said of the judge: "
            "label rows of which some are good and some bad."
        )
    one = pick(topic["figures"], "alpha") or pick(topic["figures"], "spearman")
    if one is None or one["value"] is None:
        return f"{about}the judge cannot be compared with the labels: too few rows, or rows that are all alike.".capitalize()
    figure = f"{one['name']} {one['value']:.2f}{interval(one)}, {one['n']:,} rows"
    people = topic["people"]
    if one["low"] is not None and one["low"] <= 0:
        chance = (
            "it agrees with the labels less than chance would"
            if one["high"] is not None and one["high"] < 0
            else "its agreement with the labels cannot be told from chance"
        )
        text = f"{about}this judge is not usable: {chance} ({figure})."
    elif people is not None and people["alpha"] is not None and one["value"] >= people["alpha"]:
        text = f"{about}this judge agrees with people as well as people agree with each other ({figure}; among people {people['alpha']:.2f})."
    else:
        word = next((w for least, w in _LEVELS if one["value"] > least), "worse than chance")
        beside = (
            f"; among people {people['alpha']:.2f}"
            if people is not None and people["alpha"] is not None
            else ""
        )
        text = f"{about}this judge agrees {word} with the labels ({figure}{beside})."
    return text[0].upper() + text[1:]


def interval(one: dict[str, Any], *, percent: bool = False) -> str:
    """The bounds, such as ` (0.41 to 0.52)`; nothing where there are none."""
    if one["low"] is None or one["high"] is None:
        return ""
    if percent:
        return f" ({100 * one['low']:.1f} to {100 * one['high']:.1f})"
    return f" ({one['low']:.2f} to {one['high']:.2f})"


def share(one: dict[str, Any] | None) -> str:
    """A share with its interval and count."""
    if one is None or one["value"] is None:
        return "none"
    return (
        f"{100 * one['value']:.1f} %{interval(one, percent=True)}, {one['count']:,} of {one['n']:,}"
    )


def describe(figures: dict[str, Any]) -> str:
    """What the command prints."""
    judge, labels = figures["judge"], figures["labels"]
    against = f" against {labels['run']}" if labels else ""
    lines = [f"{judge['run']} ({', '.join(judge['who'][:3])}){against}", figures["verdict"]]
    for topic in figures["topics"]:
        lines += _topic_lines(topic)
    lines += audit_lines(figures["audits"])
    return "\n".join(lines)


def _topic_lines(topic: dict[str, Any]) -> list[str]:
    lines = [f"{topic['name']}: {counts(topic)}"]
    for one in topic["figures"]:
        value = "-" if one["value"] is None else f"{one['value']:.3f}"
        lines.append(f"  {value:>7}{interval(one):<18} {one['name']} ({one['n']:,} rows)")
    people = topic["people"]
    if people is not None and people["alpha"] is not None:
        lines.append(
            f"  {people['alpha']:>7.3f}{interval(people):<18} Krippendorff's alpha among "
            f"{people['annotators']} annotators ({people['rows_of_several']:,} rows)"
        )
    return lines + _length_lines(topic["length"])


def _length_lines(length: dict[str, Any] | None) -> list[str]:
    if length is None:
        return []
    if "rows" in length:
        said = [
            f"{words} {length[name]['value']:.2f}{interval(length[name])}"
            for name, words in (
                ("judge", "the judge's"), ("people", "the labels'"),
                ("judge_given_people", "the judge's beyond the labels'"),
            )
            if length[name]["value"] is not None
        ]  # fmt: skip
        return [f"  marks and length (rank correlation): {'; '.join(said)}"] if said else []
    return [
        f"  the longer answer wins with {words}: {share(length[name]['chars'])} (by characters), "
        f"{share(length[name]['words'])} (by words)"
        for name, words in (("judge", "the judge"), ("people", "the labels"))
        if length[name] is not None
    ]


def counts(topic: dict[str, Any]) -> str:
    """How many rows count for what; none is dropped silently."""
    found = topic["counts"]
    if topic["shape"] == "verdicts":
        text = (
            f"{found['rows']:,} pairs in both; {found['decided_by_both']:,} decided by both (accuracy "
            f"and alpha are of these), {found['judge_undecided']:,} by the labels only, "
            f"{found['labels_undecided']:,} by the judge only, {found['neither_decided']:,} by neither"
        )
    elif topic["shape"] == "yes or no":
        text = (
            f"{found['rows']:,} rows in both; good by the labels {found['labels_good']:,}, by the "
            f"judge {found['judge_good']:,}; {found['on_the_middle']:,} marks on the middle count as bad"
        )
    else:
        text = f"{found['rows']:,} rows in both"
        if not topic["same_scale"]:
            text += "; the labels' scale is another, so alpha and accuracy are of calibrated marks"
    if topic["split"]:
        text += f"; {topic['split']:,} left out, annotators being split"
    more = topic["unmatched"]
    return text + (f"; {more:,} of the judge have no label" if more else "")


def audit_lines(audits: dict[str, Any]) -> list[str]:
    """What moves the judge, a line each."""
    lines = []
    place, length, mass = audits["position"], audits["length"], audits["mass"]
    if place is not None:
        lines += [
            f"order: the other answer wins when they are swapped: {share(place['strict_flips'])}",
            f"order: decided in one order only: {share(place['half_flips'])}",
            f"order: the answer shown first wins: {share(place['first_shown_wins'])}",
        ]
    if length is not None and "decided" in length:
        lines += [
            f"length: the longer answer wins: {share(length['chars'])} by characters "
            f"({length['chars_equal']:,} equal), {share(length['words'])} by words "
            f"({length['words_equal']:,} equal)"
        ]
    elif length is not None and length["judge"]["value"] is not None:
        one = length["judge"]
        lines.append(f"length: rank correlation with marks {one['value']:.2f}{interval(one)}")
    if mass is not None:
        lines.append(
            f"labels: mean probability on the labels {mass['mean']:.2f}; below {mass['low']:g} in "
            f"{100 * mass['low_share']:.1f} % of {mass['rows']:,} rows"
        )
    for one in audits["probes"] or ():
        change, same = one["change"], one["same_order"]
        lines.append(
            f"{one['probe']}: marks move by {change['value']:+.2f}{interval(change)} on "
            f"{one['n']:,} rows"
            + (f"; the likeliest label changes in {share(one['flips'])}" if one["flips"] else "")
            + (f"; rank correlation with the clean marks {same['value']:.2f}" if same["value"] is not None else "")
        )  # fmt: skip
    if audits["probes"] == []:
        lines.append("without the image, or with another: not tried; `judge probe` does it")
    return lines
