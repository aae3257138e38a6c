#!/bin/sh
# Writes C++ with the program of a .bpf.c file, compiled for the kernel by clang,
# which is Debian's. It is run in the root of the workspace.
set -eu
source=$1 output=$2
object=$output.o
clang -O2 -g -Wall -Wextra -Werror -Wno-address-of-packed-member -target bpf -I. \
  "-I/usr/include/$(uname -m)-linux-gnu" -c "$source" -o "$object"
{
  echo '// Made by compile.sh.'
  echo '#include "relay/kernel/image.h"'
  echo 'namespace kyuu::relay::kernel {'
  echo 'namespace {'
  echo 'alignas(8) const uint8_t kImage[] = {'
  od -An -v -tu1 "$object" | awk '{ for (i = 1; i <= NF; i++) printf "%s,", $i; print "" }'
  echo '};'
  echo '}  // namespace'
  echo 'absl::Span<const uint8_t> Image() { return kImage; }'
  echo '}  // namespace kyuu::relay::kernel'
} > "$output"
rm "$object"
