"""Weights on disk: found by name or folder, checked, loaded and saved."""

from exprgan.weights.find import NetworkFiles, find, find_system, find_weights_dir
from exprgan.weights.folder import MANIFEST, read_manifest, save_weights, verify_weights
from exprgan.weights.record import WeightsRecord

__all__ = [
    "MANIFEST",
    "NetworkFiles",
    "WeightsRecord",
    "find",
    "find_system",
    "find_weights_dir",
    "read_manifest",
    "save_weights",
    "verify_weights",
]
