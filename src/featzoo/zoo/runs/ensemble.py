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
    recorded = folders[0].predictions(split)
    mean = np.mean([folder.predictions(split).pred for folder in folders], axis=0)  # (N, K)
    target = folders[0].recipe.target
    columns = target.outputs
    return measure_of(target.metrics, mean, recorded.truth, columns, ids=recorded.ids)(np.arange(len(mean)))
