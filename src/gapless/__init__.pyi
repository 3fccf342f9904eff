# The public names and where they live: gapless imports a module when a name of it is used.

from . import losses as losses
from .auditing.audit import audit
from .auditing.improve import Improvement, improve, prune
from .auditing.report import AuditReport
from .bridges.convolution import from_torch_convolution
from .bridges.onnx import to_onnx
from .bridges.sklearn import from_sklearn
from .bridges.torch import from_torch, to_torch
from .certificates.certify import certify
from .certificates.proof_files import write_proof
from .certificates.verify import verify
from .closed.batch_norm import BatchNormHead, solve_batch_norm_head
from .closed.copositive import CopositiveRelaxation, copositive_relaxation
from .closed.frank_wolfe import FrankWolfe, frank_wolfe
from .closed.linear import solve_deep_linear, solve_parallel_linear, solve_two_layer_linear
from .closed.norm_bounds import deep_lower_bound
from .closed.rank_one import solve_rank_one_relu
from .closed.scalar import critical_weight_decay, deep_prox
from .closed.singular_values import solve_singular_values
from .closed.spike_free import solve_spike_free
from .closed.whitened import (
    solve_nearly_whitened_relu,
    solve_parallel_whitened_relu,
    solve_whitened_interval,
    solve_whitened_relu,
)
from .core.deep_network import DeepNetwork, DeepSolution, Optimality
from .core.hypotheses import HypothesisError
from .core.network import Network
from .core.patches import Patches
from .core.problem import Problem
from .core.result import Certificate, History, Solution, Status
from .curves.depth import solve_deep_lasso, solve_last_bias
from .curves.members import optimal_member, sliding_intervals
from .curves.spline import SplineSolution, solve_spline, spline_path
from .estimators.closed import DeepLinearRegressor, WhitenedReLUClassifier, WhitenedReLURegressor
from .estimators.convolution import ReLUConvClassifier, ReLUConvRegressor
from .estimators.curves import SplineClassifier, SplineRegressor
from .estimators.features import ConvexRandomFeatures
from .estimators.image_whitening import ImageWhitener
from .estimators.kernel_base import HiddenLayer
from .estimators.kernel_networks import KernelNetworkClassifier, KernelNetworkRegressor
from .estimators.kernels import TangentKernelRegressor
from .estimators.output_layer import ConvexOutputLayer
from .estimators.readable import AdditiveReLUClassifier, AdditiveReLURegressor
from .estimators.readable_files import load_readable, save_readable
from .estimators.relu import ReLUClassifier, ReLURegressor
from .estimators.relu_cv import ReLUClassifierCV, ReLURegressorCV
from .estimators.whitening import RowWhitener, whiten, whitened
from .games.certificate import GameCertificate
from .games.gda import GDAResult, gda, gda_rate
from .games.generator import GaussianGenerator
from .games.mixture import MixtureMomentGAN
from .games.moment import MomentGAN, certify_generator
from .games.progressive import ProgressiveMomentGAN
from .games.relu_generator import ReLUGenerator
from .gauge.choose import conditions
from .gauge.row_space import rank
from .gauge.spike_free import is_spike_free, spike_free_test
from .gauge.whitened import is_whitened
from .kernels.alignment import HiddenTarget, alignment, pairwise_loss
from .kernels.network import KernelNetwork
from .kernels.onnx_file import kernel_network_to_onnx
from .kernels.pair_target import PairTarget, pair_target
from .plotting.collapse import AlignmentDisplay, CollapseDisplay
from .plotting.comparison import ComparisonDisplay
from .plotting.curves import SplineDisplay
from .plotting.explanation import ExplanationDisplay
from .plotting.filters import FilterDisplay
from .plotting.games import WidthSweepDisplay
from .plotting.grams import GramDisplay
from .plotting.readable import EffectsDisplay, ImportanceDisplay
from .plotting.report import readable_page
from .plotting.training import GapDisplay, NeuronDisplay, PathDisplay
from .readable.price import PriceOfReading, price_of_reading
from .readable.solve import ReadableSolution, train_readable
from .structure.collapse import layer_alignment, neural_collapse, predicted_collapse
from .structure.extreme_points import Comparison, ExtremePoints, compare_samples, extreme_points
from .structure.tangent_kernel import decision_regions, ramp_kernel, solve_ramp_svm, tangent_kernel
from .training.interpolate import Interpolation, interpolate
from .training.path import RegularizationPath, path, weight_decay_max
from .training.state import Progress
from .training.train import train
from .training.two_neurons import Equivalence, l0_l1_equivalence, two_neuron_interpolation

__version__: str

__all__ = [
    "AdditiveReLUClassifier",
    "AdditiveReLURegressor",
    "AlignmentDisplay",
    "AuditReport",
    "BatchNormHead",
    "Certificate",
    "CollapseDisplay",
    "Comparison",
    "ComparisonDisplay",
    "ConvexOutputLayer",
    "ConvexRandomFeatures",
    "CopositiveRelaxation",
    "DeepLinearRegressor",
    "DeepNetwork",
    "DeepSolution",
    "EffectsDisplay",
    "Equivalence",
    "ExplanationDisplay",
    "ExtremePoints",
    "FilterDisplay",
    "FrankWolfe",
    "GDAResult",
    "GameCertificate",
    "GapDisplay",
    "GaussianGenerator",
    "GramDisplay",
    "HiddenLayer",
    "HiddenTarget",
    "History",
    "HypothesisError",
    "ImageWhitener",
    "ImportanceDisplay",
    "Improvement",
    "Interpolation",
    "KernelNetwork",
    "KernelNetworkClassifier",
    "KernelNetworkRegressor",
    "MixtureMomentGAN",
    "MomentGAN",
    "Network",
    "NeuronDisplay",
    "Optimality",
    "PairTarget",
    "Patches",
    "PathDisplay",
    "PriceOfReading",
    "Problem",
    "Progress",
    "ProgressiveMomentGAN",
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLUConvClassifier",
    "ReLUConvRegressor",
    "ReLUGenerator",
    "ReLURegressor",
    "ReLURegressorCV",
    "ReadableSolution",
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
    "WidthSweepDisplay",
    "alignment",
    "audit",
    "certify",
    "certify_generator",
    "compare_samples",
    "conditions",
    "copositive_relaxation",
    "critical_weight_decay",
    "decision_regions",
    "deep_lower_bound",
    "deep_prox",
    "extreme_points",
    "frank_wolfe",
    "from_sklearn",
    "from_torch",
    "from_torch_convolution",
    "gda",
    "gda_rate",
    "improve",
    "interpolate",
    "is_spike_free",
    "is_whitened",
    "kernel_network_to_onnx",
    "l0_l1_equivalence",
    "layer_alignment",
    "load_readable",
    "losses",
    "neural_collapse",
    "optimal_member",
    "pair_target",
    "pairwise_loss",
    "path",
    "predicted_collapse",
    "price_of_reading",
    "prune",
    "ramp_kernel",
    "rank",
    "readable_page",
    "save_readable",
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
    "solve_singular_values",
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
    "train_readable",
    "two_neuron_interpolation",
    "verify",
    "weight_decay_max",
    "whiten",
    "whitened",
    "write_proof",
]
