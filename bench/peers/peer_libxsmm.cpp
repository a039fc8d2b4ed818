// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <libxsmm.h>

#include <fmt/format.h>

#include <stdexcept>

#include "worker.hpp"

namespace gregale::peers {
namespace {

/// libxsmm's own tiled and threaded product. Its matrices are column-major: c' = b' a'.
class Sgemm final : public Product {
 public:
  Sgemm(const Job& job, const Operands& operands)
      : job_(job), a_(copy_of(operands.a)), b_(copy_of(operands.b)), c_(job.m * job.n * 4) {
    libxsmm_init();
  }
  void run() override {
    const auto m = static_cast<libxsmm_blasint>(job_.n), n = static_cast<libxsmm_blasint>(job_.m),
               k = static_cast<libxsmm_blasint>(job_.k);
    const float one = 1, zero = 0;
    libxsmm_sgemm_omp("N", "N", &m, &n, &k, &one, b_.as<float>(), &m, a_.as<float>(), &k, &zero, c_.as<float>(), &m);
  }
  double result(int64_t row, int64_t column) const override { return c_.as<float>()[row * job_.n + column]; }
  std::string implementation() const override { return std::string("sgemm_omp, target ") + libxsmm_get_target_arch(); }

 private:
  Job job_;
  Memory a_, b_, c_;
};

}  // namespace

std::string peer_name() { return "libxsmm"; }
std::string peer_version() { return LIBXSMM_VERSION; }

std::unique_ptr<Product> prepare(const Job& job, const Operands& operands) {
  if (job.dtype == Dtype::bf16) throw std::runtime_error("libxsmm 1.17 has bf16 for single tiles only");
  return std::make_unique<Sgemm>(job, operands);
}

}  // namespace gregale::peers
