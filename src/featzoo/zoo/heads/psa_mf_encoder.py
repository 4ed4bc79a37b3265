"""PSA-MF's encoder, for the options."""

from __future__ import annotations

from collections.abc import Mapping

from featzoo.errors import InvalidOption
from featzoo.zoo.heads.psa_mf_options import Options
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.split_encoder import SplitEncoder, pretrained, untrained

CONFIG = "encoder.json"


def encoder_of(options: Options, text: InputSpec, assets: Mapping[str, str] | None) -> SplitEncoder:
    """The encoder of the token ids, or that of a trained run's assets; its first layers frozen as the options say."""
    if assets is not None:
        encoder = untrained(assets[CONFIG])
    elif text.model:
        encoder = pretrained(text.model)
        if options.fusion_init == "random":
            encoder.reset(len(encoder.layers) - options.fusion_layers)
    else:
        raise InvalidOption("head psa-mf: the set of token ids does not say which model's tokenizer made it")
    if options.frozen_layers >= 0:
        encoder.freeze(options.frozen_layers)
    return encoder
