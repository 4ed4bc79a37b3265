"""What a run looks like: a picture of its curves and predictions, and its model card."""

from __future__ import annotations

import inspect
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from featzoo.zoo.data.split import Array, Counts, Split
from featzoo.zoo.head import Head
from featzoo.zoo.metrics.binary import reliability
from featzoo.zoo.metrics.classification import Classified
from featzoo.zoo.metrics.tables import format_metrics
from featzoo.zoo.recipe import Recipe
from featzoo.zoo.runs.confusion import draw_confusion
from featzoo.zoo.training.checkpoint import Epoch, Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch.nn import Parameter


def curves(trained: Trained, predicted: Sequence[tuple[Split, Array]], columns: Sequence[str], kind: str) -> bytes:
    """A PNG: loss terms by epoch, dev MAE or BA with the chosen epoch marked, predicted against true values.

    Args:
        trained: What training gave.
        predicted: Splits and their (N, K) predictions; the first two are drawn.
        columns: K target names.
        kind: The recipe's `target.metrics`; of `binary`, the share of yes is drawn against its predicted probability.
    """
    # Drawn without pyplot: no global state, no display, safe in any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    losses, dev, scatter = figure.subplots(1, 3)
    _draw_losses(losses, trained.epochs)
    _draw_dev(dev, trained)
    if kind == "class":
        split, pred = predicted[-1]
        draw_confusion(scatter, Classified.of(pred, split.targets, columns))
        scatter.set(title=f"{split.name}, {len(split)} clips")
    elif kind == "binary":
        _draw_reliability(scatter, predicted[:2], columns)
    else:
        _draw_scatter(scatter, predicted[:2], columns)
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def layer_curve(layers: Sequence[str], points: Mapping[str, Sequence[tuple[float, float]]], metric: str) -> bytes:
    """A PNG: one metric by the hidden state that is aligned, mean and deviation over seeds, one line a split.

    Args:
        layers: Names of the L + 1 hidden states.
        points: Split to L + 1 pairs of mean and deviation (NaN of a single seed).
        metric: Its name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for split, pairs in points.items():
        mean, deviation = np.array(pairs).T  # (L + 1,) each
        axes.errorbar(range(len(layers)), mean, np.nan_to_num(deviation), marker="o", capsize=3, label=split)
    axes.set_xticks(range(len(layers)), [name.removeprefix("layer ") for name in layers])
    axes.set(title="Alignment by hidden state", xlabel="hidden state (0: embeddings)", ylabel=metric)
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def _draw_losses(axes: Axes, epochs: Sequence[Epoch]) -> None:
    numbers = [epoch.epoch for epoch in epochs]
    for name in epochs[-1].losses:
        values = [epoch.losses.get(name, np.nan) for epoch in epochs]
        total = name == "total"
        axes.plot(numbers, values, "k.-" if total else ".-", linewidth=2.0 if total else 1.2, label=name)
    axes.set(title="Train loss, weighted terms", xlabel="epoch", ylabel="loss")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    axes.locator_params(axis="x", integer=True)


def _draw_dev(axes: Axes, trained: Trained) -> None:
    numbers = [epoch.epoch for epoch in trained.epochs]
    chosen_by = trained.epochs[-1].chosen_by  # a stage that the loss chooses has its dev MAE too
    names = {"BA": "balanced accuracy", "UAR": "unweighted average recall"}
    scores = [epoch.score if chosen_by in names else epoch.dev_mae for epoch in trained.epochs]
    axes.plot(numbers, scores, marker=".", color="tab:blue")
    if trained.best is not None:
        score = scores[trained.best.epoch - 1]
        axes.axvline(trained.best.epoch, color="tab:red", linestyle="--", linewidth=1)
        axes.plot(trained.best.epoch, score, "o", color="tab:red",
                  label=f"chosen: epoch {trained.best.epoch}, {score:.3f}")  # fmt: skip
        axes.legend(fontsize="small")
    title = chosen_by if chosen_by in names else "MAE"
    axes.set(title=f"Dev {title}", xlabel="epoch", ylabel=names.get(chosen_by, "mean absolute error"))
    axes.grid(alpha=0.3)
    axes.locator_params(axis="x", integer=True)


def _draw_scatter(axes: Axes, predicted: Sequence[tuple[Split, Array]], columns: Sequence[str]) -> None:
    for (split, pred), colour, marker in zip(predicted, ("tab:orange", "tab:blue"), ("x", "o"), strict=False):
        axes.scatter(split.targets.ravel(), pred.ravel(), s=14, alpha=0.5, color=colour, marker=marker,
                     linewidths=0.8, label=f"{split.name} ({len(split)} clips)")  # fmt: skip
    everything = np.concatenate([part.ravel() for split, pred in predicted for part in (split.targets, pred)])
    ends = [float(everything.min()), float(everything.max())]
    axes.plot(ends, ends, color="grey", linewidth=1)
    axes.set(title=f"Predicted against true {', '.join(columns)}", xlabel="true", ylabel="predicted")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _draw_reliability(axes: Axes, predicted: Sequence[tuple[Split, Array]], columns: Sequence[str]) -> None:
    """Share of yes by predicted probability, all labels together; a marker's area is its bin's share of them."""
    for (split, pred), colour in zip(predicted, ("tab:orange", "tab:blue"), strict=False):
        probability, share, size = reliability(pred.ravel(), split.targets.ravel())
        axes.plot(probability, share, color=colour, linewidth=1, label=f"{split.name} ({len(split)} clips)")
        axes.scatter(probability, share, s=600 * size / size.sum(), color=colour, alpha=0.5, linewidths=0)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, label="calibrated")
    name = columns[0] if len(columns) == 1 else f"{len(columns)} labels together"
    axes.set(title=f"Reliability, {name}", xlabel="predicted probability of 1", ylabel="share of 1")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


# Further pictures of a card, by kind of metrics.
CARD_PICTURES = {
    "traits": ["![Distribution of predictions beside the truth](traits.png)"],
    "class": ["![Confusion matrix](confusion.png)"],
}
LEFT_OUT = (
    " The head fits weights to the dev split too; in what follows, each dev clip is predicted by the weights that the "
    "other dev clips give."
)


def card(
    name: str,
    recipe: Recipe,
    head: Head,
    sets: Mapping[str, Mapping[str, Any]],
    counts: Mapping[str, Counts],
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]],
    trained: Trained,
    environment: Mapping[str, Any],
) -> str:
    """The model card of a run, as Markdown.

    Args:
        name: The run's name.
        recipe: As resolved.
        head: The trained head.
        sets: What `data.describe` gave.
        counts: Split to what became of its clips.
        metrics: Split to `head` and the constant predictors' metrics.
        trained: What training gave.
        environment: What `records.environment` gave.
    """
    parts = [f"# {name}", _summary(recipe, head, trained), *_pictures(recipe, trained), "## Results"]
    for split, values in metrics.items():
        constants = {key: value for key, value in values.items() if key != "head"}
        table = format_metrics(values["head"], constants)
        parts.append(f"{split}, {counts[split].clips} clips:\n\n```\n{table}\n```")
    parts += ["## Features", _sets(recipe, sets), "## Clips", _counts(counts)]
    parts += _audit(environment.get("audit", ()))
    parts += ["## The method", f"```\n{inspect.getdoc(type(head)) or ''}\n```"]
    versions = ", ".join(f"{key} {value}" for key, value in environment["versions"].items())
    parts += [
        "## Made with",
        f"`{environment['command']}` on {environment['device']}, Python {environment['python']}, {versions}; "
        f"seed {recipe.training.seed}. Every setting is in recipe.toml.",
        f"`zoo evaluate {name}` computes the table again from the weights and the features.",
    ]
    return "\n\n".join(parts) + "\n"


def _pictures(recipe: Recipe, trained: Trained) -> list[str]:
    """The pictures in the run's folder; a head that was fitted has no curves."""
    curves = ["![Curves and predictions](curves.png)"] if trained.epochs else []
    return [*curves, *CARD_PICTURES.get(recipe.target.metrics, ())]


def _audit(lines: Sequence[str]) -> list[str]:
    """The section on what train shares with the other splits; none in runs of older versions."""
    return ["## Audit", "\n".join(f"- {line}" for line in lines)] if lines else []


def _summary(recipe: Recipe, head: Head, trained: Trained) -> str:
    best = trained.best.epoch if trained.best else 0
    total = sum(p.numel() for p in head.parameters())
    learning = sum(p.numel() for p in _trained(head, recipe))
    about = f"{recipe.description or recipe.head}. Predicts {', '.join(recipe.target.columns)}. "
    if not trained.epochs:
        return f"{about}{total:,} parameters, fitted to the train split. The test split took no part in any choice."
    return (
        f"{about}{total:,} parameters, {learning:,} of them trained; {len(trained.epochs)} epochs, "
        f"the weights are those of epoch {best}, which has {_chosen(trained, recipe)}. "
        f"The test split took no part in any choice.{LEFT_OUT if head.fits_dev else ''}"
    )


def _chosen(trained: Trained, recipe: Recipe) -> str:
    """By what dev chose the epoch."""
    scores = {
        "BA": "the highest mean balanced accuracy",
        "UAR": "the highest unweighted average recall",
        "loss": "the lowest loss",
    }
    score = scores.get(trained.best.chosen_by if trained.best else "", "the lowest mean absolute error")
    languages = f", of its clips in {', '.join(recipe.target.languages)}" if recipe.target.languages else ""
    return f"{score} on the dev split{languages}"


def _trained(head: Head, recipe: Recipe) -> list[Parameter]:
    """The parameters that learn in some stage."""
    rates = recipe.training.learning_rates
    groups = [group for stage in head.stages for group in head.parameter_groups(stage, rates)]
    return list({id(p): p for group in groups for p in group["params"]}.values())


def _sets(recipe: Recipe, sets: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| input | feature set | width | choice |", "|---|---|---|---|"]
    for role, one in sets.items():
        wanted = recipe.inputs[role].features
        choice = f"{one['request']}, of {', '.join(wanted)}" if one["key"] else "none: masked for every clip"
        lines.append(f"| {role} | {one['key']} | {one['width']} | {choice} |")
    terms = {one["key"]: one.get("licence", "") for one in sets.values()}
    said = [f"Licence of {key}: {licence}." for key, licence in terms.items() if licence]
    return "\n".join(lines) + "".join(f"\n\n{line}" for line in said)


def _counts(counts: Mapping[str, Counts]) -> str:
    lines = [
        "| split | used | without label | left out | masked | values not observed |",
        "|---|---|---|---|---|---|",
    ]
    for split, count in counts.items():
        cells = [_each(count.left_out), _each(count.missing), _each(count.unobserved)]
        lines.append(f"| {split} | {count.clips} | {count.without_target} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _each(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{role}: {n}" for role, n in counts.items()) or "0"
