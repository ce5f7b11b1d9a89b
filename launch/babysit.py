"""Keeping a training on a TPU going until it is done, and deleting the TPU then."""

import time

import codes
import job
import queued_resource
import shell

FRUITLESS = 3  # starts in a row without a newer checkpoint
SETTLE = 6  # looks from an unexpected stop to a new start: the TPU may be going
REQUESTS, CONNECTIONS, BEGINNINGS = 20, 20, 3  # tries in a row
LEAST = 300  # seconds that are worth another TPU
GONE = (queued_resource.ABSENT, *queued_resource.ENDED)
OVER = "the hours are used up, and the run can go on"


class Babysitter:
    """Creates, installs, starts, watches, and creates again after a preemption.

    create(seconds): puts a TPU into the queue that lives so long. seconds: of TPUs that
    exist, all together. poll: seconds between two looks.
    """

    def __init__(self, tpu, task, create, seconds: float, poll: float):
        self._tpu, self._job, self._create = tpu, task, create
        self._left, self._poll = seconds, poll
        self._requests = 0  # made, since there was an active TPU
        self._made = self._had_one = False  # whether a TPU was, by this; was active
        self._since = None  # when the present TPU was first seen to be active
        self._fruitless, self._checkpoint = 0, None
        self._said = None

    def run(self) -> int:
        """The exit code of the job; 42 if time ran out. The TPU is deleted then.

        Raises shell.Failed if it cannot be created or deleted.
        """
        code = None
        while code is None:
            if not self._acquire():
                code, why = codes.STOPPED, OVER
                break
            try:
                code, why = self._train()
            except job.Refused as error:
                code, why = codes.BAD_INPUT, str(error)
            except shell.Failed as error:
                code, why = codes.FAILED, str(error)
        self._tpu.shell.say(f"{why}: exit code {code}; deleting {self._tpu.name}")
        self._tpu.delete(self._wait)
        return code

    def _acquire(self) -> bool:
        """Waits until there is an active TPU, which is made if need be.

        False if there is no time left for one.
        """
        while not self._is_over():
            state = self._tpu.state()
            why = f" ({self._tpu.why})" if state == queued_resource.UNKNOWN else ""
            self._say(f"{self._tpu.name} is {state}{why}")
            if why and not self._made and not self._had_one:
                raise shell.Failed(self._tpu.why)  # as without a login
            if state == "ACTIVE":
                self._since = self._since or time.monotonic()
                self._had_one, self._requests = True, 0
                return True
            if state in GONE:
                if self._since is not None:
                    self._left -= time.monotonic() - self._since
                self._since = None
                if state != queued_resource.ABSENT:
                    self._tpu.delete(self._wait)
                if not self._is_over():
                    self._put_into_queue(state)
            self._wait()
        return False

    def _put_into_queue(self, state: str) -> None:
        """Raises shell.Failed if the first cannot be, or none of many is active."""
        self._requests += 1
        try:
            if self._requests > REQUESTS:
                raise shell.Failed(f"{REQUESTS} requests in a row, the last is {state}")
            self._create(int(self._left))
        except shell.Failed as error:
            # It may take a while for it to be listed, or for quota to come back.
            if "ALREADY_EXISTS" not in str(error) and (
                not self._made or self._requests > REQUESTS
            ):
                raise
            self._say(f"not created: {str(error).splitlines()[-1]}")
        else:
            self._made = True

    def _train(self) -> tuple:
        """(exit code, why); (None, ...) when the TPU is gone. Raises shell.Failed."""
        state = self._begin()
        stopped = 0  # looks since it stopped
        while True:
            if self._is_over():
                self._try(self._job.stop)
                return codes.STOPPED, OVER
            if state in GONE:
                return None, state
            reports = self._job.look()
            if self._tpu.shell.dry_run:
                return codes.DONE, "done"
            self._tell(reports)
            code = verdict(reports, self._job.hosts)
            if code in (codes.DONE, codes.FAILED, *codes.FINAL):
                return code, "; ".join(last_words(reports)) or "done"
            if code is not None and any(one["told"] for one in reports.values()):
                return codes.STOPPED, "stopped by tpu.py stop"
            stopped = 0 if code is None else stopped + 1
            if stopped > SETTLE:
                if self._gives_up(reports):
                    return codes.FAILED, f"{FRUITLESS} starts, no newer checkpoint"
                self._try(self._job.restart)
                stopped = 0
            self._wait()
            state = self._tpu.state()

    def _begin(self) -> str:
        """Installs and starts, unless it runs already; returns the TPU's state.

        Workers may be slow to answer. A TPU that was there before may train, though
        nobody here can see it. Raises shell.Failed, job.Refused.
        """
        tries = unanswered = 0
        while True:
            reports = self._job.look()
            if len(reports) == self._job.hosts:
                if all(one["active"] for one in reports.values()):
                    return "ACTIVE"
            try:
                if len(reports) < self._job.hosts and not self._tpu.shell.dry_run:
                    self._job.refuse_silence(len(reports))
                self._job.install()
                self._job.start()
                return "ACTIVE"
            except shell.Failed as error:
                state = self._tpu.state()
                unanswered += isinstance(error, job.NoAnswer)
                tries += not isinstance(error, job.NoAnswer)
                if state in GONE or self._is_over():
                    return state
                if tries == BEGINNINGS or (self._made and unanswered == CONNECTIONS):
                    raise
                self._say(str(error))
                self._wait()

    def _try(self, action) -> bool:
        """Whether an action on the workers succeeded; tells why not."""
        try:
            action()
        except shell.Failed as error:
            self._say(str(error))
            return False
        return True

    def _gives_up(self, reports: dict) -> bool:
        """Whether starting again has brought nothing for too long."""
        steps = [r.get("checkpoint") for r in reports.values()]
        newest = max((s for s in steps if s is not None), default=None)
        self._fruitless = 0 if newest != self._checkpoint else self._fruitless + 1
        self._checkpoint = newest
        return self._fruitless >= FRUITLESS

    def _is_over(self) -> bool:
        if self._since is None:
            return self._had_one and self._left < LEAST
        return time.monotonic() - self._since >= self._left

    def _wait(self) -> None:
        if not self._tpu.shell.dry_run:
            time.sleep(self._poll)

    def _tell(self, reports: dict) -> None:
        for line in progress(reports):
            self._say(line)

    def _say(self, line: str) -> None:
        """Says what has not just been said."""
        if line != self._said and not self._tpu.shell.dry_run:
            self._said = line
            self._tpu.shell.say(f"{time.strftime('%H:%M:%S')} {line}")


def verdict(reports: dict, hosts: int):
    """The job's exit code; None while it goes on, or not all workers tell.

    An end that no restart helps counts at once, whatever the others do. So does the end
    of one worker by an error, which lasts: those who go on cannot meet it.
    """
    ended = [r.get("code", codes.LOST) for r in reports.values() if not r["active"]]
    final = [code for code in ended if code in codes.FINAL]
    if final:
        return codes.of_job(final)
    if any(ended):  # not 0: also who is gone without a word
        return codes.of_job(ended)
    return codes.DONE if len(ended) == hosts else None


def progress(reports: dict) -> list:
    """One line: the newest of what the processes tell."""
    told = [p for r in reports.values() for p in r.get("processes", []) if p]
    if not told:
        return []
    newest = max(told, key=lambda one: one.get("updated") or 0)
    attempt = max(r.get("attempt", 0) for r in reports.values())
    return [
        f"attempt {attempt}: {newest.get('state')}, {newest.get('nimg')} images,"
        f" checkpoint {newest.get('checkpoint')}"
    ]


def last_words(reports: dict) -> list:
    """Of each worker that ended by an error, but those who lost another."""
    ended = {i: one for i, one in reports.items() if not one["active"]}
    return [
        f"worker {i}: {((one.get('lines') or [[]])[0] or [one.get('why')])[-1]}"
        for i, one in ended.items()
        if one.get("code") not in (None, codes.DONE, codes.LOST)
    ]
