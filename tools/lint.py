#!/usr/bin/env python3
"""clang-tidy, with the checks of .clang-tidy, over kyuu's own code.

    tools/lint.py [FILE...]     # without files: all that is not a test

As many groups of files at a time as there are processors. Each finding is a line
`file:line:column: error: what [check]`; the last line counts. The exit status
is 1 if there is a finding.
"""

import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
# The flags of .bazelrc and tools/copts.bzl that change what code means.
FLAGS = ["-std=c++20", "-I.", "-Wall", "-Wextra", "-Wno-unknown-warning-option"]
GROUP = 36
BROKEN = "[clang-diagnostic-error"
NOT_OURS = re.compile(r"^(third_party|examples)/|_test\.cc$|/testing/|^bench/|^fuzz/")


def files():
    listed = subprocess.run(["git", "ls-files", "*.cc"], cwd=ROOT, capture_output=True, text=True,
                            check=True).stdout.split()
    return [path for path in listed if not NOT_OURS.search(path)]


def write_whole(whole, paths):
    """Writes a file that is all of `paths`, the first in its first line."""
    for path in paths:
        whole.write(f'#include "{os.path.join(ROOT, path)}"  // NOLINT(bugprone-suspicious-include)\n')
    whole.flush()


def strangers(paths):
    """Those of `paths` that the compiler cannot read behind the others, since names of
    one are those of another."""
    with tempfile.NamedTemporaryFile("w", suffix=".cc", encoding="utf-8") as whole:
        write_whole(whole, paths)
        result = subprocess.run(["clang++", "-fsyntax-only", "-w", "-ferror-limit=0", "-fno-caret-diagnostics",
                                 *FLAGS, whole.name], cwd=ROOT, capture_output=True, text=True, check=False)
        from_line = re.compile(rf"^In file included from {re.escape(whole.name)}:(\d+):")
    found = {paths[int(line[1]) - 1] for line in map(from_line.match, result.stderr.split("\n")) if line}
    return [path for path in paths if path in found]


def run(paths):
    """(findings, whether clang read it all) of files, as if they were one."""
    with tempfile.NamedTemporaryFile("w", suffix=".cc", encoding="utf-8") as whole:
        write_whole(whole, paths)
        result = subprocess.run(
            ["clang-tidy", "--quiet", f"--header-filter=^{re.escape(ROOT)}/",
             f"--config-file={ROOT}/.clang-tidy", whole.name, "--", *FLAGS],
            cwd=ROOT, capture_output=True, text=True, check=False)
    found = [line.replace(ROOT + "/", "") for line in result.stdout.split("\n")
             if re.search(r": (error|warning): ", line)]
    broken = any(BROKEN in line for line in found)
    return found, not broken and (result.returncode == 0 or bool(found))


def lint(paths):
    """The findings of a group."""
    found, read = run(paths)
    if not read and len(paths) > 1:
        return [line for path in paths for line in lint([path])]
    return found if found or read else [f"{paths[0]}:0:0: error: clang-tidy could not read it"]


def lint_neighbours(paths):
    """(the findings of those that clang reads as one file, the others). What they
    include is read once, which takes longer than what they say themselves."""
    together, apart = paths, []
    # Without them others are the first to include something.
    while len(together) > 1 and (strange := strangers(together)):
        apart += strange
        together = [path for path in together if path not in strange]
    if not together:  # The first is broken by itself, perhaps.
        together, apart = paths[:1], paths[1:]
    return lint(together), apart


def main():
    paths = sys.argv[1:] or files()
    findings = set()
    left = paths
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while left:
            # Neighbours include the same.
            neighbours = [left[i:i + GROUP] for i in range(0, len(left), GROUP)]
            left = []
            for found, apart in pool.map(lint_neighbours, neighbours):
                left += apart
                for line in found:
                    # A header is seen by many files; it is told once.
                    if line not in findings:
                        print(line, flush=True)
                    findings.add(line)
    print(f"lint: {len(paths)} files, {len(findings)} findings")
    return 1 if findings or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
