// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "jit/assembler.hpp"
#include "kernels/common.hpp"
#include "kernels/contraction/contraction_kernel.hpp"
#include "kernels/testing/amx_emulator_for_tests.hpp"
#include "kernels/testing/instruction_tracer_for_tests.hpp"

/// The emulator and the tracer themselves, with instructions assembled by hand and values computed by hand. Where the
/// processor has AMX, the same tests hold the emulator's rules against it.
namespace gregale::kernels {
namespace {

using namespace testing;
using jit::Assembler;
using Xbyak::Reg64;
using Xbyak::Tmm;

/// FMA is all that the emulator's arithmetic needs.
#define SKIP_WITHOUT_FMA()                                                                        \
  if (Target::detect().isa < Isa::avx2) GTEST_SKIP() << "this machine has no fused multiply-add"; \
  if (cpu_has_tiles() && !AmxEmulator::native()) GTEST_SKIP() << "this CPU has tiles the process may not use"

struct Shape {
  int rows, colsb;
};

detail::TileConfig config_of(const std::vector<Shape>& tiles) {
  detail::TileConfig config{};
  config.palette = 1;
  for (size_t t = 0; t < tiles.size(); ++t) {
    config.rows[t] = static_cast<uint8_t>(tiles[t].rows);
    config.colsb[t] = static_cast<uint16_t>(tiles[t].colsb);
  }
  return config;
}

using Product = void (*)(const void* config, const void* a, const void* b, void* c, int64_t stride);
enum class Kind { bf16, ss, su, us, uu };

/// c (tile 0) += a (tile 1) b (tile 2), every operand `stride` bytes a row.
jit::Code product_code(Kind kind) {
  Assembler s;
  s.ldtilecfg(s.ptr[s.rdi]);
  s.tile_load(s.tmm0, s.rcx, s.r8);
  s.tile_load(s.tmm1, s.rsi, s.r8);
  s.tileloaddt1(s.tmm2, s.ptr[s.rdx + s.r8 * 1]);
  switch (kind) {
    case Kind::bf16:
      s.tdpbf16ps(s.tmm0, s.tmm1, s.tmm2);
      break;
    case Kind::ss:
      s.tdpbssd(s.tmm0, s.tmm1, s.tmm2);
      break;
    case Kind::su:
      s.tdpbsud(s.tmm0, s.tmm1, s.tmm2);
      break;
    case Kind::us:
      s.tdpbusd(s.tmm0, s.tmm1, s.tmm2);
      break;
    case Kind::uu:
      s.tdpbuud(s.tmm0, s.tmm1, s.tmm2);
      break;
  }
  s.tile_store(s.rcx, s.r8, 0, s.tmm0);
  s.tilerelease();
  s.ret();
  return s.finish("tile_product");
}

float as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
/// Cuts off what bf16 does not hold.
uint16_t bf(float value) { return static_cast<uint16_t>(bits_of(value) >> 16); }

/// One element of c from K pairs.
uint32_t one_product(const std::vector<float>& a, const std::vector<float>& b, float c) {
  static const jit::Code code = product_code(Kind::bf16);
  const int pairs = static_cast<int>(a.size() / 2);
  uint16_t left[32] = {}, right[16][32] = {};
  for (int k = 0; k < 2 * pairs; ++k) {
    left[k] = bf(a[static_cast<size_t>(k)]);
    right[k / 2][k % 2] = bf(b[static_cast<size_t>(k)]);
  }
  const detail::TileConfig config = config_of({{1, 4}, {1, 4 * pairs}, {pairs, 4}});
  float sum = c;
  code.entry<Product>()(&config, left, right, &sum, 64);
  return bits_of(sum);
}

TEST(AmxEmulator, Bf16ProductsByHand) {
  SKIP_WITHOUT_FMA();
  AmxEmulator emulator;
  EXPECT_EQ(as_float(one_product({2, 3}, {5, 7}, 100)), 131);
  // Even and odd products are summed apart, then added: 2^24 + 1 + 1 in any other order loses or keeps the ones.
  const float big = 16777216;
  EXPECT_EQ(as_float(one_product({big, 1, 1, 1}, {1, 1, 1, 1}, 0)), big + 2);  // (2^24 + 1 -> 2^24) + (1 + 1)
  EXPECT_EQ(as_float(one_product({big, 0, 1, 0, 1, 0}, {1, 1, 1, 1, 1, 1}, 0)), big);
  EXPECT_EQ(as_float(one_product({1, 0, 1, 0, big, 0}, {1, 1, 1, 1, 1, 1}, 0)), big + 2);
  // c comes last: it is not the beginning of the chain.
  EXPECT_EQ(as_float(one_product({1, 1}, {1, 1}, big)), big + 2);
  // Products are not rounded before they are added: 129^2 2^-14 - 1 keeps the last bit of the square.
  const float x = 1 + 1 / 128.0F;
  EXPECT_EQ(as_float(one_product({1, 0, x, 0}, {-1, 0, x, 0}, 0)), x * x - 1);
}

TEST(AmxEmulator, Bf16SpecialValues) {
  SKIP_WITHOUT_FMA();
  AmxEmulator emulator;
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(as_float(one_product({inf, 1}, {2, 1}, -5)), inf);
  EXPECT_TRUE(std::isnan(as_float(one_product({inf, 1}, {0, 1}, 0))));
  EXPECT_TRUE(std::isnan(as_float(one_product({inf, inf}, {1, -1}, 0))));
  EXPECT_TRUE(std::isnan(as_float(one_product({nan, 1}, {0, 1}, 0))));
  EXPECT_TRUE(std::isnan(as_float(one_product({1, 1}, {1, 1}, nan))));
  const float tiny = as_float(0x00400000), small = as_float(0x00800000);  // half the least normal number, and that
  EXPECT_EQ(one_product({tiny, 0}, {1024, 0}, 0), 0U);                    // a denormal operand counts as zero
  EXPECT_EQ(one_product({small, 0}, {0.5F, 0}, 0), 0U);                   // a denormal product is flushed
  EXPECT_EQ(one_product({small, 0}, {-0.5F, 0}, 1), bits_of(1));
  EXPECT_EQ(one_product({0, 0}, {0, 0}, tiny), 0U);            // so is c
  EXPECT_EQ(one_product({small, 0}, {1, 0}, 0), 0x00800000U);  // normal numbers stay
  EXPECT_EQ(one_product({1.5F, 0}, {small, 0}, -small), 0U);   // 2^-127 as the result
  // Whatever the thread's own MXCSR says: here, towards zero without flushing.
  const unsigned mxcsr = _mm_getcsr();
  _mm_setcsr(mxcsr | 0x6000);
  const uint32_t up = one_product({1, 1}, {16777216, 1.0F}, 2);    // 2^24 + 1 is 2^24; + 2
  const uint32_t rounded = one_product({3, 0}, {1, 0}, 16777216);  // 2^24 + 3 is 2^24 + 4, cut off it would be + 2
  EXPECT_EQ(_mm_getcsr() & 0x6000U, 0x6000U);
  _mm_setcsr(mxcsr);
  EXPECT_EQ(up, bits_of(16777218));
  EXPECT_EQ(rounded, bits_of(16777220));
}

TEST(AmxEmulator, TailsOfRowsAndColumns) {
  SKIP_WITHOUT_FMA();
  AmxEmulator emulator;
  const jit::Code code = product_code(Kind::bf16);
  for (const int m : {1, 5, 16}) {
    for (const int n : {1, 7, 16}) {
      for (const int pairs : {1, 3, 16}) {
        std::vector<uint16_t> a(16 * 40, bf(NAN)), b(16 * 40, bf(NAN));
        std::vector<float> c(16 * 20, 99);
        const auto av = [](int i, int p) { return static_cast<float>((i * 7 + p * 3) % 11 - 5); };
        const auto bv = [](int p, int j) { return static_cast<float>((p * 5 + j * 2) % 13 - 6); };
        for (int i = 0; i < m; ++i)
          for (int p = 0; p < 2 * pairs; ++p) a[static_cast<size_t>(i * 40 + p)] = bf(av(i, p));
        for (int p = 0; p < 2 * pairs; ++p)
          for (int j = 0; j < n; ++j) b[static_cast<size_t>(p / 2 * 40 + 2 * j + p % 2)] = bf(bv(p, j));
        const detail::TileConfig config = config_of({{m, 4 * n}, {m, 4 * pairs}, {pairs, 4 * n}});
        code.entry<Product>()(&config, a.data(), b.data(), c.data(), 80);
        for (int i = 0; i < 16; ++i) {
          for (int j = 0; j < 20; ++j) {
            float expected = 99;
            for (int p = 0; p < 2 * pairs && i < m && j < n; ++p) expected += av(i, p) * bv(p, j);
            ASSERT_EQ(c[static_cast<size_t>(i * 20 + j)], expected)
                << i << ", " << j << " of " << m << "x" << n << "x" << 2 * pairs;
          }
        }
      }
    }
  }
  if (!AmxEmulator::native()) {
    EXPECT_EQ(emulator.count(AmxOp::tdpbf16ps), 27);
    EXPECT_EQ(emulator.count(AmxOp::tileloadd), 54);
    EXPECT_EQ(emulator.count(AmxOp::tileloaddt1), 27);
    EXPECT_EQ(emulator.count(AmxOp::tilestored), 27);
    EXPECT_EQ(emulator.total(), 27 * 7);
  }
}

TEST(AmxEmulator, IntegerProducts) {
  SKIP_WITHOUT_FMA();
  AmxEmulator emulator;
  const struct {
    Kind kind;
    int64_t first, sum;  // 255 (or -1) times 128 (or -128), and what 1*2 + 2*3 + 3*4 adds
  } cases[] = {
      {Kind::ss, -1 * -128, 20}, {Kind::su, -1 * 128, 20}, {Kind::us, 255 * -128, 20}, {Kind::uu, 255 * 128, 20}};
  for (const auto& test : cases) {
    const jit::Code code = product_code(test.kind);
    const uint8_t a[] = {255, 1, 2, 3, 0, 0, 0, 0}, b[2][64] = {{128, 2, 3, 4}, {9, 9, 9, 9}};
    const detail::TileConfig config = config_of({{1, 4}, {1, 8}, {2, 4}});
    int32_t c = 1000;
    code.entry<Product>()(&config, a, b, &c, 64);
    EXPECT_EQ(c, 1000 + test.first + test.sum) << static_cast<int>(test.kind);
    c = std::numeric_limits<int32_t>::max();  // wraps around
    code.entry<Product>()(&config, a, b, &c, 64);
    EXPECT_EQ(static_cast<uint32_t>(c), 0x7fffffffU + static_cast<uint32_t>(test.first + test.sum));
  }
}

/// Loads a tile of 3 rows of 8 bytes from [base + index + displacement] and stores it the same way at `out`.
jit::Code addressing_code(const Reg64& base, const Reg64& index, int displacement) {
  Assembler s;
  const Reg64 saved[] = {s.rbx, s.rbp, s.r12, s.r13, s.r14, s.r15};
  for (const Reg64& r : saved) s.push(r);
  s.ldtilecfg(s.ptr[s.rdi]);
  s.vmovq(s.xmm0, s.rsp);
  s.vmovq(s.xmm1, s.rcx);
  s.vmovq(s.xmm2, s.rdx);
  s.vmovq(s.xmm3, s.rsi);
  s.vmovq(index, s.xmm2);
  s.vmovq(base, s.xmm3);
  s.tile_load(s.tmm5, base, index, displacement);
  s.vmovq(base, s.xmm1);
  s.tile_store(base, index, displacement, s.tmm5);
  s.vmovq(s.rsp, s.xmm0);
  s.tilerelease();
  for (int i = 5; i >= 0; --i) s.pop(saved[i]);
  s.ret();
  return s.finish("tile_addressing");
}

TEST(AmxEmulator, EveryBaseAndIndex) {
  SKIP_WITHOUT_FMA();
  AmxEmulator emulator;
  detail::TileConfig config{};
  config.palette = 1;
  config.rows[5] = 3;
  config.colsb[5] = 8;
  constexpr int64_t kBelow = 128 << 10;  // where rsp is the base, signal frames go there
  std::vector<uint8_t> from(kBelow + 4096), to(from.size());
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<uint8_t>(i * 31 + i / 256);
  int64_t runs = 0;
  for (int base = 0; base < 16; ++base) {
    for (int index = 0; index < 16; ++index) {
      if (index == base || index == Xbyak::Operand::RSP) continue;
      for (const int displacement : {0, 64, -128, 1000, -1000}) {
        if (base == Xbyak::Operand::RSP && displacement == -1000) continue;  // signal frames lie there
        const jit::Code code = addressing_code(Reg64(base), Reg64(index), displacement);
        const std::vector<uint8_t> pristine(4096, 0xee);
        std::memcpy(to.data() + kBelow - 1024, pristine.data(), 4096);
        using Function = void (*)(const void*, const uint8_t*, int64_t, uint8_t*);
        // `from` is restored after: signal frames overwrite what is below rsp.
        const std::vector<uint8_t> kept = from;
        code.entry<Function>()(&config, from.data() + kBelow, 24, to.data() + kBelow);
        from = kept;
        ++runs;
        for (int row = 0; row < 3; ++row) {
          const int64_t at = kBelow + displacement + 24 * row;
          ASSERT_EQ(std::memcmp(to.data() + at, from.data() + at, 8), 0)
              << "base " << base << ", index " << index << ", displacement " << displacement << ", row " << row;
          if (base != Xbyak::Operand::RSP) {
            ASSERT_EQ(to[static_cast<size_t>(at + 8)], 0xee) << "written past the row";
          }
        }
      }
    }
  }
  EXPECT_EQ(runs, 5 * (15 * 14 + 15) - 15);
  if (!AmxEmulator::native()) {
    EXPECT_EQ(emulator.count(AmxOp::tilestored), runs);
  }
}

TEST(AmxEmulator, RowsBeyondTheConfiguredOnesAreZero) {
  SKIP_WITHOUT_FMA();
  AmxEmulator emulator;
  // A new configuration makes all tiles zero, and so does tilezero.
  Assembler s;
  s.ldtilecfg(s.ptr[s.rdi]);
  s.mov(s.r8d, 64);
  s.tile_load(s.tmm3, s.rdx, s.r8);
  s.tile_store(s.rcx, s.r8, 0, s.tmm3);
  s.tilezero(s.tmm3);
  s.tile_store(s.rcx, s.r8, 1024, s.tmm3);
  s.tile_load(s.tmm3, s.rdx, s.r8);
  s.ldtilecfg(s.ptr[s.rsi]);
  s.tile_store(s.rcx, s.r8, 2048, s.tmm3);
  s.sttilecfg(s.ptr[s.rcx + 3072]);
  s.tilerelease();
  s.sttilecfg(s.ptr[s.rcx + 3136]);
  s.ret();
  const jit::Code code = s.finish("tile_zeroing");
  const auto small = config_of({{0, 0}, {0, 0}, {0, 0}, {4, 12}}), full = config_of({{0, 0}, {0, 0}, {0, 0}, {16, 64}});
  const std::vector<uint8_t> data(1024, 7);
  std::vector<uint8_t> out(3200, 0xee);
  code.entry<void (*)(const void*, const void*, const void*, void*)>()(&small, &full, data.data(), out.data());
  for (size_t i = 0; i < 1024; ++i) {
    const bool inside = i / 64 < 4 && i % 64 < 12;
    ASSERT_EQ(out[i], inside ? 7 : 0xee) << i;
    ASSERT_EQ(out[1024 + i], inside ? 0 : 0xee) << i;
    ASSERT_EQ(out[2048 + i], 0) << i;
  }
  EXPECT_EQ(std::memcmp(out.data() + 3072, &full, 64), 0);
  const detail::TileConfig none{};
  EXPECT_EQ(std::memcmp(out.data() + 3136, &none, 64), 0);
}

TEST(AmxEmulator, ThreadsHaveTilesOfTheirOwn) {
  SKIP_WITHOUT_FMA();
  AmxEmulator emulator;
  const jit::Code code = product_code(Kind::bf16);
  bool right[2] = {true, true};
  const auto work = [&](int which) {
    const int rows = which == 0 ? 16 : 3;
    const detail::TileConfig config = config_of({{rows, 64}, {rows, 64}, {16, 64}});
    const std::vector<uint16_t> a(512, bf(static_cast<float>(which + 1))), b(512, bf(2));
    for (int round = 0; round < 200; ++round) {
      std::vector<float> c(256, 1);
      code.entry<Product>()(&config, a.data(), b.data(), c.data(), 64);
      for (int i = 0; i < 256; ++i)
        right[which] &= c[static_cast<size_t>(i)] == (i / 16 < rows ? 1 + 64.0F * static_cast<float>(which + 1) : 1);
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  EXPECT_TRUE(right[0]);
  EXPECT_TRUE(right[1]);
}

TEST(AmxEmulatorDeathTest, BreakingTheRulesEndsTheProcess) {
  SKIP_WITHOUT_FMA();
  if (AmxEmulator::native()) GTEST_SKIP() << "the processor itself refuses, with a signal";
  AmxEmulator emulator;
  const jit::Code code = product_code(Kind::bf16);
  std::vector<float> data(256);
  const auto run = [&](const detail::TileConfig& config) {
    code.entry<Product>()(&config, data.data(), data.data(), data.data(), 64);
  };
  EXPECT_DEATH(run({}), "tileloadd: no tiles are configured");
  EXPECT_DEATH(run(config_of({{16, 64}, {16, 64}})), "tileloaddt1: a tile is not configured");
  EXPECT_DEATH(run(config_of({{16, 64}, {16, 64}, {15, 64}})), "tdpbf16ps: a's columns are not b's rows");
  EXPECT_DEATH(run(config_of({{17, 64}})), "ldtilecfg: a tile has more than 16 rows");
  EXPECT_DEATH(run(config_of({{0, 64}})), "ldtilecfg: a tile has rows without columns");
}

/// What a call of a kernel for f32 executes of its own code.
InstructionCounts trace_kernel(Isa isa, int64_t m = 8, int64_t n = 32, int64_t k = 16) {
  ContractionDesc desc;
  desc.m = m;
  desc.n = desc.ldb = desc.ldc = n;
  desc.k = desc.lda = k;
  const auto kernel = ContractionKernel::compile(Target::detect().capped(isa), desc);
  EXPECT_EQ(kernel->info().isa, isa);
  std::vector<float> a(static_cast<size_t>(m * k), 1), b(static_cast<size_t>(k * n), 2), c(static_cast<size_t>(m * n));
  std::vector<uint8_t> scratch(static_cast<size_t>(kernel->scratch_bytes()) + 64);
  ContractionCall call;
  call.scratch = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
  const InstructionCounts counts = trace_instructions(kernel->code(), kernel->info().code_bytes,
                                                      [&] { (*kernel)(a.data(), b.data(), c.data(), &call); });
  for (float x : c) EXPECT_EQ(x, static_cast<float>(2 * k));
  return counts;
}

TEST(InstructionTracer, ForcedInstructionSetsRan) {
  const Isa best = Target::detect().isa;
  const InstructionCounts reference = trace_kernel(Isa::reference, 2, 8, 4);  // slow: a small one will do
  EXPECT_EQ(reference.total(), 0) << "the reference is not compiled at run time";
  EXPECT_GT(reference.outside, 2 * 8 * 4) << to_string(reference);
  if (best < Isa::avx2) GTEST_SKIP() << "this machine has no AVX2";
  const InstructionCounts avx2 = trace_kernel(Isa::avx2);
  EXPECT_GE(avx2.vex256, 8 * 32 * 16 / 8) << to_string(avx2);
  EXPECT_EQ(avx2.evex, 0) << to_string(avx2);
  if (best < Isa::avx512) GTEST_SKIP() << "this machine has no AVX-512";
  const InstructionCounts avx512 = trace_kernel(Isa::avx512);
  EXPECT_GE(avx512.evex512, 8 * 32 * 16 / 16) << to_string(avx512);
  EXPECT_EQ(avx512.amx, 0) << to_string(avx512);
}

TEST(InstructionTracer, CountsWhatIsEmulated) {
  SKIP_WITHOUT_FMA();
  AmxEmulator emulator;
  const jit::Code code = product_code(Kind::bf16);
  const detail::TileConfig config = config_of({{16, 64}, {16, 64}, {16, 64}});
  std::vector<float> data(256);
  const InstructionCounts counts = trace_instructions(code.data(), static_cast<int64_t>(code.bytes()), [&] {
    code.entry<Product>()(&config, data.data(), data.data(), data.data(), 64);
  });
  EXPECT_EQ(counts.amx, 7) << to_string(counts);
  EXPECT_EQ(counts.legacy, 1) << to_string(counts);  // ret
  EXPECT_EQ(counts.total(), 8) << to_string(counts);
}

}  // namespace
}  // namespace gregale::kernels
