"""The heads `tfn`, `mfn`, `self-mm` and `mmim` against public code with copied weights; see `released_code.py`.

    mkdir -p ../shared/released && cd ../shared/released
    git clone https://github.com/thuiar/MMSA && git -C MMSA checkout a94e65d
    git clone https://github.com/declare-lab/Multimodal-Infomax && git -C Multimodal-Infomax checkout cd0774c
    python benchmarks/released_baselines.py [--code ../shared/released]

Both are under the MIT licence; MMSA has TFN, MFN and Self-MM. A head without its folder is not checked. Sound and
pictures of `self-mm` and `mmim` have several lengths; the clips of the others are equally long, because their released
code reads on over padding. TFN's batch normalisation is left out there, since the head's inputs are standardised by the
recipe. Self-MM's labels are compared after three epochs with unchanged weights. Of MMIM, the parts of the bounds are
compared as the released code weighs them, because the head deviates there (see its Differences): the networks of q, and
the cosines.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import torch
from released_code import (
    AUDIO,
    CLIPS,
    LABELS,
    STEPS,
    TEXT,
    VISION,
    Compare,
    Terms,
    checked,
    head_like,
    packages,
    varied,
)
from released_pairs import copied
from torch import Tensor, nn

from featzoo.zoo.head import Head, Inputs, Padded, make_head
from featzoo.zoo.input_spec import InputSpec

LENGTHS = torch.tensor([STEPS, 7, 1, 23, 44, 12])
EPOCHS = 3


class GivenStates(nn.Module):
    """Stands for the released text encoder: whatever it is asked, it returns the states that it was given."""

    def __init__(self, *options: object, **named: object) -> None:
        super().__init__()

    def forward(self, *asked: Tensor) -> Tensor:
        return self.states


def mmsa(code: Path) -> None:
    """Make MMSA's modules importable without its commands."""
    folder = code / "MMSA" / "src"
    names = ("MMSA", "MMSA.models", "MMSA.models.singleTask", "MMSA.models.multiTask", "MMSA.models.subNets")
    found = packages(folder, *names, "MMSA.trains", "MMSA.trains.multiTask", "MMSA.utils")
    nets = importlib.import_module("MMSA.models.subNets.FeatureNets")
    below, tools = found["MMSA.models.subNets"], found["MMSA.utils"]
    below.SubNet, below.TextSubNet, below.BertTextEncoder = nets.SubNet, nets.TextSubNet, GivenStates
    tools.MetricsTop = lambda mode: SimpleNamespace(getMetics=lambda name: None)
    tools.dict_to_str = str


def sequence(width: int, lengths: Tensor) -> Padded:
    """Random steps."""
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # (B, T)
    values = torch.randn(*mask.shape, width).double() * mask[:, :, None]
    return Padded(values, mask, mask[:, :, None].expand(values.shape))


def feature_head(name: str, options: Mapping[str, object]) -> Head:
    """A head on stored features, in 64 bit."""
    widths = {"text": TEXT, "audio": AUDIO, "vision": VISION}
    return make_head(name, options, {role: InputSpec(width) for role, width in widths.items()}, 1).eval().double()


def tfn(code: Path, folder: Path) -> Terms:
    mmsa(code)
    settings = SimpleNamespace(
        feature_dims=(TEXT, AUDIO, VISION), hidden_dims=(12, 6, 9), text_out=8, post_fusion_dim=10,
        dropouts=(0.3, 0.3, 0.3, 0.5), train_mode="regression",
    )  # fmt: skip
    theirs = importlib.import_module("MMSA.models.singleTask.TFN").TFN(settings)
    theirs.audio_subnet.norm = theirs.video_subnet.norm = nn.Identity()
    limits = (theirs.output_range.clone(), theirs.output_shift.clone())
    varied(theirs)
    theirs.output_range.data, theirs.output_shift.data = (each.double() for each in limits)
    widths = {"text_hidden": 12, "text": 8, "audio": 6, "vision": 9, "fused": 10}
    head = feature_head("tfn", {**widths, "limits": [-3.0, 3.0]})
    # Theirs is the product of (1, sound) x (1, picture) x (1, text), ours of (text, 1) x (sound, 1) x (picture, 1).
    tensor = theirs.post_fusion_layer_1.weight.view(10, 7, 10, 9).roll((-1, -1, -1), (1, 2, 3)).permute(0, 3, 1, 2)
    pairs = {head.text.lstm: theirs.text_subnet.rnn, head.text.out: theirs.text_subnet.linear_1,
             head.out[1].weight: tensor.reshape(10, -1), head.out[1].bias: theirs.post_fusion_layer_1.bias,
             head.out[3]: theirs.post_fusion_layer_2, head.out[5]: theirs.post_fusion_layer_3}  # fmt: skip
    for mine, other in ((head.audio, theirs.audio_subnet), (head.vision, theirs.video_subnet)):
        pairs |= {mine.layers[1 + 2 * i]: getattr(other, f"linear_{i + 1}") for i in range(3)}
    all_copied(head, pairs)
    one, whole = torch.ones(CLIPS, dtype=torch.long), torch.full((CLIPS,), STEPS)
    inputs = {"text": sequence(TEXT, whole), "audio": sequence(AUDIO, one), "vision": sequence(VISION, one)}
    given = theirs(*(inputs[role].values for role in ("text", "audio", "vision")))
    return {"prediction": (given["M"], head(inputs)["prediction"])}


def mfn(code: Path, folder: Path) -> Terms:
    mmsa(code)
    hidden = {"NN1Config": 6, "NN2Config": 7, "gamma1Config": 8, "gamma2Config": 9, "outConfig": 10}
    settings = SimpleNamespace(
        feature_dims=(TEXT, AUDIO, VISION), hidden_dims=(8, 4, 6), memsize=12, windowsize=2, train_mode="regression",
        **{name: {"shapes": width, "drop": 0.2} for name, width in hidden.items()},
    )  # fmt: skip
    theirs = varied(importlib.import_module("MMSA.models.singleTask.MFN").MFN(settings))
    widths = {"text": 8, "audio": 4, "vision": 6, "memory": 12}
    head = feature_head("mfn", {**widths, "attention": 6, "update": 7, "retain": 8, "write": 9, "out": 10})
    pairs = {head.cells[m]: getattr(theirs, f"lstm_{m[0] if m != 'text' else 'l'}") for m in head.cells}
    names = {"attention": "att1", "update": "att2", "retain": "gamma1", "write": "gamma2", "out": "out"}
    for mine, other in names.items():
        network = getattr(head, mine)
        pairs |= {network[0]: getattr(theirs, f"{other}_fc1"), network[3]: getattr(theirs, f"{other}_fc2")}
    all_copied(head, pairs)
    whole = torch.full((CLIPS,), STEPS)
    inputs = {role: sequence(width, whole) for role, width in (("text", TEXT), ("audio", AUDIO), ("vision", VISION))}
    # The released code starts from states in 32 bit, whatever its weights are.
    torch.set_default_dtype(torch.float64)
    given = theirs(*(inputs[role].values for role in ("text", "audio", "vision")))
    torch.set_default_dtype(torch.float32)
    return {"prediction": (given["M"], head(inputs)["prediction"])}


def self_mm(code: Path, folder: Path) -> Terms:
    mmsa(code)
    widths = {"audio": 6, "vision": 7, "text": 8, "fusion": 10}
    settings = SimpleNamespace(
        need_data_aligned=False, use_finetune=True, transformers="bert", pretrained="", train_mode="regression",
        feature_dims=(TEXT, AUDIO, VISION), a_lstm_hidden_size=6, audio_out=6, a_lstm_layers=1, a_lstm_dropout=0.0,
        v_lstm_hidden_size=7, video_out=7, v_lstm_layers=1, v_lstm_dropout=0.0, text_out=TEXT, post_fusion_dim=10,
        post_text_dim=8, post_audio_dim=6, post_video_dim=7, post_fusion_dropout=0.0, post_text_dropout=0.0,
        post_audio_dropout=0.0, post_video_dropout=0.0, dataset_name="mosi", train_samples=CLIPS, device="cpu",
        excludeZero=True, H=3.0,
    )  # fmt: skip
    theirs = varied(importlib.import_module("MMSA.models.multiTask.SELF_MM").SELF_MM(settings))
    trainer = importlib.import_module("MMSA.trains.multiTask.SELF_MM").SELF_MM(settings)
    head = head_like("self-mm", {**widths, "dropout": 0.0}, folder)
    pairs = {head.audio.lstm: theirs.audio_model.rnn, head.audio.out: theirs.audio_model.linear_1,
             head.vision.lstm: theirs.video_model.rnn, head.vision.out: theirs.video_model.linear_1}  # fmt: skip
    for name, task in head.tasks.items():
        other = [getattr(theirs, f"post_{'video' if name == 'vision' else name}_layer_{i}") for i in (1, 2, 3)]
        pairs |= dict(zip((task.feature, task.out[0], task.out[2]), other, strict=True))
    all_copied(head, pairs)
    inputs = encoded_clips(head, theirs.text_model)
    asked = torch.ones(CLIPS, 3, STEPS)
    given = theirs(asked, *((inputs[m].values, inputs[m].mask.sum(1)) for m in ("audio", "vision")))
    labels, rows = LABELS[:, 0], torch.arange(CLIPS)
    letters = {"fusion": "M", "text": "T", "audio": "A", "vision": "V"}
    for kept in (trainer.label_map, trainer.feature_map):
        kept |= {name: values.double() for name, values in kept.items()}
    trainer.init_labels(rows, labels)
    head.train()
    head.prepare(LABELS)
    head.see(rows)
    features = [given[f"Feature_{letter}"] for letter in "ftav"]
    for epoch in range(1, EPOCHS + 1):
        expected = {name: trainer.weighted_loss(given[letters[name]], trainer.label_map[name], rows, name)
                    for name in letters}  # fmt: skip
        if epoch > 1:
            trainer.update_labels(*features, epoch, rows, given)
        trainer.update_features(*features, rows)
        trainer.update_centers()
        outputs = head(inputs)
        terms = head.losses(outputs, LABELS, "main")
    found = {f"l_{name}": (expected[name], terms["l1" if name == "fusion" else f"l_{name}"]) for name in letters}
    moved = {f"label {m}": (trainer.label_map[m], head.memory[f"label_{m}"][:, 0]) for m in ("text", "audio", "vision")}
    return (
        {f"prediction {name}": (given[letters[name]], outputs[f"prediction_{name}"]) for name in letters}
        | found
        | moved
    )


def mmim(code: Path, folder: Path) -> Terms:
    sys.path.insert(0, str(code / "Multimodal-Infomax" / "src"))
    importlib.import_module("modules.encoders").LanguageEmbeddingLayer = GivenStates
    settings = SimpleNamespace(
        d_tin=TEXT, d_vin=VISION, d_vh=6, d_vout=7, d_ain=AUDIO, d_ah=6, d_aout=8, n_layer=1, dropout_v=0.0,
        dropout_a=0.0, bidirectional=True, add_va=False, mmilb_mid_activation="ReLU", mmilb_last_activation="Tanh",
        d_prjh=10, cpc_layers=1, cpc_activation="Tanh", n_class=1, dropout_prj=0.0,
    )  # fmt: skip
    theirs = varied(importlib.import_module("model").MMIM(settings))
    head = head_like("mmim", {"hidden": 6, "audio": 8, "vision": 7, "fusion": 10, "dropout": 0.0}, folder)
    pairs = {head.fuse[1]: theirs.fusion_prj.linear_1, head.fuse[3]: theirs.fusion_prj.linear_2,
             head.out: theirs.fusion_prj.linear_3}  # fmt: skip
    for m, letter, encoder in (("audio", "a", theirs.acoustic_enc), ("vision", "v", theirs.visual_enc)):
        bound = getattr(theirs, f"mi_t{letter}")
        pairs |= {head.parts[m].lstm: encoder.rnn, head.parts[m].out: encoder.linear_1,
                  head.guess[m].mean: bound.mlp_mu, head.guess[m].log_variance: bound.mlp_logvar}  # fmt: skip
    pairs |= {head.predict[m]: getattr(theirs, f"cpc_z{m[0]}").net for m in ("text", "audio", "vision")}
    all_copied(head, pairs)
    inputs = encoded_clips(head, theirs.text_enc)
    steps = {m: inputs[m].values.transpose(0, 1) for m in ("audio", "vision")}
    count = {m: inputs[m].mask.sum(1) for m in ("audio", "vision")}
    none = torch.zeros(())
    likelihood, contrast, prediction, _, _ = theirs(
        none, steps["vision"], steps["audio"], count["vision"], count["audio"], none, none, none
    )
    outputs = head(inputs)
    text, own_contrast, own_likelihood = head.encoder(inputs["text"]), torch.zeros(()), torch.zeros(())
    for m in ("text", "audio", "vision"):
        scores = outputs[f"scores_{m}"]  # rows: what z predicts
        own_contrast = own_contrast - (scores.diagonal() - scores.logsumexp(dim=0)).mean()
    for m in ("audio", "vision"):
        mean, log_variance = head.guess[m](text)
        squared = (mean - outputs[f"vector_{m}"]).square() / 2 / log_variance.exp()
        own_likelihood = own_likelihood - squared.sum(dim=1).mean()
    return {"prediction": (prediction, outputs["prediction"]), "cosines": (contrast, own_contrast),
            "q": (likelihood, own_likelihood)}  # fmt: skip


def encoded_clips(head: Head, encoder: nn.Module) -> Inputs:
    """Random clips; the released encoder gets the states of the head's text encoder."""
    mask = torch.ones(CLIPS, STEPS, dtype=torch.bool)
    text = Padded(torch.randint(5, 30, (CLIPS, STEPS)), mask, mask[:, :, None])
    encoder.states = head.encoder.states(text)[-1]
    return {"text": text, "audio": sequence(AUDIO, LENGTHS), "vision": sequence(VISION, LENGTHS.flip(0))}


def all_copied(head: Head, pairs: Mapping[nn.Module | nn.Parameter, nn.Module | Tensor]) -> None:
    """Copy the released weights.

    Raises:
        SystemExit: If a weight of the head was not copied.
    """
    count, own = copied(pairs), sum(p.numel() for k, p in head.named_parameters() if not k.startswith("encoder."))
    if count != own:
        raise SystemExit(f"{type(head).__name__}: {count} of its {own} weights were copied")


HEADS: dict[str, tuple[str, Compare]] = {
    "tfn": ("MMSA", tfn), "mfn": ("MMSA", mfn), "self-mm": ("MMSA", self_mm), "mmim": ("Multimodal-Infomax", mmim),
}  # fmt: skip

if __name__ == "__main__":
    checked(__doc__, HEADS)
