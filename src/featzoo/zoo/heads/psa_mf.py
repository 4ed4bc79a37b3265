"""PSA-MF: sentiment from text, audio and vision, with the text aligned to the speaker's personality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Inputs, Outputs, Padded, Role, groups
from featzoo.zoo.heads.psa_mf_balance import BalancedHead, scaled_gradient
from featzoo.zoo.heads.psa_mf_encoder import CONFIG, encoder_of
from featzoo.zoo.heads.psa_mf_options import Options
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.across_processes import gathered
from featzoo.zoo.nn.layers import Clip, CrossAttention, MaskedLSTM, masked_average
from featzoo.zoo.nn.losses import absolute_error, half_distance, info_nce, masked_mean

MODALITIES = ("vision", "audio")
CONTEXT = ("before", "after")
ALIGNED = "text-aligned"  # the aligned hidden state of a text with stored layers, beside the roles


class PsaMf(BalancedHead):
    """Personality-sentiment aligned multi-level fusion.

    The encoder reads only the text up to layer N = L - `fusion_layers`; then two pseudo tokens, made from
    the last LSTM states of vision and audio and the personality vector, join the sequence for the
    remaining layers (pre-fusion). The result attends to audio and vision by cross attention, and two paths
    (enhanced fusion) give the prediction.

    Reference:
        Personality-sentiment aligned multi-level fusion, arXiv 2512.01442 (AAAI 2026); code
        github.com/HensonXie/PSA-MF at 83423f9 (MIT). L_ccl, L_ps and L_clm are the paper's names.

    Differences:
        - The fusion layers start from the encoder's own last layers (`fusion_init`); in the released code
          they stay random, because their name matches nothing in the checkpoint.
        - The released code's third, unused BERT is left out; it changes no result.
        - Personality is an input, computed once by a frozen encoder in evaluation mode; there it is
          recomputed at every step with dropout active. Without an encoder trained on personality (if
          the recipe falls back on plain `bert` or `bert.minilm`) this is the paper's control, not its
          method: the same network with a second ordinary encoder.
        - Attention over audio and vision is masked; there 500 padded steps are included (`attend_steps`). A missing
          modality contributes no pseudo token, no contrastive pair and a zero vector.
        - The checkpoint is chosen by the dev set's MAE; there the test loss is also used.
        - Any encoder of BERT architecture, any number of layers; `pooling = mean` for encoders that were
          trained with mean pooling. If the personality vector has another width than the encoder, a
          linear layer maps it.
        - Context, not in the paper: if a recipe names `before` or `after` (the neighbouring utterance's
          features, `of = "previous"` and `"next"`), their mean makes one more pseudo token for the fusion layers.
        - Texts are truncated by the recipe (`max_steps`), not at 50 tokens.
        - Layers can be frozen (`frozen_layers`); they are then in evaluation mode.
        - Not in the paper, and off by default: `unimodal`, `modulation`, `additive`, `products`, `stacked`,
          `text_dropout`, `ccl_ramp`.
        - The recipe `psa-mf.official` sets every option as in the released code: with its weights it gives
          that code's prediction and loss terms. It does not repeat the choice of the epoch by test
          loss, the unused third BERT, dropout inside the frozen personality encoder while training, and
          sequences padded at the front.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "text": Role("token ids of the transcript, special tokens included", ids=True),
        "personality": Role("one vector per clip from a frozen personality encoder"),
        "vision": Role("a sequence of vision features"),
        "before": Role("features of the previous utterance of the video", optional=True),
        "after": Role("features of the next utterance of the video", optional=True),
        "audio": Role("a sequence of audio features"),
    }
    predicts: ClassVar[tuple[str, ...]] = ("numbers", "class", "classes")
    options_class: ClassVar[type] = Options
    after_frozen: ClassVar[tuple[str, ...]] = (
        "hidden", "heads", "wide", "dropout", "modality_dropout", "text_dropout", "unimodal", "modulation", "additive",
        "products", "stacked", "ccl_ramp", "ccl_weight", "weights",
    )  # fmt: skip

    def build(self, options: Options, inputs: Mapping[str, InputSpec], targets: int) -> None:
        """Make the layers."""
        self.encoder = encoder_of(options, inputs["text"], self.saved_assets)
        layers, wide = len(self.encoder.layers), self.encoder.width
        self.text_layers = layers - options.fusion_layers
        self.align = options.align_layer + (layers + 1 if options.align_layer < 0 else 0)
        if self.text_layers < 0 or not 0 <= self.align <= layers:
            raise InvalidOption(
                f"head psa-mf: this encoder has {layers} layers and {layers + 1} hidden states; "
                f"fusion_layers = {options.fusion_layers} or align_layer = {options.align_layer} does not fit"
            )
        # Training starts from this hidden state: the output of frozen layers that read pseudo tokens changes every
        # time.
        self.kept = min(self.encoder.frozen, self.text_layers)
        personality, hidden = inputs["personality"].width, options.hidden
        self.personality = nn.Identity() if personality == wide else nn.Linear(personality, wide)
        self.recurrent = nn.ModuleDict({m: MaskedLSTM(inputs[m].width, hidden) for m in MODALITIES})
        self.summary = nn.ModuleDict({m: nn.Linear(hidden, hidden) for m in MODALITIES})
        self.pseudo = nn.ModuleDict({m: nn.Linear(hidden, wide) for m in MODALITIES})
        self.context = nn.ModuleDict({r: nn.Linear(inputs[r].width, wide) for r in CONTEXT if r in inputs})
        self.match = nn.ModuleDict({m: Clip(wide, wide, options.clip) for m in MODALITIES})
        self._build_alignment(options, personality, targets)
        self._build_prediction(options, targets)
        for parameter in self._main():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
        # Last, so that a seed gives the other layers the same weights as without these options.
        read = {"text": wide, **{m: inputs[m].width for m in MODALITIES}}
        self.build_balance({"text": wide, **dict.fromkeys(MODALITIES, hidden)}, read, targets)

    def _build_alignment(self, options: Options, personality: int, targets: int) -> None:
        wide, hidden = self.encoder.width, options.hidden
        self.align_sentiment = nn.Linear(wide, hidden)
        self.align_target = nn.Linear(wide, hidden)
        self.align_personality = nn.Linear(personality, hidden)
        self.align_match = Clip(hidden, hidden, options.clip)
        self.align_out = nn.Linear(hidden, targets)

    def _build_prediction(self, options: Options, targets: int) -> None:
        hidden = options.hidden
        self.text = nn.Linear(self.encoder.width, hidden)
        if options.enhanced_fusion:
            attend = {m: CrossAttention(hidden, options.heads, options.dropout) for m in MODALITIES}
            self.attend = nn.ModuleDict(attend)
            self.lift = nn.ModuleDict({m: nn.Linear(hidden, options.wide) for m in MODALITIES})
            self.fused_norm = nn.LayerNorm(2 * options.wide + hidden)
            self.fused = nn.Linear(2 * options.wide + hidden, 128)
            self.convolve = nn.Conv1d(3, 1, kernel_size=3)
        self.out = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Linear(hidden - 2 + 128 if options.enhanced_fusion else 3 * hidden, 128), nn.Tanh(),
            nn.Linear(128, 128), nn.Tanh(),
            nn.Linear(128, targets),
        )  # fmt: skip

    def forward(self, inputs: Inputs) -> Outputs:
        """`prediction` (B, K), and the logits and similarities of the contrastive terms."""
        if self.training:
            inputs = self.thinned(inputs)
        text = inputs["text"]
        given = inputs["personality"]
        vector = given.values[:, 0].masked_fill(~given.mask[:, :1], 0.0)  # (B, P); 0 where it is missing
        steps, summary, pseudo = self._listen_and_look(inputs, self.personality(vector))
        # Only text up to layer N, then with the pseudo tokens.
        states = {self.kept: text.values} if text.values.is_floating_point() else self._embedded(text)  # (B, T, H)
        first = max(states)
        states |= enumerate(self.encoder.run(states[first], text.mask, first, self.text_layers), first + 1)
        last = states[self.text_layers]
        for role, unit in self.context.items():
            mean = masked_average(inputs[role].values, inputs[role].mask)  # (B, D)
            pseudo[role] = F.relu(unit(mean))  # (B, H)
        extra = torch.stack(list(pseudo.values()), dim=1)  # (B, 2 to 4, H)
        there = torch.stack([inputs[role].mask.any(dim=1) for role in pseudo], dim=1)  # (B, 2 to 4)
        joined = torch.cat([last, extra], dim=1)  # (B, T + 2 to 4, H)
        mask = torch.cat([text.mask, there & self.options.pre_fusion], dim=1)  # (B, T + 2 to 4)
        layers = len(self.encoder.layers)
        states |= enumerate(self.encoder.run(joined, mask, self.text_layers, layers), self.text_layers + 1)
        pooled = self._pool(last, text)  # (B, H)
        outputs: Outputs = {f"clm_{m}": self.match[m](pooled, pseudo[m]) for m in MODALITIES}  # (B, B) each
        outputs["there_text"] = text.mask.any(dim=1)  # (B,)
        outputs |= {f"there_{m}": there[:, i] for i, m in enumerate(MODALITIES)}
        # A state below the first is in the inputs, pooled.
        aligned = self._pool(states[self.align], text) if self.align in states else inputs[ALIGNED].values[:, 0]
        outputs |= self._align(aligned, vector, given.mask[:, 0] & outputs["there_text"])
        if self.options.unimodal:
            outputs |= self.unimodal({"text": pooled, **summary})
        fused = scaled_gradient(self._pool(states[layers], text), self.factors().get("text"))  # (B, H)
        main = self.text(fused)  # (B, h)
        if self.options.enhanced_fusion:
            attended = {m: self._attend(m, main, steps[m], inputs[m].mask) for m in MODALITIES}
            outputs["prediction"] = self._fuse(main, attended)
        else:
            given_summary = [summary[m] * there[:, i, None] for i, m in enumerate(MODALITIES)]
            outputs["prediction"] = self.out(torch.cat([*given_summary, main], dim=-1))  # (B, K)
        read = {"text": _kept(last, text.mask), **{m: inputs[m] for m in MODALITIES}}
        return self.read_beside(outputs, read)

    def distil(self, inputs: Inputs) -> Inputs | None:
        """The text after its frozen layers, and the state that is aligned if it is one before."""
        text = inputs["text"]
        if self.kept < 0 or text.values.is_floating_point():
            return None
        states = self._embedded(text)  # (B, T, H)
        states |= enumerate(self.encoder.run(states[0], text.mask, 0, self.kept), 1)
        found = {**inputs, "text": _kept(states[self.kept], text.mask)}
        if self.align < self.kept:
            pooled = self._pool(states[self.align], text)[:, None]  # (B, 1, H)
            found[ALIGNED] = _kept(pooled, torch.ones_like(text.mask[:, :1]))
        return found

    def _embedded(self, text: Padded) -> dict[int, Tensor]:
        """Hidden state 0 (B, T, H) of token ids (B, T)."""
        if text.values.shape[1] > self.encoder.longest:
            raise InvalidOption(
                f"a text of {text.values.shape[1]} tokens; the encoder has positions for "
                f"{self.encoder.longest}: lower inputs.text.max_steps"
            )
        return {0: self.encoder.embed(text.values, text.mask)}  # (B, T, H)

    def _listen_and_look(self, inputs: Inputs, vector: Tensor) -> tuple[dict[str, Tensor], ...]:
        """By modality: the LSTM's outputs (B, T, h), a summary (B, h) and the pseudo token (B, H)."""
        steps, summary, pseudo, factor = {}, {}, {}, self.factors()
        for m in MODALITIES:
            read = self.recurrent[m](inputs[m].values, inputs[m].mask)
            steps[m], last = (scaled_gradient(each, factor.get(m)) for each in read)  # (B, T, h), (B, h)
            summary[m] = self.summary[m](last)  # (B, h)
            pseudo[m] = F.relu(self.pseudo[m](summary[m]) + vector)  # (B, H)
        return steps, summary, pseudo

    def _attend(self, modality: str, query: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
        """The text (B, h) asks the steps (B, T, h) of one modality: (B, h)."""
        most = self.options.attend_steps
        if not most:
            return cast(Tensor, self.attend[modality](query, steps, mask))
        if steps.shape[1] > most:
            raise InvalidOption(f"{steps.shape[1]} steps of {modality}: lower inputs.{modality}.max_steps to {most}")
        steps = F.pad(steps, (0, 0, 0, most - steps.shape[1]))  # (B, most, h)
        return cast(Tensor, self.attend[modality](query, steps, torch.ones_like(steps[:, :, 0], dtype=torch.bool)))

    def _align(self, text: Tensor, vector: Tensor, given: Tensor) -> Outputs:
        """L_ccl and L_ps at one hidden state: text (B, H) against personality (B, P)."""
        sentiment, personality = self.align_sentiment(text), self.align_personality(vector)  # (B, h)
        distance = half_distance(*(gathered(each, self.training) for each in (sentiment, personality, given)))
        return {
            "ccl": self.align_match(sentiment, personality),  # (B, B)
            "distance": distance,
            "ps": self.align_out(self.align_target(text)),  # (B, K)
            "aligned": given,
        }

    def _fuse(self, text: Tensor, attended: Mapping[str, Tensor]) -> Tensor:
        """Enhanced fusion: the wide path F_s and the convolution F_p, then the sub-network."""
        lifted = [self.lift[m](attended[m]) for m in MODALITIES]
        wide = self.fused(self.fused_norm(torch.cat([*lifted, text], dim=-1)))  # (B, 128)
        stacked = torch.stack([*attended.values(), text], dim=1)  # (B, 3, h)
        local = self.convolve(stacked).squeeze(1)  # (B, h - 2)
        prediction: Tensor = self.out(torch.cat([local, wide], dim=-1))  # (B, K)
        return prediction

    def _pool(self, states: Tensor, text: Padded) -> Tensor:
        """The vector of the text, without pseudo tokens: (B, T or more, H) to (B, H); 0 for a clip without text."""
        words = states[:, : text.mask.shape[1]]  # (B, T, H)
        if self.options.pooling == "mean":
            return masked_average(words, text.mask)  # (B, H)
        return words[:, 0] * text.mask[:, :1].to(words.dtype)  # (B, H)

    def losses(self, outputs: Outputs, targets: Tensor, stage: str) -> dict[str, Tensor]:
        """l1, l_ccl, l_ps and l_clm, weighted; for classes, l1 and the error in l_ps are their cross entropy."""
        l1, ccl, ps, clm = self.options.weights
        distance = outputs["distance"]
        if self.options.ccl_weight == "half_distance":
            far, near = distance, 1 - distance
        else:
            far, near = 1 - 2 * distance, 2 * distance
        error = masked_mean(self.objective.each(outputs["ps"], targets), outputs["aligned"])
        task = self.objective.terms(outputs["prediction"], targets, l1=absolute_error)
        there = {m: gathered(outputs[f"there_{m}"] & outputs["there_text"], self.training) for m in MODALITIES}
        matched = [info_nce(outputs[f"clm_{m}"], there[m]) for m in MODALITIES]
        ccl = ccl * self.ramp()
        terms = {
            **{name: l1 * term for name, term in task.items()},
            "l_ccl": ccl * far * info_nce(outputs["ccl"], gathered(outputs["aligned"], self.training)),
            "l_ps": ps * near * error,
            "l_clm": clm * torch.stack(matched).sum(),
        }
        return {**terms, **self.of_each_modality(outputs, targets)}

    def parameter_groups(self, stage: str, lr: Mapping[str, float]) -> list[dict[str, Any]]:
        """`encoder` (with what makes the pseudo tokens, and their contrastive units) and `main`, the rest.

        `audio` and `vision` (their LSTMs), `additive` and `products` have their own rates if `lr` has these names.
        """
        named = {"encoder": self._encoder_side()}
        named |= {m: [*self.recurrent[m].parameters(), *self.summary[m].parameters()] for m in MODALITIES if m in lr}
        own = {name: getattr(self, name, None) for name in ("additive", "products") if name in lr}
        named |= {name: list(unit.parameters()) for name, unit in own.items() if unit is not None}
        learning = {name: [p for p in params if p.requires_grad] for name, params in named.items()}
        known = {id(p) for params in learning.values() for p in params}
        main = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        return groups({"main": main, **learning}, lr)

    def _encoder_side(self) -> list[nn.Parameter]:
        modules = [self.encoder, self.personality, self.pseudo, self.match, self.context]
        return [p for module in modules for p in module.parameters()]

    def _main(self) -> list[nn.Parameter]:
        first = {id(p) for p in self._encoder_side()}
        return [p for p in self.parameters() if id(p) not in first]

    def assets(self) -> dict[str, str]:
        """The encoder's configuration, so that a trained run loads without the original weights."""
        return {CONFIG: self.encoder.config_text()}


def _kept(states: Tensor, mask: Tensor) -> Padded:
    """(B, T, H) of the true steps of (B, T) `mask`."""
    return Padded(states, mask, mask[:, :, None].expand(states.shape))  # (B, T, H)
