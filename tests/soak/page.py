"""docs/soak.md, from what is kept and nothing else: what has not run and what has failed stands there as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.soak.campaign import Campaign, Verdict
from tests.soak.state import Record

HEAD = """# Soak

Written by `make soak`, never by hand. A number of a campaign may be claimed only from here. What has not run, or has
failed, stands here too.
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A campaign and what is known of it."""

    campaign: Campaign
    records: tuple[Record, ...]  # of the pieces that have ended, in the order of the pieces
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.words)

    @property
    def word(self) -> str:
        """One word for it."""
        if not self.records:
            return "not run"
        if self.failed or not all(verdict.holds for verdict in self.verdicts):
            return "FAILED"
        return "held" if len(self.records) == len(self.campaign.pieces) else "held so far"


def standing(campaign: Campaign, kept: Mapping[str, Record]) -> Standing:
    """What is kept, judged; a judge that fails is a verdict that does not hold."""
    records = tuple(kept[piece] for piece in campaign.pieces if piece in kept)
    good = [record.counts for record in records if not record.words]
    try:
        verdicts = tuple(campaign.judge(good)) if good else ()
    except Exception as error:
        verdicts = (Verdict(False, f"could not be judged: {type(error).__name__}: {error}"),)
    return Standing(campaign, records, verdicts)


def text(all_of: Sequence[Standing]) -> str:
    """The whole page."""
    ran = [record for one in all_of for record in one.records]
    pieces = sum(len(one.campaign.pieces) for one in all_of)
    failed = sum(len(one.failed) for one in all_of)
    lines = [HEAD]
    if ran:
        days = sorted({record.began[:10] for record in ran})
        commits = ", ".join(dict.fromkeys(record.commit for record in sorted(ran, key=lambda r: r.began)))
        lines += [f"- {days[0]}{f' to {days[-1]}' if days[1:] else ''}, commit {commits}"]
        lines += [f"- {machine}" for machine in dict.fromkeys(record.machine for record in ran)]
    hours = sum(record.seconds for record in ran) / 3600
    lines += [f"- {len(ran):,} of {pieces:,} pieces have run, {hours:.1f} hours in all; {failed:,} of them failed", ""]
    lines += ["| campaign | pieces run | failed | hours | result |", "| --- | ---: | ---: | ---: | --- |"]
    for one in all_of:
        spent = sum(record.seconds for record in one.records) / 3600
        of = f"{len(one.records):,} of {len(one.campaign.pieces):,}"
        lines.append(f"| {one.campaign.name} | {of} | {len(one.failed):,} | {spent:.1f} | {one.word} |")
    for one in all_of:
        lines += ["", f"## {one.campaign.name}", "", one.campaign.about, "", *_details(one)]
    return "\n".join(lines) + "\n"


def _details(one: Standing) -> list[str]:
    if not one.records:
        return [f"Not run: none of its {len(one.campaign.pieces):,} pieces, so nothing is claimed."]
    ran = {record.piece for record in one.records}
    left = [piece for piece in one.campaign.pieces if piece not in ran]
    lines = [f"- run: {_names([record.piece for record in one.records])}"]
    lines += [f"- not run: {_names(left)}"] if left else []
    good = [record.counts for record in one.records if not record.words]
    sums = {name: sum(counts.get(name, 0.0) for counts in good) for name in dict.fromkeys(n for c in good for n in c)}
    lines += [f"- counted: {', '.join(f'{name} {value:,.10g}' for name, value in sums.items())}"] if sums else []
    so_far = (
        f" (so far: {len(good)} of {len(one.campaign.pieces)} pieces)" if len(good) < len(one.campaign.pieces) else ""
    )
    lines += [f"- {'held' if verdict.holds else 'NOT HELD'}: {verdict.words}{so_far}" for verdict in one.verdicts]
    lines += [f"- FAILED, {record.piece}: {record.words}" for record in one.failed]
    return lines


def _names(pieces: Sequence[str]) -> str:
    """Names in their order; what is numbered (`7`, `track 7`) as ranges under its name."""
    numbers: dict[str, list[int]] = {}
    for piece in pieces:
        name, _, last = piece.rpartition(" ")
        numbered = last.isdecimal()
        numbers.setdefault(name if numbered else piece, []).extend([int(last)] if numbered else [])
    return ", ".join(f"{name} {_ranges(of)}".strip() for name, of in numbers.items())


def _ranges(numbers: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join(" to ".join(map(str, run)) for run in runs)
