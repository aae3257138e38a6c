"""One macro for every abseil library of Debian's libabsl-dev."""

load("@rules_cc//cc:defs.bzl", "cc_library")

# abseil's libraries, as the linker wants them: shared, needed ones only.
_LIBRARIES = [
    "absl_flags_parse",
    "absl_status",
    "absl_statusor",
    "absl_synchronization",
    "absl_time",
    "absl_time_zone",
    "absl_raw_hash_set",
    "absl_hash",
    "absl_city",
    "absl_low_level_hash",
    "absl_cord",
    "absl_str_format_internal",
    "absl_strings",
    "absl_strings_internal",
    "absl_int128",
    "absl_base",
    "absl_throw_delegate",
    "absl_raw_logging_internal",
    "absl_bad_optional_access",
    "absl_bad_variant_access",
    "absl_symbolize",
    "absl_stacktrace",
]

def absl_library(name, more = []):
    """Declares `name`; `more` are libraries that only few of abseil's need."""
    cc_library(
        name = name,
        linkopts = ["-l" + lib for lib in more + _LIBRARIES],
        visibility = ["//visibility:public"],
    )
