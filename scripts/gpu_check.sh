#!/usr/bin/env bash
# Check Yisheng on the CUDA GPUs of this machine, in less than 10 minutes: the tests of devices, then a benchmark.
#
#   scripts/gpu_check.sh [PYTHON]     PYTHON is .venv/bin/python by default; it needs a torch with CUDA, and pytest
#
# Exit code 0: all passed. 3: there is no GPU that torch can use, and nothing was checked. Others: a test failed, or the
# time was up.
set -euo pipefail
cd "$(dirname "$0")/.."

TEST_SECONDS=390
BENCHMARK_SECONDS=180

python=${1:-.venv/bin/python}
if ! command -v "$python" > /dev/null; then
  echo "there is no Python at $python" >&2
  echo "  run: make .venv/ready, or scripts/gpu_check.sh python3" >&2
  exit 2
fi

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}
if ! "$python" - << 'CODE'; then
import sys

import torch

print(f"torch {torch.__version__}, built for CUDA {torch.version.cuda}, NCCL {torch.distributed.is_nccl_available()}")
if not torch.cuda.is_available():
    reason = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no GPU, or no driver"
    sys.exit(f"no GPU was checked: {reason}")
for number in range(torch.cuda.device_count()):
    gpu = torch.cuda.get_device_properties(number)
    print(f"GPU {number}: {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB")
if torch.cuda.device_count() == 1:
    print("one GPU: the tests of two are skipped")
CODE
  exit 3
fi

status=0
timeout "$TEST_SECONDS" "$python" -m pytest -m gpu -rs tests/gpu || status=$?
if [ "$status" -eq 124 ]; then
  echo "the tests took more than $TEST_SECONDS seconds" >&2
fi
timeout "$BENCHMARK_SECONDS" "$python" -m benchmarks.gpu || status=$?
if [ "$status" -eq 0 ]; then
  echo "all passed on $("$python" -c 'import torch; print(torch.cuda.device_count(), "x", torch.cuda.get_device_name())')"
fi
exit "$status"
