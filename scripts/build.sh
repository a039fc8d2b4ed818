#!/usr/bin/env bash
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
#
# scripts/build.sh PRESET [TARGET...]
#
# Configures and builds a preset with one line of progress; the whole output is in build/PRESET/build.log, and is shown where
# the build fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset="$1"
shift
log="build/$preset/build.log"
mkdir -p "build/$preset"

show_failure() {
  echo >&2
  # The failing command and its messages, without the lines of what went well.
  grep -vE '^\[[0-9]+/[0-9]+\] ' "$log" | tail -n 100 >&2 || true
  echo "build: the preset '$preset' failed; the whole output is in $log" >&2
  exit 1
}

echo "Configuring build/$preset" >&2
cmake --preset "$preset" > "$log" 2>&1 || show_failure

# Where standard error is a terminal, the line is redrawn; otherwise one is written for every tenth of the way.
terminal=false
if [[ -t 2 ]]; then terminal=true; fi
progress() {
  local line counts now tenth last=-1 begin=$SECONDS
  while IFS= read -r line; do
    printf '%s\n' "$line" >> "$log"
    [[ "$line" =~ ^\[([0-9]+)/([0-9]+)\]\  ]] || continue
    counts="${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
    tenth=$((10 * BASH_REMATCH[1] / BASH_REMATCH[2]))
    now=$((SECONDS - begin))
    if $terminal; then
      printf '\rBuilding: %s, %d:%02d \033[K' "$counts" $((now / 60)) $((now % 60)) >&2
    elif ((tenth > last)); then
      printf 'Building: %s, %d:%02d\n' "$counts" $((now / 60)) $((now % 60)) >&2
    fi
    last=$tenth
  done
  if $terminal; then echo >&2; fi
}
build=(cmake --build "build/$preset" --parallel "$(nproc)")
if [[ $# -gt 0 ]]; then build+=(--target "$@"); fi
NINJA_STATUS='[%f/%t] ' "${build[@]}" 2>&1 | progress || show_failure
