"""Against transformers' own image processor and model on the same frames, and windows against a naive loop."""

import numpy as np
import pytest
from conftest import make_vision, write_video
from hypothesis import given
from hypothesis import strategies as st

from featzoo.errors import InvalidOption, MissingWeights
from featzoo.extractors.vision.videomae import Shot, VideoMae, windows
from featzoo.media.clip import Clip


def plainly(folder, images):
    """All hidden states (layers, B, tokens, D) for windows of (H, W, 3) pictures, by transformers alone."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    processor = transformers.VideoMAEImageProcessorPil.from_pretrained(str(folder))
    values = processor(images, return_tensors="pt").pixel_values  # (B, frames, 3, h, w)
    model = transformers.VideoMAEModel.from_pretrained(str(folder)).eval()
    with torch.no_grad():
        found = model(values, output_hidden_states=True)
    return [each.numpy() for each in (*found.hidden_states[:-1], found.last_hidden_state)]


@pytest.mark.parametrize("options", [{}, {"stride": 1, "hop": 2, "batch_size": 3}, {"rate": 8.0, "layers": (1, 3)}])
@pytest.mark.parametrize("name", ["talk.mp4", "uneven.mkv"])
def test_windows_of_a_video(random_vision, made, name, options):
    clip = Clip("a", made / name)
    extractor = VideoMae(model=str(random_vision / "videomae"), **options)
    found = extractor.extract(clip)
    everything = list(clip.frames())
    shots = list(clip.frames(rate=8.0)) if "rate" in options else everything[:: extractor.stride]
    # a sampled frame lasts until the next one that is sampled
    ends = [*(shot.start for shot in shots[1:]), everything[-1].end]
    hop = extractor.hop or 4
    starts = list(range(0, len(shots) - 3, hop))
    if starts[-1] + 4 < len(shots):
        starts.append(len(shots) - 4)
    states = plainly(random_vision / "videomae", [[shot.image for shot in shots[s : s + 4]] for s in starts])
    expected = np.mean([states[layer] for layer in extractor.layers], axis=0).mean(axis=1)
    # the same float32 forward, in other batches
    np.testing.assert_allclose(found.features, expected, atol=1e-5)
    np.testing.assert_array_equal(found.intervals, [(shots[s].start, ends[s + 3]) for s in starts])
    assert found.names[0] == "hidden_0"


def test_a_clip_of_fewer_frames_repeats_its_last(random_vision, tmp_path):
    clip = Clip("a", write_video(tmp_path / "short.mp4", count=3))
    found = VideoMae(model=str(random_vision / "videomae"), stride=2).extract(clip)
    images = [shot.image for shot in clip.frames()]
    states = plainly(random_vision / "videomae", [[images[0], images[2], images[2], images[2]]])
    np.testing.assert_allclose(found.features, states[-1].mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.intervals, [[0.0, 0.12]])


@given(total=st.integers(0, 60), length=st.integers(1, 9), hop=st.integers(1, 12))
def test_windows(total, length, hop):
    """Full ones each `hop`; one more where frames of the next are left that none has shown."""
    found = [
        [shot.image for shot in window] for window in windows((Shot(n, n, n + 1) for n in range(total)), length, hop)
    ]
    expected = [list(range(s, s + length)) for s in range(0, total - length + 1, hop)]
    following = len(expected) * hop
    shown = expected[-1][-1] if expected else -1
    if following < total and shown < total - 1:
        last = list(range(max(0, total - length), total))
        expected.append(last + [total - 1] * (length - len(last)))
    assert found == expected


def test_the_pretraining_model_serves_too(tmp_path, made):
    """The hub's files are those of the pretraining model, with a decoder that is not used."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    folder = make_vision(tmp_path / "m", "videomae")
    config = transformers.VideoMAEConfig.from_pretrained(
        str(folder), decoder_num_hidden_layers=1, decoder_hidden_size=16, decoder_num_attention_heads=2
    )
    torch.manual_seed(2)
    transformers.VideoMAEForPreTraining(config).save_pretrained(folder)
    extractor = VideoMae(model=str(folder))
    extractor.prepare()
    shots = list(Clip("a", made / "talk.mp4").frames())[::4]
    states = plainly(folder, [[shot.image for shot in shots[:4]]])
    np.testing.assert_allclose(
        extractor.extract(Clip("a", made / "talk.mp4")).features[:1], states[-1].mean(axis=1), atol=1e-5
    )


def test_invalid_options_are_refused(random_vision):
    with pytest.raises(InvalidOption, match="not videomae"):
        VideoMae(model=str(random_vision / "clip")).prepare()
    with pytest.raises(InvalidOption, match="hidden states 0 to 3, not -5"):
        VideoMae(model=str(random_vision / "videomae"), layers=(-5,)).prepare()
    with pytest.raises(MissingWeights, match="feat weights get MCG-NJU/videomae-base"):
        VideoMae().prepare()
    for options in ({"stride": 0}, {"hop": 0}, {"rate": 0.0}, {"layers": ()}):
        with pytest.raises(ValueError, match="positive"):
            VideoMae(**options)
