"""What may pass between devices in a compiled update."""

import jax

from afgan_jax.bench import aot


def assert_only_gradients_and_statistics_pass(program, batch) -> None:
    state = jax.eval_shape(program.init, jax.random.key(0))
    key = jax.eval_shape(jax.random.key, 0)
    for phase in program.phases:
        lowered = program.updates[phase.name].lower(state, batch, key)
        moved = aot.count_collectives(lowered.compile().as_text())
        assert set(moved) == {"all-reduce"}, phase.name
        params = jax.tree.leaves(getattr(state, phase.network)["params"])
        size = sum(4 * p.size for p in params)
        assert size <= moved["all-reduce"][1] <= 2.5 * size, phase.name
