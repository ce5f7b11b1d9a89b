"""How many recorded cases each group has, and how many of them ran and passed."""

from reference import official


def pytest_collection_modifyitems(items):
    for item in items:
        group = item.path.stem.removeprefix("test_")
        if hasattr(item, "callspec") and "case" in item.callspec.params:
            item.user_properties.append(("group", group))  # goes with its reports


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section(f"recorded cases in {official.folder()}")
    passed, failed = (groups(terminalreporter, o) for o in ("passed", "failed"))
    for group in sorted(p.parent.name for p in official.folder().glob("*/index.json")):
        good, bad = passed.count(group), failed.count(group)
        terminalreporter.line(
            f"{group:12} {recorded(official.index(group)):4} recorded,"
            f" {good + bad:4} ran, {good:4} passed"
        )


def recorded(index):
    """How many cases an index has, also where they lie in sections."""
    sections = [index, *(v for v in index.values() if isinstance(v, dict))]
    return sum(len(section.get("cases", [])) for section in sections)


def groups(terminalreporter, outcome):
    """The group of every test of a recorded case with this outcome."""
    reports = terminalreporter.stats.get(outcome, [])
    found = [dict(r.user_properties) for r in reports if r.when == "call"]
    return [properties.get("group") for properties in found]
