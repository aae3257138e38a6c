#!/usr/bin/env python3
"""Holds kyuu's source to its own rules (docs/architecture.md, "Rules").

Checks the include graph, file and function sizes, banned tokens, header
comments, include guards, the corpus of every fuzz target and the formatting.
Run it as `bazel test //tools:tidy_test` or `tools/tidy.py`; each finding is a
line `file:line: what`, and the exit status is 1 if there is any.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

# What each package may include, beside itself. Test code may also include sim.
ARROWS = {
    "base": set(),
    "stun": {"base"},
    "dtls": {"base"},
    "sctp": {"base"},
    "signaling": {"base"},
    "mdns": {"base"},
    "net": {"base"},
    "sim": {"base"},
    "turn": {"stun", "base"},
    "ice": {"stun", "base"},
    "sdp": {"base"},
    "relay": {"turn", "stun", "dtls", "net", "base"},
    "peer": {"ice", "turn", "stun", "dtls", "sctp", "sdp", "mdns", "base"},
}
# Edges that hold for single headers or files only.
NARROW = [
    # (file pattern, included header pattern)
    (r"ice/(internal/)?(gatherer|relay|server|transport)", r"turn/"),
    (r"sdp/", r"ice/(candidate|compact/candidate_list|credentials)\.h"),
    (r"sdp/", r"dtls/fingerprint\.h"),
    (r"peer/(internal/)?(peer_connection|loop_connection|host_sockets|name_resolver|server_streams|server_session|peer_streams|shared_port|stranger_streams)", r"net/"),
]
FREE = {"tools", "examples", "fuzz", "bench"}
ENGINES = {"stun", "turn", "ice", "dtls", "sctp", "sdp", "signaling", "mdns"}

# Tokens that no code of ours may use, with what to use instead.
BANNED = [
    (r"\bstd::string_view\b|#include <string_view>", "use absl::string_view"),
    (r"\bstd::span\b|#include <span>", "use absl::Span"),
    (r"\babsl::(optional|variant)\b", "use std::optional, std::variant"),
    (r"\babsl::Mutex\b", "use std::mutex: Debian's abseil is opaque to TSan"),
    (r"\b(TODO|FIXME|XXX)\b", "finish it or put it into the README"),
    (r"\bGTEST_SKIP\b|\bDISABLED_", "a test that is there runs"),
    (r"^\s*if \(.*\) (EXPECT|ASSERT)_", "braces: these macros have an else of their own, of which g++ warns"),
    (r"\bfor \(.* : .*\(.*\)(\.|->)value\(\)\)", "name the range: what value() refers to ends before the loop"),
]
BANNED_IN_ENGINES = [
    (r"\babsl::Now\b|\bstd::chrono\b|\bgettimeofday\b|\bclock_gettime\b|[^_.>]\btime\(", "time is an argument"),
    (r"[^_.>:]\brand\(|\bstd::mt19937|\bstd::random_device|\babsl::BitGen", "randomness is a Random&"),
    (r"\bstd::(mutex|thread|atomic|condition_variable)\b", "engines have one owner"),
    (r"\bstd::function\b|\babsl::AnyInvocable\b", "engines report by PollEvent"),
    (r"\bstd::(shared_ptr|make_shared|weak_ptr)\b", "engines own plainly"),
    (r"#include <iostream>|\bstd::c(out|err)\b|\bprintf\(|\bspdlog::", "engines do not log"),
    (r"\bthrow\b|\btry \{", "no exceptions"),
]

HEADER_LINES, SOURCE_LINES, TEST_LINES, FUNCTION_LINES = 250, 500, 900, 70
# Lines of other files, by the end of their names.
OTHER_LINES = [(".test.mjs", 900), ("_test.py", 900), (".js", 600), (".mjs", 500), (".py", 600),
               (".css", 750), ("BUILD.bazel", 600), (".bzl", 250)]

findings = []
used_rows = set()


def report(path, line, what):
    findings.append(f"{path}:{line}: {what}")


def sources():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for path in listed:
        if path and os.path.exists(os.path.join(ROOT, path)):
            yield path


def is_test(path):
    return bool(re.search(r"(_test|_testing|test_\w+)\.(cc|h)$", path)
                or "/testing/" in path or "/test/" in path)


def strip_comment(line):
    return re.sub(r'//.*$', '', line) if '"' not in line else line


def check_includes(path, lines):
    package = path.split("/")[0]
    if package in FREE or package not in ARROWS:
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r'#include "([\w/.]+)"', line)
        if not match or "/" not in match[1]:
            continue
        header, target = match[1], match[1].split("/")[0]
        if target not in ARROWS and target not in FREE | {"web"}:
            continue
        if target == package or target in ARROWS[package]:
            if target != package and "/internal/" in header and not is_test(path):
                report(path, number, f"{header} is internal to {target}")
            continue
        # A test composes what its package meets in production.
        if is_test(path) and target in {"sim"} | FREE | ARROWS.keys():
            continue
        row = next((r for r in NARROW if re.match(r[0], path) and re.match(r[1], header)), None)
        if row is not None:
            used_rows.add(row)
            continue
        report(path, number, f"{package} must not include {target} ({header})")


def check_length(path, lines):
    for end, limit in OTHER_LINES:
        if path.endswith(end):
            if len(lines) > limit:
                report(path, len(lines), f"{len(lines)} lines; at most {limit}")
            return


def check_sizes(path, lines):
    limit = (TEST_LINES if is_test(path) else
             HEADER_LINES if path.endswith(".h") else SOURCE_LINES)
    if len(lines) > limit:
        report(path, len(lines), f"{len(lines)} lines; at most {limit}")
    if is_test(path):
        return
    for start, length in functions(lines):
        if length > FUNCTION_LINES:
            report(path, start, f"function of {length} lines; at most {FUNCTION_LINES}")


def functions(lines):
    """(first line, number of lines) of each function: in namespaces, in class
    bodies and in extern "C"; what is inside of a function belongs to it."""
    scopes = []  # "scope", "function" or "block" for each brace that is open.
    head, head_line = "", 0
    for number, line in enumerate(code_of(lines), 1):
        for part in re.findall(r"[{};]|[^{};]+", line):
            if part not in "{};":
                if part.strip() and not head.strip():
                    head_line = number
                head += part
                continue
            if part == "{":
                if scopes and scopes[-1][0] != "scope":
                    kind = "block"
                elif "(" in re.sub(r"\b(alignas|__attribute__|decltype|requires) ?\(", "", head):
                    kind = "function"
                elif re.search(r"\b(namespace|class|struct|union|extern)\b", head):
                    kind = "scope"
                else:
                    kind = "block"
                scopes.append((kind, head_line))
            elif part == "}" and scopes:
                kind, start = scopes.pop()
                if kind == "function":
                    yield start, number - start + 1
            head = ""


def code_of(lines):
    """The lines without comments, preprocessor lines and what is in quotes."""
    text = re.sub(r'R"\((.|\n)*?\)"', lambda m: '""' + "\n" * m[0].count("\n"), "\n".join(lines))
    text = re.sub(r"/\*(.|\n)*?\*/", lambda m: "\n" * m[0].count("\n"), text)
    for line in text.split("\n"):
        line = re.sub(r"(?<!\w)'(\\.[^']*|[^'\\])'", "0", line)
        line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        yield "" if line.lstrip().startswith("#") else line.split("//")[0]


def check_tokens(path, lines):
    package = path.split("/")[0]
    engine = (package in ENGINES or re.match(r"peer/(internal/)?connection", path)) and not is_test(path)
    for number, line in enumerate(lines, 1):
        code = strip_comment(line)
        for pattern, instead in BANNED:
            if re.search(pattern, line if "TODO" in pattern else code):
                report(path, number, instead)
        if engine:
            for pattern, instead in BANNED_IN_ENGINES:
                if re.search(pattern, code):
                    report(path, number, instead)


def check_statuses(path, lines):
    """absl::Status is [[nodiscard]], so only two spellings drop one. Each says
    why nobody needs it: behind it, or in front of its statement."""
    if is_test(path) or path.startswith("fuzz/"):
        return
    for number, line in enumerate(lines, 1):
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        if not re.search(r"\(void\)\s*[\w*][^;]*\(|\.IgnoreError\(\)", code) or "//" in code:
            continue
        start = number - 1
        while start and not re.search(r"[;{}:,]$|^\s*//|^\s*$", lines[start - 1]):
            start -= 1
        if not start or not re.match(r"\s*//", lines[start - 1]):
            report(path, number, "a dropped status needs a comment that says why")


def check_header(path, lines):
    if not lines or not lines[0].startswith("//"):
        report(path, 1, "a header begins with a comment that says what it is for")
    guard = "KYUU_" + re.sub(r"\W", "_", path).upper() + "_"
    if f"#ifndef {guard}" not in lines:
        report(path, 1, f"the include guard is {guard}")


def check_text(path, lines):
    for number, line in enumerate(lines, 1):
        if re.search(r"(?<![\w./~])/(work|root|home)/\w", line) and path != "tools/tidy.py":
            report(path, number, "no absolute path of a machine")
    if lines and lines[0].startswith("#!") and not os.access(os.path.join(ROOT, path), os.X_OK):
        report(path, 1, "a script is executable")


def check_fuzz():
    corpus = os.path.join(ROOT, "fuzz", "corpus")
    for name in sorted(os.listdir(os.path.join(ROOT, "fuzz"))):
        if not name.endswith("_fuzzer.cc"):
            continue
        folder = os.path.join(corpus, name[:-3])
        if not os.path.isdir(folder) or len(os.listdir(folder)) < 3:
            report("fuzz/" + name, 1, "a fuzz target has a corpus of at least three inputs")


def check_format(paths):
    result = subprocess.run(
        ["clang-format", "--dry-run", "--Werror", "--style=file", *paths],
        cwd=ROOT, capture_output=True, text=True)
    for line in result.stderr.split("\n"):
        match = re.match(r"(\S+?):(\d+):\d+: error", line)
        if match:
            report(match[1], match[2], "not formatted; run clang-format -i")
    if result.returncode != 0 and not findings:
        report("clang-format", 0, result.stderr.strip()[:500])


def main():
    code = []
    for path in sources():
        if path.startswith("third_party/") or "/testdata/" in path or "/corpus/" in path:
            continue
        if not re.search(r"\.(h|cc|bzl|bazel|py|sh|md|js|mjs|css|html|json)$", path):
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            lines = file.read().split("\n")
        if lines and lines[-1] == "":
            lines.pop()
        check_text(path, lines)
        check_length(path, lines)
        if not path.endswith((".h", ".cc")):
            continue
        code.append(path)
        check_includes(path, lines)
        check_sizes(path, lines)
        check_tokens(path, lines)
        check_statuses(path, lines)
        if path.endswith(".h"):
            check_header(path, lines)
    for pattern, header in set(NARROW) - used_rows:
        report("tools/tidy.py", 0, f"no include needs the edge ({pattern}, {header})")
    check_fuzz()
    check_format(code)
    for finding in findings:
        print(finding)
    print(f"tidy: {len(code)} files, {len(findings)} findings")
    return 1 if findings or not code else 0


if __name__ == "__main__":
    sys.exit(main())
