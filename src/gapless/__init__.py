"""gapless: neural networks trained by convex duality, each with a proof of how good it is."""

from . import _interrupt as _interrupt
from .audit import audit
from .audit_report import AuditReport
from .batch_norm import BatchNormHead, solve_batch_norm_head
from .certify import certify
from .closed_estimators import DeepLinearRegressor, WhitenedReLUClassifier, WhitenedReLURegressor
from .closed_form import (
    solve_nearly_whitened_relu,
    solve_parallel_whitened_relu,
    solve_whitened_interval,
    solve_whitened_relu,
)
from .closed_linear import solve_deep_linear, solve_parallel_linear, solve_two_layer_linear
from .closed_rank_one import solve_rank_one_relu
from .collapse import layer_alignment, neural_collapse, predicted_collapse
from .collapse_display import AlignmentDisplay, CollapseDisplay
from .comparison_display import ComparisonDisplay
from .conditions import is_spike_free, is_whitened, rank, spike_free_test
from .cv_estimators import ReLUClassifierCV, ReLURegressorCV
from .deep import DeepNetwork, DeepSolution, HypothesisError, Optimality
from .deep_bound import deep_lower_bound
from .deep_prox import critical_weight_decay, deep_prox
from .displays import GapDisplay, NeuronDisplay, PathDisplay
from .estimators import ReLUClassifier, ReLURegressor
from .extreme_points import Comparison, ExtremePoints, compare_samples, extreme_points
from .gauge import conditions
from .improve import Improvement, improve, prune
from .interpolate import (
    Equivalence,
    Interpolation,
    interpolate,
    l0_l1_equivalence,
    two_neuron_interpolation,
)
from .kernels import (
    TangentKernelRegressor,
    decision_regions,
    ramp_kernel,
    solve_ramp_svm,
    tangent_kernel,
)
from .network import Network
from .onnx_bridge import to_onnx
from .output_layer import ConvexOutputLayer
from .path import RegularizationPath, path, weight_decay_max
from .problem import Problem
from .proofs import write_proof
from .random_features import ConvexRandomFeatures
from .result import Certificate, History, Solution, Status
from .spike_free import solve_spike_free
from .spline import SplineSolution, solve_spline, spline_path
from .spline_depth import solve_deep_lasso, solve_last_bias
from .spline_display import SplineDisplay
from .spline_estimators import SplineClassifier, SplineRegressor
from .spline_members import optimal_member, sliding_intervals
from .torch_bridge import from_sklearn, from_torch, to_torch
from .train import Progress, train
from .verify import verify
from .whitening import RowWhitener, whiten, whitened

__version__ = "0.2.0.dev0"

__all__ = [
    "AlignmentDisplay",
    "AuditReport",
    "BatchNormHead",
    "Certificate",
    "CollapseDisplay",
    "Comparison",
    "ComparisonDisplay",
    "ConvexOutputLayer",
    "ConvexRandomFeatures",
    "DeepLinearRegressor",
    "DeepNetwork",
    "DeepSolution",
    "Equivalence",
    "ExtremePoints",
    "GapDisplay",
    "History",
    "HypothesisError",
    "Improvement",
    "Interpolation",
    "Network",
    "NeuronDisplay",
    "Optimality",
    "PathDisplay",
    "Problem",
    "Progress",
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLURegressor",
    "ReLURegressorCV",
    "RegularizationPath",
    "RowWhitener",
    "Solution",
    "SplineClassifier",
    "SplineDisplay",
    "SplineRegressor",
    "SplineSolution",
    "Status",
    "TangentKernelRegressor",
    "WhitenedReLUClassifier",
    "WhitenedReLURegressor",
    "audit",
    "certify",
    "compare_samples",
    "conditions",
    "critical_weight_decay",
    "decision_regions",
    "deep_lower_bound",
    "deep_prox",
    "extreme_points",
    "from_sklearn",
    "from_torch",
    "improve",
    "interpolate",
    "is_spike_free",
    "is_whitened",
    "l0_l1_equivalence",
    "layer_alignment",
    "neural_collapse",
    "optimal_member",
    "path",
    "predicted_collapse",
    "prune",
    "ramp_kernel",
    "rank",
    "sliding_intervals",
    "solve_batch_norm_head",
    "solve_deep_lasso",
    "solve_deep_linear",
    "solve_last_bias",
    "solve_nearly_whitened_relu",
    "solve_parallel_linear",
    "solve_parallel_whitened_relu",
    "solve_ramp_svm",
    "solve_rank_one_relu",
    "solve_spike_free",
    "solve_spline",
    "solve_two_layer_linear",
    "solve_whitened_interval",
    "solve_whitened_relu",
    "spike_free_test",
    "spline_path",
    "tangent_kernel",
    "to_onnx",
    "to_torch",
    "train",
    "two_neuron_interpolation",
    "verify",
    "weight_decay_max",
    "whiten",
    "whitened",
    "write_proof",
]
