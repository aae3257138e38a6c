"""kyuu's cc rules: the native ones with the shared warnings."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")
load("//tools:copts.bzl", "COPTS")

def kyuu_cc_library(name, copts = [], **kwargs):
    cc_library(
        name = name,
        copts = COPTS + copts,
        **kwargs
    )

def kyuu_cc_binary(name, copts = [], **kwargs):
    cc_binary(
        name = name,
        copts = COPTS + copts,
        **kwargs
    )

def kyuu_cc_test(name, copts = [], deps = [], size = "small", **kwargs):
    """A GoogleTest test; gtest_main and base:testing come with it."""
    cc_test(
        name = name,
        size = size,
        copts = COPTS + copts,
        deps = deps + [
            "//base:testing",
            "@googletest//:gtest_main",
        ],
        **kwargs
    )

def kyuu_cc_benchmark(name, copts = [], deps = [], **kwargs):
    """A Google Benchmark program; run it with `bazel run --config=opt`."""
    cc_binary(
        name = name,
        copts = COPTS + copts,
        testonly = True,
        deps = deps + ["@google_benchmark//:benchmark_main"],
        **kwargs
    )
