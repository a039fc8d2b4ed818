// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/contraction/contraction_kernel.hpp"
#include "kernels/element.hpp"
#include "kernels/kernels_test_support.hpp"
#include "kernels/testing/fenced_for_tests.hpp"

/// Contractions with operands behind fences, and what they must give.
namespace gregale::kernels::testing {

using Batch = ContractionDesc::Batch;

/// One contraction with its operands. `desc` has every extent fixed; what is asked of the compiler may leave some open.
struct Problem {
  ContractionDesc desc;
  std::unique_ptr<Fenced> a, b, c;
  int64_t a_item = 0, b_item = 0;  // elements
  std::vector<int64_t> a_offsets, b_offsets;
  std::vector<const void*> a_list, b_list;

  int64_t b_index(int64_t p, int64_t column) const {
    if (desc.b_packing == Packing::vnni2) return p / 2 * 2 * desc.ldb + 2 * column + p % 2;
    if (desc.b == DType::i8) return column / 16 * desc.ldb + p / 2 * 32 + p % 2 * 16 + column % 16;
    if (desc.b_packing == Packing::panels16) return column / 16 * desc.ldb + p / 2 * 32 + column % 16 * 2 + p % 2;
    return desc.trans_b ? column * desc.ldb + p : p * desc.ldb + column;
  }
  int64_t a_index(int64_t row, int64_t p) const { return desc.trans_a ? p * desc.lda + row : row * desc.lda + p; }

  explicit Problem(ContractionDesc d, unsigned seed = 1, int64_t padding = 0, bool at_end = true) : desc(d) {
    if (desc.addressing == Batch::none) desc.batch = 1;
    const int64_t m = desc.m, n = desc.n, k = desc.k, batch = desc.batch;
    desc.lda = (desc.trans_a ? m : k) + padding;
    desc.ldb = desc.b_packing == Packing::panels16 ? 16 * ((k + 31) / 32 * 32) + (padding > 0 ? 512 : 0)
                                                   : (desc.trans_b ? k : n) + padding;
    desc.ldc = n + padding;
    const auto span = [](int64_t rows, int64_t row, int64_t leading) {
      return rows == 0 || row == 0 ? 0 : (rows - 1) * leading + row;
    };
    a_item = desc.trans_a ? span(k, m, desc.lda) : span(m, k, desc.lda);
    switch (desc.b_packing) {
      case Packing::vnni2:
        b_item = 2 * span((k + 1) / 2, n, desc.ldb);
        break;
      case Packing::panels16:
        b_item = (n + 15) / 16 * desc.ldb;
        break;
      default:
        b_item = desc.trans_b ? span(n, k, desc.ldb) : span(k, n, desc.ldb);
    }
    desc.a_stride = a_item + (batch > 1 ? 3 : 0);
    desc.b_stride = b_item + (batch > 1 ? 6 : 0);
    const auto whole = [&](int64_t item, int64_t stride) { return batch == 0 ? 0 : (batch - 1) * stride + item; };
    const auto fence = at_end ? Fenced::At::end : Fenced::At::begin;
    a = std::make_unique<Fenced>(whole(a_item, desc.a_stride) * size_of(desc.a), 0, fence);
    b = std::make_unique<Fenced>(whole(b_item, desc.b_stride) * size_of(desc.b), 0, fence);
    c = std::make_unique<Fenced>(span(m, n, desc.ldc) * size_of(desc.c), 0, fence);
    // Padding is poison: what must not enter a sum would show.
    poison(*a, desc.a);
    poison(*b, desc.b);
    poison(*c, desc.c);
    std::mt19937 engine(seed);
    std::uniform_real_distribution<float> draw(-1, 1);
    for (int64_t i = 0; i < batch; ++i) {
      const int64_t at_a = i * desc.a_stride, at_b = i * desc.b_stride;
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t p = 0; p < k; ++p) store_element(desc.a, a->get(), at_a + a_index(row, p), draw(engine));
      }
      if (desc.b_packing == Packing::panels16)
        std::memset(b->get<char>() + at_b * size_of(desc.b), 0, static_cast<size_t>(b_item * size_of(desc.b)));
      for (int64_t p = 0; p < k; ++p) {
        for (int64_t column = 0; column < n; ++column)
          store_element(desc.b, b->get(), at_b + b_index(p, column),
                        desc.b == DType::i8 ? std::nearbyint(127.4f * draw(engine)) : draw(engine));
      }
      if (desc.b_packing == Packing::vnni2 && k % 2 != 0) {
        for (int64_t column = 0; column < n; ++column) store_element(desc.b, b->get(), at_b + b_index(k, column), 0);
      }
      // In another order than memory's.
      const int64_t other = batch - 1 - i;
      a_offsets.push_back(other * desc.a_stride);
      b_offsets.push_back(other * desc.b_stride);
      a_list.push_back(a->get<char>() + other * desc.a_stride * size_of(desc.a));
      b_list.push_back(b->get<char>() + other * desc.b_stride * size_of(desc.b));
    }
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t column = 0; column < n; ++column)
        store_element(desc.c, c->get(), row * desc.ldc + column, draw(engine));
    }
  }

  static void poison(const Fenced& memory, DType dtype) {
    if (dtype == DType::i8) return;  // none of them is
    for (int64_t i = 0; i < memory.bytes() / size_of(dtype); ++i) store_element(dtype, memory.get(), i, NAN);
  }

  ContractionCall call() const {
    ContractionCall call;
    call.m = desc.m;
    call.n = desc.n;
    call.k = desc.k;
    call.lda = desc.lda;
    call.ldb = desc.ldb;
    call.ldc = desc.ldc;
    call.batch = desc.batch;
    call.a_stride = desc.a_stride;
    call.b_stride = desc.b_stride;
    call.a_offsets = a_offsets.data();
    call.b_offsets = b_offsets.data();
    call.a_list = a_list.data();
    call.b_list = b_list.data();
    return call;
  }

  /// The bytes of c afterwards; c itself is put back.
  std::vector<char> run(const ContractionKernel& kernel) const {
    const bool lists = desc.addressing == Batch::offset || desc.addressing == Batch::address;
    if (!kernel_is_open && !lists && kernel.scratch_bytes() == 0) return run(kernel, nullptr);
    return run(kernel, call());
  }
  std::vector<char> run(const ContractionKernel& kernel, ContractionCall arguments) const {
    Scratch scratch(kernel.scratch_bytes());
    arguments.scratch = scratch.get();
    return run(kernel, &arguments);
  }
  std::vector<char> run(const ContractionKernel& kernel, const ContractionCall* arguments) const {
    const std::vector<char> before(c->get<char>(), c->get<char>() + c->bytes());
    const bool address = desc.addressing == Batch::address;
    kernel(address ? nullptr : a->get(), address ? nullptr : b->get(), c->get(), arguments);
    std::vector<char> after(c->get<char>(), c->get<char>() + c->bytes());
    if (!before.empty()) std::memcpy(c->get(), before.data(), before.size());
    return after;
  }
  bool kernel_is_open = false;

  /// What an implementation must give, and how far from it rounding may lead.
  void expect(const std::vector<char>& got, const std::string& what) const {
    const std::vector<char> before(c->get<char>(), c->get<char>() + c->bytes());
    const double unit = desc.compute == Compute::f64 ? 0x1p-53 : 0x1p-24;
    const double rounding = desc.c == DType::bf16 ? 0x1p-8 : unit;
    int64_t bad = 0;
    for (int64_t row = 0; row < desc.m; ++row) {
      for (int64_t column = 0; column < desc.ldc; ++column) {
        const int64_t at = row * desc.ldc + column;
        if ((at + 1) * size_of(desc.c) > c->bytes()) break;
        const double value = load_element(desc.c, got.data(), at);
        if (column >= desc.n) {  // padding: untouched
          ASSERT_TRUE(std::isnan(value)) << what << ": padding written at " << row << ", " << column;
          continue;
        }
        const double start = desc.accumulate ? load_element(desc.c, before.data(), at) : 0;
        double sum = start, size = std::fabs(start);
        for (int64_t i = 0; i < desc.batch; ++i) {
          for (int64_t p = 0; p < desc.k; ++p) {
            const double product = load_element(desc.a, a->get(), i * desc.a_stride + a_index(row, p)) *
                                   load_element(desc.b, b->get(), i * desc.b_stride + b_index(p, column));
            sum += product;
            size += std::fabs(product);
          }
        }
        const double bound = std::fabs(sum) * rounding * 1.01 +
                             size * unit * 2 * (1 + std::sqrt(static_cast<double>(desc.k * desc.batch)));
        if (!(std::fabs(value - sum) <= bound) && ++bad <= 3) {
          ADD_FAILURE() << what << ": c(" << row << ", " << column << ") is " << value << ", not " << sum;
        }
      }
    }
    ASSERT_EQ(bad, 0) << what;
  }
};

/// With what features leave open as well.
inline std::vector<Target> contraction_targets() {
  std::vector<Target> list = targets();
  if (list.back().features.fast_bf16_dot) {  // the same machine without the dot product, and with no bf16 at all
    list.push_back(list.back());
    list.back().features.fast_bf16_dot = false;
    list.push_back(list.back());
    list.back().features.avx512_bf16 = false;
  }
  return list;
}

struct Dtypes {
  DType a, b, c;
  Compute compute;
};
inline constexpr Dtypes kDtypes[] = {
    {DType::f32, DType::f32, DType::f32, Compute::f32},    {DType::f64, DType::f64, DType::f64, Compute::f64},
    {DType::bf16, DType::bf16, DType::f32, Compute::bf16}, {DType::bf16, DType::bf16, DType::bf16, Compute::bf16},
    {DType::bf16, DType::bf16, DType::f32, Compute::f32},  {DType::bf16, DType::bf16, DType::bf16, Compute::f32},
    {DType::f32, DType::bf16, DType::f32, Compute::f32},   {DType::bf16, DType::f32, DType::bf16, Compute::f32},
    {DType::f32, DType::f32, DType::f32, Compute::fp32x3},
};

inline ContractionDesc desc_of(int64_t m, int64_t n, int64_t k, const Dtypes& dtypes = kDtypes[0]) {
  ContractionDesc desc;
  desc.m = m;
  desc.n = n;
  desc.k = k;
  desc.a = dtypes.a;
  desc.b = dtypes.b;
  desc.c = dtypes.c;
  desc.compute = dtypes.compute;
  return desc;
}

inline std::shared_ptr<const ContractionKernel> check(const Target& target, const Problem& problem) {
  const auto kernel = ContractionKernel::compile(target, problem.desc);
  problem.expect(problem.run(*kernel), to_string(kernel->info()));
  return kernel;
}

/// Which of the extents and steps are left to the call.
inline ContractionDesc opened(ContractionDesc desc, unsigned mask) {
  int64_t* const fields[] = {&desc.m,   &desc.n,     &desc.k,        &desc.lda,     &desc.ldb,
                             &desc.ldc, &desc.batch, &desc.a_stride, &desc.b_stride};
  for (size_t i = 0; i < std::size(fields); ++i) {
    if (mask >> i & 1 && !(i == 6 && desc.addressing == Batch::none)) *fields[i] = kAtCall;
  }
  return desc;
}

}  // namespace gregale::kernels::testing
