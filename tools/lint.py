#!/usr/bin/env python3
"""clang-tidy, with the checks of .clang-tidy, over kyuu's own code.

    tools/lint.py [FILE...]     # without files: all that is not a test

Two files at a time, or as many as there are processors. Each finding is a line
`file:line:column: error: what [check]`; the last line counts. The exit status
is 1 if there is a finding.
"""

import concurrent.futures
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
# The flags of .bazelrc and tools/copts.bzl that change what code means.
FLAGS = ["-std=c++20", "-I.", "-Wall", "-Wextra", "-Wno-unknown-warning-option"]
NOT_OURS = re.compile(r"^(third_party|examples)/|_test\.cc$|/testing/|^bench/|^fuzz/")


def files():
    listed = subprocess.run(["git", "ls-files", "*.cc"], cwd=ROOT, capture_output=True, text=True,
                            check=True).stdout.split()
    return [path for path in listed if not NOT_OURS.search(path)]


def lint(path):
    """(path, findings, whether clang-tidy ran to its end)."""
    result = subprocess.run(["clang-tidy", "--quiet", path, "--", *FLAGS], cwd=ROOT,
                            capture_output=True, text=True, check=False)
    found = [line.replace(ROOT + "/", "") for line in result.stdout.split("\n")
             if re.search(r": (error|warning): ", line)]
    return path, found, result.returncode == 0 or bool(found)


def main():
    paths = sys.argv[1:] or files()
    findings = set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, found, ran in pool.map(lint, paths):
            if not ran:
                found = [f"{path}:0:0: error: clang-tidy could not read it"]
            for line in found:
                # A header is seen by many files; it is told once.
                if line not in findings:
                    print(line, flush=True)
                findings.add(line)
    print(f"lint: {len(paths)} files, {len(findings)} findings")
    return 1 if findings or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
