"""Time a configuration's generator and its training updates on this machine.

python -m afgan_jax bench --config=configs/ffhqu256.py:t --batch=2

Times are medians of several runs after compilation; updates are also given as multiples
of the forward pass measured beside them, which is what to compare between machines.
"""

import time

from absl import flags

from afgan_jax import cli

FLAGS = flags.FlagValues()
flags.DEFINE_string("config", None, "FILE.py or FILE.py:ARG", flag_values=FLAGS)
flags.DEFINE_integer(
    "batch", None, "images at a time; default: the config's", flag_values=FLAGS
)
flags.DEFINE_integer(
    "repeats", 3, "runs of each, of which the median counts", flag_values=FLAGS
)
flags.DEFINE_bool("updates", True, "time the training updates too", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    overrides = cli.parse(FLAGS, argv, required=("config",))

    # Here, not on top: --help must not wait for JAX.
    import jax
    import numpy as np

    from afgan_jax import config
    from afgan_jax.networks import discriminator, generator
    from afgan_jax.training import loop, step

    settings = config.load(FLAGS.config, overrides, cli.schema())
    G = generator.make_generator(**settings["generator"])
    D = discriminator.make_discriminator(**settings["discriminator"])
    batch = FLAGS.batch or settings["updates"]["batch_size"]
    print(f"{jax.device_count()} x {jax.devices()[0].device_kind}, batch {batch}")
    variables = jax.jit(G.initialize)(jax.random.key(0))
    ws = jax.random.normal(
        jax.random.key(1), (batch, G.synthesis.num_ws, G.mapping.w_dim)
    )
    forward = clock(
        "synthesis forward",
        jax.jit(lambda v, ws: G.apply(v, ws, method=type(G).synthesize)),
        lambda: (variables, ws),
        batch,
    )
    if not FLAGS.updates:
        return
    setup = step.make_setup(G, D, **settings["losses"])
    program = step.make_program(setup, **settings["updates"] | {"batch_size": batch})
    state = program.init(jax.random.key(0))
    key, _ = loop.keys(program, 0)
    size = (batch, D.resolution, D.resolution, D.img_channels)
    data = loop.place(
        program,
        {
            "image": np.random.RandomState(0).randint(0, 256, size).astype(np.uint8),
            "label": np.zeros((batch, D.c_dim), np.float32),
            "gen_label": np.zeros((2, batch, D.c_dim), np.float32),
        },
    )
    for name, update in program.updates.items():
        # The update consumes the state it is given: hand it a fresh copy each time.
        clock(
            f"update {name}",
            update,
            lambda: (jax.tree.map(lambda x: x.copy(), state), data, key),
            batch,
            forward,
        )


def clock(name: str, function, arguments, batch: int, forward: float | None = None):
    """Print and return the median seconds of function(*arguments())."""
    import jax
    import numpy as np

    start = time.perf_counter()
    compiled = function.lower(*arguments()).compile()
    compile_time = time.perf_counter() - start
    times = []
    for _ in range(FLAGS.repeats + 1):  # the first warms up
        inputs = jax.block_until_ready(arguments())
        start = time.perf_counter()
        jax.block_until_ready(compiled(*inputs))
        times.append(time.perf_counter() - start)
    seconds = float(np.median(times[1:]))
    ratio = "" if forward is None else f"  {seconds / forward:6.2f} x forward"
    print(
        f"{name:20} {seconds:8.3f} s  {seconds / batch:8.4f} s/image"
        f"  compile {compile_time:5.1f} s{ratio}",
        flush=True,
    )
    return seconds
