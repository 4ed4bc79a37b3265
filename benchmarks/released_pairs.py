"""Layers of the heads `almt` and `dlf` beside those of their released code, for `released_code.py`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from featzoo.zoo.head import Head

LETTERS = {"text": "l", "audio": "a", "vision": "v"}


def copied(pairs: Mapping[nn.Module | nn.Parameter, nn.Module | Tensor]) -> int:
    """Copy each value's weights into its key, parameter by parameter in their order; how many numbers were copied."""
    count = 0
    for mine, theirs in pairs.items():
        into = [mine] if isinstance(mine, nn.Parameter) else list(mine.parameters())
        given = [theirs] if isinstance(theirs, Tensor) else list(theirs.parameters())
        for own, other in zip(into, given, strict=True):
            own.data.copy_(other.data.reshape(own.shape))
            count += own.numel()
    return count


def almt_pairs(head: Head, released: nn.Module) -> dict:
    """The layers of `almt` and those of the released code."""
    pairs = {head.hyper: released.h_hyper, head.out: released.regression_layer, head.above.positions:
             released.l_encoder.pos_embedding}  # fmt: skip
    for m, letter in LETTERS.items():
        theirs = getattr(released, f"proj_{letter}")
        pairs |= {head.project[m]: theirs[0], head.reduce[m].positions: theirs[1].pos_embedding,
                  head.reduce[m].tokens: theirs[1].extra_token}  # fmt: skip
        pairs |= blocks(head.reduce[m].layers, theirs[1].encoder.layers)
    pairs |= blocks(head.above.layers, released.l_encoder.encoder.layers)
    fusion = released.fusion_layer
    pairs |= {head.fuse.source: fusion.pos_embedding_s, head.fuse.target: fusion.pos_embedding_t,
              head.fuse.token: fusion.extra_token}  # fmt: skip
    pairs |= blocks(head.fuse.layers, fusion.CrossTransformerEncoder.layers)
    for own, (theirs,) in zip(head.layers, released.h_hyper_layer.layers, strict=True):
        of = theirs.fn
        pairs |= {own.norm_text: theirs.norm1, own.norms["audio"]: theirs.norm2, own.norms["vision"]: theirs.norm3,
                  own.norm_hyper: theirs.norm4, own.query: of.to_q, own.key["audio"]: of.to_k_ta,
                  own.key["vision"]: of.to_k_tv, own.value["audio"]: of.to_v_ta, own.value["vision"]: of.to_v_tv,
                  own.out: of.to_out}  # fmt: skip
    return pairs


def blocks(mine: nn.ModuleList, theirs: nn.ModuleList) -> dict:
    """Layers of ALMT's transformers: attention and a network, each with its norms."""
    pairs = {}
    for own, (attention, network) in zip(mine, theirs, strict=True):
        at, of = own.attention, attention.fn
        pairs |= {at.norm_query: attention.norm_q, at.norm_key: attention.norm_k, at.norm_value: attention.norm_v,
                  at.query: of.to_q, at.key: of.to_k, at.value: of.to_v, at.out: of.to_out,
                  own.norm: network.norm, own.network: network.fn}  # fmt: skip
    return pairs


def dlf_pairs(head: Head, released: nn.Module) -> dict:
    """The layers of `dlf` and those of the released code that have an effect there."""
    pairs = crossmodal(head.shared, released.encoder_c)
    for m, letter in LETTERS.items():
        of = {name: getattr(released, name.format(letter)) for name in (
            "proj_{}", "decoder_{}", "align_c_{}", "proj1_{}_high", "proj2_{}_high", "out_layer_{}_high",
            "projector_{}", "encoder_s_{}", "self_attentions_c_{}", "trans_{}_mem")}  # fmt: skip
        pairs |= {head.project[m]: of["proj_{}"], head.decode[m]: of["decoder_{}"], head.align[m]: of["align_c_{}"],
                  head.hidden[m].layers[0]: of["proj1_{}_high"], head.hidden[m].layers[3]: of["proj2_{}_high"],
                  head.out[m]: of["out_layer_{}_high"], head.gate[m]: of["projector_{}"]}  # fmt: skip
        pairs |= crossmodal(head.specific[m], of["encoder_s_{}"])
        pairs |= crossmodal(head.read_shared[m], of["self_attentions_c_{}"])
        pairs |= crossmodal(head.memory_of[m], of["trans_{}_mem"])
        if m != "text":
            pairs |= crossmodal(head.attract[m], getattr(released, f"trans_l_with_{letter}"))
    for name, end in (("shared", "_c"), ("fused", "")):
        layers = head.hidden[name].layers
        pairs |= {layers[0]: getattr(released, f"proj1{end}"), layers[3]: getattr(released, f"proj2{end}"),
                  head.out[name]: getattr(released, f"out_layer{end}")}  # fmt: skip
    return pairs | {head.gate["shared"]: released.projector_c}


def crossmodal(mine: nn.Module, theirs: nn.Module) -> dict:
    """Layers of a transformer in which one sequence attends to another."""
    pairs = {mine.norm: theirs.layer_norm}
    for own, other in zip(mine.layers, theirs.layers, strict=True):
        pairs |= {own.attention.attention: other.self_attn, own.before: other.layer_norms[0],
                  own.between: other.layer_norms[1], own.network[0]: other.fc1, own.network[2]: other.fc2}  # fmt: skip
    return pairs
