"""Every head learns the kinds of targets that it names, and refuses the others."""

import numpy as np
import pytest
import torch

from featzoo.errors import InvalidOption
from featzoo.zoo.head import find_head, make_head
from featzoo.zoo.objective import Objective
from zoo.heads.test_baselines import REGISTERED, SMALL, WIDTH, specs, split

# psa-mf reads other roles: a whole training in tests/zoo/runs/test_classes.py.
# These are fitted, not trained: tests/zoo/heads/test_pooled.py, test_boosting.py and test_tfidf.py.
FITTED = {"boosting", "linear", "svm", "tfidf"}
HEADS = [name for name in REGISTERED if set(find_head(name).roles) <= set(WIDTH) and name not in FITTED]
LEARN_CLASSES = [
    "almt",
    "attention-pool",
    "ef-lstm",
    "lf-dnn",
    "lmf",
    "mfn",
    "misa",
    "mlp",
    "mult",
    "siamese",
    "text-classification",
    "tfn",
]
NUMBER = np.array([0, 1, 2, 3, 1, 0])


def targets_of(kind):
    return NUMBER[:, None].astype(float) if kind == "class" else np.eye(4)[NUMBER]


def of_classes(name, model, kind, **options):
    torch.manual_seed(0)
    return make_head(name, SMALL.get(name, {}) | options, specs(name, model), 4, objective=Objective(kind))


def test_these_heads_learn_classes():
    assert [name for name in HEADS if "class" in find_head(name).predicts] == LEARN_CLASSES


@pytest.mark.parametrize("kind", ["class", "classes"])
@pytest.mark.parametrize("name", LEARN_CLASSES)
def test_a_head_learns_the_classes_of_a_few_clips(name, kind, tiny_bert):
    """The error falls in every stage that changes predictions, so its loss is that of the classes."""
    head, batch = of_classes(name, tiny_bert, kind), split(name, tiny_bert).batch(range(6))
    targets = torch.from_numpy(targets_of(kind)).float()
    head.prepare(targets)
    for stage in head.stages:
        head.begin(stage)
        inputs = batch.inputs
        optimizer = torch.optim.Adam([p for p in head.parameters() if p.requires_grad], 0.01)
        seen = []
        for _ in range(25):
            head.train()
            outputs = head(inputs)
            assert outputs["prediction"].shape == (6, 4)
            terms = head.losses(outputs, targets, stage)
            assert all(torch.isfinite(term) for term in terms.values())
            optimizer.zero_grad()
            torch.stack(list(terms.values())).sum().backward()
            optimizer.step()
            seen.append(float(terms["ce" if "ce" in terms else next(iter(terms))].detach()))
        if stage not in head.by_loss:
            assert "ce" in terms or "task" in terms
            assert np.mean(seen[-5:]) < np.mean(seen[:5])
    shares = head.objective.values(outputs["prediction"].detach())
    assert ((shares >= 0) & (shares <= 1)).all()


@pytest.mark.parametrize("name", [name for name in HEADS if name not in LEARN_CLASSES])
def test_a_head_whose_losses_need_numbers_refuses_classes(name, tiny_bert):
    with pytest.raises(InvalidOption, match=f"head {name} learns numbers, not class: its losses need them"):
        of_classes(name, tiny_bert, "class")


def test_scores_of_classes_have_no_limits(tiny_bert):
    head = of_classes("tfn", tiny_bert, "class", limits=[-1.0, 1.0])
    with torch.no_grad():
        head.out[-1].bias.fill_(7.0)
    assert (head.eval()(split("tfn", tiny_bert).batch(range(6)).inputs)["prediction"] > 5).all()
