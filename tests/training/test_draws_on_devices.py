"""Random draws of a step: the same for any number of devices and processes."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from processes import python
from training import smoke

from afgan_jax import jax_settings
from afgan_jax.assembly import settings as assembled
from afgan_jax.training import draws, objectives, step

BATCH = 512


def setup() -> objectives.Setup:
    settings = assembled.load(smoke.SMOKE)
    settings["losses"] |= {"style_mixing_prob": 0.9, "pl_weight": 2.0}
    networks = assembled.make_networks(settings)
    return step.make_setup(*networks, augment=None, **settings["losses"])


def drawn(devices, number: int) -> dict[str, np.ndarray]:
    """All that is drawn for a step, on these devices."""
    like = setup()
    rows = NamedSharding(Mesh(np.array(devices), ("data",)), P("data"))

    def draw(key):
        latents = draws.latents(like, key, BATCH, rows)
        labels = dict.fromkeys(("real_c", "c"), np.zeros([BATCH, 0], np.float32))
        given = {"real": np.zeros([BATCH, 2, 2, 3], np.float32)} | labels | latents
        found = draws.inputs(like, jax.random.fold_in(key, 1), given)
        names = "z", "z_mix", "mix_from", "pl_normal"
        rest = {"key": jax.random.key_data(found.key)}
        return {name: getattr(found, name) for name in names} | rest

    key = jax.random.fold_in(jax_settings.key(3), number)
    return jax.tree.map(np.asarray, jax.jit(draw)(key))


CODE = """
import jax, numpy as np
from training import test_draws_on_devices
devices = jax.devices()
one, other = (test_draws_on_devices.drawn(devices[:1], step) for step in (7, 8))
assert not np.array_equal(one["z"], other["z"])
for count in 8, 64, 512:
    for name, array in test_draws_on_devices.drawn(devices[:count], 7).items():
        np.testing.assert_array_equal(array, one[name], err_msg=f"{count} {name}")
"""


@pytest.mark.slow
def test_any_number_of_devices_draws_the_same():
    child = python(CODE, devices=512)
    out, _ = child.communicate(timeout=100)
    assert child.returncode == 0, out
