"""The heads `almt` and `dlf` against their authors' released code: copied weights, random clips without padding.

    mkdir -p ../shared/released && cd ../shared/released
    git clone https://github.com/Haoyu-ha/ALMT && git -C ALMT checkout da94610
    git clone https://github.com/pwang322/DLF && git -C DLF checkout 251bf2c
    pip install einops
    python benchmarks/released_code.py [--code ../shared/released]

Both are under the MIT licence. A head without its folder is not checked. Text states come from the same tiny BERT of
random weights, and everything is in 64 bit, except that DLF's positions are made in 32 bit on both sides. The bar is a
millionth of the largest value. DLF has a convolution of kernel 1 here, because a wider one shortens the sequence in the
released code (see Differences of the head).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from released_pairs import LETTERS, almt_pairs, copied, dlf_pairs
from torch import Tensor, nn

from featzoo.weights.imports import transformers_module
from featzoo.zoo.head import Head, Padded, make_head
from featzoo.zoo.input_spec import InputSpec

Terms = dict[str, tuple[Tensor, Tensor]]  # what is compared, theirs and ours
Compare = Callable[[Path, Path], Terms]
BAR = 1e-6
CLIPS, STEPS, TEXT, AUDIO, VISION = 6, 50, 16, 5, 20
LABELS = torch.tensor([1.0, -2.0, 1.0, 0.4, -2.0, 3.0])[:, None].double()
# The released configurations for CMU-MOSI, with the widths of the clips here.
ALMT = {
    "l_input_dim": TEXT, "a_input_dim": AUDIO, "v_input_dim": VISION,
    "l_proj_dst_dim": 128, "a_proj_dst_dim": 128, "v_proj_dst_dim": 128,
    "token_len": 8, "token_dim": 128, "token_length": 8,
    "l_input_length": STEPS, "a_input_length": STEPS, "v_input_length": STEPS,
    "proj_input_dim": 128, "proj_depth": 1, "proj_heads": 8, "proj_mlp_dim": 128,
    "l_enc_heads": 8, "l_enc_mlp_dim": 128,
    "AHL_depth": 3, "ahl_heads": 8, "ahl_dim_head": 16, "ahl_droup": 0.0,
    "fusion_heads": 8, "fusion_mlp_dim": 128, "fusion_layer_depth": 2, "bert_pretrained": "",
}  # fmt: skip
DLF = {
    "use_bert": True, "use_finetune": True, "transformers": "bert", "pretrained": "", "dataset_name": "mosi",
    "need_data_aligned": True, "dst_feature_dim_nheads": (50, 10), "feature_dims": (TEXT, AUDIO, VISION), "nlevels": 2,
    "attn_dropout": 0.3, "attn_dropout_a": 0.2, "attn_dropout_v": 0.0, "relu_dropout": 0.0, "embed_dropout": 0.2,
    "res_dropout": 0.0, "output_dropout": 0.5, "text_dropout": 0.5, "attn_mask": True,
    "conv1d_kernel_size_l": 1, "conv1d_kernel_size_a": 1, "conv1d_kernel_size_v": 1,
}  # fmt: skip


class StatesAsText(nn.Module):
    """Stands for the released text encoder: the text is given as its states."""

    def __init__(self, **options: object) -> None:
        super().__init__()

    def forward(self, states: Tensor) -> Tensor:
        return states


def packages(folder: Path, *names: str) -> dict[str, ModuleType]:
    """Packages by name, without running their `__init__`, which imports what training needs."""
    found = {}
    for name in names:
        module = ModuleType(name)
        module.__path__ = [str(folder.joinpath(*name.split(".")))]
        found[name] = sys.modules[name] = module
    return found


def released_almt(folder: Path) -> nn.Module:
    packages(folder, "models")
    encoder = ModuleType("models.bert")
    encoder.BertTextEncoder = StatesAsText
    sys.modules["models.bert"] = encoder
    return importlib.import_module("models.almt").ALMT(SimpleNamespace(model=SimpleNamespace(**ALMT)))


def released_dlf(folder: Path) -> tuple[nn.Module, nn.Module]:
    """The model, and its margin loss."""
    names = ("trains", "trains.singleTask", "trains.singleTask.model", "trains.subNets")
    packages(folder, *names, "trains.subNets.transformers_encoder")["trains.subNets"].BertTextEncoder = StatesAsText
    margin = importlib.import_module("trains.singleTask.HingeLoss").HingeLoss()
    return importlib.import_module("trains.singleTask.model.DLF").DLF(SimpleNamespace(**DLF)), margin


def head_like(name: str, options: Mapping[str, object], folder: Path) -> Head:
    """A head in 64 bit for the clips here, over a tiny BERT."""
    transformers = transformers_module()
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=TEXT, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=STEPS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    specs = {"text": InputSpec(1, True, str(folder)), "audio": InputSpec(AUDIO), "vision": InputSpec(VISION)}
    return make_head(name, options, specs, 1).eval().double()


def clips(head: Head) -> tuple[dict[str, Padded], dict[str, Tensor]]:
    """Random clips as a head's inputs, and as what the released code reads: text states, sound and pictures."""
    mask = torch.ones(CLIPS, STEPS, dtype=torch.bool)
    ids = torch.randint(5, 30, (CLIPS, STEPS))
    inputs = {"text": Padded(ids, mask, mask[:, :, None])}
    for role, width in (("audio", AUDIO), ("vision", VISION)):
        values = torch.randn(CLIPS, STEPS, width).double()
        inputs[role] = Padded(values, mask, mask[:, :, None].expand(values.shape))
    read = {"text": head.encoder.states(inputs["text"])[-1]} | {m: inputs[m].values for m in ("audio", "vision")}
    return inputs, read


def varied(released: nn.Module) -> nn.Module:
    """In 64 bit, with biases, norms and tokens that are not all 0 or 1: a wrong one would not show else."""
    for parameter in released.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return released.eval().double()


def dlf_terms(given: Mapping[str, Tensor], margin: nn.Module) -> dict[str, Tensor]:
    """The weighted terms of the released training loop, from PyTorch's losses."""
    l1, square, cosine = nn.L1Loss(), nn.MSELoss(), nn.CosineEmbeddingLoss()
    logits = {"fused": "output_logit", "shared": "logits_c"} | {m: f"logits_{s}_hetero" for m, s in LETTERS.items()}
    found = {f"l1_{name}": (3 if name == "text" else 1) * l1(given[key], LABELS) for name, key in logits.items()}
    letters = LETTERS.values()
    found["l_r"] = 0.1 * sum(square(given[f"recon_{s}"], given[f"origin_{s}"]) for s in letters)
    found["l_s"] = 0.1 * sum(square(given[f"s_{s}"].permute(1, 2, 0), given[f"s_{s}_r"]) for s in letters)
    apart = torch.tensor([-1])
    parts = [(given[f"s_{s}"].reshape(-1, 50), given[f"c_{s}"].reshape(-1, 50)) for s in letters]
    found["l_o"] = 0.01 * sum(cosine(specific, shared, apart) for specific, shared in parts)
    aligned = torch.cat([given[f"c_{s}_sim"] for s in letters])
    found["l_m"] = 0.01 * margin(LABELS.repeat(3, 1), aligned)
    return found


def compared(name: str, code: Path, folder: Path) -> Terms:
    """The prediction and each loss term, of the released code and of the head with its weights.

    Raises:
        SystemExit: If a weight of the head was not copied.
    """
    margin = None
    if name == "almt":
        released, head, pairs = released_almt(code / "ALMT"), head_like(name, {"steps": STEPS}, folder), almt_pairs
    else:
        (released, margin), head, pairs = released_dlf(code / "DLF"), head_like(name, {"kernel": 1}, folder), dlf_pairs
    count = copied(pairs(head, varied(released)))
    own = sum(p.numel() for key, p in head.named_parameters() if not key.startswith("encoder."))
    if count != own:
        raise SystemExit(f"{name}: {count} of its {own} weights were copied")
    inputs, read = clips(head)
    outputs = head(inputs)
    terms = head.losses(outputs, LABELS, "main")
    if margin is None:
        theirs = released(read["vision"], read["audio"], read["text"])
        expected = {"mse": nn.functional.mse_loss(theirs, LABELS)}
    else:
        given = released(read["text"], read["audio"], read["vision"])
        theirs, expected = given["output_logit"], dlf_terms(given, margin)
    return {"prediction": (theirs, outputs["prediction"])} | {k: (v, terms[k]) for k, v in expected.items()}


def checked(about: str | None, heads: Mapping[str, tuple[str, Compare]]) -> None:
    """Print each head's differences and verdicts, and exit with 1 if one misses.

    Args:
        about: The help.
        heads: Head to the folder of its released code, and to what compares them (the folder of all released code, and
            one to write in).
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    given = os.environ.get("FEATZOO_RELEASED_CODE", "../shared/released")
    parser.add_argument("--code", type=Path, default=Path(given))
    options, missed = parser.parse_args(), False
    for name, (code, compare) in heads.items():
        if not (options.code / code).is_dir():
            print(f"{name}: no released code at {options.code / code}: not checked (python {sys.argv[0]} --help)")
            continue
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            for what, (theirs, mine) in compare(options.code, Path(folder)).items():
                apart = float((theirs - mine).abs().max() / theirs.abs().max())
                equal = apart <= BAR and bool(theirs.ndim == 0 or theirs.std() > 0)  # equal constants say nothing
                missed |= not equal
                print(f"{name}: {what:<18} {float(theirs.abs().max()):12.6f}  relative difference {apart:.1e}  "
                      f"{'PASS' if equal else 'MISS'}")  # fmt: skip
    raise SystemExit(int(missed))


if __name__ == "__main__":
    checked(__doc__, {name: (name.upper(), partial(compared, name)) for name in ("almt", "dlf")})
