"""Show models in a browser: drag, turn, move, layers, spectra, filters on and off.

python -m afgan_jax view runs/earth other.safetensors

Prints the URL. On a remote machine, open the tunnel that it prints as well, on yours,
and the same URL. Nobody without the URL's token is answered, and nobody else's pages.
"""

from afgan_jax.cli import flags


def main(
    sources: flags.positional("SOURCE", tuple[str, ...]),
    /,
    *,
    port: flags.count("port", "on this machine", 1, 65535) = 8901,
) -> None:
    from afgan_jax import model as models
    from afgan_jax.explore import renderer, server

    if not sources:
        raise ValueError("name a run, a model file or a snapshot to show")
    names = list(dict.fromkeys(sources))
    loaded = renderer.Renderer(models.load(names[0]))

    def load(name):
        return loaded if name == names[0] else renderer.Renderer(models.load(name))

    with server.Server(names, load, port) as serving:
        print(f"open {serving.url}")
        print(
            f"from another machine, first: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE"
        )
        print("Ctrl-C ends", flush=True)
        serving.serve_forever()
