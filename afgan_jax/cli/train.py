"""Train a generator; run the same command again to resume.

python -m afgan_jax train --config=earth64 --workdir=runs/earth

Ctrl-C, SIGTERM or SIGHUP, in a job of several processes to any of them, ends the
training after the present step, with a checkpoint and exit code 0, or that of
--exit-stopped. A second Ctrl-C or SIGTERM ends it at once, as the first does while
there is nothing to save: until the first step has been compiled (exit code 130 for
Ctrl-C, within some seconds; 143 for SIGTERM). Bad input or a full disk ends it with one
line and exit code 2; any other error in training with a checkpoint, one line and exit
code 1. AFGAN_STATUS=FILE in the environment names a file that tells a supervisor how
the training stands (see training/status.py).

--init-from begins a new run with the weights of another run, or those of a published
snapshot: same networks, or the same without labels. --partial takes over what fits of
other networks, such as those of another resolution. The rest starts anew; see
WORKDIR/transfer.txt. ADA then adapts over 100 kimg, and there is no ramp-up of the
average and no blur, unless a --config flag says otherwise.
--config.losses.freeze_d=N keeps N layers of D fixed.

In a job of several processes each runs the same command, with --coordinator=auto on
TPU slices, under SLURM, Open MPI and Kubernetes, where JAX finds them; elsewhere with
HOST:PORT of process 0, --num-processes and --process-id. If one is lost the others end
with one line and exit code 134.
"""

import contextlib
import os
import sys

from afgan_jax.cli import flags

STALL_MINUTES = 30.0  # of a job: one process that hangs keeps the machines of all
STATUS = "AFGAN_STATUS"  # the variable that names a file for the supervisor

InitFrom = flags.text("init-from", "begin with the weights of this run", "SOURCE")
Preview = flags.flag(
    "preview-augment",
    float | str | None,
    lambda text: "auto" if text == "auto" else flags.probability(text),
    "P|auto",
    "train nothing: write WORKDIR/augment.png, images above what D sees of them at this"
    " p; auto: at 0.2, 0.5 and 1, or at that of augment.mode=fixed",
)
Partial = flags.switch("of --init-from, take over what fits")
DryRun = flags.switch("only print layers, parameters and the memory of every update")
Profile = flags.switch("write a trace of 5 steps to WORKDIR/profile")
Coordinator = flags.text(
    "coordinator", "auto: as JAX finds it; or address of process 0", "auto|HOST:PORT"
)
NumProcesses = flags.count("num-processes", "how many, in all")
ProcessId = flags.count("process-id", "which one this is, from 0", least=0)
Stall = flags.number(
    "stall-minutes",
    "end with all stacks and exit code 134 when no step ends for so long, of the first"
    " ones 4 times as long; 0: never; default: 0, or 30 with --coordinator",
    least=0,
)
ExitStopped = flags.count(
    "exit-stopped",
    "exit code when a signal stopped the training, which is saved and unfinished",
    least=0,
    most=255,
)
Heartbeat = flags.count(
    "heartbeat-seconds", "a process silent for so long is lost", 5, most=86400
)
Initialization = flags.count(
    "initialization-seconds", "for all processes to start", 10, most=86400
)


def main(
    config: flags.Config,
    workdir: flags.Workdir,
    *,
    init_from: InitFrom = None,
    partial: Partial = False,
    dry_run: DryRun = False,
    preview_augment: Preview = None,
    profile: Profile = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
    heartbeat_seconds: Heartbeat = 30,
    initialization_seconds: Initialization = 300,
    stall_minutes: Stall = None,
    exit_stopped: ExitStopped = 0,
) -> int:
    _check(dry_run, preview_augment, profile, init_from, partial)
    if stall_minutes is None:
        stall_minutes = 0 if coordinator is None else STALL_MINUTES
    begun = {"source": init_from, "partial": partial}
    options = {"profile": profile, "stall_minutes": stall_minutes}
    options["status_file"] = os.environ.get(STATUS) or None
    times = {"heartbeat": heartbeat_seconds, "initialization": initialization_seconds}
    with join(coordinator, num_processes, process_id, **times):
        is_done = _train(config, workdir, begun, dry_run, preview_augment, options)
    return 0 if is_done else exit_stopped


def _train(config, workdir, begun, dry_run, preview_augment, options) -> bool:
    """Whether all that was asked for is done."""
    # Here, not on top: --help must not wait for JAX.
    import jax

    from afgan_jax.assembly import training

    changes = config.changes
    if preview_augment is not None:
        p = None if preview_augment == "auto" else preview_augment
        path = training.preview(config.spec, workdir, p, changes=changes)
        print(f"wrote {path}", file=sys.stderr)
    elif dry_run:
        for line in training.dry_run(config.spec, workdir, changes=changes, **begun):
            if jax.process_index() == 0:
                print(line, flush=True)
    else:
        options = begun | options
        return training.train(config.spec, workdir, changes=changes, **options)
    return True


def _check(dry_run, preview_augment, profile, init_from, partial) -> None:
    if dry_run and preview_augment is not None:
        raise ValueError("--dry-run writes nothing: leave out --preview-augment")
    if profile and (dry_run or preview_augment is not None):
        raise ValueError("--profile needs training: leave out one of the two")
    if partial and init_from is None:
        raise ValueError("--partial is for --init-from=SOURCE")


def join(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    **times: float,
) -> contextlib.AbstractContextManager:
    """The block inside which this process belongs to a job of several.

    times: `heartbeat` and `initialization` of peers.joined.
    """
    if coordinator is None:
        if num_processes is not None or process_id is not None:
            raise ValueError("--num-processes and --process-id need --coordinator")
        return contextlib.nullcontext()
    from afgan_jax.training import peers

    if coordinator == "auto":
        return peers.joined(**times)
    if num_processes is None or process_id is None or process_id >= num_processes:
        raise ValueError(
            f"--coordinator={coordinator} needs --num-processes=N and --process-id from"
            f" 0 to N - 1, not {num_processes} and {process_id}"
        )
    return peers.joined(coordinator, num_processes, process_id, **times)
