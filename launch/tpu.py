"""Train on a Cloud TPU: create it, install, start, watch, resume, delete.

python launch/tpu.py babysit NAME --zone=ZONE --type=v5e-16 --spot --max-hours=24 -- \\
    python -m afgan_jax train --config=CONFIG --workdir=gs://BUCKET/RUN

babysit does all of it: after a preemption it creates the TPU again and the training
resumes; at the end it deletes the TPU. create and run do its first parts one by one;
status, logs, stop, delete and list look after them. Needs gcloud, logged in.

Nothing lives longer than --max-hours: the workers delete their TPU themselves, Google's
clock ends flex-start TPUs, and babysit deletes by its own. `list` shows what there is.
"""

import argparse
import sys
import time
from pathlib import Path

import accelerators
import babysit
import inventory
import job
import queued_resource
import shell
import supervise

KEPT = "out/tpu"  # of the checkout: files that are sent, versions that were installed


def main(argv=None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    own, command = supervise.split(argv)
    options = parser().parse_args(own)
    run = shell.Shell(options.dry_run)
    try:
        return VERBS[options.verb](options, run, command) or 0
    except ValueError as error:
        return fail(error, 2)
    except shell.Failed as error:
        return fail(error, 1)
    except KeyboardInterrupt:
        if options.verb in ("create", "run", "babysit"):
            delete_it = f"launch/tpu.py delete {options.name} --zone={options.zone}"
            print(f"\nit is still there; to delete it: {delete_it}", file=sys.stderr)
        return 130


def fail(error: Exception, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def create(options, run, command) -> None:
    """Puts a TPU into the queue and waits until it is there."""
    kind, tpu = accelerators.checked(options.type), resource(options, run)
    creation(options, tpu, kind)(int(options.max_hours * 3600))
    said = None
    while True:
        state = tpu.state()
        if state != said:
            run.say(f"{options.name} is {state}")
        said = state
        if state == "ACTIVE":
            return
        if state in queued_resource.ENDED:
            raise shell.Failed(f"{options.name} is {state}: delete it, and try again")
        time.sleep(options.poll)


def start(options, run, command) -> None:
    """Installs on all workers and starts the command there."""
    tpu = resource(options, run)
    kind = accelerators.checked(options.type or tpu.kind())
    task = make_job(options, tpu, kind, command)
    task.pack(options.allow_dirty)
    task.install()
    task.start()


def watch(options, run, command) -> int:
    kind, tpu = accelerators.checked(options.type), resource(options, run)
    tpu.imagine_absent()
    task = make_job(options, tpu, kind, command)
    task.pack(options.allow_dirty)  # before anything costs
    put, seconds = creation(options, tpu, kind), options.max_hours * 3600
    return babysit.Babysitter(tpu, task, put, seconds, options.poll).run()


def status(options, run, command) -> None:
    tpu = resource(options, run)
    state = tpu.state()
    run.say(f"{options.name} is {state}")
    if state != "ACTIVE":
        return
    for line in inventory.workers(job.Job(tpu, 0, [], {}, None, 0).look()):
        run.say(line)


def logs(options, run, command) -> None:
    worker = options.worker
    follow = " --follow" if options.follow else ""
    tail = f"sudo journalctl --unit=afgan --output=cat --no-pager --lines=100{follow}"
    run.become(resource(options, run).ssh(worker, tail))


def stop(options, run, command) -> None:
    """The training saves and ends; the TPU stays, and costs."""
    tpu = resource(options, run)
    job.Job(tpu, 0, [], {}, None, 0).stop()
    run.say(f"stopped; it still costs: python launch/tpu.py delete {options.name} ...")


def delete(options, run, command) -> None:
    resource(options, run).delete(lambda: time.sleep(options.poll))


def show(options, run, command) -> None:
    for line in inventory.alive(run, options.zone or "-", options.project):
        run.say(line)


VERBS = {
    "create": create,
    "run": start,
    "babysit": watch,
    "status": status,
    "logs": logs,
    "stop": stop,
    "delete": delete,
    "list": show,
}


def resource(options, run) -> queued_resource.QueuedResource:
    folder = Path(KEPT) / options.name
    if not run.dry_run:
        folder = job.ROOT / folder
    return queued_resource.QueuedResource(
        run, options.name, options.zone, options.project, folder
    )


def creation(options, tpu, kind: str):
    """The function that puts a TPU into the queue, from seconds to live."""
    wait = int((options.wait_hours or options.max_hours) * 3600)
    more = options.gcloud_flag
    return lambda seconds: tpu.create(kind, options.tier, seconds, wait, more)


def make_job(options, tpu, kind: str, command: list) -> job.Job:
    """Raises ValueError if the command cannot run on this type."""
    if not command:
        raise ValueError(
            "write the command after --: ... -- python -m afgan_jax train --config=..."
        )
    places = [w for w in command if w.replace("_", "-").startswith("--workdir=")]
    for word in places:
        if "://" not in word and not options.shared_workdir:
            raise ValueError(
                f"{word}: the disks of a TPU's workers are deleted with it, and each"
                " worker sees its own only: use gs://BUCKET/RUN, or add"
                " --shared-workdir if all see the same folder, which stays"
            )
    environment = dict(pair.split("=", 1) for pair in options.env)
    seconds = int(options.max_hours * 3600)
    hosts = accelerators.hosts(kind)
    return job.Job(tpu, hosts, command, environment, options.python, seconds)


def hours(text: str) -> float:
    number = float(text)
    if not 0 < number <= 24 * 365:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return number


def setting(text: str) -> str:
    if not text.partition("=")[1]:
        raise argparse.ArgumentTypeError(f"{text} must be NAME=VALUE")
    return text


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = flags.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        add_flags(verb, verbs.add_parser(verb))
    return flags


def add_flags(verb: str, flags: argparse.ArgumentParser) -> None:
    if verb != "list":
        flags.add_argument("name", metavar="NAME")
    flags.add_argument("--zone", required=verb != "list")
    flags.add_argument("--project", help="default: gcloud's")
    flags.add_argument("--dry-run", action="store_true", help="only print the commands")
    flags.add_argument("--poll", type=supervise.seconds, default=30, metavar="SECONDS")
    if verb in ("create", "run", "babysit"):
        flags.add_argument("--max-hours", type=hours, required=True, help="to live")
    if verb in ("create", "babysit"):
        add_creation_flags(flags)
    if verb in ("run", "babysit"):
        add_job_flags(flags)
    if verb == "run":
        flags.add_argument("--type", help="as it was created; default: asked for")
    if verb == "logs":
        flags.add_argument("--worker", default="0", help="a number, or all")
        flags.add_argument("--follow", action="store_true")


def add_creation_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--type", required=True, help="as in v5e-16, v6e-8, v4-32, v5p-8"
    )
    flags.add_argument("--wait-hours", type=hours, help="in the queue; as --max-hours")
    tier = flags.add_mutually_exclusive_group()
    for name in ("spot", "reserved", "flex-start"):
        tier.add_argument(f"--{name}", dest="tier", action="store_const", const=name)
    flags.set_defaults(tier="on-demand")
    flags.add_argument(
        "--gcloud-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="one more for gcloud's create, as in --gcloud-flag=--network=mine",
    )


def add_job_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--env", type=setting, action="append", default=[], metavar="NAME=VALUE"
    )
    flags.add_argument(
        "--allow-dirty", action="store_true", help="run changes not committed too"
    )
    flags.add_argument(
        "--shared-workdir",
        action="store_true",
        help="the workdir is a folder that all workers see and that stays",
    )
    flags.add_argument("--python", help="of the workers, with all packages installed")


if __name__ == "__main__":
    sys.exit(main())
