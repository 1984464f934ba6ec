"""This machine: its cores, memory and processor, and the device to train on."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

if TYPE_CHECKING:
    import torch

PROCESS_GROUPS, ALL_GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
"""Where Linux lists the control groups of a process, and what they grant."""
THREADS_SET_BY_US = "YISHENG_THREADS"
"""Environment variable with the value that we, not the user, gave to OMP_NUM_THREADS; child processes see it, too."""
MIN_VALUES_FOR_THREADS = 1 << 16
MIN_PRODUCTS_FOR_THREADS = 1 << 26
INSTRUCTION_SETS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "amx_bf16",
    "amx_tile",
    "asimd",
    "bf16",
    "sve",
)
"""Instruction sets that matter for training."""


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device has bfloat16 instructions; without them bfloat16 is slower than float32."""
    if device.type == "cuda":
        import torch

        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(describe_processor()[1]))


def user_set_threads() -> bool:
    """Return whether the user set the number of threads (``OMP_NUM_THREADS``)."""
    return os.environ.get("OMP_NUM_THREADS") not in (None, os.environ.get(THREADS_SET_BY_US))


def threads_worth(values: int, products: int = 0) -> int:
    """Return the number of threads that a batch is worth.

    Below 65,536 values in a small network a second thread gains nothing on idle cores, and on busy ones every operation
    waits for the slower of the two: a run on 8x8 digits was measured to take nine times as long. In a large network it
    gains even if the images are small. The rule depends on data and network alone, never on the clock, because another
    number of threads rounds differently: the same config must give the same weights. A number set by the user
    (``OMP_NUM_THREADS``) is kept.

    Args:
        values: input values of one batch.
        products: multiplications of one forward pass, at least.
    """
    import torch

    if user_set_threads():
        return torch.get_num_threads()
    is_small = values < MIN_VALUES_FOR_THREADS and products < MIN_PRODUCTS_FOR_THREADS
    return 1 if is_small else min(torch.get_num_threads(), count_cores())


def busy_cores(seconds: float = 0.3) -> float:
    """Return how many of the cores that this process may use others keep busy, measured over ``seconds``.

    0 if the system does not report it: without ``/proc/stat``, or if a container grants a fraction of all cores.
    """
    import time

    cores = {f"cpu{number}" for number in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    if len(cores) != count_cores():
        return 0.0
    try:
        busy_start, cpu_time, start = _busy_seconds(cores), time.process_time(), time.perf_counter()
        time.sleep(seconds)
        busy_end, cpu_time, duration = _busy_seconds(cores), time.process_time() - cpu_time, time.perf_counter() - start
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, (busy_end - busy_start - cpu_time) / duration)


def _busy_seconds(names: set[str]) -> float:
    """Return the seconds that these cores have worked for any process since the system started."""
    lines = [line.split() for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines()]
    busy = [sum(map(int, (*line[1:4], *line[6:9]))) for line in lines if line[0] in names]
    return float(sum(busy) / os.sysconf("SC_CLK_TCK"))


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Have torch use ``count`` threads within the block, and the previous number after it."""
    import torch

    previous = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


def select_device(name: str) -> torch.device:
    """Return the training device: the one named, or the best available.

    Args:
        name: ``auto`` (CUDA, else Apple's MPS, else the CPU), or torch's name of one.

    Raises:
        UsageError: the device is not available.

    >>> str(select_device("cpu"))
    'cpu'
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # differs by device
        reason = str(error).splitlines()[0].partition(". ")[0][:200]
        raise UsageError(
            Message("device={name} cannot be used here: {reason}", name=name, reason=reason),
            Message("leave device= out, or run `yisheng env` to list the devices"),
        ) from None
    return device


def synchronize(device: torch.device) -> None:
    """Wait until a device has finished its work; a CPU always has."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def count_affinity() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_cores(groups: Path = PROCESS_GROUPS, root: Path = ALL_GROUPS) -> int:
    """Return the number of cores that this process may use: its affinity, and the container's quota, rounded."""
    available = count_affinity()
    for group, is_version_1 in _control_groups("cpu", groups, root):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # "max", or no such group here
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if is_version_1 else ("cpu.max",)
            quota, period = map(int, " ".join((group / name).read_text() for name in names).split())
            available = min(available, max(1, round(quota / period))) if quota > 0 else available
    return available


def memory_sizes() -> tuple[int, int] | None:
    """Return total and available memory in bytes, with the container's limit; None if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
        total, free = values["MemTotal"], values["MemAvailable"]
    except (OSError, KeyError, ValueError):
        try:
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError, AttributeError):
            return None
        return total, total
    limit = _container_memory()
    if limit is not None and limit[0] < total:
        total, free = limit[0], min(free, limit[1])
    return total, free


def _container_memory(groups: Path = PROCESS_GROUPS, root: Path = ALL_GROUPS) -> tuple[int, int] | None:
    """Return the bytes of memory that the container grants and how many of them are free; None without a limit.

    The tightest limit of this process's control group and of its parents counts. Cached files count as free: the
    system drops them when memory is needed.
    """
    limits: list[tuple[int, int]] = []
    for group, is_version_1 in _control_groups("memory", groups, root):
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if is_version_1 else ("memory.max", "memory.current")
        cached = ("total_active_file", "total_inactive_file") if is_version_1 else ("active_file", "inactive_file")
        with contextlib.suppress(OSError, ValueError):  # "max", or no such group here
            granted, used = (int((group / name).read_text()) for name in names)
            limits.append((granted, max(0, granted - used + _file_cache_bytes(group / "memory.stat", cached))))
    return (min(granted for granted, _ in limits), min(free for _, free in limits)) if limits else None


def _control_groups(controller: str, groups: Path, root: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of this process's control group and its parents, and whether they are of version 1."""
    try:
        lines = [line.split(":", 2) for line in groups.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return  # no control groups here
    for _, controllers, path in lines:
        is_version_1 = controller in controllers.split(",")
        if controllers and not is_version_1:
            continue
        top = root / controller if is_version_1 else root
        folder = top if ".." in path else top / path.strip("/")  # inside a container the path may point outside
        for group in (folder, *folder.parents):
            yield group, is_version_1
            if group == top:
                break


def _file_cache_bytes(path: Path, names: tuple[str, ...]) -> int:
    try:
        values = dict(line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())
        return sum(int(values.get(name, 0)) for name in names)
    except (OSError, ValueError):
        return 0


def describe_processor() -> tuple[str, list[str]]:
    """Return the name of the processor and those of its instruction sets that matter for training."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), []
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(values.get("flags", values.get("Features", "")).split())
    return values.get("model name", platform.machine()), [flag for flag in INSTRUCTION_SETS if flag in flags]
