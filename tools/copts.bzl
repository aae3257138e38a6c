"""The warnings that every target of kyuu compiles with, all of them errors."""

COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wcast-qual",
    "-Wformat=2",
    "-Wimplicit-fallthrough",
    "-Wunused",
    "-Wconversion",
    "-Wno-sign-conversion",
    "-Wno-missing-field-initializers",
]
