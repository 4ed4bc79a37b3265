"""py-feat itself, in a process of its own: makes weights for it, and runs its detectors directly.

python pyfeat_for_tests.py make FOLDER FRAMES.npy
python pyfeat_for_tests.py detect FOLDER v2 FRAMES.npy BATCH_SIZE THRESHOLD TABLE.npz
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np


def feat_module():
    """py-feat, imported as the extractor's child imports it; nothing else of featzoo is used here."""
    from featzoo.extractors.vision.pyfeat_process import _without_decoder
    from featzoo.weights.imports import torchvision_module

    torchvision_module()
    _without_decoder()
    import feat

    return feat


def place(folder, repository, name):
    """Where the hub's cache would have a file."""
    home = folder / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True, exist_ok=True)
    (home / "refs" / "main").write_text("0" * 40)
    snapshot = home / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True, exist_ok=True)
    return snapshot / name


def save(state, path, **extra):
    from safetensors.torch import save_file

    save_file({name: value.contiguous().clone() for name, value in state.items()}, path, **extra)


def make(folder, frames):
    """Weights of both detectors for `frames`: random, with a face found in some frames and not in others."""
    import torch

    feat_module()
    torch.manual_seed(0)
    make_detector(folder, frames)
    make_multitask(folder)
    make_v1(folder)


def make_detector(folder, frames):
    """RetinaFace whose scores straddle 0.5: half of the frames have a face."""
    import torch
    from feat.face_detectors.Retinaface.Retinaface_test import Retinaface

    finder = Retinaface(pretrained="no", device="cpu")
    for name, parameter in finder.net.named_parameters():
        if name.startswith("ClassHead"):
            parameter.data *= 0.05
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() - finder._mean
    _, scores, _ = finder.net(pixels)
    odds = torch.logit(scores[..., 1]).amax(dim=1).sort().values  # (B,)
    middle = (odds[len(odds) // 2 - 1] + odds[len(odds) // 2]) / 2
    for name, parameter in finder.net.named_parameters():
        if name.startswith("ClassHead") and name.endswith("bias"):
            parameter.data[1::2] -= middle
    save(finder.net.state_dict(), place(folder, "py-feat/retinaface_r34", "model.safetensors"))


def make_multitask(folder):
    """The second detector's network, laid out as its release 2.5: 20 action units, 7 emotions, 52 blendshapes."""
    from feat.multitask.model_v2 import MEGraphAUv2, ModelV2Config

    config = ModelV2Config(
        backbone="convnextv2_atto.fcmae", n_au=20, n_emotion=7, n_blendshape=52, afg_channels=64, mefl_channels=64,
        use_head_v3=True, drop_mefl=True, mesh_normalized=True, pretrained=False,
    )  # fmt: skip
    metadata = {"config": json.dumps(dataclasses.asdict(config))}
    file = place(folder, "py-feat/face_multitask_v2", "face_multitask_v28.safetensors")
    save(MEGraphAUv2(config).state_dict(), file, metadata=metadata)


def make_v1(folder):
    """The first detector's models but for emotions, gaze and identity, which are large."""
    import torch
    from feat.landmark_detectors.mobilefacenet_test import MobileFaceNet
    from feat.utils.face_pose_mlp import PoseMLP
    from skops.io import dump

    points = MobileFaceNet([112, 112], 136, device="cpu")
    # Near a face's layout: py-feat turns faces upright by their eyes, which random points may not allow.
    points.output_layer.bn.weight.data.fill_(0.05)
    points.output_layer.bn.bias.data = torch.from_numpy(neutral_face()).float()
    torch.save(
        {"state_dict": points.state_dict()}, place(folder, "py-feat/mobilefacenet", "mobilefacenet_model_best.pth.tar")
    )
    save(PoseMLP().state_dict(), place(folder, "py-feat/pose_mlp_v2", "pose_mlp_v2.safetensors"))
    settings = {
        "hidden": [512, 256, 128],
        "dropout": 0.15,
        "output_normalization": {"mean": [0.1] * 6, "std": [0.5] * 6},
    }
    place(folder, "py-feat/pose_mlp_v2", "pose_mlp_v2.json").write_text(json.dumps({"architecture": settings}))
    dump(make_boosted(), place(folder, "py-feat/xgb_au", "xgb_au_classifier_v2.skops"))


def neutral_face():
    """(136,) x and y of 68 landmarks in turn, 0.1 to 0.9, from py-feat's own picture of a face."""
    import feat

    text = Path(feat.__path__[0], "resources", "neutral_face_coordinates.csv").read_text().split("\n")[1:]
    points = np.array([[float(value) for value in line.split(",")[-2:]] for line in text if line])  # (68, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    return (0.1 + 0.8 * (points - low) / (high - low)).ravel()  # (136,)


def make_boosted():
    """Scalers, PCA and 20 boosted trees for histograms of gradients of 112 x 112 faces, fitted to noise."""
    import xgboost
    from feat.au_detectors.StatLearning.SL_test import XGBClassifier
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    noise = np.random.default_rng(0)
    histograms = noise.uniform(0, 0.3, (16, 13 * 13 * 4 * 8))  # blocks down, across, cells in each, directions
    parts = {}
    for part in ("upper", "lower", "full"):
        scaler = StandardScaler().fit(histograms)
        parts |= {f"scaler_{part}": scaler, f"pca_model_{part}": PCA(4).fit(scaler.transform(histograms))}
    made = XGBClassifier()
    trees = {}
    for unit in made.au_keys:
        # HOG's components are far from those of noise: all that counts is that units and faces differ
        seen = np.column_stack([50 * noise.normal(size=(64, 4)), noise.uniform(0, 112, (64, 136))])
        trees[unit] = xgboost.XGBClassifier(n_estimators=30, max_depth=2, n_jobs=1)
        trees[unit].fit(seen, noise.permutation(np.arange(64) % 2))
    made.load_weights(**parts, classifiers=trees)
    return made


def detect(folder, detector, frames, batch_size, threshold, target):
    """py-feat's own table of frames, with the real hub library reading `folder` as its cache."""
    import torch

    feat = feat_module()
    from feat import detector as first
    from feat.utils import io

    io.get_resource_path = first.get_resource_path = lambda: str(folder)
    if detector == "v1":
        made = feat.Detectorv1(emotion_model=None, identity_model=None, gaze_model=None)
    else:
        made = feat.Detectorv2(identity_model=None)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
    found = made.detect(
        pixels, data_type="tensor", batch_size=batch_size, progress_bar=False, face_detection_threshold=threshold
    )
    names = [str(name) for name in found.columns if name not in ("input", "Identity")]
    np.savez(target, names=names, values=found[names].to_numpy(np.float64))


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    task, folder = sys.argv[1], Path(sys.argv[2])
    if task == "make":
        make(folder, np.load(sys.argv[3]))
    else:
        detector, frames, size, threshold, target = sys.argv[3:]
        detect(folder, detector, np.load(frames), int(size), float(threshold), target)
