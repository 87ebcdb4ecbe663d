"""What of this machine a process may use: cores and memory, within its control groups."""

from __future__ import annotations

import os
import pathlib
import platform
from collections.abc import Iterator

MEMBERSHIP = pathlib.Path("/proc/self/cgroup")  # the kernel's list of this process's groups
MOUNT = pathlib.Path("/sys/fs/cgroup")
CPUINFO = pathlib.Path("/proc/cpuinfo")
INSTRUCTIONS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "amx_int8",
    "asimddp",
    "i8mm",
)  # that networks profit from


def usable_cores(membership: pathlib.Path = MEMBERSHIP, mount: pathlib.Path = MOUNT) -> int:
    """Cores that this process may use: its affinity, and the CPU quota of its control groups, rounded up.

    Args:
        membership: the kernel's list of this process's groups, ``/proc/self/cgroup``.
        mount: where the groups are, ``/sys/fs/cgroup``; both versions of the kernel's interface are read.
    """
    cores = affinity_cores()
    return max(1, min([cores, *(_quota(group, cores) for group in _groups(membership, mount, "cpu"))]))


def affinity_cores() -> int:
    """Cores that the scheduler may put this process on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable_memory_bytes(membership: pathlib.Path = MEMBERSHIP, mount: pathlib.Path = MOUNT) -> int:
    """Memory that this process may use: the machine's, and the limits of its control groups; see `usable_cores`."""
    everything = memory_bytes()
    return min([everything, *(_memory_limit(group, everything) for group in _groups(membership, mount, "memory"))])


def instruction_sets(cpuinfo: pathlib.Path = CPUINFO) -> list[str]:
    """Those of `INSTRUCTIONS` that the processor has; none where the kernel does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return []
    flags = {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split()}
    return [name for name in INSTRUCTIONS if name in flags]


def processor_name(cpuinfo: pathlib.Path = CPUINFO) -> str:
    """What the processor calls itself; its architecture where the kernel does not say."""
    try:
        with cpuinfo.open() as lines:  # only as far as the first core: the kernel takes a while to tell of many
            names = (line.partition(":")[2].strip() for line in lines if line.lower().startswith("model name"))
            return next(names, platform.machine())
    except OSError:
        return platform.machine()


def _groups(membership: pathlib.Path, mount: pathlib.Path, controller: str) -> Iterator[pathlib.Path]:
    """The control groups that bind this process; a limit above binds as well, in a container only the root may be there."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = mount / controllers if (mount / controllers).is_dir() else mount / controller
        leaf = root / path.lstrip("/")
        yield from (group for group in (leaf, *leaf.parents) if group.is_relative_to(root))


def _quota(group: pathlib.Path, otherwise: int) -> int:
    """Cores that a control group allows, rounded up; `otherwise` if it sets no limit or does not exist."""
    try:
        if (group / "cpu.max").exists():
            quota_us, period_us = (group / "cpu.max").read_text().split()
        else:
            quota_us = (group / "cpu.cfs_quota_us").read_text().strip()
            period_us = (group / "cpu.cfs_period_us").read_text().strip()
        return otherwise if quota_us in ("max", "-1") else -(-int(quota_us) // int(period_us))
    except (OSError, ValueError, ZeroDivisionError):
        return otherwise


def _memory_limit(group: pathlib.Path, otherwise: int) -> int:
    """Memory that a control group allows; `otherwise` if it sets no limit or does not exist."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((group / name).read_text())
        except (OSError, ValueError):  # "max" is no number
            continue
    return otherwise
