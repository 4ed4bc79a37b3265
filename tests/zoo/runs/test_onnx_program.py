"""Every head as an ONNX program, run by onnxruntime on other numbers of clips and steps than it was made with."""

import io

import numpy as np
import onnxruntime
import pytest
import torch
from testing.test_heads import OPTIONS, SINGLE_STEP, new_head
from torch import nn

from featzoo.errors import FeatzooError
from featzoo.zoo.nn.onnx_recurrent import onnx_layer
from featzoo.zoo.runs.onnx_program import ExportedHead, onnx_program

REFUSED = {"mfn": "fixes the number of clips or steps", "tfidf": "has a part that ONNX lacks"}
# Their export takes some six seconds for each layer of attention, so these have one of each kind here.
SHALLOW = {"mult": {"layers": 1}, "dlf": {"layers": 1, "memory_layers": 1}}
# (clips, steps): of the example that a program is made with, and of those that it is run on.
MADE, RUN = (3, 6), ((5, 9), (1, 2), (1, 1))


def random_clips(head, roles, count, longest):
    """The arguments of an exported head: random features with random lengths, one more step in each further role."""
    generator, found = torch.Generator().manual_seed(count), []
    for place, role in enumerate(roles):
        steps = 1 if role in SINGLE_STEP else longest + place
        lengths = torch.randint(1, steps + 1, (count,), generator=generator)
        lengths[0] = steps
        mask, spec = torch.arange(steps)[None] < lengths[:, None], head.specs[role]
        shape = mask.shape if spec.ids else (*mask.shape, spec.width)
        ids = torch.randint(5, 13, shape, generator=generator)
        found += [ids if spec.ids else torch.rand(shape, generator=generator), mask]
    return found


def session_of(program):
    file = io.BytesIO()
    program.save(file)
    return onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_head_is_exported_for_any_number_of_clips_and_steps_or_refused(name, random_bert):
    head, labels = new_head(name, random_bert, **SHALLOW.get(name, {}))
    head.prepare(labels)
    roles = [role for role in head.specs if not head.roles[role].for_losses]
    whole = ExportedHead(head, roles, {}).eval()
    made = random_clips(head, roles, *MADE)
    if name in REFUSED:
        with pytest.raises(FeatzooError, match=f"head {name} cannot be exported: its forward pass {REFUSED[name]}"):
            onnx_program(whole, made, name)
        return
    session = session_of(onnx_program(whole, made, name))
    taken = {each.name for each in session.get_inputs()}
    for count, longest in RUN:
        tensors = random_clips(head, roles, count, longest)
        given = {key: each.numpy() for key, each in zip(whole.names, tensors, strict=True) if key in taken}
        (found,) = session.run(None, given)
        with torch.no_grad():
            np.testing.assert_allclose(found, whole(*tensors).numpy(), atol=1e-5)


class Layer(nn.Module):
    """One layer of an LSTM or GRU by ONNX's operator."""

    def __init__(self, rnn):
        super().__init__()
        self.weights = nn.ParameterList([rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0])

    def forward(self, values):
        return onnx_layer(values, list(self.weights))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_recurrent_layer_in_onnx_gives_what_pytorch_gives(kind):
    torch.manual_seed(0)
    rnn = kind(5, 7, batch_first=True)
    varying = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    example = (torch.randn(3, 6, 5),)
    program = torch.onnx.export(Layer(rnn), example, dynamo=True, dynamic_shapes=(varying,), verbose=False)
    session = session_of(program)
    for count, steps in RUN:
        values = torch.randn(count, steps, 5)
        (found,) = session.run(None, {session.get_inputs()[0].name: values.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, rnn(values)[0].numpy(), atol=1e-5)
