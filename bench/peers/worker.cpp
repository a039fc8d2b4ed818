// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "worker.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace gregale::peers {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  float uniform() { return static_cast<float>(static_cast<int64_t>(next() >> 40) - (1 << 23)) * 0x1p-23f; }
};

uint16_t to_bf16(float value) {  // to nearest even; the operands hold no NaN
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void draw(int64_t count, uint64_t seed, bool bf16, std::vector<float>* values, std::vector<uint16_t>* rounded) {
  Random random{seed};
  values->resize(static_cast<size_t>(count));
  if (bf16) rounded->resize(static_cast<size_t>(count));
  for (size_t i = 0; i < values->size(); ++i) {
    float x = random.uniform();
    if (bf16) {
      (*rounded)[i] = to_bf16(x);
      x = to_f32((*rounded)[i]);
    }
    (*values)[i] = x;
  }
}

Dtype parse_dtype(const std::string& name) {
  if (name == "fp32") return Dtype::fp32;
  if (name == "bf16") return Dtype::bf16;
  if (name == "fp32x3") return Dtype::fp32x3;
  throw std::runtime_error("unknown dtype " + name);
}

Job parse_job(const Json& line) {
  Job job;
  if (line.at("op") != "gemm") throw std::runtime_error("unknown op");
  job.m = line.at("m");
  job.n = line.at("n");
  job.k = line.at("k");
  job.dtype = parse_dtype(line.at("dtype"));
  job.packed = line.value("packed", false);
  job.threads = line.value("threads", 1);
  if (job.m < 1 || job.n < 1 || job.k < 1 || job.threads < 1) throw std::runtime_error("sizes and threads are >= 1");
  return job;
}

/// The greatest distance of some elements from their sums in f64: whole rows and columns are too much for large sizes.
double max_error(const Job& job, const Operands& operands, const Product& product) {
  Random random{99};
  double greatest = 0;
  const int64_t rows = std::min<int64_t>(job.m, 48), columns = std::min<int64_t>(job.n, 48);
  std::vector<int64_t> of_b;
  for (int64_t j = 0; j < columns; ++j)
    of_b.push_back(columns == job.n ? j : static_cast<int64_t>(random.next() % static_cast<uint64_t>(job.n)));
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t row = rows == job.m ? i : static_cast<int64_t>(random.next() % static_cast<uint64_t>(job.m));
    std::vector<double> sums(of_b.size());
    for (int64_t p = 0; p < job.k; ++p) {
      const double a = operands.a[static_cast<size_t>(row * job.k + p)];
      for (size_t j = 0; j < sums.size(); ++j)
        sums[j] += a * static_cast<double>(operands.b[static_cast<size_t>(p * job.n + of_b[j])]);
    }
    for (size_t j = 0; j < sums.size(); ++j) {
      const double distance = std::fabs(product.result(row, of_b[j]) - sums[j]);
      if (!(distance <= greatest)) greatest = distance;  // a NaN counts
    }
  }
  return greatest;
}

struct Current {
  Job job;
  std::unique_ptr<Product> product;
  double call_seconds = 0;  ///< about
};

Json begin_job(const Json& line, Current* current) {
  current->product.reset();
  current->job = parse_job(line);
  const Job& job = current->job;
  Operands operands;
  const bool bf16 = job.dtype == Dtype::bf16;
  draw(job.m * job.k, 1, bf16, &operands.a, &operands.a_bf16);
  draw(job.k * job.n, 2, bf16, &operands.b, &operands.b_bf16);
  current->product = prepare(job, operands);
  current->product->run();
  const Clock::time_point begin = Clock::now();
  current->product->run();
  current->call_seconds = seconds_since(begin);
  Json answer = {{"ready", true}, {"implementation", current->product->implementation()}, {"version", peer_version()}};
  if (line.value("check", true)) answer["max_error"] = max_error(job, operands, *current->product);
  return answer;
}

Json run(Current* current) {
  if (!current->product) throw std::runtime_error("run without a job");
  constexpr double kWarm = 0.003, kRun = 0.04;
  // Another program had the caches, and the threads slept. A long call is its own warm-up.
  if (current->call_seconds < kRun) {
    const Clock::time_point begin = Clock::now();
    do current->product->run();
    while (seconds_since(begin) < kWarm);
  }
  const auto calls =
      std::max<int64_t>(1, static_cast<int64_t>(std::ceil(kRun / std::max(current->call_seconds, 1e-9))));
  const Clock::time_point begin = Clock::now();
  for (int64_t i = 0; i < calls; ++i) current->product->run();
  const double seconds = seconds_since(begin) / static_cast<double>(calls);
  current->call_seconds = seconds;
  return {{"seconds", seconds}, {"calls", calls}};
}

}  // namespace

float to_f32(uint16_t bf16) {
  const uint32_t bits = static_cast<uint32_t>(bf16) << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

Memory::Memory(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
  if (bytes_ == 0) return;
  // Sizes are rounded up to whole huge pages: aligned_alloc then begins on one.
  constexpr size_t kHuge = size_t{2} << 20;
  const size_t align = bytes_ >= kHuge ? kHuge : 4096;
  const size_t size = (bytes_ + align - 1) / align * align;
  data_ = std::aligned_alloc(align, size);
  if (data_ == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (align == kHuge) madvise(data_, size, MADV_HUGEPAGE);
#endif
  std::memset(data_, 0, size);
}
Memory::~Memory() { std::free(data_); }
Memory::Memory(Memory&& other) noexcept { *this = std::move(other); }
Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

template <class T>
Memory copy_of(const std::vector<T>& values) {
  Memory memory(static_cast<int64_t>(values.size() * sizeof(T)));
  if (!values.empty()) std::memcpy(memory.data(), values.data(), values.size() * sizeof(T));
  return memory;
}
template Memory copy_of(const std::vector<float>&);
template Memory copy_of(const std::vector<uint16_t>&);

}  // namespace gregale::peers

int main() {
  using namespace gregale::peers;
  // Libraries print to standard output what they like: the protocol has a descriptor of its own.
  const int out = dup(STDOUT_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  Current current;
  std::string line;
  while (std::getline(std::cin, line)) {
    Json answer;
    try {
      if (line == "name") {
        answer = {{"name", peer_name()}, {"version", peer_version()}};
      } else if (line == "run") {
        answer = run(&current);
      } else {
        answer = begin_job(Json::parse(line), &current);
      }
    } catch (const std::exception& error) {
      answer = {{"refused", error.what()}};
    }
    const std::string text = answer.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    if (write(out, text.data(), text.size()) != static_cast<ssize_t>(text.size())) return 1;
  }
  return 0;
}
