// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cblas.h>

#include <stdexcept>

#include "worker.hpp"

namespace gregale::peers {
namespace {

class Sgemm final : public Product {
 public:
  Sgemm(const Job& job, const Operands& operands)
      : job_(job), a_(copy_of(operands.a)), b_(copy_of(operands.b)), c_(job.m * job.n * 4) {
    openblas_set_num_threads(job.threads);
  }
  void run() override {
    const auto m = static_cast<blasint>(job_.m), n = static_cast<blasint>(job_.n), k = static_cast<blasint>(job_.k);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a_.as<float>(), k, b_.as<float>(), n, 0,
                c_.as<float>(), n);
  }
  double result(int64_t row, int64_t column) const override { return c_.as<float>()[row * job_.n + column]; }
  std::string implementation() const override { return std::string("sgemm, core ") + openblas_get_corename(); }

 private:
  Job job_;
  Memory a_, b_, c_;
};

}  // namespace

std::string peer_name() { return "OpenBLAS"; }
std::string peer_version() { return openblas_get_config(); }

std::unique_ptr<Product> prepare(const Job& job, const Operands& operands) {
  if (job.dtype == Dtype::bf16) throw std::runtime_error("Debian builds OpenBLAS without bf16");
  return std::make_unique<Sgemm>(job, operands);  // has no packed form: B is packed in each call
}

}  // namespace gregale::peers
