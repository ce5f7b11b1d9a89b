"""What every synthesis network offers."""

import pytest
import tiny

from afgan_jax.networks import generator, protocol


@pytest.mark.parametrize("kind", generator.SYNTHESES)
def test_every_kind_offers_what_a_synthesis_network_has_to(kind):
    network = tiny.make_generator(kind=kind, resolution=32).synthesis
    assert isinstance(network, protocol.SynthesisNetwork)
    assert all(isinstance(spec, protocol.Layer) for spec in network.layers)
    assert [row["name"] for row in network.rows()] == [s.name for s in network.layers]
    for before, after in zip(network.layers, network.layers[1:]):
        if not before.is_rgb:
            assert before.out_size == after.in_size
            assert before.out_channels == after.in_channels
