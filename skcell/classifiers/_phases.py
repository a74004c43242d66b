"""The training phases of a transfer classifier: first the head, then fine-tuning."""

from dataclasses import dataclass
from typing import Any

import keras

from skcell.engine import CompiledModel, LayerwiseLearningRate, Recipe
from skcell.networks import as_backbone, choose_layers, find_backbone, find_groups, transfer_head


@dataclass(frozen=True)
class Phase:
    """One phase of training.

    Parameters
    ----------
    name : {"head", "fine-tuning"}
        Name of the phase in `history_`.
    recipe : Recipe
        Recipe of the network that is trained.
    epochs : int
        Number of passes over the data.
    learning_rate : float
        Learning rate of the phase.
    sees_features : bool
        Whether the network is the head alone, which takes features instead of images.
    """

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
    """Plan the phases that the parameters of a classifier require.

    Parameters
    ----------
    classifier : TransferClassifier
        The classifier.
    whole : Recipe
        Recipe of backbone and head, with the backbone frozen.
    loaded : keras.Model
        A model that contains the backbone with its weights.
    sees_features : bool
        Whether features of the frozen backbone can replace the images.
    epochs : tuple of int
        Numbers of epochs of the head and of fine-tuning; with 0, there is no fine-tuning.

    Returns
    -------
    list of Phase
        The phase of the head and, if the backbone is fine-tuned, that of fine-tuning.
    """
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
    """Make the callback that sets the learning-rate scales of layer groups, if they differ.

    Parameters
    ----------
    classifier : TransferClassifier
        The classifier.
    compiled : CompiledModel
        The compiled model that is trained.
    epochs, initial_epoch : int
        Number of epochs of this phase, and of all phases before it.

    Returns
    -------
    list of keras.callbacks.Callback
        One callback, or none.
    """
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
