"""What a target adds that takes //tools/pch:common (precompiled_header.bzl)."""

def pch_copts():
    return select({
        "//tools/pch:on": ["-include-pch", "$(BINDIR)/tools/pch/common.pch"],
        "//conditions:default": [],
    })

def pch_deps():
    return select({
        "//tools/pch:on": ["//tools/pch:common"],
        "//conditions:default": [],
    })
