"""gapless: neural networks trained by convex duality, each with a proof of how good it is."""

from .certify import certify
from .displays import GapDisplay, NeuronDisplay
from .estimators import ReLUClassifier, ReLURegressor
from .network import Network
from .problem import Problem
from .result import Certificate, History, Solution, Status
from .train import Progress, train

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "GapDisplay",
    "History",
    "Network",
    "NeuronDisplay",
    "Problem",
    "Progress",
    "ReLUClassifier",
    "ReLURegressor",
    "Solution",
    "Status",
    "certify",
    "train",
]
