"""Fitting a head that a solver fits."""

from __future__ import annotations

import numpy as np
import torch

from featzoo.zoo.data.split import Split
from featzoo.zoo.fitted_head import FittedHead
from featzoo.zoo.training.checkpoint import Trained


@torch.no_grad()
def fit(head: FittedHead, train: Split, batch_size: int, seed: int, by: str = "") -> Trained:
    """Fit a head to the train split.

    Args:
        head: A head; it is changed in place, on the CPU.
        train: The train split.
        batch_size: Clips that are pooled together.
        seed: Seed of cross-validation.
        by: Column of the groups that cross-validation keeps together; by default speakers, or clips without speakers.
    """
    head.cpu().eval()
    labelled = np.flatnonzero(~np.isnan(train.targets).any(axis=1))
    pooled = [head.pool(train.batch(labelled[i : i + batch_size]).inputs) for i in range(0, len(labelled), batch_size)]
    names = train.groups.get(by or "speaker", train.ids)
    widest = max(part.shape[1] for part in pooled)
    rows = [torch.nn.functional.pad(part.double(), (0, widest - part.shape[1]), value=torch.nan) for part in pooled]
    features = torch.cat(rows).numpy()  # (N, W)
    head.fit(features, train.targets[labelled], [names[row] for row in labelled], seed)
    return Trained(weights={key: value.clone() for key, value in head.state_dict().items()})
