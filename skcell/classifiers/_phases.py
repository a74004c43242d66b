"""The training phases of a transfer classifier: first the head, then fine-tuning."""

from dataclasses import dataclass
from typing import Any

import keras

from skcell._engine import CompiledModel, LayerwiseLearningRate, Recipe
from skcell.networks import as_backbone, choose_layers, find_backbone, find_groups, transfer_head


@dataclass(frozen=True)
class Phase:
    """One phase of training."""

    name: str
    recipe: Recipe
    epochs: int
    learning_rate: float
    sees_features: bool


def plan_phases(
    classifier: Any,
    whole: Recipe,
    loaded: keras.Model,
    sees_features: bool,
    epochs: tuple[int, int],
) -> list[Phase]:
    """Plan the phases that the parameters of a classifier require."""
    head = whole
    if sees_features:
        head = whole.with_network(
            transfer_head,
            classifier._head_kwargs(),
            input_shape=(1, 1, find_backbone(loaded).outputs[0].shape[-1]),
            dtype="float32",
            augmentation=None,
        )
    phases = [Phase("head", head, epochs[0], classifier.learning_rate, sees_features)]
    if epochs[1]:
        unfreeze = "all" if classifier.unfreeze is True else classifier.unfreeze
        trainable = choose_layers(as_backbone(classifier.backbone), loaded, unfreeze)
        tuned = whole.with_network(
            *classifier._build_network(trainable),
            lr_scales=classifier.gradual_unfreezing or classifier.layer_decay < 1,
        )
        rate = classifier.fine_tuning_learning_rate
        phases.append(Phase("fine-tuning", tuned, epochs[1], rate, False))
    return phases


def make_rates(
    classifier: Any, compiled: CompiledModel, epochs: int, initial_epoch: int
) -> list[keras.callbacks.Callback]:
    """Make the callback that sets the learning-rate scales of layer groups, if they differ."""
    if compiled.lr_scales is None:
        return []
    return [
        LayerwiseLearningRate(
            compiled.lr_scales,
            find_groups(as_backbone(classifier.backbone), compiled.model),
            decay=classifier.layer_decay,
            gradual_unfreezing=classifier.gradual_unfreezing,
            epochs=epochs,
            initial_epoch=initial_epoch,
        )
    ]
