"""What fits between two networks, and that it changes nothing it need not change."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from afgan_jax.networks import discriminator, mapping
from afgan_jax.training import state as states
from afgan_jax.training import transfer

SIZES = {"channel_base": 128, "channel_max": 8}
ALIAS_FREE = SIZES | {"z_dim": 8, "w_dim": 6, "num_layers": 4, "margin": 4}
STYLEGAN2 = SIZES | {"z_dim": 8, "w_dim": 6, "kind": "stylegan2"}


@functools.cache
def shapes(form: str, resolution=16, c_dim: int = 0, **more):
    common = {"resolution": resolution, "c_dim": c_dim}
    settings = {"alias_free": ALIAS_FREE, "stylegan2": STYLEGAN2}[form] | common | more
    make = functools.partial(
        states.initialize,
        G=tiny.make_generator(**settings),
        D=discriminator.make_discriminator(**SIZES, **common),
    )
    G, D = jax.eval_shape(make, jax.random.key(0))
    return {"G": G, "D": D, "G_ema": G}


def filled(tree, seed: int):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.random(x.shape, np.float32)), tree)


def kinds(rows) -> dict:
    return {row.target or row.source: row.kind for row in rows}


@pytest.mark.parametrize("form", ["alias_free", "stylegan2"])
def test_the_same_networks_load_whole(form):
    tree = shapes(form)
    source, fresh = filled(tree, 0), filled(tree, 1)
    rows = transfer.match(tree, tree)
    assert {row.kind for row in rows} == {"loaded"}
    jax.tree.map(
        np.testing.assert_array_equal, transfer.begin(fresh, source, rows), source
    )


def test_new_labels_leave_every_tensor_but_those_that_see_them():
    rows = transfer.match(shapes("alias_free"), shapes("alias_free", c_dim=3))
    other = {name: kind for name, kind in kinds(rows).items() if kind != "loaded"}
    for part in ("G", "G_ema"):
        assert other.pop(f"{part}/params/mapping/fc0/weight") == "reshaped"
        assert other.pop(f"{part}/params/mapping/embed/weight") == "missing"
        assert other.pop(f"{part}/params/mapping/embed/bias") == "missing"
    assert other.pop("D/params/b4/out/weight") == "skipped"
    assert other.pop("D/params/b4/out/bias") == "skipped"
    assert other and set(other.values()) == {"missing"}
    assert all(name.startswith("D/params/mapping/") for name in other)
    assert not transfer.misfits(rows, new_labels=True)
    assert len(transfer.misfits(rows, new_labels=False)) == len(other) + 6


@pytest.mark.slow
def test_a_generator_is_the_same_under_every_new_label_and_learns_from_it():
    old, new = (
        mapping.Mapping(8, c_dim, 6, num_ws=2, num_layers=2) for c_dim in (0, 3)
    )
    z, c = jax.random.normal(jax.random.key(0), (3, 8)), jnp.eye(3)
    source = {"G": {"params": {"mapping": None}}}
    source["G"]["params"]["mapping"] = old.init(jax.random.key(1), z)["params"]
    fresh = {"G": {"params": {"mapping": None}}}
    fresh["G"]["params"]["mapping"] = new.init(jax.random.key(2), z, c)["params"]
    rows = transfer.match(source, fresh)
    begun = transfer.begin(fresh, source, rows)["G"]["params"]["mapping"]
    buffers = {"buffers": {"w_avg": jnp.zeros(6)}}

    def ws(params):
        return new.apply({"params": params} | buffers, z, c)

    expected = old.apply({"params": source["G"]["params"]["mapping"]} | buffers, z)
    np.testing.assert_allclose(ws(begun), expected, rtol=1e-5, atol=1e-6)  # rounding
    slope = jax.grad(lambda p: jnp.sum(ws(p) ** 2))(begun)["fc0"]["weight"]
    assert np.abs(slope[8:]).min() > 0


@pytest.mark.parametrize("other, name", [(32, "L1_40_8"), ((16, 24), "L1_32x24_8")])
def test_alias_free_layers_are_matched_by_number_across_sizes(other, name):
    old, new = shapes("alias_free"), shapes("alias_free", other)
    names = [set(tree["G"]["params"]["synthesis"]) for tree in (old, new)]
    assert names[0] != names[1]
    rows = transfer.match(old, new)
    begun = transfer.begin(filled(new, 1), filled(old, 0), rows)
    rows = [row for row in rows if "/synthesis/L" in (row.target or "")]
    kinds_of = {"loaded", "skipped"} if other == 32 else {"loaded"}
    assert {row.kind for row in rows} == kinds_of
    for row in rows:
        number = row.target.split("/")[3].split("_")[0]
        assert row.source.split("/")[3].split("_")[0] == number
        assert row.kind == ("loaded" if row.old == row.new else "skipped")
    layers = [tree["G"]["params"]["synthesis"] for tree in (begun, filled(old, 0))]
    np.testing.assert_array_equal(
        layers[0][name]["weight"], layers[1]["L1_24_8"]["weight"]
    )


@pytest.mark.parametrize("there, here", [(16, 32), (32, 16)])
def test_blocks_are_matched_by_resolution(there, here):
    rows = transfer.match(shapes("stylegan2", there), shapes("stylegan2", here))
    found = kinds(rows)
    both = {"G/params/synthesis/b16/conv0/weight", "D/params/b8/conv1/weight"}
    assert {found[name] for name in both} == {"loaded"}
    assert {kind for name, kind in found.items() if "/b32/" in name} == {
        "missing" if here == 32 else "skipped"
    }
    fromrgb = {name: kind for name, kind in found.items() if "fromrgb" in name}
    assert set(fromrgb.values()) == {"missing", "skipped"}  # D's first layer moves
    assert transfer.misfits(rows, new_labels=False)


def test_the_table_counts_every_kind_and_names_what_is_not_simply_loaded():
    rows = transfer.match(shapes("alias_free"), shapes("alias_free", channel_base=64))
    text = transfer.table(rows)
    lines = text.splitlines()
    counts = {line.split()[1]: int(line.split()[0]) for line in lines[:4]}
    assert counts["skipped"] == len(lines) - 4 > 0 and sum(counts.values()) == len(rows)
    assert "skipped   G/params/synthesis/L2_24_4/bias  [8] -> [4]" in text


def test_inputs_are_only_added_behind_the_latent():
    """The embedded labels are the last inputs: beside them nothing is widened."""
    for there, here, kind in ((0, 0, "reshaped"), (3, 3, "skipped"), (3, 0, "skipped")):
        rows = transfer.match(
            shapes("alias_free", c_dim=there),
            shapes("alias_free", c_dim=here, z_dim=20),
        )
        assert kinds(rows)["G/params/mapping/fc0/weight"] == kind
