"""systemd-run, systemctl and journalctl for one folder, FAKE_WORKER, without root.

Units are processes that outlive who started them. Options that are not systemd's, or
not used here, are refused.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

UNITS = pathlib.Path(os.environ["FAKE_WORKER"]) / "root"
RUN = ("unit", "collect", "setenv", "property", "uid", "working-directory", "on-active")
LOGS = ("unit", "output", "no-pager", "lines", "follow")


def main(program: str, argv: list[str]) -> int:
    options, rest = [], list(argv)
    while rest and rest[0].startswith("--"):
        name, _, value = rest.pop(0)[2:].partition("=")
        options.append((name, value))
    return PROGRAMS[program](options, rest)


def run(options: list, command: list[str]) -> int:
    assert {name for name, _ in options} <= set(RUN), options
    given = dict(options)
    # A clean environment, but for what makes this folder a machine.
    environment = dict(os.environ)
    environment |= dict(v.split("=", 1) for name, v in options if name == "setenv")
    unit = given["unit"] + (".timer" if "on-active" in given else "")
    if is_active(unit):
        print(f"Failed to start transient unit: {unit} already exists", file=sys.stderr)
        return 1
    if "on-active" in given:
        command = [
            "sh",
            "-c",
            f'sleep {int(given["on-active"])}; exec "$@"',
            "-",
            *command,
        ]
    with (UNITS / f"{unit}.log").open("ab") as log:
        child = subprocess.Popen(
            command,
            env=environment,
            cwd=given.get("working-directory", "/"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (UNITS / unit).write_text(str(child.pid))
    return 0


def control(options: list, words: list[str]) -> int:
    verb, *flags, unit = words
    assert verb in ("is-active", "stop") and set(flags) <= {"--quiet"}
    if verb == "is-active":
        if not flags:
            print("active" if is_active(unit) else "inactive")
        return 0 if is_active(unit) else 3
    if is_active(unit):
        os.kill(pid(unit), signal.SIGTERM)  # KillMode=mixed: the main process only
    while is_active(unit):
        time.sleep(0.05)
    return 0


def logs(options: list, words: list[str]) -> int:
    assert {name for name, _ in options} <= set(LOGS) and not words
    given = dict(options)
    text = (UNITS / f"{given['unit']}.log").read_text()
    print("\n".join(text.splitlines()[-int(given["lines"]) :]))
    return 0


def pid(unit: str) -> int:
    try:
        return int((UNITS / unit).read_text())
    except OSError:
        return 0


def is_active(unit: str) -> bool:
    try:
        stat = pathlib.Path(f"/proc/{pid(unit)}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


PROGRAMS = {"systemd-run": run, "systemctl": control, "journalctl": logs}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
