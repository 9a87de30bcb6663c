"""Estimators: networks with the interface of scikit-learn.

They train `FeedForward` with `AdamW` on shuffled batches. There is no
`sample_weight` and no `partial_fit`.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from prosegrad.arrays import Array
from prosegrad.data import Loader, evaluate
from prosegrad.layers import FeedForward
from prosegrad.losses import cross_entropy, mean_squared_error
from prosegrad.optim import AdamW
from prosegrad.schedules import EarlyStopping
from prosegrad.tensor import Tensor, no_grad
from prosegrad.training import train_epoch

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        RegressorMixin,
    )
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "prosegrad.estimator needs scikit-learn 1.6 or later: "
        "pip install 'prosegrad[train,tensor]'"
    ) from error

Examples: TypeAlias = tuple[Array, Array]
"""Inputs and targets, one row each for every example."""


class FeedForwardEstimator(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor have in common.

    Args:
        hidden_layer_sizes: How many neurons each hidden layer has.
            Without hidden layers the model is linear.
        activation: What the hidden layers use, of `nn.ACTIVATIONS`.
        learning_rate: How far a step of AdamW goes.
        weight_decay: What part of a parameter goes at each step,
            times the learning rate.
        batch_size: Examples a step; the last batch may be smaller.
        max_iter: How many times to go through the examples.
        early_stopping: Whether to hold out examples, to stop when
            their loss has ceased to fall, and to keep the parameters
            with which it was lowest.
        validation_fraction: What part of the examples is held out.
        n_iter_no_change: How many epochs in a row may be no better.
        random_state: Where the first weights, the order of the
            examples and the choice of the held-out ones come from: a
            number, a `RandomState`, or None for new ones each time.

    Attributes:
        network_: The trained `FeedForward`.
        loss_curve_: The mean loss of each epoch, in training.
        validation_loss_curve_: The mean loss of the held-out examples
            after each epoch; empty without early stopping.
        n_iter_: How many epochs there were.
        n_features_in_: How many numbers an example has.
        feature_names_in_: The names of the columns, if they had any.
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: str = "relu",
        *,
        learning_rate: float = 0.003,
        weight_decay: float = 0.01,
        batch_size: int = 32,
        max_iter: int = 100,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state

    def _split(
        self, rng: Any, x: Array, y: Array, stratify: Any = None
    ) -> tuple[Examples, Examples | None]:
        """Return the examples to train on, and those held out."""
        if not self.early_stopping:
            return (x, y), None
        x, held_x, y, held_y = train_test_split(
            x,
            y,
            test_size=self.validation_fraction,
            stratify=stratify,
            random_state=rng,
        )
        return (x, y), (held_x, held_y)

    def _network(self, seed: int, n_in: int, n_out: int) -> FeedForward:
        hidden = np.atleast_1d(self.hidden_layer_sizes).tolist()
        rng = np.random.default_rng(seed)
        return FeedForward(
            n_in, [*hidden, n_out], self.activation, rng=rng
        )

    def _train(
        self,
        rng: Any,
        n_outputs: int,
        loss: Callable[[Any, Array], Any],
        train: Examples,
        held_out: Examples | None,
    ) -> None:
        """Train a new network, and keep it with its losses."""
        seeds = rng.randint(2**31 - 1, size=2).tolist()
        network = self._network(seeds[0], train[0].shape[1], n_outputs)
        loader = Loader(
            *train, batch_size=self.batch_size, seed=seeds[1]
        )
        optimiser = AdamW(
            network.parameters(),
            self.learning_rate,
            weight_decay=self.weight_decay,
        )
        stopping = EarlyStopping(self.n_iter_no_change)

        def of_batch(x: Array, y: Array) -> Any:
            return loss(network(x), y)

        losses: list[float] = []
        held_out_losses: list[float] = []
        for _ in range(_at_least_one("max_iter", self.max_iter)):
            with np.errstate(all="ignore"):  # its result is looked at
                losses.append(train_epoch(of_batch, loader, optimiser))
            _require_finite(losses, network, self.learning_rate)
            if held_out is not None:
                held_out_losses.append(evaluate(of_batch, [held_out]))
                if stopping(held_out_losses[-1], network.state()):
                    break
        if stopping.best_state:
            network.load_state(stopping.best_state)
        network.zero_grad()
        self.network_ = network
        self.loss_curve_ = losses
        self.validation_loss_curve_ = held_out_losses
        self.n_iter_ = len(losses)

    def _outputs(self, X: Any) -> Array:
        """Return what the last layer gives, `(n, n_outputs)`."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        with no_grad():
            return self.network_(x).data


def _at_least_one(name: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"fit: {name} is {number}, at least 1")
    return number


def _require_finite(
    losses: Sequence[float], network: FeedForward, rate: float
) -> None:
    numbers = [losses[-1], *network.state().values()]
    if not all(np.isfinite(x).all() for x in numbers):
        raise ValueError(
            f"fit: the training diverged in epoch {len(losses)}, with "
            f"a loss of {losses[-1]}; standardise the data, or take a "
            f"learning_rate below {rate}"
        )


class FeedForwardClassifier(
    ClassifierMixin,  # type: ignore[misc]
    FeedForwardEstimator,
):
    """A network that tells classes apart, trained by cross entropy.

    Its arguments and attributes are those of `FeedForwardEstimator`,
    and this one:

    Attributes:
        classes_: The labels, sorted.
    """

    def fit(self, X: Any, y: Any) -> "FeedForwardClassifier":
        """Train a new network, and return the estimator.

        Args:
            X: Numbers `(n, n_features)`. They should be standardised.
            y: n labels.

        Raises:
            ValueError: X or y cannot be used, a parameter is out of
                range, or the loss has become infinite or NaN.
        """
        x, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        classes, numbers = np.unique(y, return_inverse=True)
        rng = check_random_state(self.random_state)
        parts = self._split(rng, x, numbers, stratify=numbers)
        self._train(rng, len(classes), cross_entropy, *parts)
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, `(n, n_classes)`.

        The columns are in the order of `classes_`.

        Args:
            X: Numbers `(n, n_features)`.

        Raises:
            NotFittedError: There was no `fit`.
            ValueError: X cannot be used, or has other columns.
        """
        with no_grad():
            return Tensor(self._outputs(X)).softmax().data

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each example, `(n,)`.

        Args:
            X: Numbers `(n, n_features)`.

        Raises:
            NotFittedError: There was no `fit`.
            ValueError: X cannot be used, or has other columns.
        """
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]


class FeedForwardRegressor(
    RegressorMixin,  # type: ignore[misc]
    FeedForwardEstimator,
):
    """A network that predicts numbers, trained by squared errors.

    It learns the targets in units of their standard deviation, and
    the losses are in these units. Its arguments and attributes are
    those of `FeedForwardEstimator`, and these:

    Attributes:
        target_mean_: The mean of each target, `(n_targets,)`.
        target_scale_: The standard deviation of each target,
            `(n_targets,)`; 1 for a target that is always the same.
    """

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn should know about it."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> "FeedForwardRegressor":
        """Train a new network, and return the estimator.

        Args:
            X: Numbers `(n, n_features)`. They should be standardised.
            y: Numbers `(n,)` or `(n, n_targets)`.

        Raises:
            ValueError: X or y cannot be used, a parameter is out of
                range, or the loss has become infinite or NaN.
        """
        x, y = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            multi_output=True,
            y_numeric=True,
        )
        shape = y.shape[1:]
        targets = y.astype(np.float64).reshape(len(y), -1)
        rng = check_random_state(self.random_state)
        train, held_out = self._split(rng, x, targets)
        mean, scale = _mean_and_scale(train[1])

        def loss(outputs: Any, y: Array) -> Any:
            return mean_squared_error(outputs, (y - mean) / scale)

        self._train(rng, targets.shape[1], loss, train, held_out)
        self.target_mean_, self.target_scale_ = mean, scale
        self._target_shape = shape
        return self

    def predict(self, X: Any) -> Array:
        """Return a number, or one a target, for each example.

        Args:
            X: Numbers `(n, n_features)`.

        Returns:
            An array `(n,)` or `(n, n_targets)`, as y was.

        Raises:
            NotFittedError: There was no `fit`.
            ValueError: X cannot be used, or has other columns.
        """
        outputs = self._outputs(X)
        found = outputs * self.target_scale_ + self.target_mean_
        return found.reshape(len(found), *self._target_shape)


def _mean_and_scale(targets: Array) -> tuple[Array, Array]:
    """Return two rows; the scale is 1 where nothing varies."""
    unit = np.ldexp(1.0, np.frexp(abs(targets).max(axis=0))[1] - 1)
    parts = targets / unit  # below 2, and exact
    mean, spread = parts.mean(axis=0) * unit, parts.std(axis=0) * unit
    varies = targets.min(axis=0) < targets.max(axis=0)
    least = np.nextafter(0.0, 1.0)
    return mean, np.where(varies, np.maximum(spread, least), 1.0)
