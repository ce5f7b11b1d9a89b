"""What process 0 of a job read, in all its processes."""

import json
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from afgan_jax import errors

T = TypeVar("T")


def from_first(make: Callable[[], T]) -> T:
    """make(), a value of JSON, which process 0 alone calls; all processes call this.

    A ValueError or errors.Stopped that it raises is raised in all of them.
    """
    if jax.process_count() == 1:
        return make()
    reply = {}
    if jax.process_index() == 0:
        try:
            reply = {"value": make()}
        except (ValueError, errors.Stopped) as error:
            reply = {"error": str(error), "is_stop": isinstance(error, errors.Stopped)}
    data = np.frombuffer(json.dumps(reply).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(data.size)))
    data = multihost_utils.broadcast_one_to_all(np.resize(data, size))
    reply = json.loads(np.asarray(data, np.uint8).tobytes())
    if "error" in reply:
        raise (errors.Stopped if reply["is_stop"] else ValueError)(reply["error"])
    return reply["value"]
