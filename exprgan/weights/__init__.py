"""Weights on disk: found by name or folder, checked, loaded and saved."""

from exprgan.weights.find import NetworkFiles, find, find_system, find_weights_dir
from exprgan.weights.folder import MANIFEST, WeightsRecord, read_manifest, save_weights, verify_weights

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
