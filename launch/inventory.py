"""What there is, in tables: TPUs of a project, workers of a TPU."""

import datetime
import json

import shell


def alive(run: shell.Shell, zone: str, project) -> list:
    """A line for each TPU and each request for one, with age and limit.

    Raises shell.Failed. A dry run knows of none.
    """
    where = [f"--zone={zone}", *([f"--project={project}"] if project else [])]
    asked = [["queued-resources", "list"], ["tpu-vm", "list"]]
    words = [["gcloud", "compute", "tpus", *a, *where, "--format=json"] for a in asked]
    requests, nodes = (json.loads(run.run(w, look=True) or "[]") for w in words)
    rows = [of_request(one) for one in requests]
    rows += [of_node(one) for one in nodes if not one.get("queuedResource")]
    if not rows:
        return [] if run.dry_run else ["nothing is there"]
    heading = ("NAME", "ZONE", "TYPE", "STATE", "AGE", "LIMIT", "")
    return table([heading, *rows])


def of_request(told: dict) -> tuple:
    node = told.get("tpu", {}).get("nodeSpec", [{}])[0].get("node", {})
    state = told.get("state", {}).get("state", "")
    return row(told, node.get("acceleratorType"), state, node.get("labels", {}))


def of_node(told: dict) -> tuple:
    labels = told.get("labels", {})
    return row(told, told.get("acceleratorType"), told.get("state", ""), labels)


def row(told: dict, kind, state: str, labels: dict) -> tuple:
    parts = told["name"].split("/")  # projects/P/locations/ZONE/queuedResources/NAME
    made = datetime.datetime.fromisoformat(told["createTime"][:19] + "+00:00")
    age = (datetime.datetime.now(datetime.UTC) - made).total_seconds() / 3600
    limit = labels.get("max-minutes")
    limit = None if limit is None else int(limit) / 60
    if limit is None:
        note = "has no limit: not made by tpu.py"
    elif age > limit and state in ("SUSPENDED", "FAILED"):
        note = "only takes quota: delete it"
    else:
        note = "OLDER THAN ITS LIMIT: delete it" if age > limit else ""
    shown = "none" if limit is None else f"{limit:.1f} h"
    zone = parts[-3] if len(parts) > 2 else ""
    return parts[-1], zone, kind or "", state, f"{age:.1f} h", shown, note


def workers(reports: dict) -> list:
    """A line for each worker of how its training does."""
    heading = (
        "WORKER",
        "UNIT",
        "ATTEMPT",
        "STATE",
        "IMAGES",
        "CHECKPOINT",
        "LAST LINE",
    )
    rows = []
    for i, one in reports.items():
        told = (one.get("processes") or [{}])[0]
        state = told.get("state") or one.get("state") or ""
        if "code" in one:
            state = f"ended with {one['code']}"
        last = ((one.get("lines") or [[]])[0] or [""])[-1]
        unit = "active" if one["active"] else "ended"
        shown = (one.get("attempt"), state, told.get("nimg"), one.get("checkpoint"))
        rows.append((str(i), unit, *("" if v is None else str(v) for v in shown), last))
    return table([heading, *rows]) if rows else []


def table(rows: list) -> list:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    ]
