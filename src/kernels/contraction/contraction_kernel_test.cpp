// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_kernel.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "kernels/contraction/contraction_test_support.hpp"

namespace gregale::kernels {
namespace {

using namespace testing;
using Batch = ContractionDesc::Batch;

TEST(ContractionKernel, RaggedExtents) {
  const int64_t sizes[] = {1, 2, 5, 7, 8, 13, 16, 17, 31, 33, 64};
  std::mt19937 engine(3);
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kDtypes) {
      for (Packing packing : {Packing::plain, Packing::vnni2, Packing::panels16}) {
        if (packing != Packing::plain && dtypes.b != DType::bf16) continue;
        for (int draw = 0; draw < 24; ++draw) {
          const auto pick = [&] { return sizes[engine() % std::size(sizes)]; };
          ContractionDesc desc = desc_of(pick(), pick(), draw % 12 == 11 ? 0 : pick(), dtypes);
          desc.b_packing = packing;
          desc.trans_a = engine() % 3 == 0;
          desc.trans_b = packing == Packing::plain && engine() % 3 == 0;
          desc.accumulate = desc.c != DType::bf16 && engine() % 3 == 0;
          check(target, Problem(desc, engine(), static_cast<int64_t>(engine() % 3), engine() % 2 == 0));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

/// The chain begins at zero: adding to nothing but zeros gives the bits of not adding, and what c held counts once.
TEST(ContractionKernel, AChainOfItsOwn) {
  std::mt19937 engine(4);
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : {kDtypes[0], kDtypes[1], kDtypes[2]}) {
      for (const auto& [m, n, k] : {std::array<int64_t, 3>{7, 37, 40}, {1, 5, 3}, {30, 64, 96}}) {
        ContractionDesc desc = desc_of(m, n, k, dtypes);
        if (desc.b == DType::bf16) desc.b_packing = Packing::panels16;
        const Problem plain(desc, 11);
        desc.accumulate = desc.own_chain = true;
        const Problem added(desc, 11);
        check(target, added);
        const auto sums = plain.run(*ContractionKernel::compile(target, plain.desc));
        const auto both = added.run(*ContractionKernel::compile(target, added.desc));
        if (target.isa == Isa::reference) continue;  // which sums in f64
        for (int64_t row = 0; row < m; ++row)
          for (int64_t column = 0; column < n; ++column) {
            const int64_t at = row * plain.desc.ldc + column;
            const double before = load_element(desc.c, added.c->get(), at), sum = load_element(desc.c, sums.data(), at);
            const double expected =
                desc.c == DType::f64 ? before + sum : static_cast<float>(before) + static_cast<float>(sum);
            ASSERT_EQ(load_element(desc.c, both.data(), at), expected) << to_string(desc);
          }
      }
    }
  }
}

TEST(ContractionKernel, WhatIsGivenAtTheCallGivesTheSameBits) {
  const int64_t sizes[] = {1, 3, 6, 8, 15, 16, 17, 29, 33, 50, 70};
  std::mt19937 engine(5);
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kDtypes) {
      for (Packing packing : {Packing::plain, Packing::vnni2, Packing::panels16}) {
        if (packing != Packing::plain && dtypes.b != DType::bf16) continue;
        for (int draw = 0; draw < 10; ++draw) {
          const auto pick = [&] { return sizes[engine() % std::size(sizes)]; };
          ContractionDesc desc = desc_of(pick(), pick(), pick(), dtypes);
          desc.b_packing = packing;
          desc.trans_a = engine() % 3 == 0;
          desc.trans_b = packing == Packing::plain && engine() % 3 == 0;
          desc.accumulate = desc.c != DType::bf16 && engine() % 3 == 0;
          desc.addressing = static_cast<Batch>(engine() % 4);
          desc.batch = static_cast<int64_t>(engine() % 4);
          Problem problem(desc, engine(), static_cast<int64_t>(engine() % 3), engine() % 2 == 0);
          const auto fixed = check(target, problem);
          if (HasFatalFailure()) return;
          const std::vector<char> expected = problem.run(*fixed);
          for (int open = 0; open < 4; ++open) {
            const unsigned mask = open == 0 ? ~0u : static_cast<unsigned>(engine());
            const auto kernel = ContractionKernel::compile(target, opened(problem.desc, mask));
            problem.kernel_is_open = true;
            ASSERT_EQ(problem.run(*kernel), expected)
                << to_string(kernel->info()) << " against " << to_string(fixed->info());
            problem.kernel_is_open = false;
          }
        }
      }
    }
  }
}

TEST(ContractionKernel, BlocksOfComposedKernels) {
  struct {
    int64_t m, n, k, batch;
  } const shapes[] = {{5, 130, 300, 1}, {140, 70, 129, 1}, {3, 64, 128, 2}, {17, 65, 127, 3}, {300, 7, 33, 1}};
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kDtypes) {
      for (const auto& s : shapes) {
        ContractionDesc desc = desc_of(s.m, s.n, s.k, dtypes);
        desc.trans_b = true;
        desc.trans_a = s.m % 2 == 0;
        desc.batch = s.batch;
        if (s.batch > 1) desc.addressing = s.n % 2 == 0 ? Batch::address : Batch::stride;
        Problem problem(desc, 11, 1);
        const auto fixed = check(target, problem);
        if (HasFatalFailure()) return;
        const auto expected = problem.run(*fixed);
        problem.kernel_is_open = true;
        const auto open = ContractionKernel::compile(target, opened(problem.desc, ~0u));
        ASSERT_EQ(problem.run(*open), expected) << to_string(open->info());
      }
    }
  }
}

/// Rows [from, to) of the problem's c, from k's values [first, last), by a kernel of just that size.
void run_part(const Target& target, const Problem& problem, int64_t from, int64_t to, int64_t first, int64_t last,
              bool accumulate) {
  ContractionDesc desc = problem.desc;
  desc.m = to - from;
  desc.k = last - first;
  desc.accumulate = accumulate;
  const auto kernel = ContractionKernel::compile(target, desc);
  testing::Scratch scratch(kernel->scratch_bytes());
  ContractionCall call;
  call.scratch = scratch.get();
  const auto at = [](const Fenced& memory, DType dtype, int64_t index) {
    return memory.get<char>() + index * size_of(dtype);
  };
  (*kernel)(at(*problem.a, desc.a, problem.a_index(from, first)), at(*problem.b, desc.b, problem.b_index(first, 0)),
            at(*problem.c, desc.c, from * desc.ldc), &call);
}

TEST(ContractionKernel, BitsDependOnNeitherRowsNorCutsOfK) {
  std::mt19937 engine(9);
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kDtypes) {
      for (Packing packing : {Packing::plain, Packing::vnni2, Packing::panels16}) {
        if (packing != Packing::plain && dtypes.b != DType::bf16) continue;
        for (int draw = 0; draw < 8; ++draw) {
          ContractionDesc desc =
              desc_of(1 + static_cast<int64_t>(engine() % 40), 1 + static_cast<int64_t>(engine() % 70),
                      65 + static_cast<int64_t>(engine() % 80), dtypes);
          desc.b_packing = packing;
          desc.trans_a = draw % 3 == 0;
          desc.trans_b = draw % 4 == 0 && packing == Packing::plain;
          Problem problem(desc, engine());
          const auto whole = ContractionKernel::compile(target, problem.desc);
          const auto expected = problem.run(*whole);
          const int64_t m = desc.m, k = desc.k, cut = static_cast<int64_t>(engine() % static_cast<unsigned>(m));
          if (cut > 0) run_part(target, problem, 0, cut, 0, k, false);
          run_part(target, problem, cut, cut + 1, 0, k, false);
          if (cut + 1 < m) run_part(target, problem, cut + 1, m, 0, k, false);
          const auto bytes = [&] {
            return std::vector<char>(problem.c->get<char>(), problem.c->get<char>() + problem.c->bytes());
          };
          ASSERT_EQ(bytes(), expected) << "rows cut at " << cut << ": " << to_string(whole->info());
          if (desc.c == DType::bf16) continue;
          run_part(target, problem, 0, m, 0, 32, false);
          run_part(target, problem, 0, m, 32, 64, true);
          run_part(target, problem, 0, m, 64, k, true);
          if (target.isa != Isa::reference) {  // which rounds once in a call
            ASSERT_EQ(bytes(), expected) << "k cut: " << to_string(whole->info());
          }
        }
      }
    }
  }
}

TEST(ContractionKernel, NonFiniteValuesStayInTheirRowsAndColumns) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kDtypes) {
      for (bool trans_b : {false, true}) {
        ContractionDesc desc = desc_of(9, 21, 19, dtypes);
        desc.trans_b = trans_b;
        Problem problem(desc, 4);
        const auto kernel = ContractionKernel::compile(target, problem.desc);
        const auto clean = problem.run(*kernel);
        store_element(desc.a, problem.a->get(), problem.a_index(2, 18), static_cast<double>(inf));
        store_element(desc.a, problem.a->get(), problem.a_index(4, 3), NAN);
        store_element(desc.b, problem.b->get(), problem.b_index(7, 20), static_cast<double>(-inf));
        const auto got = problem.run(*kernel);
        for (int64_t row = 0; row < 9; ++row) {
          for (int64_t column = 0; column < 21; ++column) {
            const double value = load_element(desc.c, got.data(), row * 21 + column);
            const std::string where = fmt::format("{} at {}, {}: {}", to_string(kernel->info()), row, column, value);
            const double a = load_element(desc.a, problem.a->get(), problem.a_index(row, 7));
            const double b = load_element(desc.b, problem.b->get(), problem.b_index(18, column));
            if (row == 4) {
              EXPECT_TRUE(std::isnan(value)) << where;
            } else if (row == 2 && column == 20) {
              EXPECT_TRUE((b > 0) == (a < 0) ? std::isinf(value) : std::isnan(value)) << where;
            } else if (row == 2) {
              EXPECT_EQ(value, b > 0 ? inf : -inf) << where;
            } else if (column == 20) {
              EXPECT_EQ(value, a > 0 ? -inf : inf) << where;
            } else {
              EXPECT_EQ(value, load_element(desc.c, clean.data(), row * 21 + column)) << where;
            }
          }
        }
      }
    }
  }
}

TEST(ContractionKernel, DenormalsAreKeptButByTheBf16Unit) {
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kDtypes) {
      if (dtypes.compute == Compute::f64) continue;
      Problem problem(desc_of(3, 18, 5, dtypes));
      const float tiny = 0x1p-133f;  // a denormal of f32 and of bf16
      for (int64_t p = 0; p < 5; ++p) {
        for (int64_t row = 0; row < 3; ++row) {
          store_element(problem.desc.a, problem.a->get(), problem.a_index(row, p),
                        p == 1 ? static_cast<double>(tiny) : 0.0);
        }
        for (int64_t column = 0; column < 18; ++column) {
          store_element(problem.desc.b, problem.b->get(), problem.b_index(p, column), 2.0);
        }
      }
      const auto kernel = ContractionKernel::compile(target, problem.desc);
      const auto got = problem.run(*kernel);
      for (int64_t at = 0; at < 3 * 18; ++at) {
        const double value = load_element(dtypes.c, got.data(), at);
        if (dtypes.compute == Compute::bf16) {
          EXPECT_TRUE(value == 0x1p-132 || value == 0) << to_string(kernel->info());
        } else {
          EXPECT_EQ(value, 0x1p-132) << to_string(kernel->info());
        }
      }
    }
  }
}

TEST(ContractionKernel, RoundsToBf16AsEverywhere) {
  // One product with 1: c is a, rounded. Halves, carries into the exponent, overflow, NaN, infinities.
  const uint32_t bits[] = {0x3f800000, 0x3f808000, 0x3f818000, 0x3f80ffff, 0x3fffffff, 0x7f7fffff,
                           0x7f7f7fff, 0x7f800000, 0xff800000, 0x7fc00001, 0x7f800001, 0xffffffff,
                           0x80000000, 0x00800000, 0xbf808001, 0x477fe000};
  ContractionDesc desc = desc_of(16, 19, 1, {DType::f32, DType::f32, DType::bf16, Compute::f32});
  for (const Target& target : contraction_targets()) {
    Problem problem(desc);
    std::memcpy(problem.a->get(), bits, sizeof bits);
    for (int64_t column = 0; column < 19; ++column) store_element(DType::f32, problem.b->get(), column, 1);
    const auto kernel = ContractionKernel::compile(target, problem.desc);
    const auto got = problem.run(*kernel);
    for (int64_t row = 0; row < 16; ++row) {
      float value = 0;
      std::memcpy(&value, &bits[row], 4);
      for (int64_t column = 0; column < 19; ++column) {
        uint16_t stored = 0;
        std::memcpy(&stored, got.data() + (row * 19 + column) * 2, 2);
        const float again = to_f32(bf16{stored});
        if (std::isnan(value)) {
          EXPECT_TRUE(std::isnan(again)) << row;
        } else if (bits[row] == 0x80000000) {
          EXPECT_EQ(again, 0) << row;  // 0 + -0 is 0
        } else {
          EXPECT_EQ(stored, to_bf16(value).bits) << row << " " << to_string(kernel->info());
        }
      }
    }
  }
}

TEST(ContractionKernel, EmptyExtents) {
  for (const Target& target : contraction_targets()) {
    for (unsigned mask : {0u, ~0u}) {
      for (const auto& [m, n, k, batch] :
           {std::array<int64_t, 4>{0, 5, 3, 1}, {4, 0, 3, 1}, {4, 5, 0, 1}, {4, 17, 3, 0}}) {
        for (bool trans_b : {false, true}) {
          ContractionDesc desc = desc_of(m, n, k);
          desc.addressing = Batch::stride;
          desc.batch = batch;
          desc.trans_b = trans_b;
          Problem problem(desc);
          problem.kernel_is_open = mask != 0;
          const auto kernel = ContractionKernel::compile(target, opened(problem.desc, mask));
          problem.expect(problem.run(*kernel), to_string(kernel->info()));
        }
      }
    }
  }
}

TEST(ContractionKernel, StepsTooLargeForDisplacements) {
  const int64_t far = 6 << 20;  // elements: 24 MB between rows
  const size_t bytes = 3 * far * 4;
  const auto make = [&] {
    return static_cast<float*>(
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  };
  float *a = make(), *b = make(), *c = make();
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 20; ++j) {
      a[i * far + j] = static_cast<float>(i + j);
      b[i * far + j] = static_cast<float>(i - j);
    }
  }
  for (const Target& target : contraction_targets()) {
    for (bool trans_a : {false, true}) {
      ContractionDesc desc = desc_of(3, 20, 3);
      desc.lda = desc.ldb = desc.ldc = far;
      desc.trans_a = trans_a;
      (*ContractionKernel::compile(target, desc))(a, b, c);
      for (int64_t i = 0; i < 3; ++i) {
        for (int64_t j = 0; j < 20; ++j) {
          float sum = 0;
          for (int64_t p = 0; p < 3; ++p) sum += static_cast<float>((i + p) * (p - j));
          EXPECT_EQ(c[i * far + j], sum);
        }
      }
    }
  }
  for (float* memory : {a, b, c}) munmap(memory, bytes);
}

TEST(ContractionKernel, TheIsaThatIsAskedForRuns) {
  for (const Target& target : contraction_targets()) {
    const auto kernel = ContractionKernel::compile(target, Problem(desc_of(7, 20, 9)).desc);
    EXPECT_EQ(kernel->info().isa, std::min(target.isa, Isa::avx512));
    EXPECT_EQ(kernel->info().code_bytes > 0, target.isa != Isa::reference);
    EXPECT_EQ(kernel->info().traffic.flops, 2 * 7 * 20 * 9);
    EXPECT_EQ(kernel->info().traffic.l2_bytes, 4 * (7 * 9 + 9 * 20 + 7 * 20));
    if (target.isa == Isa::reference) {
      EXPECT_THAT(to_string(kernel->info()), ::testing::HasSubstr("not vector: the target has no AVX2"));
    }
    // Bytes between registers and L1: b is read once for every block of rows, a once for every strip of columns.
    if (target.isa >= Isa::avx512) {
      EXPECT_GE(kernel->info().traffic.l1_bytes, kernel->info().traffic.l2_bytes);
    }
    Dtypes bf16{DType::bf16, DType::bf16, DType::f32, Compute::bf16};
    ContractionDesc desc = desc_of(7, 20, 9, bf16);
    desc.b_packing = Packing::vnni2;
    const auto dot = ContractionKernel::compile(target, Problem(desc).desc);
    EXPECT_EQ(dot->info().implementation == "avx512 bf16 dot", target.features.fast_bf16_dot);
  }
}

TEST(ContractionKernel, ImpossibleDescriptorsNameTheField) {
  const Target target = Target::detect();
  const auto message = [&](auto&& change) -> std::string {
    ContractionDesc desc = desc_of(4, 5, 6);
    desc.lda = 6;
    desc.ldb = desc.ldc = 5;
    change(desc);
    try {
      ContractionKernel::compile(target, desc);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return error.message();
    }
    return "";
  };
  using ::testing::HasSubstr;
  EXPECT_EQ(message([](ContractionDesc&) {}), "");
  EXPECT_THAT(message([](ContractionDesc& d) { d.m = -2; }), HasSubstr("[contraction] m is -2"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.batch = -7; }), HasSubstr("batch is -7"));
  EXPECT_EQ(message([](ContractionDesc& d) { d.lda = 5; }), "");  // rows of a may overlap
  EXPECT_THAT(message([](ContractionDesc& d) { d.lda = -5; }), HasSubstr("lda is -5"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.ldb = 4; }), HasSubstr("ldb is 4, less than the 5 elements"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.trans_b = true; }), HasSubstr("ldb is 5, less than the 6 elements"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.ldc = 0; }), HasSubstr("ldc is 0"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.a = DType::f16; }), HasSubstr("not f16, f32, f32"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.compute = Compute::f64; }),
              HasSubstr("compute f64 takes f64 operands"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.compute = Compute::bf16; }), HasSubstr("compute bf16 takes bf16"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.b_packing = Packing::vnni2; }), HasSubstr("vnni2 holds bf16"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.b_packing = Packing::panels16x3; }), HasSubstr("is fp32x3's alone"));
  EXPECT_THAT(message([](ContractionDesc& d) {
                d.b = DType::bf16;
                d.b_packing = Packing::panels16;
                d.ldb = 100;
              }),
              HasSubstr("not 16 times a multiple of 32"));
  EXPECT_THAT(message([](ContractionDesc& d) {
                d.b = DType::bf16;
                d.b_packing = Packing::vnni2;
                d.trans_b = true;
              }),
              HasSubstr("trans_b is for plain b"));
  EXPECT_THAT(message([](ContractionDesc& d) {
                d.c = DType::bf16;
                d.accumulate = true;
              }),
              HasSubstr("accumulate takes f32 or f64 c"));
  EXPECT_THAT(message([](ContractionDesc& d) { d.batch = 3; }), HasSubstr("batch is 3 without an addressing"));
}

TEST(ContractionKernel, ThreadsShareAKernel) {
  for (const Target& target : contraction_targets()) {
    ContractionDesc desc = desc_of(20, 70, 140);
    desc.trans_b = true;
    const Problem problem(desc);
    const auto kernel = ContractionKernel::compile(target, opened(problem.desc, 7));
    const auto run = [&] {  // as Problem::run, with a c of each thread's own
      Scratch scratch(kernel->scratch_bytes());
      ContractionCall call = problem.call();
      call.scratch = scratch.get();
      std::vector<float> c(20 * 70);
      for (int i = 0; i < 20; ++i) (*kernel)(problem.a->get(), problem.b->get(), c.data(), &call);
      return c;
    };
    const std::vector<float> expected = run();
    std::vector<float> results[2];
    std::thread first([&] { results[0] = run(); }), second([&] { results[1] = run(); });
    first.join();
    second.join();
    EXPECT_EQ(results[0], expected);
    EXPECT_EQ(results[1], expected);
  }
}

TEST(ContractionKernel, ThreeParts) {
  // fp32x3's packed b on a target without tiles: the reference adds the parts.
  const int64_t m = 3, n = 18, k = 5, leading = 16 * 32, part = 2 * leading + 32;
  ContractionDesc desc = desc_of(m, n, k, {DType::f32, DType::bf16, DType::f32, Compute::fp32x3});
  desc.b_packing = Packing::panels16x3;
  desc.lda = k;
  desc.ldb = leading;
  desc.ldc = n;
  desc.b_part = part;
  const std::vector<float> a = testing::randoms(m * k, 1), b = testing::randoms(k * n, 2);
  std::vector<bf16> packed(static_cast<size_t>(3 * part));
  for (int64_t p = 0; p < k; ++p) {
    for (int64_t column = 0; column < n; ++column) {
      float rest = b[static_cast<size_t>(p * n + column)];
      for (int64_t i = 0; i < 3; ++i) {
        const bf16 piece = to_bf16(rest);
        packed[static_cast<size_t>(i * part + column / 16 * leading + p / 2 * 32 + column % 16 * 2 + p % 2)] = piece;
        rest -= to_f32(piece);
      }
    }
  }
  std::vector<float> c(static_cast<size_t>(m * n));
  const auto kernel = ContractionKernel::compile(Target::detect().capped(Isa::avx512), desc);
  (*kernel)(a.data(), packed.data(), c.data());
  for (int64_t row = 0; row < m; ++row) {
    for (int64_t column = 0; column < n; ++column) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        sum += static_cast<double>(a[static_cast<size_t>(row * k + p)]) * b[static_cast<size_t>(p * n + column)];
      }
      EXPECT_NEAR(c[static_cast<size_t>(row * n + column)], sum, 1e-6);
    }
  }
}

}  // namespace
}  // namespace gregale::kernels
