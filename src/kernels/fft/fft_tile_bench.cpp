// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Transforms of a tile of 96 complex columns by both methods, on one core, and which of them the formula chooses.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "kernels/fft/fft_tile.hpp"

namespace gregale::kernels {
namespace {

constexpr int64_t kColumns = 96;

double nanoseconds(const FftTile& tile, int64_t rows) {
  const size_t bytes = static_cast<size_t>(tile.scratch_bytes() + 64);
  auto* scratch = static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  std::vector<float> src(static_cast<size_t>(2 * rows * kColumns), 0.5f), dst(src.size());
  std::vector<double> times;
  for (int round = 0; round < 15; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    constexpr int kTimes = 20;
    for (int i = 0; i < kTimes; ++i) tile(src.data(), dst.data(), scratch);
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / kTimes);
  }
  std::free(scratch);
  std::sort(times.begin(), times.end());
  return 1e9 * times[times.size() / 2];
}

void run() {
  const Target target = Target::detect();
  fmt::print("{:>6} {:<12} {:>12} {:>12}  ns a point of 16 columns\n", "length", "kind", "radices", "product");
  for (const FftKind kind : {FftKind::forward, FftKind::real_forward, FftKind::real_inverse})
    for (const int64_t n :
         {4, 8, 12, 15, 16, 18, 20, 24, 30, 32, 36, 37, 45, 48, 64, 73, 90, 91, 120, 144, 180, 181, 240}) {
      const FftTile::Desc desc{n, kColumns, kind, 1, 2 * kColumns, 2 * kColumns};
      const double points = static_cast<double>(n * kColumns) / 16;
      const double radices = nanoseconds({target, desc, FftMethod::radices}, n) / points;
      const double product = nanoseconds({target, desc, FftMethod::product}, n) / points;
      const char* names[] = {"forward", "inverse", "real_forward", "real_inverse"};
      fmt::print("{:>6} {:<12} {:>12.2f} {:>12.2f}  {}\n", n, names[static_cast<size_t>(kind)], radices, product,
                 to_string(fft_method(target.isa, n, kind)));
    }
}

}  // namespace
}  // namespace gregale::kernels

int main() {
  gregale::kernels::run();
  return 0;
}
