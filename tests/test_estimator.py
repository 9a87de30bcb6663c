"""The estimators keep scikit-learn's contract, and our own promises."""

import builtins
import importlib
import json
import os
import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from prosegrad.estimator import (
    FeedForwardClassifier,
    FeedForwardEstimator,
    FeedForwardRegressor,
)

KINDS = (FeedForwardClassifier, FeedForwardRegressor)


# As a list, which pytest asks for; scikit-learn gives one since 1.9.1.
CHECKS = parametrize_with_checks([kind() for kind in KINDS])


@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    """Every check passes; only what needs pandas or SciPy is skipped."""
    check(estimator)


@pytest.mark.parametrize("kind", [kind.__name__ for kind in KINDS])
def test_no_check_is_excused(kind: Any) -> None:
    """A skip is for want of pandas; nothing is expected to fail.

    The setting of SciPy must be there before it is imported.
    """
    program = f"""
import json
from sklearn.utils.estimator_checks import estimator_checks_generator
from unittest import SkipTest
from prosegrad.estimator import {kind}

found = []
for estimator, check in estimator_checks_generator({kind}()):
    name = check.func.__name__
    if "array_api" in name:
        check(estimator)
        found.append(name)
print(json.dumps(found))
"""
    path = os.pathsep.join(path for path in sys.path if path)
    setting = {"SCIPY_ARRAY_API": "1", "PYTHONPATH": path}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)


def blobs(n: Any = 60, classes: Any = 3, seed: Any = 0) -> Any:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, 4)) + 3 * np.eye(classes, 4)[y]
    return x, y


def line(n: Any = 60, seed: Any = 0) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, x @ [1.0, -2.0, 0.5, 0.0] + 10 + 0.1 * rng.normal(size=n)


CASES = [(FeedForwardClassifier, blobs), (FeedForwardRegressor, line)]
both = pytest.mark.parametrize(("kind", "data"), CASES)


def same(a: Any, b: Any) -> Any:
    """Tell whether two fitted estimators are equal to the last bit."""
    first, second = a.network_.state(), b.network_.state()
    return all((first[name] == second[name]).all() for name in first)


@both
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_number_gives_the_same_network(
    kind: Any, data: Any, early_stopping: Any
) -> None:
    """Weights, batches and held-out examples follow from the number."""
    x, y = data()
    made = kind(max_iter=5, early_stopping=early_stopping, random_state=3)
    first = clone(made).fit(x, y)
    second = clone(made).fit(x, y)
    other = clone(made).set_params(random_state=4).fit(x, y)

    assert same(first, second)
    assert not same(first, other)
    assert first.loss_curve_ == second.loss_curve_
    assert same(first, second.fit(x, y))


@both
def test_a_generator_moves_on(kind: Any, data: Any) -> None:
    """A RandomState gives another network each time, in one order."""
    x, y = data()
    made = kind(max_iter=2, random_state=np.random.RandomState(5))
    first, second = clone(made).fit(x, y), clone(made)
    second.fit(x, y)
    again = kind(max_iter=2, random_state=np.random.RandomState(5))

    assert same(first, again.fit(x, y))
    assert not same(first, again.fit(x, y))
    assert same(first, second)  # clone copies a RandomState


@both
def test_without_a_number_each_network_is_new(kind: Any, data: Any) -> None:
    x, y = data()
    made = kind(max_iter=1)

    assert not same(clone(made).fit(x, y), clone(made).fit(x, y))


@both
def test_numpys_global_generator_is_left_alone(kind: Any, data: Any) -> None:
    x, y = data()
    np.random.seed(1)
    state: Any = np.random.get_state
    before = state()[1].copy()
    kind(max_iter=1, random_state=0).fit(x, y)

    assert (state()[1] == before).all()


@both
@pytest.mark.parametrize("size", [1, 7, 59, 60, 61, 1000])
def test_batches_may_leave_a_rest(kind: Any, data: Any, size: Any) -> None:
    """A step for each batch, the last of which may be smaller."""
    x, y = data()
    found = kind(batch_size=size, max_iter=2, random_state=0).fit(x, y)

    assert found.n_iter_ == len(found.loss_curve_) == 2
    assert np.isfinite(found.loss_curve_).all()


@both
def test_more_epochs_fit_better(kind: Any, data: Any) -> None:
    x, y = data()
    found = kind(random_state=0).fit(x, y)

    assert found.loss_curve_[-1] < 0.1 * found.loss_curve_[0]
    assert found.score(x, y) > 0.95
    assert found.validation_loss_curve_ == []
    assert found.n_iter_ == 100


@both
def test_the_first_epochs_do_not_depend_on_the_last(kind: Any, data: Any) -> None:
    x, y = data()
    short = kind(max_iter=3, random_state=0).fit(x, y)
    long = kind(max_iter=6, random_state=0).fit(x, y)

    assert long.loss_curve_[:3] == short.loss_curve_


@both
def test_early_stopping_keeps_the_best(kind: Any, data: Any) -> None:
    """The parameters are those after the epoch of the lowest loss."""
    x, _ = data(120)
    y = np.random.default_rng(0).integers(0, 2, 120)  # only noise
    made = kind(
        early_stopping=True,
        validation_fraction=0.25,
        n_iter_no_change=4,
        learning_rate=0.01,
        random_state=0,
    )
    found = clone(made).fit(x, y)
    curve = found.validation_loss_curve_
    best = int(np.argmin(curve))
    until = clone(made).set_params(max_iter=best + 1).fit(x, y)

    assert found.n_iter_ == len(curve) == len(found.loss_curve_)
    assert found.n_iter_ == best + 1 + 4 < 100
    assert same(found, until)


def test_held_out_examples_are_not_trained_on() -> None:
    """What is held out changes neither the weights nor the scale."""
    x, y = line(40)
    made = FeedForwardRegressor(
        early_stopping=True,
        validation_fraction=0.25,
        n_iter_no_change=50,
        max_iter=5,
        random_state=0,
    )
    found = clone(made).fit(x, y)
    seen = [
        i
        for i in range(40)
        if clone(made).fit(x, y + 1e3 * (np.arange(40) == i)).loss_curve_
        != found.loss_curve_
    ]

    assert len(seen) == 30
    assert np.isclose(found.target_mean_[0], y[seen].mean())
    assert np.isclose(found.target_scale_[0], y[seen].std())


def test_classes_share_what_is_held_out() -> None:
    """The rarest class is held out in proportion."""
    x = np.random.default_rng(0).normal(size=(100, 2))
    y = np.array(["common"] * 90 + ["rare"] * 10)
    found: Any = FeedForwardClassifier(
        early_stopping=True, validation_fraction=0.2, random_state=0
    )
    (_, train), (_, held_out) = found._split(np.random.RandomState(0), x, y, stratify=y)

    assert (train == "rare").sum() == 8
    assert (held_out == "rare").sum() == 2


BAD = [
    ({"max_iter": 0}, "max_iter is 0"),
    ({"batch_size": 0}, "batches of 0"),
    ({"learning_rate": 0.0}, "learning rate 0.0"),
    ({"learning_rate": float("nan")}, "learning rate nan"),
    ({"weight_decay": -1.0}, "weight decay -1.0"),
    ({"activation": "cube"}, "'cube' is none of"),
    ({"hidden_layer_sizes": (3, 0)}, "n_outputs is 0"),
    ({"n_iter_no_change": 0}, "patience 0"),
    (
        {"early_stopping": True, "validation_fraction": 1.5},
        "test_size.*1.5",
    ),
    ({"random_state": "x"}, "'x' cannot be used to seed"),
]


@both
@pytest.mark.parametrize(("parameters", "message"), BAD)
def test_bad_parameters_are_refused(
    kind: Any, data: Any, parameters: Any, message: Any
) -> None:
    """It is `fit` that checks, and a fitted network stays."""
    x, y = data()
    found = kind(max_iter=1, random_state=0).fit(x, y)
    before = found.predict(x)
    found.set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        found.fit(x, y)

    assert (found.predict(x) == before).all()


@both
def test_bad_data_is_refused(kind: Any, data: Any) -> None:
    x, y = data()
    made = kind(max_iter=1)
    holed = x.copy()
    holed[3, 1] = np.nan
    for given, message in [
        ((holed, y), "NaN"),
        ((x, y[:-1]), "inconsistent numbers of samples"),
        ((x[0], y), "2D array"),
        ((x[:0], y[:0]), "0 sample"),
        ((x[:, :0], y), "0 feature"),
    ]:
        with pytest.raises(ValueError, match=message):
            made.fit(*given)
    with pytest.raises(NotFittedError):
        made.predict(x)

    made.fit(x, y)
    with pytest.raises(ValueError, match="3 features"):
        made.predict(x[:, :3])


@both
def test_a_training_that_diverges_says_so(kind: Any, data: Any) -> None:
    """No NaN is predicted, and the network of before is there."""
    x, y = data()
    found = kind(max_iter=3, random_state=0).fit(x, y)
    before = found.predict(x)
    found.set_params(learning_rate=1e200, hidden_layer_sizes=(5, 5, 5))
    with pytest.raises(ValueError, match="diverged in epoch 1"):
        found.fit(x, y)

    assert (found.predict(x) == before).all()


def test_probabilities() -> None:
    """Rows add up to one, also for one class and far away."""
    x, y = blobs()
    found = FeedForwardClassifier(max_iter=5, random_state=0).fit(x, y)
    chances = found.predict_proba(1e6 * x)
    alone = clone(found).fit(x, np.zeros(60))

    assert chances.shape == (60, 3)
    assert np.allclose(chances.sum(axis=1), 1)
    assert (chances >= 0).all()
    assert (found.predict(1e6 * x) == chances.argmax(axis=1)).all()
    assert (alone.predict_proba(x) == np.ones((60, 1))).all()


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "bb", "c"],
        [7, -3, 0],
        [False, True, False],
    ],
)
def test_labels_come_back_as_they_were(labels: Any) -> None:
    x, y = blobs()
    labels = np.asarray(labels)[y]
    found = FeedForwardClassifier(random_state=0).fit(x, labels)

    assert (found.classes_ == np.unique(labels)).all()
    assert found.predict(x).dtype == labels.dtype
    assert (found.predict(x) == labels).mean() > 0.9


def test_the_unit_of_the_target_plays_no_part() -> None:
    """A power of two changes the predictions by this factor alone."""
    x, y = line()
    made = FeedForwardRegressor(max_iter=5, random_state=0)
    found = clone(made).fit(x, y).predict(x)

    assert (clone(made).fit(x, 2**40 * y).predict(x) == 2**40 * found).all()
    assert np.allclose(clone(made).fit(x, y - 1e3).predict(x), found - 1e3)


def test_a_transformer_of_targets_does_the_same() -> None:
    x, y = line()
    made = FeedForwardRegressor(max_iter=5, random_state=0)
    around = TransformedTargetRegressor(clone(made), transformer=StandardScaler())

    found = around.fit(x, y).predict(x)
    assert np.allclose(found, made.fit(x, y).predict(x))


def test_several_targets() -> None:
    """Each has its own unit; a column stays a column."""
    x, y = line()
    made = FeedForwardRegressor(random_state=0)
    many = np.column_stack([y, 1000 - 500 * y, np.full(60, 7.0)])
    found = clone(made).fit(x, many)

    assert found.predict(x).shape == (60, 3)
    pairs = zip(found.predict(x).T[:2], many.T[:2])
    assert all(np.corrcoef(a, b)[0, 1] > 0.99 for a, b in pairs)
    assert np.allclose(found.predict(x)[:, 2], 7, atol=0.5)
    assert found.target_scale_[2] == 1
    column = clone(made).set_params(max_iter=2)
    assert clone(column).fit(x, y[:, None]).predict(x).shape == (60, 1)
    assert (
        clone(column).fit(x, y[:, None]).predict(x)[:, 0]
        == clone(column).fit(x, y).predict(x)
    ).all()


def test_whole_numbers_as_targets() -> None:
    x, y = line()
    found = FeedForwardRegressor(random_state=0).fit(x, (100 * y).astype(int))

    assert found.score(x, 100 * y) > 0.95


def test_without_hidden_layers_it_is_the_linear_model() -> None:
    """Trained to the end, it has the coefficients of least squares."""
    x, y = make_regression(80, 3, noise=5.0, random_state=0)
    found = FeedForwardRegressor(
        (), weight_decay=0, learning_rate=0.01, batch_size=80,
        max_iter=2000, random_state=0,
    ).fit(x, y)  # fmt: skip
    exact = LinearRegression().fit(x, y)

    assert np.allclose(found.predict(x), exact.predict(x), atol=1e-3)


def test_without_hidden_layers_it_is_logistic_regression() -> None:
    x, y = load_iris(return_X_y=True)
    x = StandardScaler().fit_transform(x[50:])
    found = FeedForwardClassifier(
        (), weight_decay=0, learning_rate=0.3, batch_size=100,
        max_iter=1000, random_state=0,
    ).fit(x, y[50:])  # fmt: skip
    exact = LogisticRegression(C=1e10, max_iter=10_000, tol=1e-10)
    exact.fit(x, y[50:])

    assert np.allclose(found.predict_proba(x), exact.predict_proba(x), atol=0.02)


@both
def test_hidden_layers_as_given(kind: Any, data: Any) -> None:
    x, y = data()
    for given, sizes in [
        ((), []),
        (5, [5]),
        ([5, 4], [5, 4]),
        (np.array([3, 2]), [3, 2]),
    ]:
        found = kind(given, max_iter=1, random_state=0).fit(x, y)
        weights = [layer.weight for layer in found.network_.layers]
        assert [w.shape[1] for w in weights[:-1]] == sizes


@both
def test_pipeline_search_and_pickle(kind: Any, data: Any) -> None:
    """The tools of scikit-learn take it."""
    x, y = data()
    model = make_pipeline(StandardScaler(), kind(max_iter=10, random_state=0))
    name = kind.__name__.lower()
    grid = {f"{name}__learning_rate": [1e-6, 0.01]}
    search = GridSearchCV(model, grid, cv=3).fit(x, y)
    again = pickle.loads(pickle.dumps(search))

    assert search.best_params_ == {f"{name}__learning_rate": 0.01}
    assert (again.predict(x) == search.predict(x)).all()
    assert cross_val_score(model, x, y, cv=3).shape == (3,)


@both
def test_a_pickle_holds_no_gradients(kind: Any, data: Any) -> None:
    x, y = data()
    found = kind((30,), max_iter=1, random_state=0).fit(x, y)

    assert all(not np.any(p.grad) for p in found.network_.parameters())


@both
def test_what_is_given_is_not_changed(kind: Any, data: Any) -> None:
    x, y = data()
    kept = x.copy(), y.copy()
    kind(max_iter=2, early_stopping=True).fit(x, y).predict(x)

    assert (x == kept[0]).all()
    assert (y == kept[1]).all()


@both
def test_names_of_columns(kind: Any, data: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    x, y = data()
    table = pandas.DataFrame(x, columns=list("abcd"))
    found = kind(max_iter=1).fit(table, y)

    assert list(found.feature_names_in_) == list("abcd")
    assert found.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names"):
        found.predict(table[list("dcba")])


@both
def test_a_warning_is_not_given(kind: Any, data: Any) -> None:
    x, y = data()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind(max_iter=2).fit(x.tolist(), y.tolist()).predict(x.tolist())


def test_the_package_does_not_need_scikit_learn() -> None:
    """Importing prosegrad does not import it."""
    program = "import prosegrad, sys; print('sklearn' in sys.modules)"
    path = os.pathsep.join(path for path in sys.path if path)
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.strip() == "False"


def test_without_scikit_learn_the_error_says_what_to_do(monkeypatch: Any) -> None:
    real = builtins.__import__

    def without(name: Any, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "sklearn":
            raise ModuleNotFoundError("No module named 'sklearn'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "prosegrad.estimator")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"prosegrad\[train,tensor\]"):
        importlib.import_module("prosegrad.estimator")


def test_the_shared_class_reads_its_parameters() -> None:
    assert FeedForwardEstimator((3,)).get_params()["max_iter"] == 100
