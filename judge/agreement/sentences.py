"""Metrics as text: the sentence on top of the page, and what the command prints."""

from __future__ import annotations

from typing import Any, Final

from judge.agreement.metrics import pick

# Landis and Koch (1977) named these levels of kappa; they are a convention, not a law.
_LEVELS: Final = (
    (0.8, "almost perfectly"), (0.6, "substantially"), (0.4, "moderately"), (0.2, "fairly"),
    (0.0, "slightly"),
)  # fmt: skip


def verdict_sentence(report: dict[str, Any]) -> str:
    """The result in one sentence per criterion."""
    if not report["criteria"]:
        return (
            "No labels were given: this page shows what affects the judge, not whether it is "
            "right. Name labels with --labels."
        )
    return " ".join(_criterion_sentence(one, report) for one in report["criteria"])


def _criterion_sentence(criterion: dict[str, Any], report: dict[str, Any]) -> str:
    about = f"On {criterion['name']}, " if len(report["criteria"]) > 1 else ""
    if criterion["labels_constant"]:
        return (
            f"On {criterion['name']}, all labels are equal, so the judge cannot be evaluated: "
            "label rows of which some are good and some are bad."
        )
    one = pick(criterion["metrics"], "alpha") or pick(criterion["metrics"], "spearman")
    if one is None or one["value"] is None:
        text = f"{about}the judge cannot be compared with the labels: there are too few rows, or all rows are equal."
        return text[0].upper() + text[1:]
    number = f"{one['name']} {one['value']:.2f}{interval(one)}, {one['n']:,} rows"
    human = criterion["human_agreement"]
    among = None if human is None else human["alpha"]
    if one["low"] is not None and one["low"] <= 0:
        chance = (
            "its agreement with the labels is below chance"
            if one["high"] is not None and one["high"] < 0
            else "its agreement with the labels may be chance"
        )
        text = f"{about}this judge is not usable: {chance} ({number})."
    elif among is not None and one["value"] >= among:
        text = f"{about}this judge agrees with the labels as well as the annotators agree with each other ({number}; among annotators {among:.2f})."
    else:
        word = next((w for level, w in _LEVELS if one["value"] > level), "less than chance")
        more = "" if among is None else f"; among annotators {among:.2f}"
        text = f"{about}this judge agrees {word} with the labels ({number}{more})."
    return text[0].upper() + text[1:]


def interval(one: dict[str, Any], *, percent: bool = False) -> str:
    """The bounds, such as ` (0.41 to 0.52)`; empty where there are none."""
    if one["low"] is None or one["high"] is None:
        return ""
    if percent:
        return f" ({100 * one['low']:.1f} to {100 * one['high']:.1f})"
    return f" ({one['low']:.2f} to {one['high']:.2f})"


def rate(one: dict[str, Any] | None) -> str:
    """A rate with its interval and count."""
    if one is None or one["value"] is None:
        return "none"
    return (
        f"{100 * one['value']:.1f} %{interval(one, percent=True)}, {one['count']:,} of {one['n']:,}"
    )


def describe(report: dict[str, Any]) -> str:
    """What the command prints."""
    judge, labels = report["judge"], report["labels"]
    against = f" against {labels['run']}" if labels else ""
    lines = [f"{judge['run']} ({', '.join(judge['names'][:3])}){against}", report["verdict"]]
    for criterion in report["criteria"]:
        lines += _criterion_lines(criterion)
    lines += audit_lines(report["audits"])
    return "\n".join(lines)


def _criterion_lines(criterion: dict[str, Any]) -> list[str]:
    lines = [f"{criterion['name']}: {counts(criterion)}"]
    for one in criterion["metrics"]:
        value = "-" if one["value"] is None else f"{one['value']:.3f}"
        lines.append(f"  {value:>7}{interval(one):<18} {one['name']} ({one['n']:,} rows)")
    human = criterion["human_agreement"]
    if human is not None and human["alpha"] is not None:
        lines.append(
            f"  {human['alpha']:>7.3f}{interval(human):<18} Krippendorff's alpha among "
            f"{human['annotators']} annotators ({human['rows_of_several']:,} rows)"
        )
    return lines + _length_lines(criterion["length"])


def _length_lines(length: dict[str, Any] | None) -> list[str]:
    if length is None:
        return []
    if "rows" in length:
        parts = [
            f"{words} {length[name]['value']:.2f}{interval(length[name])}"
            for name, words in (
                ("judge", "scores"), ("labels", "labels"),
                ("judge_given_labels", "scores, labels held fixed"),
            )
            if length[name]["value"] is not None
        ]  # fmt: skip
        return [f"  rank correlation with length: {'; '.join(parts)}"] if parts else []
    return [
        f"  the longer response wins with {words}: {rate(length[name]['chars'])} (by characters), "
        f"{rate(length[name]['words'])} (by words)"
        for name, words in (("judge", "the judge"), ("labels", "the labels"))
        if length[name] is not None
    ]


def counts(criterion: dict[str, Any]) -> str:
    """How many rows count for what; none is dropped silently."""
    found = criterion["counts"]
    if criterion["shape"] == "verdicts":
        text = (
            f"{found['rows']:,} pairs in both; {found['decided_by_both']:,} decided by both (accuracy "
            f"and alpha use these), {found['judge_undecided']:,} by the labels only, "
            f"{found['labels_undecided']:,} by the judge only, {found['neither_decided']:,} by neither"
        )
    elif criterion["shape"] == "yes or no":
        text = (
            f"{found['rows']:,} rows in both; good by the labels {found['labels_good']:,}, by the "
            f"judge {found['judge_good']:,}; {found['at_midpoint']:,} scores at the midpoint count as bad"
        )
    else:
        text = f"{found['rows']:,} rows in both"
        if not criterion["same_scale"]:
            text += "; the labels have another scale, so alpha and accuracy use calibrated scores"
    if criterion["tied_labels"]:
        text += f"; {criterion['tied_labels']:,} left out because the annotators are split evenly"
    unmatched = criterion["unmatched"]
    return text + (f"; {unmatched:,} of the judge have no label" if unmatched else "")


def audit_lines(audits: dict[str, Any]) -> list[str]:
    """What affects the judge, one line each."""
    lines = []
    position, length, mass = audits["position"], audits["length"], audits["mass"]
    if position is not None:
        lines += [
            f"position: the other response wins when they are swapped: {rate(position['strict_flips'])}",
            f"position: decided in one order only: {rate(position['half_flips'])}",
            f"position: the response shown first wins: {rate(position['first_shown_wins'])}",
        ]
    if length is not None and "decided" in length:
        lines += [
            f"length: the longer response wins: {rate(length['chars'])} by characters "
            f"({length['chars_equal']:,} equal), {rate(length['words'])} by words "
            f"({length['words_equal']:,} equal)"
        ]
    elif length is not None and length["judge"]["value"] is not None:
        one = length["judge"]
        lines.append(f"length: rank correlation with scores {one['value']:.2f}{interval(one)}")
    if mass is not None:
        lines.append(
            f"labels: mean probability mass {mass['mean']:.2f}; below {mass['low']:g} in "
            f"{100 * mass['low_rate']:.1f} % of {mass['rows']:,} rows"
        )
    lines += [_probe_line(one) for one in audits["probes"] or ()]
    if audits["probes"] == []:
        lines.append("without the image, or with another: not measured; `judge probe` does it")
    return lines


def _probe_line(one: dict[str, Any]) -> str:
    change, ranks = one["change"], one["same_order"]
    text = (
        f"{one['probe']}: scores change by {change['value']:+.2f}{interval(change)} on "
        f"{one['n']:,} rows"
    )
    if one["flips"]:
        text += f"; the most likely label changes in {rate(one['flips'])}"
    if ranks["value"] is not None:
        text += f"; rank correlation with the unchanged scores {ranks['value']:.2f}"
    return text
