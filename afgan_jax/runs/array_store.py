"""The arrays of a checkpoint as TensorStore keeps them: names, shapes and types.

Orbax can tell them too, but the JSON for which it asks TensorStore (Spec.to_json) is
never freed: 10 KB an array, which a run would lose at each of its saves.
"""

import json

import numpy as np
import tensorstore
from etils import epath

HEADER = "/.zarray"  # after an array's name: its shape and type, as zarr 2 has them


def forms(state: epath.Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """{name: (shape, dtype)} of the arrays; a name's parts are joined by dots.

    Raises ValueError or OSError if they are not there, or not those of the tree.
    """
    spec = {"driver": "ocdbt", "base": _base(str(state))}
    store = tensorstore.KvStore.open(spec).result()
    keys = [key.decode() for key in store.list().result()]
    reads = {key: store.read(key) for key in keys if key.endswith(HEADER)}
    found = {key.removesuffix(HEADER): _form(read) for key, read in reads.items()}
    if found.keys() != _names(state):
        raise ValueError("its tree is of other arrays")
    return found


def _form(read) -> tuple[tuple[int, ...], str]:
    header = json.loads(read.result().value)
    return tuple(header["shape"]), np.dtype(header["dtype"]).name


def _names(state: epath.Path) -> set[str]:
    """The names of the tree's arrays, as Orbax wrote them beside these."""
    leaves = json.loads((state / "_METADATA").read_text())["tree_metadata"].values()
    arrays = [x for x in leaves if not x["value_metadata"]["skip_deserialize"]]
    return {".".join(key["key"] for key in x["key_metadata"]) for x in arrays}


def _base(path: str) -> dict[str, str]:
    """The store of the folder's files."""
    if path.startswith("gs://"):
        bucket, _, name = path.removeprefix("gs://").partition("/")
        return {"driver": "gcs", "bucket": bucket, "path": f"{name}/"}
    return {"driver": "file", "path": f"{path}/"}
