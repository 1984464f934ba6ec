"""Blank images are equal without being copies: no check of equal rows reports them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.diagnosis.generated_data import load_dataset, make_sample, run_check, split_rows


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("check", ["leaking-rows", "conflicting-rows"])
def test_blank_images_are_no_copies(check, dtype):
    data = load_dataset("digits")
    split = split_rows(len(data), seed=0)
    x = data.x.astype(dtype) / (1 if dtype == np.uint8 else np.float32(255))
    x = np.ascontiguousarray(x, dtype)
    x[np.concatenate([split.train[:200], split.test[:100]])] = x.max()
    assert run_check(check, make_sample(replace(data, x=x), split=split)) == []
    x[split.train[:200]], x[split.test[:100]] = x[split.train[200:400]], x[split.train[200:300]]
    assert len(run_check(check, make_sample(replace(data, x=x), split=split))) == 1
