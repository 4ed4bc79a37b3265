"""Every model extractor gives the features of the CPU on a GPU."""

import numpy as np
import pytest
from extractors.test_fake_gpu import REQUESTS

from featzoo.devices import float32_products
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of

pytestmark = pytest.mark.gpu

# In units of a feature's own size. 32-bit sums in another order; bfloat16 has 8 bits.
TOLERANCE = {"fp32": 1e-4, "bf16": 0.1}


@pytest.mark.parametrize("precision", sorted(TOLERANCE))
@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_a_gpu_gives_the_features_of_the_cpu(name, precision, device, made, random_bert, random_speech, random_vision):
    request = REQUESTS[name]
    for word, folder in (("{bert}", random_bert), ("{speech}", random_speech), ("{vision}", random_vision)):
        request = request.replace(word, str(folder))
    clip = Clip("talk.mp4", made / "talk.mp4", words=words_of("so unbelievable !", 0.2, 1.8))
    exact, tried = (make_extractor(f"{request[:-1]},precision={each}]") for each in ("fp32", precision))
    samples = list(exact.load(clip))
    with float32_products(device):
        found = tried.encode(samples, device)
    for one, other in zip(exact.encode(samples), found, strict=True):
        difference = np.abs(one.features - other.features).max()
        assert difference <= TOLERANCE[precision] * np.abs(one.features).max()
