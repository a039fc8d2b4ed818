// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// What the programs of the comparison share. Each links one library, because libraries disturb one another in one
/// process (thread pools, the clock after AMX), and speaks a protocol of lines of JSON with peers.py:
///
///   > {"op": "gemm", "m": 512, "n": 512, "k": 512, "dtype": "fp32|bf16|fp32x3", "packed": true, "threads": 2}
///   < {"ready": true, "implementation": "...", "version": "...", "max_error": 1e-6}   or   {"refused": "why"}
///   > run
///   < {"seconds": 0.0012, "calls": 25}
///
/// and so on until the end of its input. A job replaces the one before it. "name" instead of a job's line is answered
/// with {"name", "version"}.
namespace gregale::peers {

enum class Dtype : uint8_t { fp32, bf16, fp32x3 };

struct Job {
  int64_t m = 0, n = 0, k = 0;
  Dtype dtype = Dtype::fp32;
  bool packed = false;  ///< B may be brought into the library's own layout beforehand; otherwise that is part of a call
  int threads = 1;
};

/// Row-major and dense, drawn from one seed so that every library multiplies the same numbers, in [-1, 1).
struct Operands {
  std::vector<float> a, b;               ///< fp32 (also fp32x3); for bf16 the rounded values
  std::vector<uint16_t> a_bf16, b_bf16;  ///< bf16 only
};

/// One product, ready to be run again and again.
class Product {
 public:
  virtual ~Product() = default;
  virtual void run() = 0;
  virtual double result(int64_t row, int64_t column) const = 0;  ///< of the last run
  virtual std::string implementation() const = 0;                ///< what the library says of itself
};

/// Memory on large pages where the system gives them, the same for every library.
class Memory {
 public:
  explicit Memory(int64_t bytes = 0);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};
template <class T>
Memory copy_of(const std::vector<T>& values);

float to_f32(uint16_t bf16);

/// Each program defines these.
std::string peer_name();
std::string peer_version();
/// Throws std::runtime_error with the reason where the library cannot do it.
std::unique_ptr<Product> prepare(const Job& job, const Operands& operands);

}  // namespace gregale::peers
