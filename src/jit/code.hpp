// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace gregale::jit {

/// Machine code that can be called, on pages of its own. The pages are first writable, then executable, never both: the
/// bytes are written before anyone can run them, and are never changed after.
class Code {
 public:
  /// Copies `bytes` of position-independent code. `name` is for profilers and dumps, in [a-zA-Z0-9_.-].
  /// GREGALE_JIT_DUMP=DIR in the environment writes it to DIR/NAME.bin (`objdump -D -b binary -m i386:x86-64`), and
  /// GREGALE_JIT_PERF=1 adds it to /tmp/perf-PID.map, where `perf report` looks for names.
  /// Throws ErrorCode::out_of_memory where the system gives no pages or refuses to make them executable.
  Code(std::string name, const void* code, size_t bytes);
  ~Code();
  Code(Code&& other) noexcept;
  Code& operator=(Code&& other) noexcept;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  template <class Function>
  Function entry(size_t offset = 0) const {
    return reinterpret_cast<Function>(reinterpret_cast<uintptr_t>(memory_) + offset);
  }
  const std::byte* data() const { return static_cast<const std::byte*>(memory_); }
  /// Bytes of code; the pages are this rounded up.
  size_t bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

 private:
  void release() noexcept;
  std::string name_;
  void* memory_ = nullptr;
  size_t bytes_ = 0, mapped_ = 0;
};

}  // namespace gregale::jit
