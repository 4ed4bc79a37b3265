"""Heads on pooled features, compared with scikit-learn's own predictions and with closed forms."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Padded, make_head
from featzoo.zoo.heads.pooled.networks import AttentiveStatistics
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.objective import Objective

C = 0.05


def data(clips=60, width=8, classes=4, seed=0):
    """Features of different scales, and classes that they tell to a degree."""
    rng = np.random.default_rng(seed)
    truth = np.arange(clips) % classes
    features = rng.normal(size=(clips, width)) + rng.normal(size=(classes, width))[truth]
    return (features * 10.0 ** rng.integers(-2, 3, width) + 5).astype(np.float32), truth


def fitted(name, features, targets, kind, outputs, weights=(), roles=("audio",), **options):
    width = features.shape[1] // len(roles)
    specs = {role: InputSpec(width) for role in roles}
    options = {"penalties": [C], "pooling": "mean"} | options
    head = make_head(name, options, specs, outputs, objective=Objective(kind, tuple(weights))).eval()
    groups = [str(number) for number in range(len(features))]
    head.fit(features.astype(np.float64), np.asarray(targets, dtype=float), groups, 0)
    return head


def predict(head, features, roles=("audio",)):
    parts = np.split(features, len(roles), axis=1)
    inputs = {}
    for role, part in zip(roles, parts, strict=True):
        values = torch.from_numpy(np.nan_to_num(part))[:, None]
        seen = torch.from_numpy(~np.isnan(part))[:, None]
        inputs[role] = Padded(values, torch.ones(values.shape[:2], dtype=torch.bool), seen)
    with torch.no_grad():
        return head.objective.values(head(inputs)["prediction"]).numpy()


@pytest.mark.parametrize("width", [8, 200])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_svm_predicts_as_scikit_learn_does(width, classes):
    features, truth = data(width=width, classes=classes)
    new, _ = data(width=width, classes=classes, seed=1)
    theirs = make_pipeline(StandardScaler(), SVC(kernel="linear", C=C, break_ties=True)).fit(features, truth)
    head = fitted("svm", features, truth[:, None], "class", classes)
    np.testing.assert_array_equal(predict(head, new).argmax(axis=1), theirs.predict(new))


@pytest.mark.parametrize("classes", [2, 4])
def test_svm_can_separate_each_class_from_the_rest(classes):
    features, truth = data(classes=classes)
    new, _ = data(classes=classes, seed=1)
    weights = np.linspace(1, 2, classes)
    model = LinearSVC(C=C, dual=False, class_weight=dict(enumerate(weights)))
    theirs = make_pipeline(StandardScaler(), model).fit(features, truth)
    head = fitted("svm", features, truth[:, None], "class", classes, weights, multiclass="rest")
    np.testing.assert_array_equal(predict(head, new).argmax(axis=1), theirs.predict(new))


def test_balanced_weights_reach_the_solver():
    features, truth = data(classes=3)
    kept = (truth != 2) | (np.arange(60) < 12)
    features, truth = features[kept], truth[kept]
    counts = np.bincount(truth)
    weights = len(truth) / (3 * counts)
    model = SVC(kernel="linear", C=C, class_weight="balanced", break_ties=True)
    theirs = make_pipeline(StandardScaler(), model).fit(features, truth)
    head = fitted("svm", features, truth[:, None], "class", 3, weights)
    np.testing.assert_array_equal(predict(head, features).argmax(axis=1), theirs.predict(features))


@pytest.mark.parametrize("classes", [2, 4])
def test_linear_gives_the_probabilities_of_logistic_regression(classes):
    features, truth = data(classes=classes)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=C, tol=1e-8, max_iter=5000)).fit(features, truth)
    head = fitted("linear", features, truth[:, None], "class", classes)
    np.testing.assert_allclose(predict(head, features), theirs.predict_proba(features), atol=2e-3)


@pytest.mark.parametrize(("name", "model"), [("linear", Ridge(alpha=1 / C)), ("svm", SVR(kernel="linear", C=C))])
def test_numbers_are_predicted_as_scikit_learn_does(name, model):
    features, _ = data()
    truth = np.stack([features[:, 0] / 100 + features[:, 1], features[:, 2]], axis=1).astype(np.float64)
    truth = (truth - truth.mean(axis=0)) / truth.std(axis=0)
    head = fitted(name, features, truth, "numbers", 2)
    for k in range(2):
        theirs = make_pipeline(StandardScaler(), model).fit(features.astype(np.float64), truth[:, k])
        np.testing.assert_allclose(predict(head, features)[:, k], theirs.predict(features), atol=5e-3)


def test_several_classes_at_once_are_separate_problems():
    features, truth = data()
    both = np.stack([truth > 1, truth % 2], axis=1).astype(float)
    head = fitted("linear", features, both, "classes", 2)
    for k in range(2):
        model = LogisticRegression(C=C, tol=1e-8, max_iter=5000)
        theirs = make_pipeline(StandardScaler(), model).fit(features, both[:, k])
        np.testing.assert_allclose(predict(head, features)[:, k], theirs.predict_proba(features)[:, 1], atol=2e-3)


@pytest.mark.parametrize("name", ["svm", "linear"])
def test_a_class_that_no_train_clip_has_is_never_predicted(name):
    features, truth = data(classes=3)
    moved = np.array([0, 2, 4])[truth]
    found = predict(fitted(name, features, moved[:, None], "class", 5), features)
    assert set(found.argmax(axis=1)) == {0, 2, 4}
    alone = predict(fitted(name, features, np.full((60, 1), 3), "class", 5), features)
    assert set(alone.argmax(axis=1)) == {3}


@pytest.mark.parametrize("roles", [("text",), ("text", "vision"), ("text", "audio", "vision")])
def test_roles_are_read_side_by_side(roles):
    features, truth = data(width=6)
    together = fitted("svm", features, truth[:, None], "class", 4)
    apart = fitted("svm", features, truth[:, None], "class", 4, roles=roles)
    np.testing.assert_allclose(predict(apart, features, roles), predict(together, features), atol=1e-6)


def test_what_was_not_observed_counts_as_the_train_mean():
    features, truth = data()
    head = fitted("linear", features, truth[:, None], "class", 4)
    gaps, filled = features.copy(), features.copy()
    gaps[:, 3], filled[:, 3] = np.nan, features[:, 3].mean()
    np.testing.assert_allclose(predict(head, gaps), predict(head, filled), atol=1e-5)


def test_the_penalty_is_chosen_by_held_out_groups():
    """Each group has a sign of its own: rows of a group tell each other's labels, and nothing else does."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 6)
    features = np.eye(20)[groups] + 0.01 * rng.normal(size=(120, 20))
    truth = np.repeat(rng.permutation(np.arange(20) % 2), 6)[:, None].astype(float)
    specs = {"audio": InputSpec(20)}
    scores = []
    for names in (groups, np.arange(120)):
        options = {"penalties": [0.1, 10.0], "pooling": "mean"}
        head = make_head("linear", options, specs, 2, objective=Objective("class"))
        head.fit(features, truth, [str(name) for name in names], 0)
        scores.append(max(head.choices["scores"][0]))
    assert scores[0] < 0.7
    assert scores[1] == 1.0


def test_attention_that_is_the_same_everywhere_gives_plain_statistics():
    torch.manual_seed(0)
    layer = AttentiveStatistics(4, 6, 3, 0.0).eval()
    torch.nn.init.zeros_(layer.score[-1].weight)
    values, mask = torch.randn(2, 5, 4), torch.arange(5)[None] < torch.tensor([[5], [3]])
    with torch.no_grad():
        found = layer(Padded(values, mask, mask[..., None].expand(values.shape)))
        hidden = layer.project(values)
    for row, steps in enumerate((5, 3)):
        part = hidden[row, :steps].numpy()
        expected = np.concatenate([part.mean(axis=0), part.std(axis=0)])
        np.testing.assert_allclose(found[row].numpy(), expected, atol=2e-3)


def test_a_head_without_any_input_is_refused():
    with pytest.raises(InvalidOption, match="at least one input of text, audio, vision"):
        make_head("mlp", {}, {"audio": InputSpec(1, given=False)}, 3, objective=Objective("class"))
