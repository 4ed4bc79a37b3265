"""The table of faults adds up what tests counted, whether they passed or not."""

from types import SimpleNamespace

import fault_table


def report(*counts, failed=False, keywords=()):
    properties = [("faults", [row, each]) for row, each in counts]
    return SimpleNamespace(user_properties=properties, failed=failed, keywords=dict.fromkeys(keywords, 1))


def test_rows_are_summed_and_tests_that_count_nothing_have_the_row_of_their_marker():
    found = fault_table.lines([
        report(("flips: index", {"trials": 700, "hangs": 1})),
        report(("flips: index", {"trials": 300, "silently wrong": 2}), failed=True),
        report(keywords=["hostile"]),
        report(keywords=["hostile"], failed=True),
        report(),
    ])  # fmt: skip
    rows = [line.rsplit(maxsplit=len(fault_table.COLUMNS)) for line in found[2:]]
    assert rows == [
        ["flips: index", "1,000", "0", "2", "1", "0", "0", "1"],
        [fault_table.BY_MARKER["hostile"], "2", "0", "0", "0", "0", "0", "1"],
        ["all", "1,002", "0", "2", "1", "0", "0", "2"],
    ]


def test_without_faults_there_is_no_table():
    assert fault_table.lines([report()]) == []
