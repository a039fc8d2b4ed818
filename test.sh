#!/usr/bin/env bash
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
#
# ./test.sh [--quick]
#
# Installs the packages that are missing, builds everything and runs the test suite; --quick runs the unit tests alone.
# Ends with CTest's summary and its exit status.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

select=()
for argument in "$@"; do
  case "$argument" in
    --quick) select=(-L unit) ;;
    *)
      sed -n '5,8s/^# \{0,1\}//p' test.sh
      case "$argument" in -h | --help) exit 0 ;; *) exit 2 ;; esac
      ;;
  esac
done

scripts/setup.sh core optional dev
scripts/build.sh ci

# Tests run side by side, each with a team of all cores: threads that wait must sleep, not spin.
export OMP_WAIT_POLICY=passive
exec ctest --test-dir build/ci -j "$(nproc)" --output-on-failure "${select[@]}"
