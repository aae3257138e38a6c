"""kyuu's cc rules: the native ones with the shared warnings."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")
load("//tools:copts.bzl", "COPTS")
load("//tools/pch:pch.bzl", "pch_copts", "pch_deps")

def kyuu_cc_library(name, copts = [], deps = [], **kwargs):
    # What no sanitizer may touch cannot take headers compiled for one.
    pch = "-fno-sanitize=all" not in copts
    cc_library(
        name = name,
        copts = COPTS + copts + (pch_copts() if pch else []),
        deps = deps + (pch_deps() if pch else []),
        **kwargs
    )

def kyuu_cc_binary(name, copts = [], deps = [], **kwargs):
    cc_binary(
        name = name,
        copts = COPTS + copts + pch_copts(),
        deps = deps + pch_deps(),
        **kwargs
    )

def kyuu_cc_test(name, copts = [], deps = [], size = "small", **kwargs):
    """A GoogleTest test; gtest_main and base:testing come with it."""
    cc_test(
        name = name,
        size = size,
        copts = COPTS + copts + pch_copts(),
        deps = deps + pch_deps() + [
            "//base:testing",
            "@googletest//:gtest_main",
        ],
        **kwargs
    )

def kyuu_cc_benchmark(name, copts = [], deps = [], **kwargs):
    """A Google Benchmark program; run it with `bazel run --config=opt`."""
    cc_binary(
        name = name,
        copts = COPTS + copts + pch_copts(),
        testonly = True,
        deps = deps + pch_deps() + ["@google_benchmark//:benchmark_main"],
        **kwargs
    )
