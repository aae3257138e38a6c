#!/bin/sh
# Writes files.cc: the files named as arguments as C++ arrays. Needs od and awk.
set -eu
echo '// Made by web/embed.sh.'
echo '#include "web/files.h"'
echo 'namespace kyuu::web {'
echo 'namespace {'
n=0
for file in "$@"; do
  printf 'const unsigned char kFile%d[] = {\n' "$n"
  # An array of nothing is not C++: one byte more than the file has.
  od -An -v -tu1 "$file" | awk '{ for (i = 1; i <= NF; i++) printf "%s,", $i; print "" }'
  echo '0};'
  n=$((n + 1))
done
echo 'const File kFiles[] = {'
n=0
for file in "$@"; do
  case "$file" in
    *.html) type='text/html; charset=utf-8' ;;
    *.css) type='text/css; charset=utf-8' ;;
    *.js) type='text/javascript; charset=utf-8' ;;
    *.svg) type='image/svg+xml' ;;
    *) echo "embed.sh: no type for $file" >&2; exit 1 ;;
  esac
  printf '    {"/%s", "%s", absl::string_view(reinterpret_cast<const char*>(kFile%d), sizeof kFile%d - 1)},\n' \
    "${file##*/}" "$type" "$n" "$n"
  n=$((n + 1))
done
echo '};'
echo '}  // namespace'
echo 'absl::Span<const File> Files() { return kFiles; }'
echo '}  // namespace kyuu::web'
