"""What this machine is, and which device to train on."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core.errors import UsageError

if TYPE_CHECKING:
    import torch

OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
"""Where Linux tells the control groups of a process, and what they grant."""
COUNTED = "YISHENG_THREADS"
"""Variable of the environment that says what was written to OMP_NUM_THREADS by us and not by the user."""
TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""What mallopt calls its parameters, in glibc's malloc.h."""


def prepare() -> None:
    """Say what has to be said before torch is imported: how many threads, how they wait, what becomes of memory."""
    prepare_threads()
    keep_memory()


def prepare_threads() -> None:
    """The part of it that leaves the process's memory alone: for what only imports us."""
    count_threads()
    wait_briefly()


def count_threads() -> None:
    """Have torch take one thread for each core that the container grants.

    By itself it takes one for each core that the process may run on. Where a container grants a share of their time
    (``docker run --cpus=2`` on a machine of 64 cores) the share is then used up at once, and all threads are held
    up until the next one. Nothing is said where the user has said something (``OMP_NUM_THREADS``).
    """
    granted = cores()
    if "OMP_NUM_THREADS" not in os.environ and granted < affinity():
        os.environ["OMP_NUM_THREADS"] = os.environ[COUNTED] = str(granted)


def threads_said() -> bool:
    """Whether the user has said how many threads there shall be."""
    return os.environ.get("OMP_NUM_THREADS") not in (None, os.environ.get(COUNTED))


def wait_briefly() -> None:
    """Have OpenMP's threads wait for each other about 20 microseconds awake, then asleep.

    GNU's OpenMP, which torch uses on Linux, spins for milliseconds by default. On cores that others use too
    the waiting threads then take the time from those that work: an epoch was seen to take ten times as long.
    On a quiet machine the short wait costs nothing that could be measured. It must be said before torch is
    imported, and it is not said where the user has said something (``OMP_WAIT_POLICY``, ``GOMP_SPINCOUNT``).
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = "10000"


def keep_memory() -> bool:
    """Have the C library keep the memory that a step of training gives back, instead of returning it each time.

    glibc hands blocks that are larger than a bound, and what lies free at the end of the heap, back to the system. The
    next step asks for the same again, and pays for each page of 4 KiB with a fault: on LeNet 4,500 to 6,400 faults and
    up to half of the time of a step; tcmalloc is faster there because it keeps what it has. With this no block is
    mapped apart. At the end of the heap up to a quarter of the machine's memory (2 GiB at most) stays with the process,
    and below blocks that are still in use whatever was freed there.

    It may be said at any time, and it is not said where the user has said something: by a variable of the
    environment (``MALLOC_ARENA_MAX``, ``MALLOC_TRIM_THRESHOLD_``, ..., ``GLIBC_TUNABLES``), or by another allocator
    in ``LD_PRELOAD``. Gives whether it was said.

    Source: mallopt(3).
    """
    import ctypes
    import sys

    said = any(key.startswith("MALLOC_") for key in os.environ)
    if said or {"GLIBC_TUNABLES", "LD_PRELOAD"} & set(os.environ) or not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return False  # musl and others
    there = memory()
    most = min(2**31 - 1, there[0] // 4 if there else 2**28)
    return bool(library.mallopt(MMAP_MAX, 0)) and bool(library.mallopt(TRIM_THRESHOLD, most))


def halves(device: torch.device) -> bool:
    """Whether a processor or a CUDA device has instructions for bfloat16; without them it is slower than float32."""
    if device.type == "cuda":
        import torch

        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(processor()[1]))


def threads_worth(values: int, products: int = 0) -> int:
    """As many threads as a batch is worth.

    Below 65,536 values in a small network a second thread gains nothing on quiet cores, and on busy ones every
    operation waits for the slower of the two: a run on 8x8 digits was seen to take nine times as long. In a large
    network it gains even where the images are small. The rule looks at data and network alone, never at the clock,
    because other numbers of threads round differently: the same config must give the same weights. A user who set
    ``OMP_NUM_THREADS`` is obeyed.

    Args:
        values: input values of one batch.
        products: multiplications of one forward pass, at least.
    """
    import torch

    if threads_said():
        return torch.get_num_threads()
    small = values < 1 << 16 and products < 1 << 26
    return 1 if small else min(torch.get_num_threads(), cores())


def taken(seconds: float = 0.3) -> float:
    """Cores, of those that this process may use, that others keep busy just now, seen over so many seconds.

    0 where the system does not tell: without ``/proc/stat``, or where a container may use a share of all cores.
    """
    import time

    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    if len(mine) != cores():
        return 0.0
    try:
        before, own, began = _worked(mine), time.process_time(), time.perf_counter()
        time.sleep(seconds)
        after, own, lasted = _worked(mine), time.process_time() - own, time.perf_counter() - began
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, (after - before - own) / lasted)


def _worked(names: set[str]) -> float:
    """Seconds that some cores have worked, for whomever, since the system started."""
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    busy = [sum(map(int, (*line[1:4], *line[6:9]))) for line in lines if line[0] in names]
    return float(sum(busy) / os.sysconf("SC_CLK_TCK"))


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Have torch use so many threads, and as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device(name: str) -> torch.device:
    """The training device: the one named, or the best there is.

    Args:
        name: ``auto`` (CUDA, else Apple's MPS, else the CPU), or torch's name for one.

    Raises:
        UsageError: there is no such device here.

    >>> str(device("cpu"))
    'cpu'
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        wanted = torch.device(name)
        torch.zeros(1, device=wanted).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # as torch says it of each device
        reason = str(error).splitlines()[0].partition(". ")[0][:200]
        raise UsageError(
            f"device={name} cannot be used here: {reason}", "leave device out, or see `yisheng env` for what there is"
        ) from None
    return wanted


def finish(device: torch.device) -> None:
    """Wait until a device has done what it was given; a processor always has."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def affinity() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores(mine: Path = OWN_GROUPS, root: Path = GROUPS) -> int:
    """Processor cores that this process may use: affinity, and the container's share of their time, rounded."""
    available = affinity()
    for group, old in _groups("cpu", mine, root):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # "max", or no such group here
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if old else ("cpu.max",)
            quota, period = map(int, " ".join((group / name).read_text() for name in names).split())
            available = min(available, max(1, round(quota / period))) if quota > 0 else available
    return available


def memory() -> tuple[int, int] | None:
    """Bytes of memory in all and available, the container's limit included; None where unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
        total, free = values["MemTotal"], values["MemAvailable"]
    except (OSError, KeyError, ValueError):
        try:
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError, AttributeError):
            return None
        return total, total
    limit = _container()
    if limit is not None and limit[0] < total:
        total, free = limit[0], min(free, limit[1])
    return total, free


def _container(mine: Path = OWN_GROUPS, root: Path = GROUPS) -> tuple[int, int] | None:
    """Bytes of memory that the container grants, and those it can still give; None without a limit.

    The tightest limit counts, of this process's control group and of those around it. What was read of files counts as
    free: it is given back when it is needed.
    """
    found: list[tuple[int, int]] = []
    for group, old in _groups("memory", mine, root):
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if old else ("memory.max", "memory.current")
        files = ("total_active_file", "total_inactive_file") if old else ("active_file", "inactive_file")
        with contextlib.suppress(OSError, ValueError):  # "max", or no such group here
            granted, used = (int((group / name).read_text()) for name in names)
            found.append((granted, max(0, granted - used + _of_files(group / "memory.stat", files))))
    return (min(one for one, _ in found), min(one for _, one in found)) if found else None


def _groups(controller: str, mine: Path, root: Path) -> Iterator[tuple[Path, bool]]:
    """Folders of this process's control group and of those around it, and whether they are of the first version."""
    try:
        lines = [line.split(":", 2) for line in mine.read_text().splitlines()]
    except OSError:
        return  # no control groups here
    for _, controllers, path in lines:
        old = controller in controllers.split(",")
        if controllers and not old:
            continue
        at = root / controller if old else root
        place = at if ".." in path else at / path.strip("/")  # seen from inside a container it may lie outside
        for group in (place, *place.parents):
            yield group, old
            if group == at:
                break


def _of_files(path: Path, names: tuple[str, ...]) -> int:
    try:
        facts = dict(line.split(maxsplit=1) for line in path.read_text().splitlines())
        return sum(int(facts.get(name, 0)) for name in names)
    except (OSError, ValueError):
        return 0


def processor() -> tuple[str, list[str]]:
    """Name of the processor, and which of its instruction sets matter for training."""
    wanted = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile", "asimd", "bf16", "sve")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return facts.get("model name", platform.machine()), [flag for flag in wanted if flag in flags]


def versions() -> dict[str, str]:
    """Versions of what a run depends on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("yisheng", "torch", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def environment() -> dict[str, Any]:
    """What a run records of where it ran (part of ``environment.json``)."""
    import torch

    return {
        **versions(),
        "platform": platform.platform(),
        "processor": processor()[0],
        "threads": torch.get_num_threads(),
        "code": code(),
        "git": _git(),
    }


def code() -> str:
    """SHA-256 over the sources of this package and of the plugins: whether a run can go on as it began."""
    import hashlib
    import importlib.util

    from yisheng.core.registry import HOME, plugins

    digest = hashlib.sha256()
    for package in (HOME, *plugins()):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{package}/{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _git() -> dict[str, Any] | None:
    """Commit of the working tree that the run was started in, and whether it had changes."""
    import subprocess

    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}
