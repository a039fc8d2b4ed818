// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <blis.h>

#include <stdexcept>

#include "worker.hpp"

namespace gregale::peers {
namespace {

class Sgemm final : public Product {
 public:
  Sgemm(const Job& job, const Operands& operands)
      : job_(job), a_(copy_of(operands.a)), b_(copy_of(operands.b)), c_(job.m * job.n * 4) {
    bli_thread_set_num_threads(job.threads);
  }
  void run() override {
    float one = 1, zero = 0;
    bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, job_.m, job_.n, job_.k, &one, a_.as<float>(), job_.k, 1,
              b_.as<float>(), job_.n, 1, &zero, c_.as<float>(), job_.n, 1);
  }
  double result(int64_t row, int64_t column) const override { return c_.as<float>()[row * job_.n + column]; }
  std::string implementation() const override {
    return std::string("sgemm, configuration ") + bli_arch_string(bli_arch_query_id());
  }

 private:
  Job job_;
  Memory a_, b_, c_;
};

}  // namespace

std::string peer_name() { return "BLIS"; }
std::string peer_version() { return bli_info_get_version_str(); }

std::unique_ptr<Product> prepare(const Job& job, const Operands& operands) {
  if (job.dtype == Dtype::bf16) throw std::runtime_error("BLIS 0.9 has no bf16");
  return std::make_unique<Sgemm>(job, operands);
}

}  // namespace gregale::peers
