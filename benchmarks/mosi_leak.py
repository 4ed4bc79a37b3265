"""Do the bc-LSTM release's utterance features know CMU-MOSI's test labels?

A ridge regression on each feature set alone, fitted to the official train split, is scored on two halves of
the official test split: clips that bc-LSTM's own train split holds, and clips that it does not. An honest
feature scores alike on both.

    python benchmarks/mosi_leak.py [--data ../shared/data/mosi]
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from featzoo import FeatureStore
from featzoo.exchange.corpora.mosi import UTTERANCES, import_mosi


def main() -> None:
    parser = argparse.ArgumentParser()
    data = Path(os.environ.get("FEATZOO_TEST_DATA", "../shared/data")) / "mosi"
    parser.add_argument("--data", type=Path, default=data)
    folder = parser.parse_args().data
    if not folder.is_dir():
        print(f"no CMU-MOSI at {folder}: nothing was checked")
        return
    with (folder / UTTERANCES / "transcripts.csv").open(newline="") as file:
        names = [row[0] for row in csv.reader(file)]
    with (folder / UTTERANCES / "text_train.csv").open(newline="") as file:
        seen = {"$_$".join(names[int(row[0])].rsplit("_", 1)) for row in csv.reader(file)}
    with tempfile.TemporaryDirectory() as place:
        import_mosi(folder, Path(place) / "mosi")
        store = FeatureStore(Path(place) / "mosi")
        clips = store.clips()
        ids = sorted(clips)
        truth = np.array([clips[i].labels["sentiment"] for i in ids])
        split = np.array([clips[i].split for i in ids])
        inside = np.array([i in seen for i in ids])
        train = split == "train"
        print("set, clips, correlation and Acc-2 (non-zero) of ridge on it alone")
        for request in ("covarep", "bc-lstm-video"):
            rows = np.stack([np.nan_to_num(store[request].array(i)[0]) for i in ids]).astype(np.float64)
            scaled = StandardScaler().fit(rows[train]).transform(rows)
            guess = RidgeCV(np.logspace(-1, 5, 13)).fit(scaled[train], truth[train]).predict(scaled)
            for what, chosen in (("in", inside), ("not in", ~inside)):
                test = (split == "test") & chosen
                sure = test & (truth != 0)
                correlation = np.corrcoef(guess[test], truth[test])[0, 1]
                hits = ((guess > 0) == (truth > 0))[sure].mean()
                print(f"{request:<14} {test.sum():>4} test clips {what:<6} bc-LSTM's train split: "
                      f"r {correlation:+.3f}  Acc-2 {hits:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
