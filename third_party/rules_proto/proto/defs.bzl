"""Named by Bazel's own toolchain files; kyuu has no protocol buffers."""

proto_library = native.proto_library
