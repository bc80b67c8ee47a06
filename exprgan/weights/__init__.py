"""Weights on disk: a folder of them, found, checked, loaded and saved."""

from exprgan.weights.folder import (
    ENVIRONMENT_VARIABLE,
    MANIFEST,
    PICKLED_SUFFIXES,
    WeightsRecord,
    find_weights_dir,
    load_config,
    load_model,
    load_weights,
    read_manifest,
    refuse_pickles,
    replace_file,
    save_weights,
    verify_weights,
)

__all__ = [
    "ENVIRONMENT_VARIABLE",
    "MANIFEST",
    "PICKLED_SUFFIXES",
    "WeightsRecord",
    "find_weights_dir",
    "load_config",
    "load_model",
    "load_weights",
    "read_manifest",
    "refuse_pickles",
    "replace_file",
    "save_weights",
    "verify_weights",
]
