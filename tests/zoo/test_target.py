"""What a recipe's target may say, and how the weights of its classes follow from the train split."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from featzoo.errors import InvalidOption
from featzoo.zoo.target import Target
from featzoo.zoo.training.class_weights import objective_of

CLASS = {"kind": "class", "columns": ("emotion",), "classes": ("anger", "joy", "fear")}


def test_a_class_has_its_own_metrics_and_no_range():
    target = Target(**CLASS, range=(-3.0, 3.0), metrics="sentiment")
    assert (target.range, target.metrics, target.predicts) == ((), "class", "class")
    assert target.outputs == ("anger", "joy", "fear")
    several = Target(("happy", "sad"), "classes", metrics="sentiment")
    assert (several.metrics, several.predicts, several.outputs) == ("binary", "classes", ("happy", "sad"))
    assert Target(("a", "b")).predicts == "numbers"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "number", "columns": ("a", "b")}, "has one column"),
        ({"kind": "class", "columns": ("a", "b")}, "has one column"),
        ({"columns": ("a",), "smoothing": 0.1}, "smoothing needs kind .*, set target.smoothing to 0.0"),
        ({"columns": ("a",), "weights": "balanced"}, 'weights needs kind .*, set target.weights to "none"'),
        ({"columns": ("a",), "metrics": "class"}, "needs kind"),
        ({**CLASS, "classes": ("a", "a")}, "two or more different names"),
        ({**CLASS, "classes": ("a",)}, "two or more different names"),
        ({**CLASS, "smoothing": 1.0}, "smoothing must be"),
        ({**CLASS, "weights": "balanced", "class_weights": {"joy": 2.0}}, "exclude each other"),
        ({**CLASS, "class_weights": {"joy": 0.0}}, "must be above 0"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        Target(**fields)


def test_balanced_weights_are_scikit_learns():
    labels = np.array([0, 0, 0, 1, 2, 2])
    found = objective_of(Target(**CLASS, weights="balanced"), labels[:, None].astype(float)).weights
    assert found == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=labels))


def test_a_class_without_train_clips_has_weight_1():
    found = objective_of(Target(**CLASS, weights="balanced"), np.array([[0.0], [0.0], [0.0], [2.0]]))
    assert found.weights == pytest.approx((4 / (2 * 3), 1.0, 4 / (2 * 1)))


def test_several_classes_are_balanced_by_zeros_to_ones():
    labels = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert objective_of(Target(("a", "b"), "classes", weights="balanced"), labels).weights == (1.0, 1.0)
    assert objective_of(Target(("a",), "classes", weights="balanced"), labels[:3, :1]).weights == (2.0,)


def test_weights_by_name_are_in_the_order_of_the_classes():
    assert objective_of(Target(**CLASS, class_weights={"fear": 2.5}), np.zeros((1, 1))).weights == (1.0, 1.0, 2.5)
    with pytest.raises(InvalidOption, match="no class 'fera': did you mean 'fear'"):
        objective_of(Target(**CLASS, class_weights={"fera": 2.5}), np.zeros((1, 1)))
