// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// MKL. Its bf16 product has an fp32 result, which is what it is timed with: there is no other.
#include <mkl.h>

#include <stdexcept>

#include "worker.hpp"

namespace gregale::peers {
namespace {

class Gemm final : public Product {
 public:
  Gemm(const Job& job, const Operands& operands)
      : job_(job),
        bf16_(job.dtype == Dtype::bf16),
        a_(bf16_ ? copy_of(operands.a_bf16) : copy_of(operands.a)),
        b_(bf16_ ? copy_of(operands.b_bf16) : copy_of(operands.b)),
        c_(job.m * job.n * 4) {
    mkl_set_num_threads(job.threads);
    const MKL_INT m = job.m, n = job.n, k = job.k;
    if (!job.packed) return;
    if (bf16_) {
      packed_ = Memory(static_cast<int64_t>(cblas_gemm_bf16bf16f32_pack_get_size(CblasBMatrix, m, n, k)));
      cblas_gemm_bf16bf16f32_pack(CblasRowMajor, CblasBMatrix, CblasNoTrans, m, n, k, b_.as<MKL_BF16>(), n,
                                  packed_.as<MKL_BF16>());
    } else {
      packed_ = Memory(static_cast<int64_t>(cblas_sgemm_pack_get_size(CblasBMatrix, m, n, k)));
      cblas_sgemm_pack(CblasRowMajor, CblasBMatrix, CblasNoTrans, m, n, k, 1, b_.as<float>(), n, packed_.as<float>());
    }
  }
  void run() override {
    const MKL_INT m = job_.m, n = job_.n, k = job_.k;
    float* c = c_.as<float>();
    if (bf16_ && job_.packed) {
      cblas_gemm_bf16bf16f32_compute(CblasRowMajor, CblasNoTrans, CblasPacked, m, n, k, 1, a_.as<MKL_BF16>(), k,
                                     packed_.as<MKL_BF16>(), n, 0, c, n);
    } else if (bf16_) {
      cblas_gemm_bf16bf16f32(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a_.as<MKL_BF16>(), k,
                             b_.as<MKL_BF16>(), n, 0, c, n);
    } else if (job_.packed) {
      cblas_sgemm_compute(CblasRowMajor, CblasNoTrans, CblasPacked, m, n, k, a_.as<float>(), k, packed_.as<float>(), n,
                          0, c, n);
    } else {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a_.as<float>(), k, b_.as<float>(), n, 0, c, n);
    }
  }
  double result(int64_t row, int64_t column) const override { return c_.as<float>()[row * job_.n + column]; }
  std::string implementation() const override {
    MKLVersion version;
    mkl_get_version(&version);
    return std::string(bf16_ ? "gemm_bf16bf16f32, " : "sgemm, ") + version.Processor;
  }

 private:
  Job job_;
  bool bf16_;
  Memory a_, b_, c_, packed_;
};

}  // namespace

std::string peer_name() { return "MKL"; }
std::string peer_version() {
  MKLVersion version;
  mkl_get_version(&version);
  return std::to_string(version.MajorVersion) + "." + std::to_string(version.MinorVersion) + "." +
         std::to_string(version.UpdateVersion);
}

std::unique_ptr<Product> prepare(const Job& job, const Operands& operands) {
  return std::make_unique<Gemm>(job, operands);
}

}  // namespace gregale::peers
