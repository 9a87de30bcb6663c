"""prosegrad: the autograd you can read.

Every module of this package is printed, line for line, in the book
*Building Autograd from Scratch*.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from prosegrad.compiler import jit
from prosegrad.custom import custom_jvp, custom_vjp, stop_gradient
from prosegrad.derivatives import (
    grad,
    hessian,
    jacobian,
    value_and_grad,
    vjp,
)
from prosegrad.drawing import draw_graph, render_svg
from prosegrad.forward import Dual, hvp, jvp
from prosegrad.kinds import register_number
from prosegrad.losses import (
    cross_entropy,
    hinge,
    log_sum_exp,
    mean_squared_error,
    softmax,
)
from prosegrad.memory import collector_paused
from prosegrad.module import Module
from prosegrad.nn import MLP, Layer, Neuron
from prosegrad.optim import (
    SGD,
    Adam,
    AdamW,
    Optimiser,
    clip_gradients,
)
from prosegrad.packing import batch_mean
from prosegrad.saving import load_parameters, save_parameters
from prosegrad.stepping import Walk, step_through
from prosegrad.symbol import TracingError
from prosegrad.tracing import Step, trace_backward, trace_table
from prosegrad.training import batches, fit, progress, train_epoch
from prosegrad.value import Value, dot, topological_order, where

if TYPE_CHECKING:
    from prosegrad.recording import jit_arrays as jit_arrays
    from prosegrad.tensor import Tensor as Tensor
    from prosegrad.tensor import no_grad as no_grad

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "Dual",
    "Layer",
    "Module",
    "Neuron",
    "Optimiser",
    "Step",
    "TracingError",
    "Value",
    "Walk",
    "batch_mean",
    "batches",
    "clip_gradients",
    "collector_paused",
    "cross_entropy",
    "custom_jvp",
    "custom_vjp",
    "dot",
    "draw_graph",
    "fit",
    "grad",
    "hessian",
    "hinge",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "load_parameters",
    "log_sum_exp",
    "mean_squared_error",
    "progress",
    "register_number",
    "render_svg",
    "save_parameters",
    "softmax",
    "step_through",
    "stop_gradient",
    "topological_order",
    "trace_backward",
    "trace_table",
    "train_epoch",
    "value_and_grad",
    "vjp",
    "where",
]

_NEEDING_ARRAYS = {
    "Tensor": "prosegrad.tensor",
    "no_grad": "prosegrad.tensor",
    "jit_arrays": "prosegrad.recording",
}


def __getattr__(name: str) -> Any:
    module = _NEEDING_ARRAYS.get(name)
    if module is None:
        raise AttributeError(
            f"module 'prosegrad' has no attribute {name!r}"
        )
    return getattr(import_module(module), name)
