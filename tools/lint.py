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
GROUP = 12
BROKEN = "[clang-diagnostic-error"
NOT_OURS = re.compile(r"^(third_party|examples)/|_test\.cc$|/testing/|^bench/|^fuzz/")


def files():
    listed = subprocess.run(["git", "ls-files", "*.cc"], cwd=ROOT, capture_output=True, text=True,
                            check=True).stdout.split()
    return [path for path in listed if not NOT_OURS.search(path)]


def groups(paths):
    """The files, neighbours together: what they include is read once, which takes
    longer than what they say themselves."""
    return [paths[i:i + GROUP] for i in range(0, len(paths), GROUP)]


def run(paths):
    """(findings, whether clang read it all) of files, as if they were one."""
    with tempfile.NamedTemporaryFile("w", suffix=".cc", encoding="utf-8") as whole:
        for path in paths:
            whole.write(f'#include "{os.path.join(ROOT, path)}"  // NOLINT(bugprone-suspicious-include)\n')
        whole.flush()
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
        # Names of one file are those of another, perhaps: those where it shows go apart.
        apart = {line.split(":")[0] for line in found if BROKEN in line}
        parts = ([path for path in paths if path not in apart], [path for path in paths if path in apart])
        if not all(parts):
            parts = (paths[::2], paths[1::2])
        return lint(parts[0]) + lint(parts[1])
    return found if found or read else [f"{paths[0]}:0:0: error: clang-tidy could not read it"]


def main():
    paths = sys.argv[1:] or files()
    findings = set()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lint, groups(paths)):
            for line in found:
                # A header is seen by many files; it is told once.
                if line not in findings:
                    print(line, flush=True)
                findings.add(line)
    print(f"lint: {len(paths)} files, {len(findings)} findings")
    return 1 if findings or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
