"""The search space: from distributions and lists of values to settings of an estimator."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.trial import Trial
from sklearn.base import BaseEstimator, clone

from skcell._digest import digest
from skcell._hints import hint


@dataclass(frozen=True)
class Parameter:
    """One parameter: what Optuna draws, and the values that this stands for."""

    distribution: BaseDistribution
    values: Mapping[Any, Any] | None = None
    scipy_distribution: Any = None

    def decode(self, drawn: Any) -> Any:
        """Convert what was drawn to a value."""
        if self.values is not None:
            return self.values[drawn]
        if self.scipy_distribution is not None:
            value = self.scipy_distribution.ppf(drawn)
            return int(value) if hasattr(self.scipy_distribution, "pmf") else float(value)
        return drawn

    def largest(self) -> Any:
        """Return the largest value among those that are numbers."""
        if isinstance(self.distribution, CategoricalDistribution):
            values = (self.values or {c: c for c in self.distribution.choices}).values()
            return max((v for v in values if isinstance(v, (int, float))), default=0)
        return self.decode(self.distribution.high)  # type: ignore[attr-defined] # int and float

    def suggest(self, trial: Trial, name: str) -> Any:
        """Draw a value."""
        d = self.distribution
        if isinstance(d, FloatDistribution):
            return self.decode(trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log))
        if isinstance(d, IntDistribution):
            return self.decode(trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log))
        assert isinstance(d, CategoricalDistribution)
        return self.decode(trial.suggest_categorical(name, d.choices))


class Space:
    """Search space of an estimator; parameters of a step apply only if the chosen step has them."""

    def __init__(self, estimator: BaseEstimator, distributions: Mapping[str, Any]):
        if not distributions:
            raise ValueError(
                "param_distributions is empty; name at least one parameter, or use "
                "skcell.model_selection.default_space(estimator)."
            )
        self.estimator = estimator
        # A step comes before its parameters.
        order = sorted(distributions, key=lambda name: name.count("__"))
        self.parameters = {name: _read(name, distributions[name]) for name in order}
        self._check_names()

    def _check_names(self) -> None:
        known = set(self.estimator.get_params())
        for name, parameter in self.parameters.items():
            for value in (parameter.values or {}).values():
                if hasattr(value, "get_params"):
                    known |= {f"{name}__{inner}" for inner in value.get_params()}
        for name in self.parameters:
            if name not in known:
                raise ValueError(
                    f"{type(self.estimator).__name__} has no parameter {name!r}, and none of the "
                    f"steps to choose from has one.{hint(name, known)}"
                )

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Draw a setting."""
        model, setting = clone(self.estimator), {}
        for name, parameter in self.parameters.items():
            if name in model.get_params():  # not a parameter of a step that was not chosen
                setting[name] = parameter.suggest(trial, name)
                model.set_params(**{name: clone(setting[name], safe=False)})
        return setting

    def decode(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the parameters of a stored trial to a setting."""
        return {
            name: parameter.decode(drawn[name])
            for name, parameter in self.parameters.items()
            if name in drawn
        }

    def describe(self) -> dict[str, str]:
        """Describe each parameter by a text that is the same in every process."""
        return {
            name: " ".join(
                [
                    distribution_to_json(parameter.distribution),
                    *(identify(value) for value in (parameter.values or {}).values()),
                    *(identify(part) for part in _parts(parameter.scipy_distribution)),
                ]
            )
            for name, parameter in self.parameters.items()
        }


def describe(value: Any) -> str:
    """Return the text of a value on one line, without memory addresses."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(repr(value).split()))


def identify(value: Any) -> str:
    """Describe a value; a digest is added if different values may have the same text."""
    text = describe(value)
    if isinstance(value, (type(None), bool, int, float, str)):
        return text
    with contextlib.suppress(Exception):  # values that cannot be pickled
        return f"{text} {digest(value)}"
    return text


def _parts(frozen: Any) -> tuple[Any, ...]:
    return () if frozen is None else (frozen.dist.name, frozen.args, frozen.kwds)


def _read(name: str, given: Any) -> Parameter:
    if isinstance(given, CategoricalDistribution):
        given = list(given.choices)  # a storage holds only numbers and strings
    if isinstance(given, BaseDistribution):
        return Parameter(given)
    if isinstance(given, (set, frozenset)):
        raise ValueError(
            f"{name} cannot be searched over a set, whose order differs between processes; "
            f"give a list: {sorted(map(str, given))}."
        )
    if hasattr(given, "ppf"):
        return Parameter(FloatDistribution(1e-9, 1 - 1e-9), scipy_distribution=given)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(
            f"{name} cannot be searched over {given!r}; give an Optuna distribution, a frozen "
            f"scipy distribution, or a list, such as [{given!r}]."
        )
    values = [v.item() if isinstance(v, np.generic) else v for v in given]
    if not values:
        raise ValueError(f"The list for {name} is empty; give at least one value.")
    if all(v is None or isinstance(v, (bool, int, float, str)) for v in values):
        return Parameter(CategoricalDistribution(values))
    labels = [_label(v) for v in values]
    for i, label in enumerate(labels):
        labels[i] = label if labels.count(label) == 1 else f"{label} ({i})"
    return Parameter(CategoricalDistribution(labels), dict(zip(labels, values, strict=True)))


def _label(value: Any) -> str:
    """Return a name for a value, which a storage can hold."""
    return type(value).__name__ if isinstance(value, BaseEstimator) else describe(value)
