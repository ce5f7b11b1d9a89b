"""How many recorded cases each group has, and how many of them ran and passed."""

from reference import official

CASES = {}  # node id: group


def pytest_collection_modifyitems(items):
    for item in items:
        group = item.path.stem.removeprefix("test_")
        if hasattr(item, "callspec") and "case" in item.callspec.params:
            CASES[item.nodeid] = group


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section(f"recorded cases in {official.folder()}")
    outcomes = {name: ids(terminalreporter, name) for name in ("passed", "failed")}
    groups = sorted(p.parent.name for p in official.folder().glob("*/index.json"))
    for group in groups:
        mine = {node for node, g in CASES.items() if g == group}
        passed, failed = (len(mine & found) for found in outcomes.values())
        terminalreporter.line(
            f"{group:12} {len(official.index(group).get('cases', [])):4} recorded,"
            f" {passed + failed:4} ran, {passed:4} passed"
        )


def ids(terminalreporter, outcome):
    reports = terminalreporter.stats.get(outcome, [])
    return {report.nodeid for report in reports if report.when == "call"}
