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


def load_model(name, folder=None, device="cpu"):  # type: ignore[no-untyped-def]
    return find(name, folder).load(device)


def load_weights(name, folder=None):  # type: ignore[no-untyped-def]
    files = find(name, folder)
    return files.config, files.state()


def load_config(name, folder=None):  # type: ignore[no-untyped-def]
    return find(name, folder).config
