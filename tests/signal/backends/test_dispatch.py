"""The inner form is chosen for the platform a program is lowered for, or by name."""

import jax
import jax.numpy as jnp
import pytest

from afgan_jax.signal import convolve, filters, nonlinearity
from afgan_jax.signal.backends import dispatch


def lowered_gradient(platform: str, channels: int = 8, radial: bool = True) -> str:
    up = filters.lowpass(12, 2.0, 6.0, 32.0)
    down = filters.lowpass(12, 2.0, 6.0, 32.0, radial=radial)

    def loss(x, w):
        y = convolve.conv(x, w, pad=2)
        y = nonlinearity.filtered_lrelu(y, None, up, down, up=2, down=2, pad=(9, 8))
        return jnp.sum(y)

    shapes = jnp.zeros((2, 16, 16, channels)), jnp.zeros((3, 3, channels, channels))
    traced = jax.jit(jax.grad(loss, (0, 1))).trace(*shapes)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def test_cpu_sums_slices_and_multiplies_taps():
    text = lowered_gradient("cpu")
    assert text.count("stablehlo.slice") > 100
    assert text.count("dot_general") == 1  # the weight gradient


@pytest.mark.parametrize("platform, radial, least", [("tpu", 0, 6), ("cuda", 1, 10)])
def test_accelerators_multiply_banded_matrices(platform, radial, least):
    text = lowered_gradient(platform, channels=128, radial=bool(radial))
    assert text.count("dot_general") >= least  # up again, transposes of down and up
    assert text.count("stablehlo.slice") < 20


@pytest.mark.parametrize("channels, radial", [(8, False), (128, True)])
def test_tpu_convolves_blocks_where_filters_are_radial_or_channels_few(
    channels, radial
):
    text = lowered_gradient("tpu", channels, radial)
    assert "dot_general" not in text
    assert "tensor<2x2x64x256xf32>" in text  # 8 x 8 pixels as features, up to 16 x 16


def test_named_forms_are_taken_on_every_platform():
    with dispatch.override(filtered="banded", resample="banded"):
        text = lowered_gradient("cpu")
    assert text.count("dot_general") >= 10 and text.count("stablehlo.slice") < 20
    with dispatch.override(**dispatch.NAIVE):
        text = lowered_gradient("tpu")
    assert "feature_group_count = 8" in text and "dot_general" not in text
    assert "feature_group_count = 8" not in lowered_gradient("tpu")


def test_environment_names_forms_and_a_preference_gives_way(monkeypatch, caplog):
    with dispatch.prefer(filtered="depthwise", resample="depthwise"):
        assert "feature_group_count = 8" in lowered_gradient("cpu")
        monkeypatch.setenv("AFGAN_FORM", "filtered=polyphase, resample=polyphase")
        for _ in range(2):
            assert "feature_group_count = 8" not in lowered_gradient("cpu")
    assert [r.message for r in caplog.records if "AFGAN_FORM" in r.message] == [
        "AFGAN_FORM=filtered=polyphase, resample=polyphase: inner forms "
        "{'filtered': 'polyphase', 'resample': 'polyphase'}"
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("filtred=banded", "no operation 'filtred'"),
        ("banded", "no operation 'banded'"),
        ("conv=fast", "conv='fast' is unknown: use one of taller, xla"),
    ],
)
def test_unknown_forms_are_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        dispatch.parse(text)
    assert dispatch.parse("naive") == dispatch.NAIVE


def test_every_operation_has_its_forms_in_every_table():
    assert dispatch.TABLE.keys() == dispatch.FORMS.keys() == dispatch.NAIVE.keys()
    for operation, known in dispatch.FORMS.items():
        chosen = {*dispatch.TABLE[operation].values(), dispatch.NAIVE[operation]}
        assert "default" in dispatch.TABLE[operation] and chosen <= set(known)
