// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "jit/code.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/log.hpp"
#include "gregale/error.hpp"

namespace gregale::jit {
namespace {

/// For people who look at code: failures to write are told and otherwise ignored.
void publish(const Code& code) {
  if (const char* folder = std::getenv("GREGALE_JIT_DUMP"); folder != nullptr && *folder != '\0') {
    const std::string path = fmt::format("{}/{}.bin", folder, code.name());
    std::FILE* file = std::fopen(path.c_str(), "wb");
    const bool written = file != nullptr && std::fwrite(code.data(), 1, code.bytes(), file) == code.bytes();
    if (file != nullptr) std::fclose(file);
    if (!written) log_line("jit", fmt::format("GREGALE_JIT_DUMP: cannot write {}", path));
  }
  if (const char* perf = std::getenv("GREGALE_JIT_PERF"); perf != nullptr && std::strcmp(perf, "1") == 0) {
    // The format is perf's: tools/perf/Documentation/jit-interface.txt of the Linux sources.
    std::FILE* file = std::fopen(fmt::format("/tmp/perf-{}.map", getpid()).c_str(), "a");
    if (file == nullptr) return;
    fmt::print(file, "{:x} {:x} gregale:{}\n", reinterpret_cast<uintptr_t>(code.data()), code.bytes(), code.name());
    std::fclose(file);
  }
}

}  // namespace

Code::Code(std::string name, const void* code, size_t bytes) : name_(std::move(name)), bytes_(bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  mapped_ = (bytes + page - 1) / page * page;
  void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  GREGALE_CHECK(memory != MAP_FAILED, out_of_memory, "[jit] no memory for {} bytes of code", bytes);
  memory_ = memory;
  std::memcpy(memory, code, bytes);
  std::memset(static_cast<std::byte*>(memory) + bytes, 0xcc, mapped_ - bytes);  // int3: a stray jump stops at once
  if (mprotect(memory, mapped_, PROT_READ | PROT_EXEC) != 0) {
    release();
    throw_error(ErrorCode::out_of_memory, "[jit] the system does not let this process make code executable");
  }
  publish(*this);
}

Code::~Code() { release(); }

Code::Code(Code&& other) noexcept { *this = std::move(other); }

Code& Code::operator=(Code&& other) noexcept {
  if (this == &other) return *this;
  release();
  name_ = std::move(other.name_);
  memory_ = std::exchange(other.memory_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  mapped_ = std::exchange(other.mapped_, 0);
  return *this;
}

void Code::release() noexcept {
  if (memory_ != nullptr) munmap(memory_, mapped_);
  memory_ = nullptr;
}

}  // namespace gregale::jit
