"""The check of a head's contract."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor

from featzoo.errors import InvalidOption
from featzoo.testing.contract_error import require
from featzoo.testing.head_trial import Trial, rows_of, trimmed
from featzoo.zoo.head import Head, Outputs, Padded, Role, check_inputs

SMALL = 1e-5  # sums in another order or of another length differ by this much in float32


def check_head(
    head: Head,
    targets: Tensor,
    *,
    token_ids: Sequence[int] = tuple(range(10)),
    single_step: Sequence[str] = (),
    learning_rates: Sequence[str] = ("main",),
    values: Mapping[str, Tensor] | None = None,
) -> None:
    """Check that a head can be trained, evaluated and saved.

    The head is called with random features of random lengths, some of them missing. Its weights are changed.

    Args:
        head: The head, made with the options to check.
        targets: (N, K) labels that the head can learn, such as zeros and ones for a classifier, or (N, 1) class numbers
            for a head whose objective is of one class; N is 4 or more.
        token_ids: Ids from which inputs of token ids are drawn, each known to the encoder.
        single_step: Roles that have one step per clip.
        learning_rates: Names of the head's learning rates.
        values: Role to (D,) lowest and highest value, as (2, D) or (2, 1), of features that are not standardised.

    Raises:
        ContractError: For the first rule that the head breaks.
    """
    generator = torch.Generator().manual_seed(0)
    require(isinstance(head, Head), "a head is a subclass of featzoo's Head")
    _check_class(type(head), head)
    trial = Trial(head, targets, tuple(token_ids), frozenset(single_step), values or {}, generator)
    head.prepare(targets)
    learned: set[str] = set()
    for stage in head.stages:
        head.begin(stage)
        _check_groups(head, stage, learning_rates)
        _check_step(trial, stage, learned)
        _check_missing(trial, stage)
        _check_distil(trial, stage)
    idle = sorted({name for name, _ in head.named_parameters()} - learned - trial.frozen)
    require(not idle, f"gradients reach every trainable parameter: none reached {', '.join(idle[:5])}")
    head.eval()
    _check_prediction(trial)
    _check_padding(trial)
    _check_saving(trial)


def _check_class(kind: type[Head], head: Head) -> None:
    roles = getattr(kind, "roles", None)
    named = isinstance(roles, Mapping) and bool(roles) and all(isinstance(role, Role) for role in roles.values())
    require(named, "roles maps the name of each input to a Role")
    options = kind.options_class
    settings = getattr(options, "__dataclass_params__", None)
    require(getattr(settings, "frozen", False), "options_class is a frozen dataclass")
    missing = dataclasses.MISSING
    free = all((f.default, f.default_factory) != (missing, missing) for f in dataclasses.fields(options))
    require(free, "every option has a default")
    require(isinstance(head.options, options), "options is an instance of options_class")
    require(bool(head.stages) and len(set(head.stages)) == len(head.stages), "stages have different names")
    require(set(head.stages) <= set(kind.stages), "a head's stages are among those of its class")
    require(set(head.by_loss) <= set(kind.stages), "by_loss names stages")
    names = list(inspect.signature(kind.forward).parameters)
    require(len(names) == 2, "forward takes only the inputs: it never sees a target")
    try:
        check_inputs(kind.__name__, kind, head.specs)
    except InvalidOption as error:
        require(False, f"the head is made with the inputs of its roles: {error}")


def _check_groups(head: Head, stage: str, learning_rates: Sequence[str]) -> None:
    try:
        groups = head.parameter_groups(stage, dict.fromkeys(learning_rates, 1e-3))
    except InvalidOption as error:
        require(False, f"learning_rates are those of the head: {error}")
        return
    given = [id(p) for group in groups for p in group["params"]]
    learning = {id(p) for p in head.parameters() if p.requires_grad}
    require(len(given) == len(set(given)), "a parameter is in one group")
    require(set(given) == learning, "parameter_groups holds exactly the trainable parameters of the stage")


def _check_step(trial: Trial, stage: str, learned: set[str]) -> None:
    """Steps of training; adds the names of the parameters that a gradient reached to `learned`."""
    head = trial.head
    for rows in _batches(len(trial)):
        head.train()
        head.zero_grad()
        inputs = rows_of(trial.read(trial.inputs(whole=True), stage), rows)
        head.see(rows)
        outputs = head(inputs)
        _check_outputs(trial, outputs, len(rows))
        terms = trial.losses(outputs, stage, rows)
        torch.stack(list(terms.values())).sum().backward()
        for name, parameter in head.named_parameters():
            if parameter.grad is None:
                continue
            require(parameter.requires_grad, f"no gradient reaches a frozen parameter: {name}")
            require(bool(torch.isfinite(parameter.grad).all()), f"gradients are finite: {name}")
            if bool(parameter.grad.any()):
                learned.add(name)
        detached = {name: value.detach() for name, value in outputs.items()}
        still = any(term.requires_grad for term in trial.losses(detached, stage, rows).values())
        require(not still, "parameters are used in forward only: losses gives no gradient of detached outputs")
    kept = all(isinstance(value, Tensor) and not value.requires_grad for value in head.memory.values())
    require(kept, "memory holds tensors without gradients")


def _batches(count: int) -> Iterator[Tensor]:
    """All clips repeated an odd number of times, and a single clip, so that the signs of errors cannot cancel."""
    odd = count - 1 + count % 2
    for _ in range(3):
        yield torch.arange(odd)
        yield torch.arange(count - odd, count)
    yield torch.tensor([0])


def _check_outputs(trial: Trial, outputs: Outputs, count: int) -> None:
    require(isinstance(outputs, dict) and "prediction" in outputs, "forward gives a dict with `prediction`")
    require(all(isinstance(value, Tensor) for value in outputs.values()), "forward gives tensors")
    shape = (count, trial.width)
    prediction = outputs["prediction"]
    require(tuple(prediction.shape) == shape, f"prediction is (B, K): expected {shape}, got {tuple(prediction.shape)}")
    require(bool(torch.isfinite(prediction).all()), "predictions are finite")


def _check_missing(trial: Trial, stage: str) -> None:
    """Every role missing in all clips, alone, all but one and together; and each missing in a few."""
    head = trial.head
    roles = tuple(head.specs)
    single = [tuple(other for other in roles if other != role) for role in roles]
    for missing in dict.fromkeys([(), *((role,) for role in roles), *single, roles]):
        for training in (True, False):
            head.train(training)
            head.zero_grad()
            head.see(torch.arange(len(trial)))
            outputs = head(trial.read(trial.inputs(missing), stage))
            _check_outputs(trial, outputs, len(trial))
            total = torch.stack(list(trial.losses(outputs, stage).values())).sum()
            if training and total.requires_grad:
                total.backward()
                there = [p.grad for p in head.parameters() if p.grad is not None]
                finite = all(bool(torch.isfinite(gradient).all()) for gradient in there)
                require(finite, f"gradients are finite where clips lack {', '.join(missing) or 'an input'}")


def _check_distil(trial: Trial, stage: str) -> None:
    head = trial.head.eval()
    inputs = trial.read(trial.inputs(), stage)
    with torch.no_grad():
        kept = head.distil(inputs)
        if kept is not None:
            _close(head(kept)["prediction"], head(inputs)["prediction"], "forward takes the result of distil")


def _check_prediction(trial: Trial) -> None:
    head, inputs = trial.head, trial.inputs()
    before = trial.predict(inputs)
    require(torch.equal(trial.predict(inputs), before), "evaluation is deterministic")
    with torch.no_grad():
        outputs = head(trial.read(inputs, head.stages[-1]))
        trial.losses(outputs, head.stages[-1])
        head.losses(outputs, trial.targets.flip(0), head.stages[-1])
    require(torch.equal(trial.predict(inputs), before), "targets that losses has seen do not change predictions")
    order = torch.randperm(len(trial), generator=trial.generator)
    _close(trial.predict(rows_of(inputs, order)), before[order], "the order of clips does not change predictions")
    alone = [trial.predict(trimmed(rows_of(inputs, torch.tensor([row])))) for row in range(len(trial))]
    _close(torch.cat(alone), before, "a clip's prediction does not depend on its batch")
    for role, wanted in head.roles.items():
        if wanted.for_losses and role in inputs:
            absent = inputs | {role: _without(inputs[role])}
            _close(trial.predict(absent), before, f"the head predicts without '{role}', which is for losses")


def _check_padding(trial: Trial) -> None:
    inputs = trial.inputs()
    before = trial.predict(inputs)
    for role, one in inputs.items():
        garbage = trial.random(role, trial.head.specs[role], torch.ones_like(one.mask)).values
        past = ~one.mask if one.values.dim() == 2 else ~one.mask[:, :, None]
        dirty = inputs | {role: one._replace(values=torch.where(past, garbage, one.values))}
        _close(trial.predict(dirty), before, f"values in the padding of '{role}', or of a clip without it, are ignored")


def _check_saving(trial: Trial) -> None:
    head, inputs = trial.head, trial.inputs()
    before = trial.predict(inputs)
    weights = load(save({name: value.contiguous() for name, value in head.state_dict().items()}))
    assets = head.assets()
    plain = all(isinstance(name, str) and isinstance(text, str) for name, text in assets.items())
    require(plain, "assets maps file names to texts")
    again = type(head)(head.options, head.specs, trial.width, assets, head.objective)
    try:
        again.load_state_dict(weights)
    except RuntimeError as error:
        require(False, f"a new head loads the weights of a saved one: {error}")
    found = Trial(again, trial.targets, trial.token_ids, trial.single_step, trial.values, trial.generator)
    require(torch.equal(found.predict(inputs), before), "a saved and loaded head gives the same predictions")


def _without(one: Padded) -> Padded:
    return Padded(*(torch.zeros_like(tensor) for tensor in one))


def _close(found: Tensor, expected: Tensor, rule: str) -> None:
    require(bool(torch.allclose(found, expected, rtol=SMALL, atol=SMALL)), rule)
