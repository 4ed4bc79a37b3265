"""PSA-MF's released forward pass and loss terms, told again from its description (methods.md 3.2), step by step.

Time first, no masks, two separate BERTs, 500 padded steps: nothing is shared with featzoo.zoo.heads.psa_mf. Its
parameters are named as that description names them; `copy_into` carries them over, module by module.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

STEPS = 500
SCALE = math.log(1 / 0.07)


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.rnn = nn.LSTM(width, 64)
        self.linear = nn.Linear(64, 64)

    def forward(self, values, lengths):  # values (500, B, D)
        packed = pack_padded_sequence(values, lengths, enforce_sorted=False)
        out, (last, _) = self.rnn(packed)
        return pad_packed_sequence(out, total_length=STEPS)[0], self.linear(last[0])


class ClipLoss(nn.Module):
    def __init__(self, left, right):
        super().__init__()
        self.x, self.y = nn.Linear(left, 128), nn.Linear(right, 128)

    def forward(self, x, y):
        x = self.x(x)
        x = x / x.norm(dim=1, keepdim=True)
        y = self.y(y / y.norm(dim=1, keepdim=True))
        logits = SCALE * x @ y.T
        truth = torch.arange(len(x), device=x.device)
        return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


class Released(nn.Module):
    """All texts padded to one length; `sentiment` and `personality` are BertModels."""

    def __init__(self, sentiment, personality, vision, audio):
        super().__init__()
        self.sentiment, self.personality = sentiment, personality
        wide = sentiment.config.hidden_size
        self.visual_enc, self.acoustic_enc = Encoder(vision), Encoder(audio)
        self.to_text_v, self.to_text_a = nn.Linear(64, wide), nn.Linear(64, wide)
        self.clip_v, self.clip_a = ClipLoss(wide, wide), ClipLoss(wide, wide)
        self.sp1, self.sp2, self.pp = nn.Linear(wide, 64), nn.Linear(wide, 64), nn.Linear(wide, 64)
        self.clip_sp, self.score = ClipLoss(64, 64), nn.Linear(64, 1)
        self.m_s = nn.Linear(wide, 64)
        self.att_v, self.att_a = nn.MultiheadAttention(64, 2), nn.MultiheadAttention(64, 2)
        self.wide_v, self.wide_a = nn.Linear(64, 2048), nn.Linear(64, 2048)
        self.norm, self.narrow = nn.LayerNorm(4160), nn.Linear(4160, 128)
        self.conv = nn.Conv1d(3, 1, kernel_size=3)
        self.linear_1, self.linear_2, self.linear_3 = nn.Linear(190, 128), nn.Linear(128, 128), nn.Linear(128, 1)

    def forward(self, ids, mask, vision, vision_lengths, audio, audio_lengths, y):
        p = self.personality(ids, attention_mask=mask).last_hidden_state[:, 0]
        steps_v, v = self.visual_enc(vision, vision_lengths)
        steps_a, a = self.acoustic_enc(audio, audio_lengths)
        v_prime, a_prime = F.relu(self.to_text_v(v) + p), F.relu(self.to_text_a(a) + p)

        layers = self.sentiment.encoder.layer
        hidden = [self.sentiment.embeddings(input_ids=ids)]
        for layer in layers[:-1]:
            hidden.append(first(layer(hidden[-1], extended(mask))))
        s11 = hidden[-1][:, 0]
        joined = torch.cat([hidden[-1], v_prime[:, None], a_prime[:, None]], dim=1)
        longer = torch.cat([mask, torch.ones(len(mask), 2, dtype=mask.dtype, device=mask.device)], dim=1)
        hidden.append(first(layers[-1](joined, extended(longer))))
        l_clm = self.clip_a(s11, a_prime) + self.clip_v(s11, v_prime)

        cls = hidden[len(layers) - 2][:, 0]  # index 10 of 0..12
        sp1, sp2, pp = self.sp1(cls), self.sp2(cls), self.pp(p)
        cosine = (sp1 * pp).sum(1) / (sp1.norm(dim=1) * pp.norm(dim=1))
        distance = (1 - cosine.mean()) / 2
        l_ccl = distance * self.clip_sp(sp1, pp)
        l_ps = (1 - distance) * (self.score(sp2) - y).abs().mean()

        m_s = self.m_s(hidden[-1][:, 0])
        v_t = self.att_v(m_s[None], steps_v, steps_v)[0][0]
        a_t = self.att_a(m_s[None], steps_a, steps_a)[0][0]
        f_s = self.narrow(self.norm(torch.cat([self.wide_v(v_t), self.wide_a(a_t), m_s], dim=1)))
        f_p = self.conv(torch.stack([v_t, a_t, m_s], dim=1))[:, 0]
        out = torch.tanh(self.linear_1(torch.cat([f_p, f_s], dim=1)))
        prediction = self.linear_3(torch.tanh(self.linear_2(out)))
        terms = {
            "l1": (prediction - y).abs().mean(),
            "l_ccl": l_ccl,
            "l_ps": 0.1 * l_ps,
            "l_clm": 0.09 * l_clm,
        }
        return prediction, terms, p


def first(output):
    return output if isinstance(output, torch.Tensor) else output[0]


def extended(mask):
    return (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min


def copy_into(head, released):
    """Every weight of the released model but its personality BERT into a featzoo head."""
    pairs = {
        "encoder.embeddings": released.sentiment.embeddings,
        "encoder.layers": released.sentiment.encoder.layer,
        "recurrent.vision.lstm": released.visual_enc.rnn,
        "recurrent.audio.lstm": released.acoustic_enc.rnn,
        "summary.vision": released.visual_enc.linear,
        "summary.audio": released.acoustic_enc.linear,
        "pseudo.vision": released.to_text_v,
        "pseudo.audio": released.to_text_a,
        "match.vision.left": released.clip_v.x,
        "match.vision.right": released.clip_v.y,
        "match.audio.left": released.clip_a.x,
        "match.audio.right": released.clip_a.y,
        "align_sentiment": released.sp1,
        "align_target": released.sp2,
        "align_personality": released.pp,
        "align_match.left": released.clip_sp.x,
        "align_match.right": released.clip_sp.y,
        "align_out": released.score,
        "text": released.m_s,
        "attend.vision.attention": released.att_v,
        "attend.audio.attention": released.att_a,
        "lift.vision": released.wide_v,
        "lift.audio": released.wide_a,
        "fused_norm": released.norm,
        "fused": released.narrow,
        "convolve": released.conv,
        "out.1": released.linear_1,
        "out.3": released.linear_2,
        "out.5": released.linear_3,
    }
    state = {f"{name}.{key}": value for name, module in pairs.items() for key, value in module.state_dict().items()}
    left = set(head.state_dict()) - set(state)
    if any(not name.endswith("scale") for name in left):
        raise ValueError(f"not copied: {sorted(left)}")
    head.load_state_dict(state, strict=False)
