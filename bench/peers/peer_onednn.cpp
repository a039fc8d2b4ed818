// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// oneDNN 2 and 3. Packed: the weights' layout is oneDNN's choice (format any) and they are reordered beforehand.
#include <oneapi/dnnl/dnnl.hpp>

#include <cstring>
#include <stdexcept>
#include <unordered_map>

#include "worker.hpp"

namespace gregale::peers {
namespace {

using Md = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

dnnl::matmul::primitive_desc make_desc(const dnnl::engine& engine, const Md& a, const Md& b, const Md& c) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, c};
#else
  return {dnnl::matmul::desc(a, b, c), engine};
#endif
}

class Matmul final : public Product {
 public:
  Matmul(const Job& job, const Operands& operands) : job_(job), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    const bool bf16 = job.dtype == Dtype::bf16;
    const Type type = bf16 ? Type::bf16 : Type::f32;
    const Md a({job.m, job.k}, type, Tag::ab), b({job.k, job.n}, type, Tag::ab), c({job.m, job.n}, type, Tag::ab);
    desc_ = make_desc(engine_, a, job.packed ? Md({job.k, job.n}, type, Tag::any) : b, c);
    matmul_ = dnnl::matmul(desc_);
    // Memory is oneDNN's own: with the SYCL runtime it must be.
    dnnl::memory a_memory(a, engine_), b_memory(b, engine_);
    c_memory_ = dnnl::memory(c, engine_);
    if (bf16) {
      fill(a_memory, operands.a_bf16);
      fill(b_memory, operands.b_bf16);
    } else {
      fill(a_memory, operands.a);
      fill(b_memory, operands.b);
    }
    if (desc_.weights_desc() != b) {
      dnnl::memory packed(desc_.weights_desc(), engine_);
      dnnl::reorder(b_memory, packed).execute(stream_, b_memory, packed);
      stream_.wait();
      b_memory = packed;
    }
    arguments_ = {{DNNL_ARG_SRC, a_memory}, {DNNL_ARG_WEIGHTS, b_memory}, {DNNL_ARG_DST, c_memory_}};
  }
  void run() override {
    matmul_.execute(stream_, arguments_);
    stream_.wait();
  }
  double result(int64_t row, int64_t column) const override {
    const auto at = static_cast<size_t>(row * job_.n + column);
    const void* data = c_memory_.get_data_handle();
    return job_.dtype == Dtype::bf16 ? to_f32(static_cast<const uint16_t*>(data)[at])
                                     : static_cast<const float*>(data)[at];
  }
  std::string implementation() const override { return desc_.impl_info_str(); }

 private:
  template <class T>
  static void fill(const dnnl::memory& memory, const std::vector<T>& values) {
    std::memcpy(memory.get_data_handle(), values.data(), values.size() * sizeof(T));
  }
  Job job_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul::primitive_desc desc_;
  dnnl::matmul matmul_;
  dnnl::memory c_memory_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace

std::string peer_name() { return "oneDNN " + std::to_string(DNNL_VERSION_MAJOR); }
std::string peer_version() {
  const dnnl_version_t* version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch);
}

std::unique_ptr<Product> prepare(const Job& job, const Operands& operands) {
  try {
    return std::make_unique<Matmul>(job, operands);
  } catch (const dnnl::error& error) {
    throw std::runtime_error(std::string("oneDNN: ") + error.what());
  }
}

}  // namespace gregale::peers
