"""Work that threads do, in the order in which it was asked for."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterator, Sequence


def in_order(function: Callable, items: Sequence, workers: int) -> Iterator:
    """Yields function(item) of each, computed by threads a little ahead."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        ahead = collections.deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 4 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
