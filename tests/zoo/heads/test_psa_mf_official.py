"""`psa-mf.official` against the released code's structure: the same weights, the same predictions and loss terms."""

import numpy as np
import pytest
import torch

from featzoo.weights.imports import transformers_module
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from zoo.heads.released_psa_mf import STEPS, Released, copy_into

WORDS, VISION, AUDIO = [6, 3, 9, 2, 5], [4, 20, 1, 2, 7], [2, 7, 30, 3, 1]
WIDTH = 48


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A sentiment and a personality BERT of 12 layers, and the sentiment BERT's folder."""
    transformers = transformers_module()
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=WIDTH, num_hidden_layers=12, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("bert12")
    sentiment, personality = (transformers.BertModel(config, add_pooling_layer=False).eval() for _ in range(2))
    sentiment.save_pretrained(folder)
    return sentiment, personality, folder


def padded(arrays, length):
    values = np.zeros((length, len(arrays), arrays[0].shape[1]), dtype=np.float32)  # (T, B, D)
    for column, array in enumerate(arrays):
        values[: len(array), column] = array
    return torch.from_numpy(values)


def test_the_released_weights_give_the_released_predictions_and_losses(models):
    """To 1e-5: float32 through 12 layers, in another order of operations."""
    sentiment, personality, folder = models
    rng = np.random.default_rng(5)
    texts = [np.array([2, *rng.integers(5, 40, n), 3]) for n in WORDS]
    vision = [rng.normal(size=(t, 5)).astype(np.float32) for t in VISION]
    audio = [rng.normal(size=(t, 7)).astype(np.float32) for t in AUDIO]
    y = torch.from_numpy(rng.uniform(-3, 3, (5, 1)).astype(np.float32))
    ids, mask = torch.zeros(5, 50, dtype=torch.long), torch.zeros(5, 50)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.from_numpy(text)
        mask[row, : len(text)] = 1
    torch.manual_seed(7)
    released = Released(sentiment, personality, 5, 7).eval()
    with torch.no_grad():
        expected, terms, vector = released(ids, mask, padded(vision, STEPS), VISION, padded(audio, STEPS), AUDIO, y)

    specs = {
        "text": InputSpec(1, True, str(folder)), "personality": InputSpec(WIDTH),
        "vision": InputSpec(5), "audio": InputSpec(7),
    }  # fmt: skip
    head = make_head("psa-mf", find_recipe("psa-mf.official").options, specs, 1).eval()
    copy_into(head, released)
    features = {
        "text": [t[:, None] for t in texts], "personality": list(vector.numpy()[:, None]),
        "vision": vision, "audio": audio,
    }  # fmt: skip
    whole = Split(
        "valid", tuple("abcde"), features, y.double().numpy(), specs, Statistics({}, {}), Counts(5)
    )  # fmt: skip
    batch = whole.batch(range(5))
    with torch.no_grad():
        outputs = head(batch.inputs)
        found = head.losses(outputs, batch.targets, "main")
    assert expected.std() > 0.01  # the predictions differ from clip to clip
    torch.testing.assert_close(outputs["prediction"], expected, atol=1e-5, rtol=1e-5)
    for name, term in terms.items():
        torch.testing.assert_close(found[name], term, atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_too_many_steps_for_the_padded_attention_are_refused(models):
    from featzoo.errors import InvalidOption

    specs = {
        "text": InputSpec(1, True, str(models[2])), "personality": InputSpec(WIDTH),
        "vision": InputSpec(5), "audio": InputSpec(7),
    }  # fmt: skip
    head = make_head("psa-mf", {"attend_steps": 3}, specs, 1).eval()
    features = {
        "text": [np.array([[2], [3]])], "personality": [np.zeros((1, WIDTH), np.float32)],
        "vision": [np.zeros((4, 5), np.float32)], "audio": [np.zeros((1, 7), np.float32)],
    }  # fmt: skip
    whole = Split("valid", ("a",), features, np.zeros((1, 1)), specs, Statistics({}, {}), Counts(1))
    with pytest.raises(InvalidOption, match=r"4 steps of vision: lower inputs\.vision\.max_steps to 3"):
        head(whole.batch([0]).inputs)
