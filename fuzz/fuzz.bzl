"""One macro per fuzz target: the fuzzer, and a test that replays its corpus."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_test")
load("//tools:copts.bzl", "COPTS")
load("//tools/pch:pch.bzl", "pch_copts", "pch_deps")

def kyuu_fuzz_target(name, deps, size = "small"):
    """Declares a fuzz target from `<name>.cc`, which defines LLVMFuzzerTestOneInput.

    Gives `<name>`, a libFuzzer binary under --config=fuzz (elsewhere a program
    that runs the files it is given), and `<name>_corpus_test`, which replays
    `corpus/<name>/*` in every ordinary `bazel test //...`.

    Args:
      name: must end in `_fuzzer`.
      deps: what the fuzz target uses.
      size: of the replay test.
    """
    corpus = native.glob(["corpus/" + name + "/**"], allow_empty = False)
    cc_binary(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        copts = COPTS + pch_copts(),
        linkopts = select({
            "//:fuzz_build": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps + pch_deps() + select({
            "//:fuzz_build": [],
            "//conditions:default": ["//fuzz:replay_main"],
        }),
    )
    cc_test(
        name = name + "_corpus_test",
        size = size,
        srcs = [name + ".cc"],
        args = ["fuzz/corpus/" + name],
        copts = COPTS + pch_copts(),
        data = corpus,
        tags = ["no_fuzz"],
        deps = deps + pch_deps() + ["//fuzz:replay_main"],
    )
