"""Seeds of random layers."""

import random


def draw_seed() -> int:
    """Draw a seed where Keras draws its own.

    Without a seed of its own, dropout under torch follows the global state.
    """
    return random.getrandbits(31)
