"""Run a training of several processes on this machine, under one supervisor.

python launch/local.py --processes=2 -- python -m afgan_jax train ...

Each process gets --coordinator, --num-processes and --process-id, and each line of its
output its number, as in [0]. They start together and end together: when one is lost the
others end too, and all start again, as launch/supervise.py says. A host with several
GPUs needs none of this: one process uses all of them.
"""

import argparse
import os
import socket
import sys

import shell
import supervise


def main(argv=None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("--processes", type=supervise.count, required=True, metavar="N")
    flags.add_argument(
        "--gpus",
        type=supervise.count,
        metavar="N",
        help="each process sees so many of the GPUs in CUDA_VISIBLE_DEVICES",
    )
    flags.add_argument(
        "--dry-run", action="store_true", help="only print what would be run"
    )
    supervise.add_flags(flags)
    own, command = supervise.split(argv)
    options = flags.parse_args(own)
    if not command:
        flags.error("write the command after --: local.py --processes=2 -- python ...")
    if options.processes < 1:
        flags.error("--processes must be at least 1")
    try:
        gpus = shares(options.gpus, options.processes, os.environ)
    except ValueError as error:
        flags.error(str(error))

    def commands(attempt: int) -> list:
        address = f"127.0.0.1:{free_port()}"
        return [
            (joining(command, address, options.processes, i), gpus[i], f"[{i}] ")
            for i in range(options.processes)
        ]

    if options.dry_run:
        for words, environment, prefix in commands(1):
            settings = [f"{name}={value}" for name, value in environment.items()]
            print(prefix + shell.quoted([*settings, *words]))
        return 0
    return supervise.Supervisor(options, commands).run()


def joining(command: list, address: str, processes: int, index: int) -> list:
    """The command as process `index` of a job; its own flags count more."""
    flags = {
        "--coordinator": address,
        "--num-processes": processes,
        "--process-id": index,
        "--exit-stopped": 42,
    }
    given = {word.partition("=")[0].replace("_", "-") for word in command}
    return command + [f"{k}={v}" for k, v in flags.items() if k not in given]


def shares(gpus, processes: int, environment) -> list:
    """For each process the setting that shows it its GPUs; empty if gpus is None.

    Raises ValueError if there are too few.
    """
    if gpus is None:
        return [{}] * processes
    shown = environment.get("CUDA_VISIBLE_DEVICES")
    wanted = processes * gpus
    names = shown.split(",") if shown else [str(i) for i in range(wanted)]
    if gpus < 1 or len(names) < wanted:
        raise ValueError(
            f"--gpus={gpus} for {processes} processes needs {wanted} GPUs, at least 1"
            f" each; CUDA_VISIBLE_DEVICES={shown or ''} has {len(names)}"
        )
    parts = [names[i * gpus : (i + 1) * gpus] for i in range(processes)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(part)} for part in parts]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
