"""The Siamese head: shapes of the paper's figure, stages that leave the others alone, frames, and whole trainings."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption
from featzoo.media.clip import Clip
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import Padded, make_head
from featzoo.zoo.heads.siamese.augmentation import augment, centre_crop, from_hsv, random_crop, to_hsv
from featzoo.zoo.heads.siamese.losses import MultiSimilarity, trait_classes
from featzoo.zoo.heads.siamese.networks import TextNetwork
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe, recipes
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training.checkpoint import Checkpoint
from featzoo.zoo.training.evaluation import evaluate
from featzoo.zoo.training.frozen_features import for_stage
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "emotional_stability")
SMALL = {"backbone": "none", "hidden": 8, "fused": 8, "embedding": 4, "siamese": 8}
CPU = torch.device("cpu")


def specs(audio=88, vision=140 * 248 * 3, text=300, without=()):
    widths = {"audio": audio, "vision": vision, "text": text}
    return {m: InputSpec(1, given=False) if m in without else InputSpec(w) for m, w in widths.items()}


def small_split(count=12, seed=0, targets=5):
    """Clips with 4 audio columns, frames of 6 x 8, words of width 6; the second has no picture, the third no text."""
    rng = np.random.default_rng(seed)
    features = {
        "audio": [rng.random((1, 4)).astype(np.float32) for _ in range(count)],
        "vision": [rng.integers(0, 256, (2, 6 * 8 * 3)).astype(np.uint8) for _ in range(count)],
        "text": [rng.normal(size=(1 + i % 4, 6)).astype(np.float32) for i in range(count)],
    }
    features["vision"][1] = features["text"][2] = None
    wanted = specs(4, 6 * 8 * 3, 6)
    ids = tuple(f"clip{i}" for i in range(count))
    return Split("train", ids, features, rng.random((count, targets)), wanted, Statistics({}, {}), Counts(count))


def small_head(whole=None, **options):
    torch.manual_seed(0)
    chosen = SMALL | {"backbone": "resnet10", "frame_height": 6, "frame_width": 8, "crop": 4} | options
    wanted = whole.specs if whole else specs(4, 6 * 8 * 3, 6)
    return make_head("siamese", chosen, wanted, 5)


def test_widths_are_those_of_the_paper():
    """Q 256, O 512, E 128; M1 reads 768 and M2 896; figure 1 and section 4.2."""
    head = make_head("siamese", {}, specs(), 5)
    kernels = {name: tuple(p.shape) for name, p in head.named_parameters() if name.endswith("weight") and p.dim() == 2}
    assert kernels == {
        "networks.audio.dense.0.weight": (1024, 88), "networks.audio.dense.2.weight": (256, 1024),
        "networks.vision.dense.0.weight": (256, 2048), "networks.text.score.weight": (1, 256),
        "alone.audio.weight": (5, 256), "alone.vision.weight": (5, 256), "alone.text.weight": (5, 256),
        "m1.0.weight": (1024, 768), "m1.2.weight": (512, 1024), "baseline.weight": (5, 512),
        "siamese.0.weight": (200, 256), "siamese.3.weight": (200, 200), "siamese.5.weight": (128, 200),
        "m2.0.weight": (512, 896), "full.weight": (5, 512),
    }  # fmt: skip
    assert tuple(head.networks["text"].gru.weight_hh_l0.shape) == (3 * 128, 128)
    assert head.networks["text"].gru.bidirectional
    # torchvision's own count of ResNet-50, without its 1,000 classes.
    assert sum(p.numel() for p in head.networks["vision"].backbone.parameters()) == 25_557_032 - 2048 * 1000 - 1000
    assert head.stages == ("audio", "vision", "text", "baseline", "siamese", "full")
    assert [type(m).__name__ for m in head.siamese] == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"]


def test_attention_is_a_softmax_of_tanh_over_true_words():
    """One clip at a time, one word at a time."""
    network = TextNetwork(3, 4, 0.5).eval()
    values, mask = torch.randn(2, 5, 3), torch.tensor([[True] * 5, [True, True, False, False, False]])
    found = network(Padded(values, mask, mask))
    for row, count in enumerate((5, 2)):
        states = network.gru(values[row : row + 1, :count])[0][0]
        weights = torch.stack([torch.tanh(network.score(h))[0].exp() for h in states])
        slow = sum(w * h for w, h in zip(weights / weights.sum(), states, strict=True))
        torch.testing.assert_close(found[row], slow, atol=1e-6, rtol=1e-5)


def test_without_a_mask_the_text_is_read_as_zeros_up_to_its_fixed_length():
    """PyTorch's GRU and a softmax over all six steps; garbage in padding and the batch's length do not matter."""
    network = TextNetwork(3, 4, 0.5, padded_to=6).eval()
    values, mask = torch.randn(2, 5, 3), torch.tensor([[True] * 5, [True, True, False, False, False]])
    found = network(Padded(values, mask, mask))
    for row, count in enumerate((5, 2)):
        padded = torch.cat([values[row, :count], torch.zeros(6 - count, 3)])
        states = network.gru(padded)[0]  # (6, 4)
        weights = torch.tanh(states @ network.score.weight[0] + network.score.bias).softmax(dim=0)
        torch.testing.assert_close(found[row], weights @ states, atol=1e-6, rtol=1e-5)
    short = network(Padded(values[1:, :2], mask[1:, :2], mask[1:, :2]))
    torch.testing.assert_close(short[0], found[1], atol=1e-6, rtol=1e-5)
    long = torch.randn(1, 9, 3)
    everything = torch.ones(1, 9, dtype=torch.bool)
    cut = network(Padded(long[:, :6], everything[:, :6], everything[:, :6]))
    torch.testing.assert_close(network(Padded(long, everything, everything)), cut, atol=1e-6, rtol=1e-5)


def test_each_stage_changes_its_part_alone():
    """Batch norm's running means and the dropout of frozen parts included."""
    whole = small_split()
    head = small_head(whole)
    head.prepare(torch.from_numpy(whole.targets).float())
    parts = {
        "audio": ("networks.audio.", "alone.audio."), "vision": ("networks.vision.", "alone.vision."),
        "text": ("networks.text.", "alone.text."), "baseline": ("m1.", "baseline."), "siamese": ("siamese.",),
        "full": ("m2.", "full."),
    }  # fmt: skip
    assert head.stages == tuple(parts)
    for stage, own in parts.items():
        head.begin(stage)
        head.train()
        before = {k: v.clone() for k, v in head.state_dict().items()}
        optimizer = torch.optim.SGD(head.parameter_groups(stage, {"main": 0.1}))
        for rows in ([0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]):
            batch = whole.batch(rows)
            optimizer.zero_grad()
            sum(head.losses(head(batch.inputs), batch.targets, stage).values()).backward()
            optimizer.step()
        changed = {k for k, v in head.state_dict().items() if not torch.equal(v, before[k])}
        assert changed
        assert all(k.startswith(own) for k in changed), (stage, changed)
        assert any(k.startswith(own[0]) for k in changed)
        if stage == "vision":
            assert "networks.vision.backbone.bn1.running_mean" in changed


def test_dense_kernels_decay_and_the_siamese_network_does_not():
    head = small_head()
    names = {id(p): name for name, p in head.named_parameters()}
    decayed = set()
    for stage in head.stages:
        for group in head.parameter_groups(stage, {"main": 1e-3}):
            if "weight_decay" not in group:
                decayed |= {names[id(p)] for p in group["params"]}
    assert decayed == {
        "networks.audio.dense.0.weight", "networks.audio.dense.2.weight", "networks.vision.dense.0.weight",
        "networks.text.score.weight", "alone.audio.weight", "alone.vision.weight", "alone.text.weight",
        "m1.0.weight", "m1.2.weight", "baseline.weight", "m2.0.weight", "full.weight",
    }  # fmt: skip


def test_distilled_inputs_give_the_same_prediction():
    whole = small_split()
    head = small_head(whole)
    for stage in head.stages:
        head.begin(stage)
        read = for_stage(head, whole, stage, 5, CPU)
        assert read.ids == whole.ids
        wanted = {stage} if stage in ("audio", "vision", "text") else {"audio.h", "vision.h", "text.h"}
        assert set(read.features) == wanted
        losses, prediction = evaluate(head, read, 12, CPU, stage)
        plain_losses, plain = evaluate(head, whole, 12, CPU, stage)
        # The same clips in batches of another size and order.
        np.testing.assert_allclose(prediction, plain, atol=1e-5)
        assert losses == pytest.approx(plain_losses, abs=1e-5)


def test_without_cross_modal_pairs_each_modality_is_compared_with_itself():
    """The mean of the loss of one modality's embeddings at a time; clips that lack it have no class there."""
    whole = small_split()
    head = small_head(whole, cross_modal=False, anchors="all", epsilon=2.0)
    head.prepare(torch.from_numpy(whole.targets).float())
    head.begin("siamese")
    batch = whole.batch(range(len(whole)))
    outputs = head.eval()(batch.inputs)
    classes = trait_classes(batch.targets, head.mean, head.std)
    each = []
    for m in ("audio", "vision", "text"):
        there = outputs[f"there_{m}"]
        each.append(MultiSimilarity("all", epsilon=2.0)(outputs[f"embedding_{m}"][there], classes[there]))
    found = head.losses(outputs, batch.targets, "siamese")["l_ms"]
    torch.testing.assert_close(found, sum(each) / 3, atol=1e-6, rtol=1e-5)


def test_a_missing_modality_is_in_no_pair():
    whole = small_split()
    head = small_head(whole)
    head.prepare(torch.from_numpy(whole.targets).float())
    head.begin("siamese")
    batch = whole.batch(range(12))
    outputs = head(batch.inputs)
    assert outputs["there_vision"].tolist() == [i != 1 for i in range(12)]
    assert outputs["embedding_vision"][1].abs().max() == 0
    loss = head.losses(outputs, batch.targets, "siamese")["l_ms"]
    outputs["embedding_vision"] = outputs["embedding_vision"].clone()
    outputs["embedding_vision"][1] = 5.0
    assert head.losses(outputs, batch.targets, "siamese")["l_ms"] == loss
    outputs["embedding_vision"][0] = 5.0
    assert head.losses(outputs, batch.targets, "siamese")["l_ms"] != loss


def test_without_a_modality_its_stage_and_part_are_gone():
    wanted = specs(26, 1, 50, without=("vision",))
    head = make_head("siamese", {}, wanted, 5)
    assert head.stages == ("audio", "text", "baseline", "siamese", "full")
    assert head.m1[0].in_features == 512
    assert not any("vision" in name for name, _ in head.named_parameters())
    alone = make_head("siamese", {"until": "unimodal"}, specs(without=("vision", "text")), 5)
    assert alone.stages == ("audio",)
    for options, lacking in (({"until": "unimodal"}, ("text",)), ({}, ("audio", "vision", "text"))):
        with pytest.raises(InvalidOption, match="head siamese: until"):
            make_head("siamese", options, specs(without=lacking), 5)


def test_in_the_joint_stage_every_parameter_learns_from_all_losses():
    whole = small_split()
    head = small_head(whole, until="joint").train()
    head.prepare(torch.from_numpy(whole.targets).float())
    assert head.stages == ("joint",)
    assert head.distil(whole.batch([0]).inputs) is None
    batch, largest = whole.batch(range(12)), {}
    for _ in range(3):
        head.zero_grad()
        terms = head.losses(head(batch.inputs), batch.targets, "joint")
        sum(terms.values()).backward()
        for name, parameter in head.named_parameters():
            largest[name] = max(largest.get(name, 0.0), float(parameter.grad.abs().max()))
    assert set(terms) == {"l_mae", "l_mse", "l_bell", "l_ms"}
    assert min(largest.values()) > 0
    groups = head.parameter_groups("joint", {"main": 1e-3})
    still = {id(p) for group in groups if group.get("weight_decay") == 0.0 for p in group["params"]}
    assert {id(p) for p in head.siamese.parameters()} <= still


def test_joint_baseline_trains_the_networks_and_m1_without_embeddings():
    whole = small_split()
    head = small_head(whole, until="joint-baseline").train()
    assert head.stages == ("joint",)
    assert {name.split(".")[0] for name, _ in head.named_parameters()} == {"networks", "m1", "baseline"}
    batch = whole.batch(range(12))
    outputs = head(batch.inputs)
    terms = head.losses(outputs, batch.targets, "joint")
    assert set(terms) == {"l_mae", "l_mse", "l_bell"}
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_an_embedding_of_steps_is_the_mean_of_s_over_them():
    """PyTorch's GRU and S, word by word; S of a sound's only row is that of its vector; nothing for what is missing."""
    whole = small_split()
    head = small_head(whole, until="joint", embed_steps=True, mask_words=True).eval()
    inputs = whole.batch(range(12)).inputs
    found = head(inputs)
    text = inputs["text"]
    for row in range(12):
        count = int(text.mask[row].sum())
        if not count:
            assert not found["embedding_text"][row].any()
            continue
        states = head.networks["text"].gru(text.values[row : row + 1, :count])[0][0]  # (T, Q)
        mean = torch.stack([head.siamese(state) for state in states]).mean(dim=0)
        torch.testing.assert_close(found["embedding_text"][row], mean, atol=1e-6, rtol=1e-5)
    pooled = small_head(whole, until="joint", mask_words=True).eval()
    pooled.load_state_dict(head.state_dict())
    torch.testing.assert_close(found["embedding_audio"], pooled(inputs)["embedding_audio"])
    assert not torch.allclose(found["embedding_text"], pooled(inputs)["embedding_text"], atol=1e-3)
    assert 0 < text.mask.any(dim=1).sum() < 12


@pytest.mark.parametrize("backbone", ["none", "resnet10"])
def test_padding_of_embedded_steps_does_not_reach_the_gradient(backbone):
    whole = small_split()
    head = small_head(whole, until="joint", embed_steps=True, backbone=backbone).train()
    batch = whole.batch(range(12))
    for each in batch.inputs.values():
        each.values[~each.mask] = torch.nan if each.values.is_floating_point() else 0
    sum(head.losses(head(batch.inputs), batch.targets, "joint").values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hidden": 7}, "hidden must be even"),
        ({"crop": 141}, "a crop of 141"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"alpha": 0.0}, "alpha and beta"),
        ({"embedding": 0}, "at least 1"),
        ({"embed_steps": True}, "embed_steps needs until = joint"),
        ({"frame_width": 200}, "options.backbone = none"),
        ({"anchors": "hard"}, "anchors"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, text):
    with pytest.raises(InvalidOption, match=text):
        make_head("siamese", options, specs(), 5)


colours = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))


@given(st.lists(colours, min_size=1, max_size=10))
def test_hsv_is_that_of_the_standard_library(pixels):
    rgb = torch.tensor(pixels, dtype=torch.float64)
    hue, saturation, value = to_hsv(rgb)
    for pixel, *ours in zip(pixels, hue.tolist(), saturation.tolist(), value.tolist(), strict=True):
        if max(pixel) - min(pixel) > 1e-6:  # else it is grey to us
            wanted = colorsys.rgb_to_hsv(*pixel)
            assert ours[1:] == pytest.approx(wanted[1:], abs=1e-9)
            assert abs((ours[0] - wanted[0] + 0.5) % 1 - 0.5) < 1e-6  # around the circle
    torch.testing.assert_close(from_hsv(hue, saturation, value), rgb, atol=1e-7, rtol=0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_every_frame_of_a_clip_is_changed_alike(seed):
    torch.manual_seed(seed)
    picture = torch.rand(4, 1, 9, 11, 3)
    changed = augment(random_crop(picture.expand(4, 6, 9, 11, 3), 5))
    assert changed.shape == (4, 6, 5, 5, 3)
    assert changed.min() >= 0
    assert changed.max() <= 1
    torch.testing.assert_close(changed, changed[:, :1].expand(changed.shape))


def test_clips_differ_and_a_crop_is_a_part_of_the_picture():
    torch.manual_seed(0)
    picture = torch.arange(7 * 9, dtype=torch.float32).view(1, 1, 7, 9, 1).expand(50, 1, 7, 9, 3)
    cut = random_crop(picture, 4)[:, 0, :, :, 0]  # (50, 4, 4)
    corners = cut[:, 0, 0].long()
    assert {int(c) // 9 for c in corners} == {0, 1, 2, 3}
    assert {int(c) % 9 for c in corners} == {0, 1, 2, 3, 4, 5}
    whole = picture[0, 0, :, :, 0]
    for one, corner in zip(cut, corners.tolist(), strict=True):
        assert torch.equal(one, whole[corner // 9 : corner // 9 + 4, corner % 9 : corner % 9 + 4])
    assert centre_crop(picture, 3)[0, 0, 0, 0, 0] == 2 * 9 + 3
    same = augment(torch.rand(1, 1, 5, 5, 3).expand(64, 1, 5, 5, 3))
    assert len({tuple(one.flatten().tolist()) for one in same}) > 32


def test_frames_change_in_training_alone():
    whole = small_split()
    head = small_head(whole)
    head.begin("vision")
    inputs = whole.batch([0, 3, 4]).inputs
    head.eval()
    assert torch.equal(head(inputs)["prediction"], head(inputs)["prediction"])
    head.train()
    head.networks["vision"].dropout.p = 0.0
    assert not torch.equal(head(inputs)["prediction"], head(inputs)["prediction"])
    head.begin("baseline")  # frozen: as in evaluation, although the head trains
    head.train()
    assert torch.equal(head(inputs)["prediction"], head(inputs)["prediction"])


def traits_store(path, counts=(24, 8, 8)):
    """A store whose traits can be read off sound, picture and words."""
    rng = np.random.default_rng(5)
    clips, audio, frames, words = [], {}, {}, {}
    for split, count in zip(("train", "valid", "test"), counts, strict=True):
        for n in range(count):
            labels = dict(zip(TRAITS, rng.uniform(0, 1, 5).tolist(), strict=True))
            clip = Clip(id=f"{split}/{n}", split=split, labels=labels)
            level = labels["openness"]
            audio[clip.id] = (50 + 9 * rng.random((1, 4)) + level).astype(np.float32)
            frames[clip.id] = rng.integers(0, 40 + int(200 * level), (2, 6, 8, 3)).astype(np.uint8)
            words[clip.id] = (rng.normal(size=(1 + n % 4, 6)) + level).astype(np.float32)
            clips.append(clip)
    store = FeatureStore.create(path)
    store.add("egemaps.functionals", audio, names=[f"a{i}" for i in range(4)])
    store.add("frames", frames)
    store.add("glove", words)
    store.record(clips)
    return store


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("traits") / "features"
    traits_store(path)
    return path


TINY = {
    "training.epochs": 2, "training.batch_size": 8, "training.stages": {}, "inputs.text.features": ["glove"],
    "options.backbone": "resnet10", "options.frame_height": 6, "options.frame_width": 8, "options.crop": 4,
    "options.hidden": 8, "options.fused": 8, "options.embedding": 4, "options.siamese": 8,
}  # fmt: skip


@pytest.mark.slow
def test_four_parts_from_raw_frames_to_a_report(store_path, tmp_path):
    found = train_recipe("siamese", store_path, tmp_path, TINY, "cpu")
    assert found.epochs == 2 * 6
    assert found.best_epoch > 10  # of the last stage
    assert {"r_acc", "r2", "ccc", "r_acc_low", "openness.r_acc_high"} <= set(found.metrics["test"])
    again = evaluate_run(found.path, store_path, "test", "cpu")
    assert again.metrics == pytest.approx(found.metrics["test"], nan_ok=True, abs=0)
    assert set(again.intervals) == set(again.metrics)
    text = (found.path / "README.md").read_text()
    assert "Reference:" in text
    head = small_head()
    assert f"{sum(p.numel() for p in head.parameters()):,} of them trained" in text  # in one stage or another


def test_audio_is_scaled_to_the_range_of_the_train_split(store_path):
    recipe = find_recipe("siamese", TINY)
    store = FeatureStore(store_path)
    split = load_split(store, recipe, "train")
    values = split.batch(range(len(split))).inputs["audio"].values[:, 0]
    torch.testing.assert_close(values.amin(dim=0), torch.zeros(4))
    torch.testing.assert_close(values.amax(dim=0), torch.ones(4))
    assert not split.specs["vision"].ids  # bytes are pictures


@pytest.mark.parametrize("name", [name for name in recipes() if name.startswith("siamese-") or name == "siamese.joint"])
def test_every_row_of_the_papers_table_trains(name, store_path, tmp_path):
    with_text = ("siamese-m1", "siamese-text", "siamese.joint")
    changes = {k: v for k, v in TINY.items() if not k.startswith("inputs.") or name in with_text}
    found = train_recipe(name, store_path, tmp_path, changes | {"training.epochs": 1}, "cpu")
    assert found.epochs == (4 if name == "siamese-m1" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [4, 10])
def test_a_resumed_training_gives_the_same_weights(store_path, tmp_path, stop_at):
    """Within and between stages: the same losses in every epoch, the same weights at the end."""
    store, recipe = FeatureStore(store_path), find_recipe("siamese", TINY)
    first = load_split(store, recipe, "train")
    dev = load_split(store, recipe, "valid", statistics=first.statistics)

    def fit(on_epoch, checkpoint):
        accelerator = accelerator_on("cpu", "fp32")
        seed_everything(1)
        head = make_head("siamese", recipe.options, first.specs, 5)
        return head, train(head, first, dev, recipe.training, accelerator, on_epoch, checkpoint=checkpoint)

    def stop(epoch):
        if epoch.epoch == stop_at:
            raise KeyboardInterrupt

    head, through = fit(lambda epoch: None, None)
    with pytest.raises(KeyboardInterrupt):
        fit(stop, Checkpoint(tmp_path / "state.pt", 0.0))
    again, resumed = fit(lambda epoch: None, Checkpoint(tmp_path / "state.pt", 0.0))
    assert [e.losses for e in resumed.epochs] == [e.losses for e in through.epochs]
    assert len(resumed.epochs) == 12
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in head.state_dict().items())


def test_the_siamese_stage_is_judged_by_its_loss_and_stages_have_their_own_settings(store_path):
    changes = TINY | {"training.stages": {"siamese": {"epochs": 4}, "vision": {"batch_size": 4, "epochs": 1}}}
    store, recipe = FeatureStore(store_path), find_recipe("siamese", changes)
    first = load_split(store, recipe, "train")
    dev = load_split(store, recipe, "valid", statistics=first.statistics)
    seed_everything(1)
    head, steps = make_head("siamese", recipe.options, first.specs, 5), []
    accelerator = accelerator_on("cpu", "fp32")
    found = train(head, first, dev, recipe.training, accelerator, on_step=lambda done, most: steps.append((done, most)))
    by_stage = {stage: [e for e in found.epochs if e.stage == stage] for stage in head.stages}
    assert [len(epochs) for epochs in by_stage.values()] == [2, 1, 2, 2, 4, 2]
    assert steps[-1] == (len(steps), len(steps))
    assert len(steps) == 3 * (2 + 2 + 2 + 4 + 2) + 6
    lowest = np.inf
    for epoch in by_stage["siamese"]:
        assert epoch.best == (epoch.dev_losses["l_ms"] < lowest)
        lowest = min(lowest, epoch.dev_losses["l_ms"])
    assert len({epoch.dev_mae for epoch in by_stage["siamese"]}) == 1
    wrong = find_recipe("siamese", TINY | {"training.stages": {"siamse": {"epochs": 4}}})
    with pytest.raises(InvalidOption, match="did you mean 'siamese'"):
        train(head, first, dev, wrong.training, accelerator)
