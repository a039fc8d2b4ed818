#!/usr/bin/env bash
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
#
# scripts/setup.sh [--missing] [core|optional|dev]...
#
# Installs the Debian packages of the given lists (packages/LIST.txt; default: core) that are missing, with apt-get and,
# when not root, sudo. Where nothing is missing, apt-get is not called. --missing prints what would be installed, one
# package a line, and installs nothing.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fail() {
  echo "setup: $*" >&2
  exit 1
}

only_print=false
lists=()
for argument in "$@"; do
  case "$argument" in
    --missing) only_print=true ;;
    -h | --help)
      sed -n '5,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *)
      [[ "$argument" =~ ^[a-z]+$ && -f "$root/packages/$argument.txt" ]] ||
        fail "no such list: $argument (there are: $(cd "$root/packages" && echo *.txt | sed 's/\.txt//g'))"
      lists+=("$argument")
      ;;
  esac
done
[[ ${#lists[@]} -gt 0 ]] || lists=(core)

wanted=()
for list in "${lists[@]}"; do
  while read -r package; do wanted+=("$package"); done \
    < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$root/packages/$list.txt")
done
[[ ${#wanted[@]} -gt 0 ]] || exit 0

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  fail "this system has no apt-get; install what corresponds to these packages of Debian 12, then go on with" \
    "cmake --preset release: ${wanted[*]}"
fi

# dpkg-query fails for packages it never heard of; those are missing as well.
installed="$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2> /dev/null | sed -n 's/^installed //p')" || true
missing=()
for package in "${wanted[@]}"; do
  grep -qxF -- "$package" <<< "$installed" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0
if $only_print; then
  printf '%s\n' "${missing[@]}"
  exit 0
fi

as_root=()
if [[ "$(id -u)" -ne 0 ]]; then
  command -v sudo > /dev/null ||
    fail "packages are missing and there is no sudo; as root, run: apt-get install ${missing[*]}"
  as_root=(sudo)
fi

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
# quietly WHAT COMMAND...: shows the command's output only where it fails.
quietly() {
  local what="$1"
  shift
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" > "$log" 2>&1 < /dev/null || {
    cat "$log" >&2
    fail "$what failed (is there a network, and does /etc/apt/sources.list name Debian 12?)"
  }
}
if [[ ${#as_root[@]} -gt 0 ]]; then sudo -v || fail "sudo was refused; as root, run: apt-get install ${missing[*]}"; fi
echo "Installing ${#missing[@]} packages: ${missing[*]}" >&2
quietly "apt-get update" apt-get -q -o DPkg::Lock::Timeout=300 update
quietly "apt-get install ${missing[*]}" \
  apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
