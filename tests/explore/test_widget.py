"""The widget through a real kernel: what its page asks, and what Python has."""

import contextlib
import queue
import sys

import numpy as np
import pytest
import tiny
from jupyter_client import manager
from processes import ROOT

import afgan_jax
from afgan_jax import errors, viz
from afgan_jax.explore import views, widget
from afgan_jax.signal import pixels

R = 16
PATIENCE = 300.0  # seconds, of a machine that does much else


class Kernel:
    """A kernel, and the part of a page that talks to it."""

    def __init__(self, client):
        self.client = client
        self.comm = None

    def run(self, code: str) -> str:
        """What `code` prints; AssertionError with what it raises."""
        asked, printed = self.client.execute(code), []
        for message in self.heard(asked):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            elif message["msg_type"] == "comm_open":
                if "_esm" in message["content"]["data"]["state"]:
                    self.comm = message["content"]
        return "".join(printed)

    def ask(self, **content) -> tuple[dict, list]:
        """The answer to a message of the page: (its content, buffers)."""
        data = {"method": "custom", "content": content}
        said = {"comm_id": self.comm["comm_id"], "data": data}
        message = self.client.session.msg("comm_msg", said)
        self.client.shell_channel.send(message)
        answers = [
            (heard["content"]["data"]["content"], heard["buffers"])
            for heard in self.heard(message["header"]["msg_id"])
            if heard["msg_type"] == "comm_msg"
        ]
        assert len(answers) == 1
        return answers[0]

    def heard(self, asked: str):
        """The messages that answer, until the kernel is idle again."""
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["content"].get("execution_state") == "idle":
                return
            yield message


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Conditional."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    return tiny.save_run(run, "nowhere.zip", resolution=R, num_layers=4)


@pytest.fixture(scope="module")
def kernel(run):
    kernels = manager.KernelManager(kernel_name="python3")
    kernels.kernel_spec.argv[0] = sys.executable
    kernels.start_kernel(cwd=str(ROOT))
    client = kernels.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        started = Kernel(client)
        started.run(
            "import json, numpy as np, afgan_jax\n"
            f"model = afgan_jax.load({str(run)!r})\n"
            "explorer = afgan_jax.viz.Explorer({'tiny': model}, psi=1, label=1)\n"
            "display(explorer)"
        )
        yield started
    finally:
        client.stop_channels()
        with contextlib.suppress(queue.Empty):
            kernels.shutdown_kernel(now=True)


def picture_of(said, buffers):
    shape = said["said"]["h"], said["said"]["w"], 3
    return np.frombuffer(buffers[0], np.uint8).reshape(shape)


def test_a_notebook_gets_the_module_of_the_page(kernel):
    state = kernel.comm["data"]["state"]
    assert "export default" in state["_esm"]
    assert state["_module"] if "_module" in state else state["_view_module"]
    assert state["_start"] == {"psi": 1, "label": 1}


def test_a_page_is_told_of_models_and_gets_pictures(kernel, run):
    assert kernel.ask(id=1, asked="models", given={})[0] == {
        "id": 1,
        "said": {"models": ["tiny"]},
    }
    about, nothing = kernel.ask(id=2, asked="about", given={"model": "tiny"})
    assert about["said"]["classes"] == ["0", "1"] and not nothing
    view = {"model": "tiny", "seq": 7, "x": 3, "label": "1", "psi": 1}
    said, buffers = kernel.ask(id=3, asked="frame", given=view)
    assert (said["id"], said["said"]["seq"]) == (3, 7)
    expected = afgan_jax.load(run).images([3], label=1)[0]
    found = picture_of(said, buffers).astype(int)
    np.testing.assert_allclose(found, expected.astype(int), atol=1)


def test_python_has_the_w_that_is_shown_and_can_show_another(kernel):
    view = {"model": "tiny", "seq": 1, "x": 5, "label": "0", "psi": 0.5}
    shown = picture_of(*kernel.ask(id=1, asked="frame", given=view))
    kernel.run(
        "ws = model.ws([5], label=0, psi=0.5)\n"
        "np.testing.assert_allclose(explorer.ws, ws, atol=1e-6)\n"
        "assert explorer.view.x == 5 and explorer.picture.shape == (16, 16, 3)\n"
        "explorer.ws = -ws"
    )
    view |= {"held": True, "x": 99}
    other = picture_of(*kernel.ask(id=2, asked="frame", given=view))
    assert (other != shown).any()
    assert kernel.ask(id=3, asked="about", given={"model": "tiny"})[0]["said"]["held"]
    kernel.run("assert np.array_equal(explorer.ws, -np.float32(ws))")


def test_what_a_page_may_not_ask_is_an_error_it_can_show(kernel):
    for asked, given, why in (
        ("frame", {"model": "tiny", "psi": "x"}, "psi='x' must be a number"),
        ("frame", {"model": "other"}, "model='other' is unknown"),
        ("files", {}, "files"),
        ("frame", {"model": "tiny", "speed": 1}, "speed=1 is unknown"),
    ):
        said, buffers = kernel.ask(id=9, asked=asked, given=given)
        assert said["id"] == 9 and why in said["error"] and not buffers


@pytest.fixture(scope="module")
def model(run):
    return afgan_jax.load(run)


def test_the_page_hears_of_every_w_that_is_set(model):
    explorer = viz.Explorer(model)
    starts = []
    explorer.observe(lambda change: starts.append(change["new"]), "_start")
    ws = model.ws([1], label=0)
    explorer.ws = ws
    explorer.ws = ws  # again: a person may have dragged in between
    assert [start["held"] for start in starts] == [True, True]
    np.testing.assert_array_equal(
        explorer.picture, pixels.to_uint8(model.synthesize(ws))[0]
    )


def test_what_cannot_be_shown_is_refused(model):
    with pytest.raises(errors.SettingError, match="psi=9 must be a number"):
        viz.Explorer(model, psi=9)
    explorer = viz.Explorer(model)
    with pytest.raises(ValueError, match="do not fit"):
        explorer.ws = np.zeros((1, 2, 3))
    with pytest.raises(ValueError, match="2 images"):
        explorer.ws = model.ws([0, 1], label=0)


def test_controls_of_the_page_are_fields_of_a_view():
    """What explorer.js sends by name."""
    module = widget.Explorer._esm
    for name in ("psi", "rotate", "tx", "ty", "zoom", "beta"):
        assert f"  {name}: [" in module
    for name in ("layer", "channel", "kind", "filters", "untransform", "held", "mix"):
        assert f'("{name}", ' in module and name in views.View.__dataclass_fields__


def test_without_anywidget_a_line_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "afgan_jax.explore.widget")
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r"pip install 'afgan_jax\[notebook\]'"):
        viz.Explorer  # noqa: B018
