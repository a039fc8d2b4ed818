// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gregale/context.hpp"
#include "gregale/error.hpp"
#include "jit/assembler.hpp"

namespace gregale::jit {
namespace {

/// Protection of the mapping that holds `address`, as in /proc/self/maps: "r-xp".
std::string protection_of(const void* address) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::string bits;
    std::istringstream(line) >> std::hex >> begin >> dash >> end >> bits;
    if (reinterpret_cast<uintptr_t>(address) >= begin && reinterpret_cast<uintptr_t>(address) < end) return bits;
  }
  return "";
}

TEST(Jit, CodeRunsAndIsNeverWritable) {
  Assembler as;
  as.lea(as.rax, as.ptr[as.rdi + as.rsi * 2]);
  as.ret();
  const Code code = as.finish("lea");
  EXPECT_EQ(code.entry<int64_t (*)(int64_t, int64_t)>()(3, 5), 13);
  EXPECT_EQ(protection_of(code.data()), "r-xp");
}

TEST(Jit, PoolConstantsSurviveGrowthAndCopy) {
  Assembler as;
  Xbyak::Label& two = as.pool_f32(2.0f);
  EXPECT_EQ(&two, &as.pool_f32(2.0f));
  EXPECT_NE(&two, &as.pool_f32(3.0f));
  Xbyak::Label start, end;
  as.jmp(start, Xbyak::CodeGenerator::T_NEAR);
  for (int i = 0; i < 100000; ++i) as.nop(1);  // beyond the first buffer
  as.L(start);
  as.mulss(as.xmm0, as.ptr[as.rip + two]);
  as.jmp(end, Xbyak::CodeGenerator::T_NEAR);
  for (int i = 0; i < 100000; ++i) as.nop(1);
  as.L(end);
  as.ret();
  const Code code = as.finish("pool");
  EXPECT_EQ(code.entry<float (*)(float)>()(21.0f), 42.0f);
}

TEST(Jit, EnterAndLeaveKeepTheCallersRegisters) {
  if (Target::detect().isa < Isa::avx2) GTEST_SKIP() << "leave() clears AVX registers";
  Assembler as;
  as.enter({as.rbx, as.r12, as.r13, as.r14, as.r15, as.rcx}, 100);
  for (const auto& r : {as.rbx, as.r12, as.r13, as.r14, as.r15}) as.mov(r, 7);
  as.mov(as.rax, as.rsp);
  as.mov(as.qword[as.rsp + 96], 1);
  as.leave();
  const Code code = as.finish("frame");
  uint64_t rsp = 0, kept = 0;
  asm volatile(
      "sub $128, %%rsp\n"  // the red zone is the compiler's
      "mov $11, %%rbx\n mov $12, %%r12\n mov $13, %%r13\n mov $14, %%r14\n mov $15, %%r15\n"
      "call *%2\n"
      "lea (%%rbx, %%r12), %%rcx\n add %%r13, %%rcx\n add %%r14, %%rcx\n add %%r15, %%rcx\n"
      "add $128, %%rsp\n"
      : "=a"(rsp), "=c"(kept)
      : "d"(code.data())
      : "rbx", "r12", "r13", "r14", "r15", "memory", "cc");
  EXPECT_EQ(rsp % 64, 0u);
  EXPECT_EQ(kept, 11u + 12 + 13 + 14 + 15);
}

TEST(Jit, TileStoresAlwaysHaveAnIndex) {
  Assembler as;
  as.tile_store(as.rax, as.rcx, 0, Xbyak::Tmm(1));
  as.tile_load(Xbyak::Tmm(2), as.r12, as.rbp, 64);
  const Code code = as.finish("tiles");
  // VEX.128.F3.0F38.W0 4B /r with a SIB byte (modrm.rm = 100), then VEX.128.F2.0F38.W0 4B.
  const uint8_t expected[] = {0xc4, 0xe2, 0x7a, 0x4b, 0x0c, 0x08, 0xc4, 0xc2, 0x7b, 0x4b, 0x54, 0x2c, 0x40};
  ASSERT_EQ(code.bytes(), sizeof expected);
  EXPECT_EQ(std::memcmp(code.data(), expected, sizeof expected), 0);
}

TEST(Jit, ImpossibleCodeIsReportedAsOurs) {
  Assembler as;
  Xbyak::Label nowhere;
  as.jmp(nowhere, Xbyak::CodeGenerator::T_NEAR);
  try {
    as.finish("broken");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::internal);
  }
}

TEST(Jit, DumpsWhereAsked) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "gregale-jit-dump-test";
  std::filesystem::create_directories(folder);
  setenv("GREGALE_JIT_DUMP", folder.c_str(), 1);
  Assembler as;
  as.ret();
  as.finish("dumped");
  unsetenv("GREGALE_JIT_DUMP");
  EXPECT_EQ(std::filesystem::file_size(folder / "dumped.bin"), 1u);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gregale::jit
