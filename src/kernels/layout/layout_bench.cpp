// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Bytes read and written a second by the movements of tiles, beside a memcpy of as many bytes measured in turns. Prints
// medians; the last column is what counts.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "gregale/dtype.hpp"
#include "kernels/layout/tile_layout.hpp"

namespace gregale::kernels {
namespace {

double seconds_of(int64_t repeats, auto&& body) {
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < repeats; ++i) body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Memory {
  explicit Memory(size_t bytes) : memory(bytes + 4096, std::byte{0x3f}) {
    data = memory.data() + (4096 - reinterpret_cast<uintptr_t>(memory.data()) % 4096);
  }
  std::vector<std::byte> memory;
  std::byte* data;
};

struct Shape {
  int64_t src_leading, dst_leading;
  size_t src_bytes, dst_bytes;
  int64_t part = 0;
};

void measure(const Target& target, LayoutDesc desc, const Shape& shape) {
  desc.src_leading = shape.src_leading;
  desc.dst_leading = shape.dst_leading;
  const auto kernel = LayoutKernel::compile(target, desc);
  const size_t bytes = shape.src_bytes + shape.dst_bytes, half = bytes / 2;
  Memory src(std::max(shape.src_bytes, half)), dst(std::max(shape.dst_bytes, half));
  Memory mask(static_cast<size_t>(desc.m * (desc.n + 7) / 8));
  LayoutCall call;
  call.src = src.data, call.dst = dst.data, call.part = shape.part;
  call.rate = 0.1;
  call.row_stride = static_cast<uint64_t>(desc.n);
  if (desc.op == LayoutOp::dropout || desc.op == LayoutOp::dropout_backward) {
    call.mask = reinterpret_cast<uint8_t*>(mask.data);
    call.mask_leading = (desc.n + 7) / 8 * 8;
  }
  const auto move = [&] { (*kernel)(call); };
  const auto copy = [&] { std::memcpy(dst.data, src.data, half); };
  seconds_of(1, move);
  seconds_of(1, copy);
  const auto repeats = std::max<int64_t>(1, static_cast<int64_t>(0.01 / std::max(seconds_of(1, move), 1e-9)));
  std::vector<double> moves, copies;
  for (int round = 0; round < 9; ++round) {
    moves.push_back(seconds_of(repeats, move));
    copies.push_back(seconds_of(repeats, copy));
  }
  const auto median = [](std::vector<double>& v) {
    std::nth_element(v.begin(), v.begin() + static_cast<int64_t>(v.size()) / 2, v.end());
    return v[v.size() / 2];
  };
  const double scale = static_cast<double>(repeats) * static_cast<double>(bytes) / 1e9;
  const double mine = scale / median(moves), reference = scale / median(copies);
  fmt::print("{:<9} {:<66} {:7.1f} GB/s, memcpy {:7.1f}: {:5.2f}\n", kernel->info().implementation,
             kernel->info().request, mine, reference, mine / reference);
}

LayoutDesc desc_of(LayoutOp op, int64_t m, int64_t n, DType src, DType dst) {
  LayoutDesc d;
  d.op = op, d.m = m, d.n = n, d.src = src, d.dst = dst;
  return d;
}

void all(const Target& target, bool large) {
  const DType f32 = DType::f32, b16 = DType::bf16;
  for (const DType dtype : {f32, b16, DType::f64, DType::u8}) {
    for (const int64_t n : {64, 1024}) {
      const auto bytes = static_cast<size_t>(n * n * size_of(dtype));
      measure(target, desc_of(LayoutOp::transpose, n, n, dtype, dtype), {n, n, bytes, bytes});
    }
  }
  const auto b = [](int64_t elements, DType dtype) { return static_cast<size_t>(elements * size_of(dtype)); };
  for (const int64_t n : {64, 256}) {
    for (const bool trans : {false, true}) {
      LayoutDesc d = desc_of(LayoutOp::vnni2, n, n, b16, b16);
      d.trans = trans;
      measure(target, d, {n, n, b(n * n, b16), b(n * n, b16)});
    }
    measure(target, desc_of(LayoutOp::vnni2_back, n, n, b16, b16), {n, n, b(n * n, b16), b(n * n, b16)});
  }
  for (const int64_t n : {int64_t{256}, int64_t{4096}}) {
    if (n == 4096 && !large) continue;
    for (const bool trans : {false, true}) {
      for (const DType dtype : {b16, f32}) {
        LayoutDesc d = desc_of(LayoutOp::panels16, n, n, dtype, b16);
        d.trans = trans;
        d.stream = n == 4096;
        measure(target, d, {n, 16 * n, b(n * n, dtype), b(n * n, b16)});
        d.stream = false;
        if (n == 4096) measure(target, d, {n, 16 * n, b(n * n, dtype), b(n * n, b16)});
      }
      LayoutDesc d = desc_of(LayoutOp::panels16x3, n, n, f32, b16);
      d.trans = trans;
      d.stream = n == 4096;
      measure(target, d, {n, 16 * n, b(n * n, f32), 3 * b(n * n, b16), n * n});
    }
  }
  for (const bool trans : {false, true}) {
    LayoutDesc d = desc_of(LayoutOp::column_panels, 256, 256, f32, f32);
    d.trans = trans;
    d.width = 16;
    measure(target, d, {256, 16 * 256, b(256 * 256, f32), b(256 * 256, f32)});
  }
  for (const DType dtype : {f32, b16}) {
    const auto bytes = b(192 * 512, dtype);
    measure(target, desc_of(LayoutOp::dropout, 192, 512, dtype, dtype), {512, 512, bytes, bytes});
    measure(target, desc_of(LayoutOp::dropout_backward, 192, 512, dtype, dtype), {512, 512, bytes, bytes});
  }
  LayoutDesc split = desc_of(LayoutOp::split, 128, 256, f32, b16);
  split.parts = 3;
  measure(target, split, {256, 256, b(128 * 256, f32), 3 * b(128 * 256, b16), 128 * 256});
}

}  // namespace
}  // namespace gregale::kernels

int main(int argc, char** argv) {
  using namespace gregale;
  const bool large = argc < 2 || std::strcmp(argv[1], "small") != 0;
  const Target target = Target::detect();
  kernels::all(target.capped(std::min(target.isa, Isa::avx512)), large);
  if (argc > 2 && target.isa > Isa::avx2) kernels::all(target.capped(Isa::avx2), large);
}
