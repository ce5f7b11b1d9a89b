"""Faults of the file system while verbs train, convert and generate.

faults.c, preloaded, lets operations on the files of a verb fail: once, ten times or
from an instant on, with EIO, ESTALE or ENOSPC, or write half of what they should. The
verb ends with one line and a code, or has done what it should; the same command, once
the disk works again, comes to the result of an undisturbed one.
"""

import abc
import ctypes
import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import children
import trainings

from afgan_jax import __main__ as program
from afgan_jax.data import archive

HERE = Path(__file__).parent
STEPS = 4
ERRORS = {"EIO": errno.EIO, "ESTALE": errno.ESTALE, "ENOSPC": errno.ENOSPC, "short": 0}
COUNTS = {"once": 1, "ten times": 10, "from then on": -1}


def run(count: int, seed: int, folder: Path) -> dict:
    library = folder / "faults.so"
    source = HERE / "faults.c"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    code = "import sys, file_faults; file_faults.campaign(*sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-c", code, str(count), str(seed), folder, library],
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": ":".join(sys.path)},
        check=True,
    )
    return json.loads((folder / "found.json").read_text())


def campaign(count: str, seed: str, folder: str, library: str) -> None:
    """`run` in a process that has the library."""
    faults, folder = ctypes.CDLL(library), Path(folder)
    faults.operations.restype = ctypes.c_long
    faults.arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_int]
    images = trainings.write_images(folder / "images")
    tasks = [_Train(folder, images), _Convert(images), _Generate(folder)]
    for task in tasks:
        task.measure(folder / task.name, faults)

    def trial(number: int) -> list[str]:
        draw = random.Random(f"{seed} {number}")
        task = draw.choices(tasks, [5, 3, 1])[0]
        error, times = draw.choice([*ERRORS]), draw.choice([*COUNTS])
        at = draw.randrange(task.operations[ERRORS[error] in (0, errno.ENOSPC)])
        place = folder / f"trial-{number}"
        found = task.disturb(place, faults, at, COUNTS[times], ERRORS[error])
        what = f"{task.name}, {error} {times} at operation {at}"
        return [f"{what}: {fault}" for fault in found]

    found = children.run(trial, int(count), folder, chunk=1, patience=300)
    text = json.dumps({"trials": int(count), "faults": found})
    (folder / "found.json").write_text(text)


class _Task(abc.ABC):
    """A verb: its arguments for a place to write to, and what it leaves there."""

    name = ""

    @abc.abstractmethod
    def arguments(self, place: Path) -> list[str]: ...

    @abc.abstractmethod
    def result(self, place: Path): ...

    def prepare(self, place: Path) -> None:
        place.mkdir()

    def measure(self, place: Path, faults) -> None:
        """Counts the operations, all and those that write, and keeps the result."""
        self.operations = []
        for error in (errno.EIO, errno.ENOSPC):
            code, text, count = self._call(place, faults, -1, 0, error)
            assert code == 0, text
            self.operations.append(count)
            self.expected = self.result(place)
            shutil.rmtree(place)

    def disturb(self, place: Path, faults, *fault: int) -> list[str]:
        """What is wrong with the verb under this fault, and after it."""
        found = []
        code, text, _ = self._call(place, faults, *fault)
        lines = [line for line in text.splitlines() if line.startswith("error")]
        if "Traceback" in text or "Exception ignored" in text:
            found.append(f"a traceback: {text[-600:]!r}")
        if code not in (0, 1, 2):
            found.append(f"it ends with {code}: {text[-200:]!r}")
        elif code and (len(lines) != 1 or not re.search(r"/", lines[0])):
            found.append(f"code {code} and {lines or text[-300:]!r}")
        if code == 0 and self.result(place) != self.expected:
            found.append("it ends with 0 and another result")
        if not found:
            code, text, _ = self._call(place, faults, -1, 0, errno.EIO)
            if code:
                found.append(f"then {code}: {text[-300:]!r}")
            elif self.result(place) != self.expected:
                found.append("the same command then comes to another result")
            found += trainings.half_written(place)
        if not found:
            shutil.rmtree(place)
        return found

    def _call(self, place: Path, faults, *fault: int) -> tuple[int, str, int]:
        """(exit code, output, number of operations) of the verb in a child."""
        if not place.exists():
            self.prepare(place)
        log, counted = place.with_suffix(".log"), place.with_suffix(".count")
        log.unlink(missing_ok=True)

        def verb():
            arguments = self.arguments(place)
            faults.arm(str(place).encode(), *fault)
            code = program.main(arguments)
            count = faults.operations()
            faults.arm(b"", -1, 0, 0)
            counted.write_text(str(count))
            return code

        counted.unlink(missing_ok=True)
        code = children.wait(children.fork(verb, log=log), 200)
        count = int(counted.read_text()) if counted.exists() else 0
        return code, log.read_text(errors="replace"), count


class _Train(_Task):
    name = "train"

    def __init__(self, folder: Path, images: Path):
        self._images, self._first = images, folder / "first"
        log = folder / "first.log"
        pid = children.fork(trainings.train, images, self._first, 1, log=log)
        assert children.wait(pid) == 0, log.read_text()

    def prepare(self, place: Path) -> None:
        shutil.copytree(self._first, place / "run")
        shutil.copytree(self._images, place / "images")

    def arguments(self, place: Path) -> list[str]:
        return ["train", *trainings.flags(place / "images", place / "run", STEPS)]

    def result(self, place: Path):
        return trainings.state_of(place / "run")


class _Convert(_Task):
    name = "convert"

    def __init__(self, images: Path):
        self._images = images

    def prepare(self, place: Path) -> None:
        shutil.copytree(self._images, place / "images")

    def arguments(self, place: Path) -> list[str]:
        (place / "out.zip").unlink(missing_ok=True)
        return ["dataset", "convert", f"{place / 'images'}", f"{place / 'out.zip'}"]

    def result(self, place: Path):
        opened = archive.Archive.open(place / "out.zip", use_labels=True)
        return len(opened), opened.digest(), opened.labels.values.tobytes()


class _Generate(_Task):
    name = "generate"

    def __init__(self, folder: Path):
        self._run = folder / "first"

    def arguments(self, place: Path) -> list[str]:
        flags = [f"--run={self._run}", f"--outdir={place}", "--seeds=0-3", "--class=0"]
        return ["generate", *flags]

    def result(self, place: Path):
        return {p.name: p.read_bytes() for p in sorted(place.rglob("*.png"))}
