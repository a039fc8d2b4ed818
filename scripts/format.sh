#!/usr/bin/env bash
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
#
# scripts/format.sh [--check] [FILE...]
#
# Lays out the given C++ files (default: all of the project) with clang-format and the rules of .clang-format. --check
# changes nothing, names the files that would change and fails where there are any. CLANG_FORMAT names another binary;
# other versions than Debian 12's clang-format 14 lay out some lines differently.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

check=false
files=()
for argument in "$@"; do
  case "$argument" in
    --check) check=true ;;
    -h | --help)
      sed -n '5,9s/^# \{0,1\}//p' scripts/format.sh
      exit 0
      ;;
    *) files+=("$argument") ;;
  esac
done
clang_format="${CLANG_FORMAT:-clang-format}"
if ! command -v "$clang_format" > /dev/null; then
  echo "format: $clang_format is not installed: scripts/setup.sh dev" >&2
  exit 1
fi

if [[ ${#files[@]} -eq 0 ]]; then
  patterns=('*.cpp' '*.hpp' '*.h' '*.c')
  if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
    while IFS= read -r file; do if [[ -f "$file" ]]; then files+=("$file"); fi; done \
      < <(git ls-files --cached --others --exclude-standard -- "${patterns[@]}")
  else  # an unpacked archive
    while IFS= read -r file; do files+=("$file"); done \
      < <(find bindings bench examples include src tests tools -regex '.*\.[ch]\(pp\)?' 2> /dev/null | sort)
  fi
fi

if ! $check; then
  printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -n 20 "$clang_format" -i --style=file
  exit 0
fi
# Complaints look like "src/base/log.cpp:12:3: error: code should be clang-formatted ..."; each process hands on its own.
# shellcheck disable=SC2016
unformatted="$(printf '%s\0' "${files[@]}" | CLANG_FORMAT="$clang_format" xargs -0 -P "$(nproc)" -n 20 sh -c '
  complaints="$("$CLANG_FORMAT" --dry-run --Werror --style=file "$@" 2>&1)" ||
    echo "$complaints" | sed -n "s/^\([^ :][^:]*\):[0-9][0-9]*:[0-9][0-9]*: .*/\1/p" | uniq' check | sort -u)"
if [[ -n "$unformatted" ]]; then
  echo "$unformatted"
  echo "format: lay these files out with scripts/format.sh" >&2
  exit 1
fi
