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
    for group, count in sorted(recorded()):
        good, bad = passed.count(group), failed.count(group)
        terminalreporter.line(
            f"{group:12} {count:4} recorded, {good + bad:4} ran, {good:4} passed"
        )


def recorded():
    """(group, number of its cases); each section of an index with sections is one."""
    for path in official.folder().glob("*/index.json"):
        index = official.index(path.parent.name)
        sections = {path.parent.name: index} if "cases" in index else index
        for name, section in sections.items():
            yield name, len(section["cases"]) + len(section.get("metric", []))


def groups(terminalreporter, outcome):
    """The group of every test of a recorded case with this outcome."""
    reports = terminalreporter.stats.get(outcome, [])
    found = [dict(r.user_properties) for r in reports if r.when == "call"]
    return [properties.get("group") for properties in found]
