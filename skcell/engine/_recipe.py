"""What a compiled model depends on."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from skcell._digest import digest, has_own_code

#: Keyword arguments that can be hashed; their values are what the function takes.
FrozenKwargs = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Recipe:
    """All that a compiled model depends on, and nothing else.

    Learning rate, weight decay's size, seeds, epochs, class weights and label smoothing are
    inputs of a compiled model, so fits that differ in them share it.

    Parameters
    ----------
    network : callable
        From an image tensor and `kwargs` to a tensor of features.
    kwargs : tuple of (str, object)
        Keyword arguments of `network`, hashable.
    input_shape : tuple of int
        Height, width and channels.
    dtype : {"uint8", "uint16", "float32"}
        Dtype of pixels; integers are divided by its maximum.
    n_classes : int
        Number of classes.
    augmentation : tuple of (str, object) or None
        FrozenKwargs of `RandomTransform`.
    optimizer : str
        Key of `OPTIMIZERS`.
    use_weight_decay : bool
        Whether there is weight decay.
    lr_scales : bool
        Whether each variable has its share of the learning rate.
    loss : str or callable
        A Keras loss for one-hot targets.
    dtype_policy : str or None
        Keras dtype policy.
    jit_compile : bool or None
        Whether XLA compiles; None decides by backend and device.
    n_devices : int
        Devices that share each batch.
    code : str or None
        Digest of the user's code among `network`, `kwargs` and `loss`, with all that it reaches;
        None if there is some that cannot be told apart: what is compiled of it is used once.
    """

    network: Callable[..., Any]
    kwargs: FrozenKwargs
    input_shape: tuple[int, int, int]
    dtype: str
    n_classes: int
    augmentation: FrozenKwargs | None = None
    optimizer: str = "adam"
    use_weight_decay: bool = False
    lr_scales: bool = False
    loss: str | Callable[..., Any] = "categorical_crossentropy"
    dtype_policy: str | None = None
    jit_compile: bool | None = None
    n_devices: int = 1
    code: str | None = ""

    @classmethod
    def of(
        cls,
        network: Callable[..., Any],
        kwargs: dict[str, Hashable],
        *,
        loss: str | Callable[..., Any],
        **settings: Any,
    ) -> Self:
        """Make a recipe from a network, its keyword arguments, and the other fields."""
        return cls(
            network=network,
            kwargs=tuple(sorted(kwargs.items())),
            loss=loss,
            code=_digest_code(network, loss, *kwargs.values()),
            **settings,
        )

    def with_network(
        self, network: Callable[..., Any], kwargs: dict[str, Hashable], **changes: Any
    ) -> Self:
        """Return the recipe of another network, with other changes besides."""
        return replace(
            self,
            network=network,
            kwargs=tuple(sorted(kwargs.items())),
            code=_digest_code(network, self.loss, *kwargs.values()),
            **changes,
        )

    def require_same(self, wanted: "Recipe") -> None:
        """Refuse to resume training with parameters that a trained network cannot take on.

        Parameters
        ----------
        wanted : Recipe
            What the parameters ask for now.

        Raises
        ------
        ValueError
            If it is not this recipe, with the parameters that differ.
        """
        old, new = _settings(self), _settings(wanted)
        changed = [
            _IN_WORDS.get(name, name)
            + (
                ""
                if name in ("code", "use_weight_decay", "lr_scales")
                else f" from {old.get(name)!r} to {value!r}"
            )
            for name, value in new.items()
            if old.get(name) != value
        ]
        if changed:
            raise ValueError(
                f"Training cannot be resumed: since the network was trained, {'; '.join(changed)} "
                "was changed. Set it back, or fit anew with warm_start=False."
            )


def _digest_code(*parts: Any) -> str | None:
    """Digest the user's code among the parts of a recipe; None if it cannot be told apart."""
    own = [part for part in parts if callable(part) and has_own_code(part)]
    try:
        return digest(*own) if own else ""
    except Exception:  # whatever pickling raises
        return None


#: What a user set, of a recipe's fields whose names do not tell.
_IN_WORDS = {
    "input_shape": "the shape of the images",
    "dtype": "the dtype of the images",
    "n_classes": "the number of classes",
    "use_weight_decay": "weight_decay, to or from zero",
    "lr_scales": "layer_decay or gradual, to or from none",
    "code": "the code of the loss or of the network",
}


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return what makes a network, by the names that users know."""
    own = {f.name: getattr(recipe, f.name) for f in fields(Recipe)}
    kwargs = dict(own.pop("kwargs"))
    own["augmentation"] = own["augmentation"] and dict(own["augmentation"])
    del own["n_devices"]
    return {**own, **kwargs}
