// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gregale::kernels::testing {

/// Memory that ends, or begins, at a page nobody may touch: reading one byte too far ends the test.
class Fenced {
 public:
  enum class At : uint8_t { end, begin };
  explicit Fenced(int64_t bytes, int fill = 0, At at = At::end) : bytes_(bytes), at_(at) {
    const int64_t page = sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    mapped_ = static_cast<size_t>(inner + 2 * page);
    memory_ =
        static_cast<std::byte*>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory_, static_cast<size_t>(page), PROT_NONE);
    mprotect(memory_ + page + inner, static_cast<size_t>(page), PROT_NONE);
    data_ = memory_ + page + (at == At::end ? inner - bytes : 0);
    std::memset(data_, fill, static_cast<size_t>(bytes));
  }
  ~Fenced() { munmap(memory_, mapped_); }
  Fenced(const Fenced& other) : Fenced(other.bytes_, 0, other.at_) {
    std::memcpy(data_, other.data_, static_cast<size_t>(bytes_));
  }
  Fenced& operator=(const Fenced&) = delete;

  std::byte* data() const { return data_; }
  template <class T = void>
  T* get() const {
    return reinterpret_cast<T*>(data_);
  }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_;
  At at_;
  size_t mapped_ = 0;
  std::byte *memory_ = nullptr, *data_ = nullptr;
};

}  // namespace gregale::kernels::testing
