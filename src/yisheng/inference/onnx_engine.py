"""Compute what a service predicts with onnxruntime instead of torch, from a graph that is converted once and kept."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yisheng.core import cache_folder, files, provenance
from yisheng.core.errors import MissingPartError, UsageError, YishengError
from yisheng.core.messages import Message
from yisheng.core.stored_messages import add_messages, restore_messages
from yisheng.inference.artifact import Artifact
from yisheng.inference.predictor import Predictor
from yisheng.inference.served_model import INPUT, MAX_BATCH, convert_in_process

PACKAGES = ("onnxruntime", "onnx", "onnxscript")
FOLDER, SUFFIX, REFUSAL_SUFFIX = "served", ".onnx", ".refused.json"
MAX_KEPT_FILES = 16
"""Converted networks in the cache; the oldest ones are deleted."""
ERRORS_ONLY = 3
"""Severity of onnxruntime's log."""


class OnnxEngine:
    """The networks of a predictor in onnxruntime, with the scores of its out-of-distribution detector.

    Args:
        predictor: for images or rows.
        content: the ONNX file of its `yisheng.inference.served_model.ServedModel`.
        threads: of onnxruntime.

    Raises:
        UsageError: onnxruntime cannot read the file.
    """

    def __init__(self, predictor: Predictor, content: bytes, threads: int) -> None:
        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores have other work, too
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for each error
            raise UsageError(
                Message("onnxruntime cannot read the network: {error}", error=" ".join(str(error).split())[:300]),
                Message("use engine=torch"),
            ) from None
        self._detector = predictor.artifacts[0].ood_detector

    def compute_model_outputs(self, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Return what `yisheng.inference.predictor.Predictor.compute_model_outputs` returns.

        Args:
            x: raw inputs ``(B, *shape)``.
        """
        if len(x) > MAX_BATCH:
            halves = [self.compute_model_outputs(part) for part in (x[: len(x) // 2], x[len(x) // 2 :])]
            outputs = [np.concatenate(pair) for pair in zip(*(half[0] for half in halves), strict=True)]
            levels = [half[1] for half in halves if half[1] is not None]
            return outputs, np.concatenate(levels) if levels else None
        results: list[np.ndarray] = self._session.run(None, {INPUT: np.ascontiguousarray(x)})
        if self._detector is None:
            return results, None
        with torch.inference_mode():
            return results[:-1], self._detector.interpolate_level(torch.from_numpy(results[-1])).numpy()


def explain_unsupported(predictor: Predictor) -> Message | None:
    """Return why a model cannot be computed by onnxruntime, or None if it can be tried."""
    if not (predictor.spec.is_image or predictor.spec.is_row) or predictor.spec.inputs:
        # onnxruntime takes an index of -1 in an embedding for the last one, where torch refuses it.
        return Message("its network takes neither images nor rows")
    if any("own" in artifact.description.get("model", {}) and not artifact.program for artifact in predictor.artifacts):
        return Message("its network needs its code")
    return None


def is_installed() -> bool:
    """Return whether onnxruntime and the converter are installed; they are not imported."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


def require_packages() -> None:
    """Check that onnxruntime and the converter are installed.

    Raises:
        MissingPartError: one is missing.
    """
    if not is_installed():
        raise MissingPartError(
            Message("engine=onnxruntime needs onnxruntime, onnx and onnxscript"), Message('pip install "yisheng[onnx]"')
        )


def find_converted(predictor: Predictor) -> Path:
    """Return where the converted network of a predictor is in the cache, whether it is there or not."""
    return cache_folder.get_cache_folder() / FOLDER / f"{_hash_model(predictor.artifacts)}{SUFFIX}"


def convert(predictor: Predictor) -> bytes:
    """Return the predictor's network as an ONNX file, and keep it in the cache if it can be written to.

    Raises:
        UsageError: it cannot be converted.
    """
    with tempfile.TemporaryDirectory(prefix="yisheng-onnx-") as folder:
        path = Path(folder, f"model{SUFFIX}")
        convert_in_process(predictor.folder, path)
        content = path.read_bytes()
    with contextlib.suppress(OSError, YishengError):
        cached = find_converted(predictor)
        cached.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(cached, content)
        _delete_oldest(cached.parent)
    return content


def find_refusal(predictor: Predictor) -> Path:
    """Return where the cache notes why a predictor cannot be computed by onnxruntime, whether it does or not."""
    return find_converted(predictor).with_suffix(REFUSAL_SUFFIX)


def read_refusal(predictor: Predictor) -> str | None:
    """Return why an earlier trial failed to convert a predictor's network, or to predict the same; None if none did."""
    try:
        problem = restore_messages(files.read_json(find_refusal(predictor)))["problem"]
    except (YishengError, OSError, KeyError, TypeError):  # there is none, or it is damaged
        return None
    return problem if isinstance(problem, str) else None


def remember_refusal(predictor: Predictor, problem: str) -> None:
    """Note in the cache, if it can be written to, why a predictor cannot be computed by onnxruntime."""
    with contextlib.suppress(OSError, YishengError):
        path = find_refusal(predictor)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_file(path, json.dumps(add_messages({"problem": problem})).encode())
        _delete_oldest(path.parent)


def forget_refusal(predictor: Predictor) -> None:
    """Remove the note of `remember_refusal`, if there is one and the cache can be written to."""
    with contextlib.suppress(OSError):
        find_refusal(predictor).unlink(missing_ok=True)


def _hash_model(artifacts: Sequence[Artifact]) -> str:
    """Return a hash of what the graph depends on: the models, and the versions of this package and the converter."""
    digest = hashlib.sha256(json.dumps(provenance.versions()).encode())
    for name in PACKAGES:
        digest.update(f"{name} {importlib.metadata.version(name)}\n".encode())
    for artifact in artifacts:
        digest.update(json.dumps(dict(artifact.description), sort_keys=True).encode())
        digest.update(b"" if artifact.ood_detector is None else artifact.ood_detector.to_bytes())
    return digest.hexdigest()[:40]


def _delete_oldest(folder: Path) -> None:
    for suffix in (SUFFIX, REFUSAL_SUFFIX):
        paths = sorted(folder.glob(f"*{suffix}"), key=lambda path: path.stat().st_mtime)
        for path in paths[:-MAX_KEPT_FILES]:
            path.unlink(missing_ok=True)
