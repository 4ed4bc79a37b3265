"""Against transformers' own image processor and model on the same frames."""

import json
import shutil

import numpy as np
import pytest
from conftest import make_vision

from featzoo.errors import ClipError, InvalidOption, MissingWeights
from featzoo.extractors.contract import make_extractor
from featzoo.extractors.vision.clip_siglip import ClipFrames, SiglipFrames
from featzoo.extractors.vision.preprocessing import PREPROCESSOR, Fit, Habits, preparation
from featzoo.media.clip import Clip

KINDS = {"clip": ClipFrames, "siglip": SiglipFrames}
MODELS = {"clip": "CLIPVisionModelWithProjection", "siglip": "SiglipVisionModel"}


def plainly(folder, kind, images, part=None):
    """The model's whole output for (H, W, 3) pictures, by transformers alone."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    name = {"clip": "CLIPImageProcessorPil", "siglip": "SiglipImageProcessorPil"}[kind]
    values = getattr(transformers, name).from_pretrained(str(folder))(images, return_tensors="pt").pixel_values
    model = getattr(transformers, MODELS[kind]).from_pretrained(str(folder)).eval()
    with torch.no_grad():
        return (getattr(model, part) if part else model)(values, output_hidden_states=True)


@pytest.fixture
def clip(made):
    return Clip("a", made / "talk.mp4")


@pytest.mark.parametrize("options", [{"count": 3}, {"rate": 4.0, "batch_size": 3}])
@pytest.mark.parametrize("kind", KINDS)
def test_embeddings(random_vision, clip, kind, options):
    shots = list(clip.frames(**{name: options[name] for name in options if name != "batch_size"}))
    found = KINDS[kind](model=str(random_vision / kind), **options).extract(clip)
    expected = plainly(random_vision / kind, kind, [shot.image for shot in shots])
    expected = expected.image_embeds if kind == "clip" else expected.pooler_output
    # the same float32 forward, in other batches
    np.testing.assert_allclose(found.features, expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(found.intervals, [(shot.start, shot.end) for shot in shots])
    assert found.features.shape[1] == {"clip": 12, "siglip": 16}[kind]
    assert found.names[1] == "embedding_1"


def test_pooled_is_what_clip_projects(random_vision, clip):
    images = [shot.image for shot in clip.frames(count=2)]
    found = ClipFrames(model=str(random_vision / "clip"), output="pooled", count=2).extract(clip)
    expected = plainly(random_vision / "clip", "clip", images, "vision_model").pooler_output
    np.testing.assert_allclose(found.features, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("layers", [(-1,), (0,), (1, 3), (-2, 0, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states(random_vision, clip, kind, layers):
    images = [shot.image for shot in clip.frames(count=2)]
    found = KINDS[kind](model=str(random_vision / kind), output="hidden", layers=layers, count=2).extract(clip)
    output = plainly(random_vision / kind, kind, images, "vision_model" if kind == "clip" else None)
    states = [each.numpy() for each in (*output.hidden_states[:-1], output.last_hidden_state)]
    mean = np.mean([states[layer] for layer in layers], axis=0)
    expected = mean[:, 0] if kind == "clip" else mean.mean(axis=1)
    np.testing.assert_allclose(found.features, expected, atol=1e-5)


SETTINGS = [
    ({}, ClipFrames.habits),
    ({"size": {"shortest_edge": 40}, "resample": 2}, ClipFrames.habits),
    ({"size": {"height": 50, "width": 36}, "crop_size": {"height": 21, "width": 30}}, ClipFrames.habits),
    ({"do_normalize": False, "do_center_crop": True}, SiglipFrames.habits),
    ({"do_rescale": False}, ClipFrames.habits),
    ({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.9, 0.8, 0.7], "rescale_factor": 0.01}, ClipFrames.habits),
]


@pytest.mark.parametrize(("settings", "habits"), SETTINGS)
@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (33, 91), (200, 37)])
def test_pictures_are_what_transformers_makes_of_them(tmp_path, settings, habits, shape):
    from featzoo.weights.imports import transformers_module

    folder = make_vision(tmp_path / "m", "clip", processor=settings)
    image = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    processor = transformers_module().CLIPImageProcessorPil.from_pretrained(str(folder))
    expected = processor(image, return_tensors="np").pixel_values[0]
    ready = preparation(json.loads((folder / PREPROCESSOR).read_text()), habits, "m")
    mean, std = (np.array(each)[:, None, None] for each in (ready.mean, ready.std))
    found = (ready.fit(image).numpy() * ready.scale - mean) / std
    # grey levels agree exactly, what follows is float32 there
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def test_settings_of_the_published_models():
    """Their preprocessor_config.json as it is on the hub: whole numbers for sizes, no word on rescaling."""
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    clip = {
        "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": mean, "image_std": std, "resample": 3,
        "size": 224,
    }  # fmt: skip
    ready = preparation(clip, ClipFrames.habits, "clip")
    assert ready.fit(np.zeros((300, 500, 3), np.uint8)).shape == (3, 224, 224)
    assert ready.fit.__self__ == Fit(224, None, (224, 224), 3)
    assert ready.scale == 1 / 255
    siglip = {"do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 224, "width": 224}}
    assert preparation(siglip, SiglipFrames.habits, "siglip").fit.__self__ == Fit(None, (224, 224), None, 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"do_pad": True}, "do_pad"),
        ({"size": {"longest_edge": 3}}, "longest_edge"),
        ({"do_center_crop": False}, "any size"),
        ({"crop_size": 60}, "smaller"),
        ({"image_mean": None}, ""),
    ],
)
def test_settings_that_are_refused(settings, said):
    whole = {"size": {"shortest_edge": 32}, "crop_size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    whole = {name: value for name, value in {**whole, **settings}.items() if value is not None}
    with pytest.raises(InvalidOption, match=said or "gives no image_mean"):
        preparation(whole, Habits(cut=True, square=False, resample=3), "m")


def test_half_precision_is_near_and_has_a_key_of_its_own(random_vision, clip):
    full, half = (ClipFrames(model=str(random_vision / "clip"), count=2, precision=p) for p in ("fp32", "bf16"))
    one, other = full.extract(clip).features, half.extract(clip).features
    # bfloat16 keeps 8 bits
    assert 0 < np.abs(one - other).max() < 0.05 * np.abs(one).max()
    assert other.dtype == np.float32
    assert full.key != half.key


def test_the_key_follows_weights_and_settings(random_vision, tmp_path):
    shutil.copytree(random_vision / "clip", tmp_path / "copy")
    before = ClipFrames(model=str(random_vision / "clip")).key
    assert ClipFrames(model=str(tmp_path / "copy")).key == before
    settings = json.loads((tmp_path / "copy" / PREPROCESSOR).read_text())
    (tmp_path / "copy" / PREPROCESSOR).write_text(json.dumps({**settings, "resample": 2}))
    assert ClipFrames(model=str(tmp_path / "copy")).key != before
    other = make_vision(tmp_path / "other", seed=1)
    assert ClipFrames(model=str(other)).key != before


def test_invalid_options_are_refused(random_vision, tmp_path, clip):
    model = str(random_vision / "clip")
    with pytest.raises(InvalidOption, match="has hidden states 0 to 3, not 4"):
        ClipFrames(model=model, output="hidden", layers=(4,)).prepare()
    with pytest.raises(InvalidOption, match="'clip_vision_model', not siglip"):
        SiglipFrames(model=model).prepare()
    with pytest.raises(InvalidOption, match="output=hidden"):
        make_extractor("clip[layers=[0,1]]")
    with pytest.raises(InvalidOption, match="embedding, hidden"):
        make_extractor("siglip[output=pooled]")
    with pytest.raises(MissingWeights, match="feat weights get openai/clip-vit-base-patch32"):
        ClipFrames().prepare()
    wrong = make_vision(tmp_path / "wrong", image_size=48)
    with pytest.raises(InvalidOption, match="sees 48 x 48 pixels"):
        ClipFrames(model=str(wrong)).prepare()
    (wrong / PREPROCESSOR).unlink()
    with pytest.raises(MissingWeights, match=r"the input that .* expects"):
        ClipFrames(model=str(wrong)).prepare()
    with pytest.raises(ClipError):
        ClipFrames(model=model).extract(Clip("nothing"))


def test_weights_that_lack_a_part_are_refused(tmp_path, clip):
    """transformers would fill in random numbers and go on."""
    from safetensors.torch import load_file, save_file

    folder = make_vision(tmp_path / "m")
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MissingWeights, match=r"lacks 1 of the weights .* visual_projection"):
        ClipFrames(model=str(folder)).extract(clip)
    # without the projection they are a whole model
    assert ClipFrames(model=str(folder), output="pooled", count=1).extract(clip).features.shape == (1, 16)


def test_a_whole_clip_model_serves_too(tmp_path, clip):
    """The hub's files hold the text part as well; only the vision part is used."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    folder = make_vision(tmp_path / "m")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vision = {**small, "num_hidden_layers": 3, "image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(text_config={**small, "vocab_size": 30}, vision_config=vision, projection_dim=12)
    torch.manual_seed(4)
    whole = transformers.CLIPModel(config).eval()
    whole.save_pretrained(folder)
    extractor = ClipFrames(model=str(folder), count=2)
    extractor.prepare()
    images = [shot.image for shot in clip.frames(count=2)]
    values = transformers.CLIPImageProcessorPil.from_pretrained(str(folder))(images, return_tensors="pt").pixel_values
    with torch.no_grad():
        expected = whole.visual_projection(whole.vision_model(values).pooler_output).numpy()
    np.testing.assert_allclose(extractor.extract(clip).features, expected, atol=1e-5)
