"""The overlays of third_party, for kyuu and for workspaces that consume it."""

# Overlay repositories: name -> folder below third_party.
_OVERLAYS = {
    "abseil-cpp": "abseil-cpp",
    "googletest": "googletest",
    "google_benchmark": "google_benchmark",
    "openssl": "openssl",
    "nlohmann_json": "nlohmann_json",
    "cli11": "cli11",
    "tomlplusplus": "tomlplusplus",
    "spdlog": "spdlog",
    "prometheus-cpp": "prometheus-cpp",
    "icu": "icu",
    "libbpf": "libbpf",
    "hiredis": "hiredis",
    "libsodium": "libsodium",
    "qrencode": "qrencode",
    "zlib": "zlib",
    "boost.beast": "boost.beast",
    "usrsctp": "usrsctp",
    "rules_cc": "rules_cc",
    "rules_java": "rules_java",
    "rules_proto": "rules_proto",
    "bazel_skylib": "bazel_skylib",
    "remote_coverage_tools": "remote_coverage_tools",
}

def kyuu_repositories(path = "third_party"):
    """Declares every repository that kyuu needs and the workspace has not.

    Args:
      path: kyuu's third_party folder, from the root of the workspace.
    """
    for name, folder in _OVERLAYS.items():
        if not native.existing_rule(name):
            native.local_repository(
                name = name,
                path = path + "/" + folder,
            )
