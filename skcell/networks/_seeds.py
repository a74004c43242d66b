"""Seeds for random layers."""

import random


def draw_seed() -> int:
    """Draw a seed from Python's `random`, as Keras does for layers without a seed.

    It is passed explicitly, because under torch a dropout layer without a seed would depend on the
    global random state.
    """
    return random.getrandbits(31)
