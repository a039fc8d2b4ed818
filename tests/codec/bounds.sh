#!/usr/bin/env bash
# Copyright 2026 The Gregale authors
# SPDX-License-Identifier: Apache-2.0
# tests/codec/bounds.sh [VALUES [SEED]]: codec_bounds in four builds, g++ and clang++ at -O0 and -O3, below build/bounds.
# Each writes VALUES values (10^9 by default) and the next one reads them: no bound is broken, and all four decompress
# the same bits.
set -euo pipefail
cd "$(dirname "$0")/../.."
values=${1:-1000000000} seed=${2:-1}

builds=(g++-O3 clang++-O3 g++-O0 clang++-O0)
for build in "${builds[@]}"; do
  compiler=${build%-O*} folder=build/bounds/$build
  type=Release
  [[ $build == *-O0 ]] && type=Debug
  cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=$type -DCMAKE_CXX_COMPILER="$compiler" -DGREGALE_ONNX=OFF \
    -DCMAKE_CXX_FLAGS_RELEASE="-O3 -DNDEBUG" -DCMAKE_CXX_FLAGS_DEBUG="-O0" -DGREGALE_TESTS=ON > /dev/null
  cmake --build "$folder" --target codec_bounds > /dev/null
done
for i in "${!builds[@]}"; do
  writer=${builds[$i]} reader=${builds[$(((i + 1) % ${#builds[@]}))]}
  echo "$writer writes, $reader reads:"
  "build/bounds/$writer/bin/codec_bounds" write $((seed + i)) "$values" | "build/bounds/$reader/bin/codec_bounds" read $((seed + i))
done
