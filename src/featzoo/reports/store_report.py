"""`feat report`: one page on what a store holds, what it lacks, and which clips to look at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.media.clip import Clip
from featzoo.reports import figures
from featzoo.reports.clip_card import clip_card
from featzoo.reports.html import Html, element, isolated, join, table
from featzoo.reports.page import Page
from featzoo.reports.store_facts import Outlier, StoreFacts, reasons, store_facts
from featzoo.vocabulary import SPLITS, split_name
from featzoo.wording import count

# Clips named in a list, failures listed of a reason, and outliers shown with their media.
NAMED, FAILURES, CARDS = 20, 8, 12
# Names of a category that are shown, and columns with gaps.
MOST_NAMES, MOST_COLUMNS = 30, 15
NO_SPLIT = "no split"


def store_report(path: Path, place: Path, media: bool = True) -> StoreFacts:
    """Write the report on a store.

    Args:
        path: The store.
        place: The HTML file to write.
        media: Put frames and sound of outliers into the page.

    Raises:
        StoreError: If there is no store, or the file cannot be written.
        ModuleNotFoundError: If plotly is not installed.
    """
    store = FeatureStore(path)
    page = Page(f"Feature store {path.resolve().name}", str(path.resolve()))
    facts = store_facts(store)
    _overview(page, facts)
    _coverage(page, facts)
    _failures(page, facts)
    _labels(page, facts)
    _durations(page, facts)
    _to_check(page, facts)
    _gaps(page, facts)
    _outliers(page, facts, media)
    page.save(place)
    return facts


def _overview(page: Page, facts: StoreFacts) -> None:
    splits = Counter(split_of(clip) for clip in facts.clips.values())
    ordered = sorted(splits, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name))
    failed = {failure.clip for one in facts.sets for failure in one.failures}
    cards = [
        fact(f"{len(facts.clips):,}", "clips"),
        fact(duration(sum(facts.seconds.values())), "in all" if facts.seconds else "duration unknown"),
        fact(str(len(facts.sets)), "feature sets"),
        fact(f"{len(failed):,}", "clips with a failure"),
        *(fact(f"{splits[name]:,}", name) for name in ordered),
    ]
    page.section("Overview", element("div", *cards, css="facts"))


def _coverage(page: Page, facts: StoreFacts) -> None:
    page.section("Coverage")
    if not facts.sets:
        page.add("The store holds no feature set yet: feat extract FOLDER makes some.")
        return
    rows = [
        [one.key, one.options or "-", len(one.stored), len(one.failures), one.missing, f"{one.share_unobserved:.1%}"]
        for one in facts.sets
    ]
    series = {
        "stored": [len(one.stored) for one in facts.sets],
        "failed": [len(one.failures) for one in facts.sets],
        "not extracted": [one.missing for one in facts.sets],
    }
    chart = figures.bars([one.key for one in facts.sets], series, "clips")
    page.add(page.figure(chart, "Clips by feature set"))
    page.add(table(["set", "options", "stored", "failed", "not extracted", "not observed"], rows, numbers_from=2))
    for one in facts.sets:
        if one.other:
            page.add(warning(f"{one.key} also holds {count(one.other, 'clip')} that the store's catalogue lacks."))
        if one.unreadable:
            said = next(iter(one.unreadable.values()))
            page.add(warning(f"{one.key}: {count(len(one.unreadable), 'clip')} cannot be read: {said}"))


def _failures(page: Page, facts: StoreFacts) -> None:
    page.section("Failures")
    found = reasons(facts)
    if not found:
        page.add("No clip has failed.")
        return
    series = {
        one.key: [sum(failure.reason == reason for failure in one.failures) for reason in found]
        for one in facts.sets
        if one.failures
    }
    page.add(page.figure(figures.bars(list(found), series, "failures"), "Failures by reason"))
    every = [(one.key, failure) for one in facts.sets for failure in one.failures]
    every.sort(key=lambda pair: (pair[1].reason, pair[1].clip))
    shown: dict[str, list[Sequence[object]]] = defaultdict(list)
    for key, failure in every:
        shown[failure.reason].append([failure.reason, failure.clip, key, failure.message])
    rows = [row for reason in found for row in shown[reason][:FAILURES]]
    page.add(table(["reason", "clip", "set", "message"], rows, numbers_from=4))
    if len(rows) < len(every):
        page.add(f"{FAILURES} of each reason are shown; `feat ls` lists all.")


def _labels(page: Page, facts: StoreFacts) -> None:
    page.section("Labels and splits")
    by_split: dict[str, list[Clip]] = {name: [] for name in SPLITS}
    for clip in facts.clips.values():
        by_split.setdefault(split_of(clip), []).append(clip)
    by_split = {split: clips for split, clips in by_split.items() if clips}
    numeric = dict.fromkeys(name for clip in facts.clips.values() for name in clip.labels)
    nominal = dict.fromkeys(name for clip in facts.clips.values() for name in clip.categories)
    rows, charts = [], [_classes(page, name, by_split) for name in nominal]
    for name in numeric:
        values = {split: np.array([c.labels[name] for c in of if name in c.labels]) for split, of in by_split.items()}
        values = {split: of for split, of in values.items() if len(of)}
        rows += [
            [name, split, len(of), *(f"{x:.4g}" for x in (of.mean(), of.std(), of.min(), of.max()))]
            for split, of in values.items()
        ]
        charts.append(page.figure(figures.histogram(values, name), f"Label {name}"))
    if not charts:
        page.add("No clip has a label.")
    page.add(element("div", *charts, css="grid"))
    if rows:
        page.add(table(["label", "split", "clips", "mean", "std", "min", "max"], rows, numbers_from=2))
    if facts.duplicates:
        pairs = count(len(facts.duplicates), "pair")
        page.add(warning(f"Different splits have the same content: {pairs} of clips, such as {facts.duplicates[0]}."))


def _classes(page: Page, name: str, by_split: Mapping[str, Sequence[Clip]]) -> Html:
    """Clips by class, or by speaker, of each split."""
    counts = {
        split: Counter(clip.categories[name] for clip in clips if name in clip.categories)
        for split, clips in by_split.items()
    }
    totals = sum(counts.values(), Counter[str]())
    most = [value for value, _ in totals.most_common(MOST_NAMES)]
    more = f", the {MOST_NAMES} most frequent of {len(totals)}" if len(totals) > MOST_NAMES else ""
    series = {split: [of[value] for value in most] for split, of in counts.items()}
    return page.figure(figures.bars(most, series, "clips"), f"{name}{more}")


def _durations(page: Page, facts: StoreFacts) -> None:
    page.section("Durations")
    if not facts.seconds:
        page.add("Unknown: no set has times, and no clip is a segment.")
        return
    values = np.array(list(facts.seconds.values()))
    page.add(page.figure(figures.histogram({"clips": values}, "seconds"), "Durations of clips"))
    low, middle, high = np.percentile(values, [5, 50, 95])
    ordered = sorted(facts.seconds, key=lambda name: facts.seconds[name])
    ends = [("shortest", name) for name in ordered[:3]] + [("longest", name) for name in ordered[:-4:-1]]
    rows = [[kind, name, f"{facts.seconds[name]:.2f}"] for kind, name in ends]
    unknown = len(facts.clips) - len(values)
    page.add(
        f"Median {middle:.2f} s; nine in ten between {low:.2f} and {high:.2f} s."
        + (f" Unknown for {count(unknown, 'clip')}." if unknown else ""),
        table(["", "clip", "seconds"], rows, numbers_from=2),
    )


def _to_check(page: Page, facts: StoreFacts) -> None:
    """Silent clips, clips without a face, and every other note."""
    page.section("Clips to check")
    faceless = {one.key: one.faceless for one in facts.sets if one.faceless}
    groups = {f"no face in any frame ({key})": names for key, names in faceless.items()}
    kinds = dict.fromkeys(kind for one in facts.sets for kind in one.notes)
    groups |= {f"note: {kind}": facts.noted(kind) for kind in kinds}
    wordless = sorted(name for name, clip in facts.clips.items() if not clip.words)
    if wordless and len(wordless) < len(facts.clips):
        groups["no transcript"] = wordless
    groups |= {
        f"remark: {kind}": sorted({name for name, clip in facts.clips.items() if kind in _remarks(clip)})
        for kind in dict.fromkeys(kind for clip in facts.clips.values() for kind in _remarks(clip))
    }
    if not groups:
        page.add("None: no clip is silent, lacks a face where faces were sought, or has another note.")
    rows = [[kind, len(names), _named(names)] for kind, names in groups.items()]
    if rows:
        page.add(table(["", "clips", "which"], rows, numbers_from=3))


def _gaps(page: Page, facts: StoreFacts) -> None:
    page.section("Values not observed")
    rows = [
        [one.key, column, f"{share:.1%}"]
        for one in facts.sets
        for column, share in sorted(one.unobserved.items(), key=lambda pair: -pair[1])[:MOST_COLUMNS]
        if share > 0
    ]
    if not rows:
        page.add("Every value was observed.")
        return
    page.add(
        "NaN means that a value was not observed, such as the pitch of an unvoiced frame. The columns with the most:",
        table(["set", "column", "not observed"], rows, numbers_from=2),
    )


def _outliers(page: Page, facts: StoreFacts, media: bool) -> None:
    page.section("Outliers")
    found = sorted((one for each in facts.sets for one in each.outliers), key=lambda one: -one.score)
    if not found:
        page.add("No clip is far from the others in any set.")
        return
    by_clip: dict[str, list[Outlier]] = defaultdict(list)
    for one in found:
        by_clip[one.clip].append(one)
    page.add(
        f"{count(len(by_clip), 'clip')} of {len(facts.clips):,} are far from the others by their mean features. "
        "The score is the distance from the median clip in robust deviations; the column is the one that differs most.",
    )
    chosen = list(by_clip)[:CARDS]
    for name in chosen:
        clip = facts.clips[name]
        rows = [(one.key, _why(one)) for one in by_clip[name][:4]]
        page.add(clip_card(page, clip, rows, None, media))
    if len(by_clip) > len(chosen):
        page.add(join(["Others: ", _named(list(by_clip)[len(chosen) :])]))


def _why(one: Outlier) -> str:
    low, high = one.usual
    return f"score {one.score:.1f}; {one.column} is {one.value:.4g}, usually {low:.4g} to {high:.4g}"


def split_of(clip: Clip) -> str:
    """A clip's split, by its usual name."""
    return split_name(clip.split) or (clip.split or NO_SPLIT)


def fact(value: str, name: str) -> Html:
    """A number with its name, for the boxes on top of a report."""
    return element("div", element("b", value), element("span", name), css="fact")


def warning(text: str) -> Html:
    """A paragraph that stands out."""
    return element("p", text, css="warning")


def duration(seconds: float) -> str:
    """Seconds in the largest fitting unit, such as `3.2 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _named(names: Sequence[str]) -> Html:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return join([join(map(isolated, names[:NAMED]), ", "), more])


def _remarks(clip: Clip) -> set[str]:
    return {remark.partition(":")[0] for remark in clip.remarks}
