"""Against a plain torchvision forward with the weights' own transforms on the same frames."""

import os
import shutil

import numpy as np
import pytest

from featzoo.errors import InvalidOption, MissingWeights
from featzoo.extractors.contract import make_extractor
from featzoo.extractors.vision.cnn import ResNet50
from featzoo.media.clip import Clip


@pytest.fixture(scope="module")
def network():
    """resnet50 of seed 7 without its classifier, as torchvision makes it."""
    import torch

    from featzoo.weights.imports import torchvision_module

    torchvision_module()
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        made = resnet50()
    made.fc = torch.nn.Identity()
    return made.eval()


def forward(network, images):
    import torch
    from torchvision.models import ResNet50_Weights

    preset = ResNet50_Weights.IMAGENET1K_V2.transforms()
    batch = torch.stack([preset(torch.from_numpy(image).permute(2, 0, 1)) for image in images])
    with torch.no_grad():
        return network(batch).numpy()


@pytest.mark.parametrize("options", [{"count": 3}, {"rate": 3.0}])
def test_random_weights(network, made, options):
    clip = Clip("a", made / "talk.mp4")
    shots = list(clip.frames(**options))
    found = ResNet50(weights="random", seed=7, **options).extract(clip)
    expected = forward(network, [shot.image for shot in shots])
    # the preset resizes and normalises in another order of float32 operations
    scale = np.abs(expected).max()
    assert np.abs(found.features - expected).max() < 1e-4 * max(1.0, scale)
    np.testing.assert_array_equal(found.intervals, [(shot.start, shot.end) for shot in shots])
    assert found.features.shape[1] == 2048
    assert len(found.names) == 2048


def test_a_batch_of_one_is_a_batch_of_many(made):
    clips = [Clip("a", made / "talk.mp4"), Clip("b", made / "uneven.mkv")]
    one, many = (ResNet50(weights="random", count=3, batch_size=n) for n in (1, 8))
    samples = [sample for clip in clips for sample in many.load(clip)]
    for alone, together in zip(one.encode(samples), many.encode(samples), strict=True):
        scale = np.abs(alone.features).max()
        # float32 convolutions of 50 layers whose blocking depends on the batch
        np.testing.assert_allclose(alone.features, together.features, atol=1e-4 * max(1.0, scale))


def test_a_long_clip_comes_in_pieces(made):
    pieces = list(ResNet50(weights="random", count=70).load(Clip("a", made / "talk.mp4")))
    assert [len(piece) for piece in pieces] == [32, 32, 6]


def test_files_of_weights_give_the_features_of_the_network(network, made, tmp_path):
    import torch
    from safetensors.torch import save_file
    from torchvision.models import resnet50

    whole = resnet50()
    state = {**whole.state_dict(), **network.state_dict()}
    torch.save(state, tmp_path / "w.pth")
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "w.safetensors")
    clip = Clip("a", made / "talk.mp4")
    expected = ResNet50(weights="random", seed=7, count=2).extract(clip)
    found = {}
    for name in ("w.pth", "w.safetensors"):
        extractor = make_extractor(f"resnet50[weights={tmp_path / name},count=2]")
        found[name] = extractor
        np.testing.assert_array_equal(extractor.extract(clip).features, expected.features)
    # the key follows the file's content
    shutil.copy(tmp_path / "w.pth", tmp_path / "copy.pth")
    assert ResNet50(weights=str(tmp_path / "copy.pth"), count=2).key == found["w.pth"].key
    before = (tmp_path / "w.pth").stat()
    state["bn1.bias"] = state["bn1.bias"] + 0.5
    torch.save(state, tmp_path / "w.pth")
    os.utime(tmp_path / "w.pth", ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = ResNet50(weights=str(tmp_path / "w.pth"), count=2)
    assert changed.key != ResNet50(weights=str(tmp_path / "copy.pth"), count=2).key
    assert np.abs(changed.extract(clip).features - expected.features).max() > 1e-3


def test_key_of_random_weights_is_the_seed():
    keys = [ResNet50(weights="random", seed=s, batch_size=b).key for s, b in ((0, 32), (0, 1), (1, 32))]
    assert keys[0] == keys[1] != keys[2]


def test_missing_weights_say_what_where_and_how(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeights) as caught:
        ResNet50().prepare()
    for part in (
        "resnet50.IMAGENET1K_V2",
        str(tmp_path / "hub" / "checkpoints"),
        "feat weights get resnet50",
        "resnet50[weights=",
    ):
        assert part in str(caught.value)
    with pytest.raises(MissingWeights, match="looked at"):
        ResNet50(weights="nowhere/w.pth").prepare()
    with pytest.raises(InvalidOption, match=r"did you mean 'IMAGENET1K_V[12]'"):
        ResNet50(weights="IMAGENET1K_V3").prepare()
    with pytest.raises(ValueError, match="positive"):
        ResNet50(count=0)


def test_published_names_are_torchvisions():
    from featzoo.extractors.vision.torchvision_networks import RESNET50
    from featzoo.weights.imports import torchvision_module

    torchvision_module()
    from torchvision.models import ResNet50_Weights

    known = {name: w.url.rsplit("/", 1)[1] for name, w in ResNet50_Weights.__members__.items()}
    assert known == RESNET50
