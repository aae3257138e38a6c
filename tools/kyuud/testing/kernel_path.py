"""Tests of kyuud once more, with --kernel-path (tools/torture, kernel_rows): their
loopback is a cable there, and what is established is relayed by the kernel.

An interface has one program: of several servers of a test, the one that began
last has it.
"""

import contextlib
import ctypes
import os
import re
import struct

# A file that takes what each server says of its flows at the end; without it all
# of this is off.
REPORT = os.environ.get("KYUUD_TEST_KERNEL_PATH")
# Relays are where no peer of a test is: what goes from one relay to another is the
# process's.
RELAYED = "127.0.0.99" if REPORT else "127.0.0.1"
_BPF, _GET_FD_BY_ID, _DETACH = 321, 30, 34  # The system call of x86-64; its commands.
_LIBC = ctypes.CDLL(None, use_errno=True)


def flags(others):
    """Those of a server beside the others that it has."""
    if not REPORT:
        return ()
    if any(flag.startswith("--relay-address") for flag in others):
        return ("--kernel-path=required",)
    relays = [RELAYED, *("::1" for flag in others if flag.startswith("--turn-listen=[::1]"))]
    return "--kernel-path=required", *(f"--relay-address={relay}" for relay in relays)


def report(log):
    if REPORT:
        with open(REPORT, "a", encoding="ascii") as file:
            for line in re.findall(r"info turn: flows .*", log):
                print(line, file=file)


def take_off(processes):
    """Takes their programs off the interfaces; they go on without."""
    for process in processes:
        folder = f"/proc/{process.pid}/fdinfo"
        for name in os.listdir(folder) if REPORT and process.poll() is None else ():
            found = None
            # It goes on with its work, and may have closed this one.
            with contextlib.suppress(FileNotFoundError):
                with open(os.path.join(folder, name), encoding="ascii") as file:
                    found = re.search(r"link_type:\s+xdp\nlink_id:\s+(\d+)", file.read())
            if found:
                link = _bpf(_GET_FD_BY_ID, int(found[1]))
                _bpf(_DETACH, link)
                os.close(link)


def _bpf(command, number):
    attributes = ctypes.create_string_buffer(struct.pack("I", number), 128)
    result = _LIBC.syscall(_BPF, command, attributes, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
