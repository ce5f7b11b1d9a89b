"""Show models in a browser: drag, turn, move, layers, spectra, filters on and off.

python -m afgan_jax view runs/earth other.safetensors

Prints the URL. On a remote machine, open the tunnel that it prints as well, on yours,
and the same URL. Nobody without the URL's token is answered, and nobody else's pages.
The token is another each time, unless AFGAN_VIEW_TOKEN is set to one of yours: then
pages that are open go on when `view` is started again.
"""

import os
import re

from afgan_jax.cli import flags

TOKEN = "AFGAN_VIEW_TOKEN"


def main(
    sources: flags.positional("SOURCE", tuple[str, ...]),
    /,
    *,
    ws: flags.text("ws", "shown first: .npz of ws", "FILE") = None,
    port: flags.count("port", "on this machine", 1, 65535) = 8901,
) -> None:
    from afgan_jax import model as models
    from afgan_jax.edit import w_files
    from afgan_jax.explore import answers, renderer, server

    if not sources:
        raise ValueError("name a run, a model file or a snapshot to show")
    token = os.environ.get(TOKEN)
    if token is not None and not re.fullmatch("[-_0-9A-Za-z]{20,200}", token):
        raise ValueError(f"{TOKEN} must be 20 letters, digits, - and _ or more")
    names = list(dict.fromkeys(sources))
    first = renderer.Renderer(models.load(names[0]))
    if ws:
        first.held = w_files.read(flags.expanded(ws), first.model)[:1]

    def load(name):
        return first if name == names[0] else renderer.Renderer(models.load(name))

    with server.Server(answers.Shown(names, load), port, token) as serving:
        print(f"open {serving.url}")
        print(
            f"from another machine, first: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE"
        )
        print("Ctrl-C ends", flush=True)
        serving.serve_forever()
