"""The metrics of the mean of several runs' predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.targets import measure_of
from featzoo.zoo.runs.compare import check_comparable
from featzoo.zoo.runs.folder import RunFolder


def ensemble_metrics(runs: Sequence[Path], split: str) -> Metrics:
    """The metrics of the mean of the predictions that runs recorded, as `zoo predict` gives it.

    Args:
        runs: Folders of finished runs, such as seeds.
        split: train, valid or test.

    Raises:
        FeatzooError: If the runs do not predict the same targets of the same clips.
    """
    folders = [RunFolder.open_finished(path) for path in runs]
    for other in folders[1:]:
        check_comparable(folders[0], other, split)
    recorded = [folder.predictions(split) for folder in folders]
    mean = np.mean([one.pred for one in recorded], axis=0)  # (N, K)
    first, target = recorded[0], folders[0].recipe.target
    return measure_of(target.metrics, mean, first.truth, target.outputs, ids=first.ids)(np.arange(len(mean)))
