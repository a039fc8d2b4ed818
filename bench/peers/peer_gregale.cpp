// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/matmul.hpp"
#include "worker.hpp"

namespace gregale::peers {
namespace {

tile::MatmulProblem problem_of(const Job& job) {
  tile::MatmulProblem problem = tile::dense_matmul(job.m, job.n, job.k);
  if (job.dtype == Dtype::bf16) {
    problem.a = problem.b = problem.c = DType::bf16;
    problem.compute = kernels::Compute::bf16;
  }
  if (job.dtype == Dtype::fp32x3) problem.compute = kernels::Compute::fp32x3;
  problem.packed_b = job.packed;
  return problem;
}

class Matmul final : public Product {
 public:
  Matmul(const Job& job, const Operands& operands)
      : bf16_(job.dtype == Dtype::bf16),
        n_(job.n),
        team_(make_thread_team(job.threads)),
        cache_(Target::detect()),
        matmul_(cache_, problem_of(job)),
        a_(bf16_ ? copy_of(operands.a_bf16) : copy_of(operands.a)),
        b_(bf16_ ? copy_of(operands.b_bf16) : copy_of(operands.b)),
        c_(job.m * job.n * 4),
        scratch_(matmul_.scratch_bytes()),
        thread_scratch_(matmul_.thread_scratch_bytes() * team_->size()) {
    if (!job.packed) return;
    Memory packed(matmul_.packed_bytes());
    matmul_.pack_b(*team_, b_.data(), packed.as<std::byte>());
    b_ = std::move(packed);
  }
  void run() override {
    matmul_.run(*team_, {a_.data(), b_.data(), c_.data()}, scratch_.as<std::byte>(), thread_scratch_.as<std::byte>());
  }
  double result(int64_t row, int64_t column) const override {
    const int64_t at = row * n_ + column;
    return bf16_ ? to_f32(c_.as<uint16_t>()[at]) : c_.as<float>()[at];
  }
  std::string implementation() const override { return matmul_.describe(); }

 private:
  bool bf16_;
  int64_t n_;
  std::unique_ptr<ThreadTeam> team_;
  kernels::KernelCache cache_;
  tile::Matmul matmul_;
  Memory a_, b_, c_, scratch_, thread_scratch_;
};

}  // namespace

std::string peer_name() { return "Gregale"; }
std::string peer_version() { return GREGALE_VERSION; }

std::unique_ptr<Product> prepare(const Job& job, const Operands& operands) {
  return std::make_unique<Matmul>(job, operands);
}

}  // namespace gregale::peers
