"""precompiled_header: what nearly every file includes of others, read once.

A compiler spends more than half of its time on the headers of the standard
library, Abseil and GoogleTest. With `--define=kyuu_pch=on` (`--config=clang`
and `--config=fuzz` have it) the rules of //tools:defs.bzl let clang take them
from a file that it has made itself. What it means is the same; what a file
forgets to include is found by g++, which has none, and by clang-tidy.
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")

def _precompiled_header_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    out = ctx.actions.declare_file(ctx.label.name + ".pch")
    cpp = ctx.fragments.cpp
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        user_compile_flags = cpp.copts + cpp.cxxopts,
        use_pic = ctx.attr.pic,
    )
    args = ctx.actions.args()
    args.add_all(cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = ACTION_NAMES.cpp_compile,
        variables = variables,
    ))

    # From stdin, since clang looks again for a file that it has read; and
    # without times, which a cache does not keep.
    ctx.actions.run_shell(
        outputs = [out],
        inputs = depset([ctx.file.hdr], transitive = [toolchain.all_files]),
        command = 'hdr=$1 out=$2; shift 2; exec "$@" <"$hdr" >"$out"',
        arguments = [
            ctx.file.hdr.path,
            out.path,
            cc_common.get_tool_for_action(
                feature_configuration = features,
                action_name = ACTION_NAMES.cpp_compile,
            ),
            args,
            "-Xclang",
            "-fno-pch-timestamp",
            "-Xclang",
            "-fpch-instantiate-templates",
            "-x",
            "c++-header",
            "-",
            "-o",
            "-",
        ],
        mnemonic = "CppPrecompile",
        progress_message = "Precompiling " + ctx.file.hdr.short_path,
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = ACTION_NAMES.cpp_compile,
            variables = variables,
        ),
    )
    return [
        DefaultInfo(files = depset([out])),
        CcInfo(compilation_context = cc_common.create_compilation_context(headers = depset([out]))),
    ]

precompiled_header = rule(
    implementation = _precompiled_header_impl,
    attrs = {
        "hdr": attr.label(allow_single_file = [".h"], mandatory = True),
        "pic": attr.bool(),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
)
