"""The settings that a compiled model depends on."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from skcell._digest import digest, has_own_code
from skcell._machine import EXCHANGEABLE_POLICIES

#: Keyword arguments as pairs of name and value, so that they can be hashed.
FrozenKwargs = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Recipe:
    """Everything that a compiled model depends on, and nothing else.

    The learning rate, the value of the weight decay, seeds, epochs, class weights and label
    smoothing are inputs of a compiled model, so fits that differ only in these share one model.
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
    dtype_policy: str = "float32"
    devices: tuple[str, ...] = ()
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
        """Make a recipe from a network, its keyword arguments and the other fields."""
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
        """Return a copy of this recipe with another network and, optionally, other changes."""
        return replace(
            self,
            network=network,
            kwargs=tuple(sorted(kwargs.items())),
            code=_digest_code(network, self.loss, *kwargs.values()),
            **changes,
        )

    def with_policy(self, dtype_policy: str) -> Self:
        """Return a copy with another dtype policy, if a model can move from one to the other."""
        movable = {self.dtype_policy, dtype_policy} <= EXCHANGEABLE_POLICIES
        return replace(self, dtype_policy=dtype_policy) if movable else self

    def require_same(self, wanted: "Recipe") -> None:
        """Check that training can be resumed with a recipe made from the current parameters."""
        old, new = _settings(self), _settings(wanted)
        changed = [
            _IN_WORDS.get(name, name)
            + (
                " was changed"
                if name in ("code", "use_weight_decay", "lr_scales")
                else f" was changed from {old.get(name)!r} to {value!r}"
            )
            for name, value in new.items()
            if old.get(name) != value
        ]
        if changed:
            raise ValueError(
                f"Cannot resume training: {'; '.join(changed)} since the network was trained. "
                "Restore the old value, or fit a new network (warm_start=False, no init_from)."
            )


def _digest_code(*parts: Any) -> str | None:
    """Digest the user's code in the parts of a recipe; return None if that is not possible."""
    own = [part for part in parts if callable(part) and has_own_code(part)]
    try:
        return digest(*own) if own else ""
    except Exception:  # pickling may raise anything
        return None


#: Descriptions of the fields whose names are not those of parameters, for error messages.
_IN_WORDS = {
    "input_shape": "the shape of the images",
    "dtype": "the dtype of the images",
    "n_classes": "the number of classes",
    "use_weight_decay": "the use of weight_decay (zero or positive)",
    "lr_scales": "the use of layer_decay or gradual_unfreezing",
    "code": "the code of the loss or of the network",
}


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings that define a network, by parameter name."""
    own = {f.name: getattr(recipe, f.name) for f in fields(Recipe)}
    kwargs = dict(own.pop("kwargs"))
    own["augmentation"] = own["augmentation"] and dict(own["augmentation"])
    del own["devices"]
    return {**own, **kwargs}
