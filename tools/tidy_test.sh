#!/bin/sh
# Runs tools/tidy.py over the source tree that this test was built from.
exec python3 "$(dirname "$(readlink -f "$0")")/tidy.py"
