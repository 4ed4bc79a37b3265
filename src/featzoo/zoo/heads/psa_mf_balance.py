"""Options of PSA-MF, not in the paper, with which it uses every modality: own predictions, products, a stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from featzoo.sequence import Array
from featzoo.zoo.head import Head, Inputs, Outputs, Padded
from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.centred import Centred
from featzoo.zoo.nn.dev_stack import DevStack
from featzoo.zoo.nn.layers import masked_average
from featzoo.zoo.nn.losses import masked_mean
from featzoo.zoo.objective import Objective

DECAY = 0.9  # share of the running errors that a step keeps
LEAST = 1e-6


class Unimodal(nn.Module):
    """A linear prediction from each modality's vector, for auxiliary losses; and the factors of modulated gradients.

    Args:
        widths: Modality to the width of its vector.
        targets: K.

    Reference:
        Peng, Wei, Deng, Wang, Hu: Balanced Multimodal Learning via On-the-fly Gradient Modulation, CVPR 2022,
        equations 7 and 8, for more than two modalities and without its noise. A modality's score is one over its error.
    """

    def __init__(self, widths: Mapping[str, int], targets: int) -> None:
        super().__init__()
        self.out = nn.ModuleDict({modality: nn.Linear(width, targets) for modality, width in widths.items()})

    def forward(self, vectors: Mapping[str, Tensor]) -> Outputs:
        """Modality to (B, width) vectors, to `own_<modality>` (B, K)."""
        return {f"own_{modality}": unit(vectors[modality]) for modality, unit in self.out.items()}

    def errors(self, outputs: Outputs, targets: Tensor, objective: Objective) -> dict[str, Tensor]:
        """Modality to the mean error of its predictions, over the clips that have it."""
        return {
            modality: masked_mean(objective.each(outputs[f"own_{modality}"], targets), outputs[f"there_{modality}"])
            for modality in self.out
        }


class Additive(nn.Module):
    """The sum of linear predictions from each modality's mean over time, which starts at 0.

    Args:
        widths: Modality to the width of a step.
        targets: K.
    """

    def __init__(self, widths: Mapping[str, int], targets: int) -> None:
        super().__init__()
        self.out = nn.ModuleDict({modality: nn.Linear(width, targets) for modality, width in widths.items()})
        for unit in self.out.values():
            linear = cast(nn.Linear, unit)
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, steps: Mapping[str, Padded]) -> Tensor:
        """Modality to its steps, to (B, K)."""
        means = {modality: masked_average(steps[modality].values, steps[modality].mask) for modality in self.out}
        return torch.stack([unit(means[modality]) for modality, unit in self.out.items()]).sum(dim=0)  # (B, K)


class Products(nn.Module):
    """A linear prediction from products of the text's mean over time with each other modality's, which starts at 0.

    Each modality's mean is mapped to `rank` numbers, which are multiplied with the text's own; so a sound may change
    what the words mean, such as their sign. The text is centred, because the mean of all texts, which is much larger
    than their differences, would otherwise make the products those of the sound with a constant. Audio and vision are
    standardised by train already.

    Args:
        widths: Modality to the width of a step; `text` among them.
        rank: Number of products with each modality.
        targets: K.

    Reference:
        The two-modality case of Liu, Shen, Lakshminarasimhan, Liang, Zadeh, Morency: Efficient Low-rank Multimodal
        Fusion with Modality-Specific Factors, ACL 2018, equation 6.
    """

    def __init__(self, widths: Mapping[str, int], rank: int, targets: int) -> None:
        super().__init__()
        others = [modality for modality in widths if modality != "text"]
        self.centred = Centred(widths["text"])
        self.text = nn.ModuleDict({modality: nn.Linear(widths["text"], rank) for modality in others})
        self.other = nn.ModuleDict({modality: nn.Linear(widths[modality], rank) for modality in others})
        self.out = nn.ModuleDict({modality: nn.Linear(rank, targets, bias=False) for modality in others})
        for unit in self.out.values():
            nn.init.zeros_(cast(nn.Linear, unit).weight)

    def forward(self, steps: Mapping[str, Padded]) -> Tensor:
        """Modality to its steps, to (B, K); a clip without a modality has no products with it."""
        means = {m: masked_average(each.values, each.mask) for m, each in steps.items() if m in (*self.other, "text")}
        there = {m: steps[m].mask.any(dim=1, keepdim=True) for m in means}  # (B, 1)
        words = self.centred(means["text"], there["text"])
        found = [
            unit(self.text[m](words) * self.other[m](means[m])).where(there[m] & there["text"], 0.0)
            for m, unit in self.out.items()
        ]
        return torch.stack(found).sum(dim=0)  # (B, K)


class BalancedHead(Head):
    """The part of PSA-MF that these options switch on; `options` has their fields."""

    def build_balance(self, vectors: Mapping[str, int], steps: Mapping[str, int], targets: int) -> None:
        """Make the layers.

        Args:
            vectors: Modality to the width of its vector.
            steps: Modality to the width of a step.
            targets: K.
        """
        self.modalities = tuple(vectors)
        if self.options.unimodal:
            self.unimodal = Unimodal(vectors, targets)
        if self.options.additive:
            self.additive = Additive(steps, targets)
        if self.options.stacked and self.objective.of_numbers:
            self.fits_dev = "predictions"
            self.stack = DevStack(1 + len(vectors) + bool(self.options.products), targets)
            if self.options.products:
                # So that a seed draws the same in training as without it. Heads are made on the CPU.
                with torch.random.fork_rng(devices=[]):
                    self.products = Products(steps, self.options.products, targets)

    def read_beside(self, outputs: Outputs, steps: Mapping[str, Padded]) -> Outputs:
        """The outputs with the linear part added to the prediction, and with all predictions and their stack.

        Args:
            outputs: Those so far.
            steps: Modality to its steps; of the text, its states after layer N.
        """
        if self.options.additive:
            outputs["prediction"] = outputs["prediction"] + self.additive(steps)
        if not self.fits_dev:
            return outputs
        if self.options.products:
            # It reads an encoder that learns for the prediction: its own gradient made that worse.
            read = {m: each._replace(values=each.values.detach()) for m, each in steps.items()}
            outputs["own_products"] = self.products(read)
        own = [value for name, value in outputs.items() if name.startswith("own_")]
        outputs["predictions"] = torch.stack([outputs["prediction"], *own], dim=1)  # (B, P, K)
        if not self.training:
            outputs["prediction"] = self.stack(outputs["predictions"])
        return outputs

    def fit_dev(self, output: Array, targets: Array) -> None:
        """Fit the weights of the stack."""
        self.stack.fit(output, targets)

    def left_out(self, output: Array, targets: Array) -> Array:
        """Predictions of each clip by the stack of the others."""
        return self.stack.left_out(output, targets)

    def prepare(self, targets: Tensor) -> None:
        """Start the counts that training keeps, and take the targets' level."""
        if self.fits_dev:
            self.stack.prepare(targets)
        balanced = self.modalities if self.options.modulation else ()
        self.memory = {f"error_{modality}": torch.zeros(()) for modality in balanced}
        if self.options.ccl_ramp:
            self.memory["steps"] = torch.zeros(())

    def see(self, rows: Tensor) -> None:
        """Count the steps, if L_ccl is ramped."""
        if "steps" in self.memory:
            self.memory["steps"] = self.memory["steps"] + 1

    def thinned(self, inputs: Inputs) -> Inputs:
        """The inputs of a training step, without what modality dropout leaves out."""
        sound, words = self.options.modality_dropout, self.options.text_dropout
        share = {modality: words if modality == "text" else sound for modality in (*self.modalities[1:], "text")}
        return {**inputs, **{m: dropped(inputs[m], most) for m, most in share.items() if most}}

    def ramp(self) -> float | Tensor:
        """The share of L_ccl's weight at this step."""
        return (self.memory["steps"] / self.options.ccl_ramp).clamp(max=1.0) if "steps" in self.memory else 1.0

    def factors(self) -> dict[str, Tensor]:
        """Modality to the factor of its gradient at this step; empty outside training or without modulation."""
        return factors(self.memory, self.options.modulation) if self.training and self.options.modulation else {}

    def of_each_modality(self, outputs: Outputs, targets: Tensor) -> dict[str, Tensor]:
        """The auxiliary losses; in training, their errors decide the next step's modulation."""
        if not self.options.unimodal:
            return {}
        errors = self.unimodal.errors(outputs, targets, self.objective)
        if self.training and self.options.modulation:
            whole = {m: gathered(error.detach()[None], training=True).mean() for m, error in errors.items()}
            self.memory |= running(self.memory, whole)
        if "own_products" in outputs:
            errors["products"] = masked_mean(self.objective.each(outputs["own_products"], targets), None)
        return {f"l_{modality}": self.options.unimodal * error for modality, error in errors.items()}


def running(memory: Mapping[str, Tensor], errors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The running errors after a step; the first step's errors are taken as they are."""
    return {
        f"error_{modality}": torch.where(before > 0, DECAY * before + (1 - DECAY) * error, error)
        for modality, error in errors.items()
        for before in (memory[f"error_{modality}"].to(error.device),)
    }


def factors(memory: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Modality to the factor of its gradient: 1 - tanh(alpha r) if r > 1, where r compares it with the others, else 1.

    Args:
        memory: `error_<modality>`, the running errors; 0 before the first step.
        alpha: Strength; 0 changes nothing.
    """
    errors = {name.removeprefix("error_"): error for name, error in memory.items() if name.startswith("error_")}
    found = {}
    for modality, error in errors.items():
        others = torch.stack([other for name, other in errors.items() if name != modality]).mean()
        ratio = others / error.clamp(min=LEAST)  # above 1 for a modality that predicts better than the others
        found[modality] = torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))
    return found


def scaled_gradient(values: Tensor, factor: Tensor | None) -> Tensor:
    """The same values, whose gradient is multiplied by the factor on its way back."""
    if factor is None:
        return values
    factor = factor.to(values)
    return values * factor + (values * (1 - factor)).detach()


def dropped(given: Padded, share: float) -> Padded:
    """The same modality with some clips' steps masked out."""
    kept = torch.rand(given.mask.shape[0], device=given.mask.device) >= share  # (B,)
    return given._replace(mask=given.mask & kept[:, None])
