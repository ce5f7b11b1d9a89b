#!/usr/bin/env python3
"""Train on a node pool of GKE, as a JobSet: a TPU slice, or nodes with GPUs.

python launch/gke.py run NAME --accelerator=v6e:4x4 --spot --max-hours=24 \\
    --image=IMAGE -- python -m afgan_jax train --config=CONFIG --workdir=gs://BUCKET/RUN
python launch/gke.py run NAME --accelerator=h100:8 --nodes=2 ... -- ...
python launch/gke.py status NAME     as well as: logs NAME, delete NAME, list

kubectl must know the cluster, which must have the JobSet controller, 0.10 or newer.
Every command is printed before it runs; --dry-run prints all and runs nothing. With
--xpk=CLUSTER, of a cluster that xpk made, `run` gives the training to xpk, which has a
queue but no limit of hours.

If a pod is lost, all begin again and go on from the last checkpoint. `delete` deletes
the JobSet, not the node pool, which costs until it is scaled to 0.
"""

from __future__ import annotations  # Python 3.9

import argparse
import json
import re
import shlex
import subprocess
import sys

import codes
import jobset
import node_pools
import supervise

OF_NODES = ("nodepool", "tpu-accelerator", "tpu-topology", "accelerator", "spot")


def main(argv=None) -> int:
    own, command = supervise.split(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(own)
    options.command = command
    try:
        for command, given in options.commands(options):
            code = _call(command, given, options.dry_run)
            if code:
                return code
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return codes.BAD_INPUT
    return codes.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb, commands in VERBS.items():
        flags = verbs.add_parser(verb, help=commands.__doc__)
        flags.set_defaults(commands=commands)
        flags.add_argument("--namespace", default="default")
        flags.add_argument("--dry-run", action="store_true")
        if verb != "list":
            flags.add_argument("name", type=_name, metavar="NAME")
        if verb == "run":
            _add_run_flags(flags)
    return parser


def _add_run_flags(flags: argparse.ArgumentParser) -> None:
    add = flags.add_argument
    add("--accelerator", required=True, type=_pool, metavar="KIND:SIZE")
    add("--nodes", type=_count, metavar="N", help="with GPUs; default: 1")
    add("--image", required=True, help="as launch/Dockerfile makes it")
    add("--spot", action="store_true", help="on spot nodes")
    text = "ends it after so long, counted from its last start"
    add("--max-hours", required=True, type=_count, metavar="N", help=text)
    text = "of all pods, without those after preemptions; default: 10"
    add("--max-restarts", default=10, type=_count, metavar="N", help=text)
    text = "of Kubernetes, which may use the bucket; default: afgan"
    add("--service-account", default="afgan", metavar="NAME", help=text)
    add("--xpk", metavar="CLUSTER", help="give it to xpk, for this cluster")


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", text):
        why = f"{text} must be 1 to 40 of a-z, 0-9 and -, beginning with a letter"
        raise argparse.ArgumentTypeError(why)
    return text


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text} must be a whole number from 1")
    return int(text)


def _pool(text: str) -> node_pools.Pool:
    try:
        return node_pools.pool(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run(options):
    """train"""
    training = jobset.Training(
        name=options.name,
        namespace=options.namespace,
        pool=options.accelerator,
        nodes=options.nodes,
        image=options.image,
        spot=options.spot,
        max_hours=options.max_hours,
        max_restarts=options.max_restarts,
        service_account=options.service_account,
        command=options.command,
    )
    if options.xpk:
        yield _xpk(training, options.xpk), None
    else:
        given = json.dumps(jobset.manifest(training), indent=2)
        yield _kubectl(options, "apply", "--filename=-"), given


def _xpk(training: jobset.Training, cluster: str) -> list:
    if training.pool.xpk is None:
        raise ValueError("xpk does not know this accelerator: leave out --xpk")
    command = ["xpk", "workload", "create", f"--workload={training.name}"]
    command += [f"--cluster={cluster}", f"--device-type={training.pool.xpk}"]
    if not training.pool.is_tpu:
        command.append(f"--num-nodes={training.pods}")
    command += [f"--docker-image={training.image}"]
    command += [f"--command={shlex.join(training.supervised)}"]
    command += [f"--max-restarts={training.max_restarts}"]
    command += [f"--termination-grace-period-seconds={jobset.GRACE}"]
    return command + (["--spot"] if training.spot else [])


def _status(options):
    """show its pods, and what happened to it"""
    yield _kubectl(options, "get", "pods", f"--selector={_selector(options)}"), None
    yield _kubectl(options, "describe", "jobset", options.name), None


def _logs(options):
    """follow what process 0 says"""
    first = f"{_selector(options)},batch.kubernetes.io/job-completion-index=0"
    yield _kubectl(options, "logs", "--follow", f"--selector={first}"), None


def _delete(options):
    """end it; its pods save first"""
    yield _kubectl(options, "delete", "jobset", options.name), None


def _list(options):
    """show all trainings of the cluster, and its nodes, which cost"""
    every = "--all-namespaces", "--selector=app=afgan"
    yield ["kubectl", "get", "jobsets", *every], None
    labels = ",".join(f"cloud.google.com/gke-{name}" for name in OF_NODES)
    yield ["kubectl", "get", "nodes", f"--label-columns={labels}"], None


VERBS = {
    "run": _run,
    "status": _status,
    "logs": _logs,
    "delete": _delete,
    "list": _list,
}


def _selector(options) -> str:
    return f"{jobset.GROUP}/jobset-name={options.name}"


def _kubectl(options, *arguments: str) -> list:
    return ["kubectl", f"--namespace={options.namespace}", *arguments]


def _call(command: list, given: str | None, is_dry: bool) -> int:
    """Its exit code; it is printed with its input before it runs."""
    text = "" if given is None else f" <<'END'\n{given}\nEND"
    print(f"+ {shlex.join(command)}{text}", flush=True)
    if is_dry:
        return 0
    try:
        return subprocess.run(command, input=given, text=True).returncode
    except FileNotFoundError:
        raise ValueError(f"there is no {command[0]} here: install it") from None


if __name__ == "__main__":
    sys.exit(main())
