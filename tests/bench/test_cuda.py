"""What the CUDA compiler makes of programs: read from its text, and asked of itself."""

import json
import pathlib

import jax
import pytest

from afgan_jax.__main__ import main
from afgan_jax.bench import aot, cards, described, hlo, kernels

pytestmark = pytest.mark.usefixtures("no_compilation_cache")
CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
BUDGETS = json.loads((pathlib.Path(__file__).parent / "cuda_budgets.json").read_text())
TEXT = """HloModule jit_update

%sliced (p0: f32[100], p1: f32[4]) -> f32[4] {
  %p0 = f32[100]{0} parameter(0)
  %p1 = f32[4]{0} parameter(1)
  %s = f32[4]{0} slice(%p0), slice={[0:4]}
  ROOT %a = f32[4]{0} add(%s, %p1)
}

%in_place (q0: f32[100], q1: f32[2], q2: s32[]) -> f32[100] {
  %q0 = f32[100]{0} parameter(0)
  %q1 = f32[2]{0} parameter(1)
  %q2 = s32[] parameter(2)
  ROOT %u = f32[100]{0} dynamic-update-slice(%q0, %q1, %q2)
}

%body (b: f32[4]) -> f32[4] {
  %b = f32[4]{0} parameter(0)
  ROOT %m = f32[4]{0} copy(%b)
}

%other (c: f32[4]) -> f32[4] {
  %c = f32[4]{0} parameter(0)
  ROOT %d = f32[4]{0} bitcast(%c)
}

ENTRY %main (x: f32[100], y: f32[4], z: f32[2], i: s32[]) -> f32[4] {
  %x = f32[100]{0} parameter(0)
  %y = f32[4]{0} parameter(1)
  %z = f32[2]{0} parameter(2)
  %i = s32[] parameter(3)
  %f = f32[4]{0} fusion(%x, %y), kind=kLoop, calls=%sliced
  %g = f32[100]{0} fusion(%x, %z, %i), kind=kInput, calls=%in_place
  %w = f32[4]{0} while(%f), body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %k = (bf16[8,2]{1,0}, u8[64]{0}) custom-call(%w, /*index=1*/%y), window={size=3x5 pad=1_1x2_2}, custom_call_target="__cudnn$convForward"
  %t = f32[4]{0} conditional(%i, %w, %w), true_computation=%body, false_computation=%other
  %v = f32[4]{0} convolution(%w, %y), window={size=36x148}
  %e = f32[4]{0} copy-done(%v)
  ROOT %r = f32[4]{0} copy(%e)
}
"""  # noqa: E501


def test_kernels_and_their_bytes_are_read():
    """Slices count as what they take, updates as what they change, loops as runs."""
    assert kernels.of_module(TEXT) == [
        kernels.Kernel("fusion Loop", 1, 3 * 16),
        kernels.Kernel("fusion Input", 1, 2 * 8 + 8 + 4),
        kernels.Kernel("copy", 3, 32),
        kernels.Kernel("__cudnn$convForward", 1, 32 + 32, (3, 5)),
        kernels.Kernel("copy", 1, 32),
        kernels.Kernel("convolution", 1, 48, (36, 148)),
        kernels.Kernel("copy", 1, 32),
    ]
    found = kernels.of_module(TEXT)
    assert kernels.total_bytes(found) == 48 + 28 + 96 + 64 + 32 + 48 + 32
    assert kernels.largest_window(found) == 148


def test_text_of_this_machine_is_read():
    x = jax.numpy.ones((8, 8))
    text = jax.jit(lambda x, y: (x @ y, x.sum())).lower(x, x).compile().as_text()
    computations, entry = hlo.parse(text)
    found = computations[entry]
    assert len(found) == text.split("\nENTRY ")[1].split("\n}")[0].count(" = ")
    assert [hlo.size(i.type) for i in found if i.op == "parameter"] == [256, 256]
    assert found[-1].is_root and hlo.size(found[-1].type) == 256 + 4
    names = {i.name for i in found}
    assert all(names >= set(i.operands) for i in found)


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--card=x"], "--card=x is unknown: use one of a100, rtx4090, h100, b200"),
        (["--card=,"], "--card= names none: use h100, or others"),
        (["--card=h100", "--topology=v5e:1x1"], "--topology does not go with --card"),
        (["--devices=2"], "--devices is for --card: pass that as well"),
    ],
)
def test_what_cannot_be_is_one_line(flags, said, capsys):
    assert main(["bench", "aot", f"--config={CONFIGS}/smoke.py", *flags]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_missing_compiler_says_how_to_get_it(capsys, monkeypatch):
    def missing(**_):
        raise NotImplementedError("cuda")

    monkeypatch.setattr(described.topologies, "get_topology_desc", missing)
    monkeypatch.setattr(described.importlib.util, "find_spec", lambda name: None)
    assert main(["bench", "aot", f"--config={CONFIGS}/smoke.py", "--card=h100"]) == 2
    err = capsys.readouterr().err
    assert f"jax-cuda12-plugin=={jax.__version__}" in err and err.count("\n") == 1


def rows_of(tmp_path, config: str, *flags: str) -> list[dict]:
    """Rows for 8 images on each card, in bfloat16."""
    file = tmp_path / "aot.json"
    for section in ("generator.synthesis", "discriminator"):
        flags += (f"--config.{section}.dtype=bfloat16",)
    flags += (f"--out={file}", "--images=8")
    assert main(["bench", "aot", f"--config={CONFIGS}/{config}", *flags]) == 0
    return json.loads(file.read_text())["rows"]


def check(row: dict, budget: dict):
    """That a program needs no more than it did, and little less than the budget says.

    No convolution slides a window as large as the image, which takes a GPU 90 times
    longer than the gradient of a small one.
    """
    assert 1 <= row["window"] <= 3
    for name, most in budget.items():
        assert 0.8 * most < row[name] <= most, name


@pytest.mark.cuda
@pytest.mark.parametrize("card, count", [("h100", 1), ("a100", 1), ("h100", 2)])
def test_updates_of_earth64_are_within_their_budgets(card, count, tmp_path):
    flags = (f"--card={card}", f"--devices={count}")
    *updates, step = rows_of(tmp_path, "earth64.py", *flags)
    budgets = BUDGETS[f"earth64 {card} {count}"]
    assert [row["name"] for row in updates] == list(budgets)
    for row in updates:
        check(row, budgets[row["name"]])
        assert set(row["collectives"]) == ({"all-reduce"} if count == 2 else set())
    assert step["bytes"] < step["memory"] == 80e9


@pytest.mark.cuda
@pytest.mark.parametrize("config", ["t", "r"])
def test_updates_of_g_at_256_are_within_their_budgets(config, tmp_path):
    (row,) = rows_of(tmp_path, f"ffhqu256.py:{config}", "--card=h100", "--phases=Gboth")
    check(row, BUDGETS[f"ffhqu256:{config} h100 1"]["Gboth"])


@pytest.mark.cuda
@pytest.mark.parametrize("card", cards.CARDS)
def test_every_card_is_known_to_the_compiler(card):
    target = aot.cuda(card, 2)
    assert len(target.devices) == 2
    assert target.generation == {"h100": "hopper", "b200": "blackwell"}.get(card)
