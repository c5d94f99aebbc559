"""Windows take turns, ratios are taken between neighbours, and the table is whole."""

from benchmarks import plan, report

PLAN = plan.Plan(windows=3, seconds=1.0, depths=(100,), clients=1, agents=1)


def test_sides_take_turns_and_the_order_alternates():
    seen = []
    sides = {name: lambda name=name: seen.append(name) or float(len(seen)) for name in ("ours", "anchor")}

    found = plan.interleave(sides, 2)

    assert seen == ["ours", "anchor", "anchor", "ours"]
    assert found == {"ours": [1.0, 4.0], "anchor": [2.0, 3.0]}


def test_the_ratio_is_the_median_of_neighbouring_windows():
    assert plan.ratio([10, 30, 100], [10, 10, 50]) == 2


def test_a_percentile_of_few_is_the_highest():
    assert plan.percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert plan.percentile([float(value) for value in range(100)], 50) == 50.0


def test_a_row_says_whether_its_target_is_met():
    slow = report.Row("a", "x/s", [1, 2, 3], [10, 10, 10], "raw/s", ">= 0.30", lambda _, share: share >= 0.30)
    quick = report.Row("b", "x/s", [4, 5, 6], [10, 10, 10], "raw/s", ">= 0.30", lambda _, share: share >= 0.30)

    text = report.table({"cores": 2}, PLAN, [slow, quick], {"loops": "TimeoutError: too long"})
    document = report.document({}, PLAN, [slow, quick], {"loops": "TimeoutError: too long"})
    figures = document["figures"]

    assert [line.split("|")[-2].strip() for line in text.splitlines() if line.startswith("| ")] == ["met", "no", "yes"]
    assert [(row["median"], row["ratio"], row["met"]) for row in figures] == [(2, 0.2, False), (5, 0.5, True)]
