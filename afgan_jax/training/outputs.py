"""What a training leaves behind: statistics, pictures, checkpoints, metrics."""

import dataclasses
import time
from collections.abc import Callable, Iterator

import jax

from afgan_jax.training import report as reports
from afgan_jax.training import state as states
from afgan_jax.training import status as statuses
from afgan_jax.training import watchdog as watchdogs


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Writes them for the run when they are due; see loop.train for the arguments."""

    run: object
    report: reports.Report
    snapshots: object
    evaluate: Callable[[dict], Iterator]
    total: int  # images in all
    checkpoint_ticks: int
    image_ticks: int
    status: statuses.Status
    watchdog: watchdogs.Watchdog

    def begin(self, state: states.TrainState, nimg: int) -> None:
        """Before the first step."""
        if nimg == 0:
            with self.report.optional("reals.png", OSError):
                self.report.image("reals", self.snapshots.reals(), nimg)
            self._draw(state, "fakes_init.png", nimg)
        if nimg < self.total:
            kimg = f"from {nimg / 1000:g} to {self.total / 1000:g} kimg"
            self.report.say(f"compiling; {kimg}")
        self.run.upload()
        self._tell("starting", nimg)

    def end_tick(self, state: states.TrainState, step: int, nimg: int, stop) -> None:
        """After a tick's last step."""
        tick, is_last = self.report.tick, nimg >= self.total
        self.report.end_tick(nimg, progress(state))
        # A step that is saved has its line and its picture: these come first.
        if is_last or tick % self.image_ticks == 0:
            self._draw(state, f"fakes{nimg // 1000:06d}.png", nimg)
        if is_last or tick % self.checkpoint_ticks == 0:
            self.save(state, step, nimg, stop)
        if is_last or (tick > 0 and tick % self.checkpoint_ticks == 0):
            with self.watchdog.paused():
                self._measure(state, step, nimg, stop)
        self.run.upload()
        self._tell("training", nimg)
        self.report.restart_clock()

    def save(self, state: states.TrainState, step: int, nimg: int, stop) -> None:
        """Saves a checkpoint in the background."""
        start = time.monotonic()
        self.run.save(step, states.to_tree(state))
        stop.restart_clock()
        self._tell("training", nimg)
        self.report.exclude(time.monotonic() - start)

    def end(self, state: states.TrainState, step: int, nimg: int) -> None:
        """After the last step, or when asked to stop: all is saved on return."""
        is_whole = nimg >= self.total
        if not is_whole:
            self.run.save(step, states.to_tree(state))
            self.report.say(f"stopping: saving at {nimg / 1000:z.3f} kimg")
        self.run.checkpoints.wait()
        if not is_whole:
            self.report.say("saved: run the same command to resume")
        self._tell("finished" if is_whole else "stopped", nimg)

    def _tell(self, how: str, nimg: int) -> None:
        if self.status.file is not None:  # else nobody needs to list checkpoints
            with self.report.optional("status"):
                self.status.write(how, self.run.latest_step(), nimg)

    def _draw(self, state: states.TrainState, name: str, nimg: int) -> None:
        """Draws a grid of samples, and shows it in TensorBoard."""
        with self.report.optional("fakes"):
            path = self.snapshots.fakes(state.G_ema, name)
            self.report.image("fakes", path, nimg)

    def _measure(self, state: states.TrainState, step: int, nimg: int, stop) -> None:
        """Records the results of metrics, and which checkpoint is the best by each.

        A run that is asked to stop skips the metrics that remain.
        """
        report, run = self.report, self.run
        for metric, values, seconds, fault in self.evaluate(state.G_ema):
            if fault is not None:
                report.say(f"metric {metric.name} failed, training continues: {fault}")
            else:
                with report.optional("record of metrics"):
                    run.append_metric(metric.name, values, step=step, seconds=seconds)
                report.metric(values, nimg)
                value, higher = next(iter(values.values())), not metric.row.lower
                run.checkpoints.record_metric(step, metric.name, value, higher=higher)
            if stop.is_asked():
                return


def progress(state: states.TrainState) -> dict[str, float]:
    """Statistics of the state for a tick, read back from the devices."""
    if state.augment is None:
        return {}
    return {"Progress/augment": float(jax.device_get(state.augment["p"]))}
