"""Make Python look like that of Windows to yisheng: imported at every start while this folder is on ``PYTHONPATH``.

Only code of yisheng sees it; other packages have their own code for Windows, which cannot run here.

- Modules and functions that Windows lacks are missing, ``os.name`` is "nt", ``sys.platform`` is "win32".
- ``/proc``, ``/sys`` and ``/dev`` do not exist.
- A file that this process has open or mapped into memory can be neither renamed, replaced nor removed.
- Names that Windows refuses (``a:b``, ``what?``, ``aux.txt``, ``end.``) cannot be created.
- Processes are started by "spawn" only.

Source: the "Availability" lines of Python's documentation; "Naming Files, Paths, and Namespaces" of Microsoft's.
"""

import builtins
import contextlib
import multiprocessing
import os
import re
import select
import signal
import socket
import sys
import threading
import time
import types

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "readline", "curses"}
ATTRIBUTES = {
    os: (
        "fork forkpty getuid geteuid getgid getegid getgroups getlogin getpgid getpgrp getsid setsid setuid setgid "
        "killpg nice getloadavg sched_getaffinity sched_setaffinity sched_yield getpriority setpriority mkfifo mknod "
        "fchmod fchown chown lchown chroot ctermid ttyname openpty pathconf fpathconf statvfs fstatvfs sysconf confstr "
        "uname pread pwrite preadv pwritev posix_fadvise posix_fallocate posix_spawn sendfile sync fdatasync "
        "lockf wait wait3 wait4 waitid times_self getxattr setxattr listxattr memfd_create splice copy_file_range "
        "pipe2 set_blocking get_blocking register_at_fork O_NOFOLLOW O_DIRECTORY O_NONBLOCK O_CLOEXEC O_SYNC O_DSYNC "
        "O_NOCTTY O_TMPFILE O_PATH WIFSIGNALED WTERMSIG WNOHANG EX_OK"
    ),
    signal: (
        "SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGPIPE SIGCHLD SIGSTOP SIGCONT SIGTSTP SIGPROF SIGVTALRM "
        "SIGXCPU SIGWINCH alarm setitimer getitimer ITIMER_REAL ITIMER_PROF pause pthread_kill pthread_sigmask sigwait "
        "sigpending siginterrupt"
    ),
    socket: "AF_UNIX SO_REUSEPORT socketpair_unix sethostname",
    select: "poll epoll kqueue",
    time: "tzset pthread_getcpuclockid clock_gettime clock_settime CLOCK_MONOTONIC CLOCK_THREAD_CPUTIME_ID",
}
REPLACED = {(os, "name"): "nt", (sys, "platform"): "win32"}
KEEP_PLATFORM = "yisheng.results.report_path"
"""It derives from the class of paths of the system, and that of Windows cannot be made here."""
SYSTEM_FOLDERS = ("/proc/", "/sys/", "/dev/")
FORBIDDEN_NAME = re.compile(
    r'.*[<>:"|?*\x00-\x1f\\].*|.*[. ]|(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?', re.DOTALL | re.IGNORECASE
)
_inside = threading.local()


def _is_ours(name):
    return name == "yisheng" or name.startswith("yisheng.")


def _caller_is_ours():
    """Return whether the innermost code outside the standard library and this file is yisheng's."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != __name__ and name.partition(".")[0] not in sys.stdlib_module_names:
            return _is_ours(name)
        frame = frame.f_back
    return False


def _make_module(hidden):
    class WindowsModule(types.ModuleType):
        def __getattribute__(self, name):
            if name in hidden or (self, name) in REPLACED:
                caller = sys._getframe(1).f_globals.get("__name__", "")
                if _is_ours(caller) and name in hidden:
                    raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
                if _is_ours(caller) and caller != KEEP_PLATFORM:
                    return REPLACED[self, name]
            return super().__getattribute__(name)

    return WindowsModule


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and name in MODULES and _is_ours((globals or {}).get("__name__") or ""):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _original_import(name, globals, locals, fromlist, level)


def _find_used_files():
    """Return the real paths of the files that this process has open or mapped."""
    used = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            used.add(os.readlink(f"/proc/self/fd/{number}"))
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        used.update(line.split(None, 5)[5].strip() for line in lines if line.count("/"))
    return {path for path in used if path.startswith("/") and not path.startswith(SYSTEM_FOLDERS)}


def _require_unused(path):
    path = os.path.realpath(os.fsdecode(path))
    for used in _find_used_files():
        if used == path or used.startswith(path + "/"):
            raise PermissionError(13, "the process cannot access the file because it is in use", used)


def _require_possible_name(path):
    name = os.path.basename(os.fsdecode(path).rstrip("/"))
    if FORBIDDEN_NAME.fullmatch(name):
        raise OSError(22, "Windows does not allow this name", os.fsdecode(path))


def _watch(event, arguments):
    if event not in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir") or getattr(_inside, "hook", False):
        return
    path = arguments[0]
    if not isinstance(path, str | bytes | os.PathLike):
        return
    _inside.hook = True
    try:
        if os.fsdecode(path).startswith(SYSTEM_FOLDERS):
            if event == "open" and os.fsdecode(path) != os.devnull and _caller_is_ours():
                raise FileNotFoundError(2, "No such file or directory", path)
        elif event in ("os.rename", "os.remove", "os.rmdir"):
            if _caller_is_ours():
                for changed in arguments[: 2 if event == "os.rename" else 1]:
                    _require_unused(changed)
                if event == "os.rename":
                    _require_possible_name(arguments[1])
        elif (event == "os.mkdir" or arguments[2] & os.O_CREAT) and _caller_is_ours():
            _require_possible_name(path)
    finally:
        _inside.hook = False


_original_import = builtins.__import__


def _install():
    builtins.__import__ = _import
    for module, names in ATTRIBUTES.items():
        module.__class__ = _make_module(frozenset(names.split()))
    sys.__class__ = _make_module(frozenset())
    multiprocessing.set_start_method("spawn", force=True)
    sys.addaudithook(_watch)


if __name__ == "sitecustomize":  # not where pytest collects it
    _install()
