#!/bin/sh
# Writes files.cc: the files named as arguments as C++ arrays, and version.js,
# which is another one whenever one of them is. Needs od, awk and sha256sum.
set -eu
version=$(cat "$@" | sha256sum | cut -c1-32)
listed=
for file in "$@"; do listed="$listed\"${file##*/}\","; done
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
printf 'const char kVersion[] = R"(self.kyuuPage = {version: "%s", files: [%s]};\n)";\n' "$version" "$listed"
printf 'const File kFiles[] = {\n'
printf '    {"/version.js", "text/javascript; charset=utf-8", kVersion},\n'
n=0
for file in "$@"; do
  case "$file" in
    *.html) type='text/html; charset=utf-8' ;;
    *.css) type='text/css; charset=utf-8' ;;
    *.js) type='text/javascript; charset=utf-8' ;;
    *.svg) type='image/svg+xml' ;;
    *.png) type='image/png' ;;
    *.webmanifest) type='application/manifest+json' ;;
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
