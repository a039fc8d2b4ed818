// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/kernel_cache.hpp"

#include <set>
#include <thread>

#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

ContractionDesc small(int64_t m, int64_t n, int64_t k) {
  ContractionDesc d;
  d.m = m;
  d.n = n;
  d.k = k;
  d.lda = k;
  d.ldb = d.ldc = n;
  return d;
}

void expect_right(const ContractionKernel& kernel, const ContractionDesc& d) {
  const auto a = testing::randoms(d.m * d.k, 1), b = testing::randoms(d.k * d.n, 2);
  std::vector<float> c(static_cast<size_t>(d.m * d.n), 9.0f);
  kernel(a.data(), b.data(), c.data());
  double sum = 0;
  for (int64_t p = 0; p < d.k; ++p)
    sum += static_cast<double>(a[static_cast<size_t>((d.m - 1) * d.k + p)]) * b[static_cast<size_t>(p * d.n + d.n - 1)];
  EXPECT_NEAR(c.back(), sum, 1e-5);
}

TEST(KernelCache, TheSameRequestGivesTheSameKernel) {
  KernelCache cache(Target::detect());
  const auto first = cache.get(small(4, 5, 6));
  EXPECT_EQ(cache.get(small(4, 5, 6)), first);
  EXPECT_NE(cache.get(small(4, 5, 7)), first);
  ContractionDesc other = small(4, 5, 6);
  other.accumulate = true;
  EXPECT_NE(cache.get(other), first);
  const auto statistics = cache.contractions().statistics();
  EXPECT_EQ(statistics.kernels, 3);
  EXPECT_EQ(statistics.hits, 1);
}

TEST(KernelCache, EveryFieldOfADescriptorCounts) {
  std::set<uint64_t> hashes;
  int64_t count = 0;
  const auto add = [&](const auto& change) {
    ContractionDesc d = small(4, 5, 6);
    change(d);
    hashes.insert(hash_of(d));
    ++count;
  };
  using D = ContractionDesc;
  add([](D&) {});
  add([](D& d) { d.m = 5; });
  add([](D& d) { d.n = 4; });
  add([](D& d) { d.k = kAtCall; });
  add([](D& d) { d.lda = 7; });
  add([](D& d) { d.ldb = 7; });
  add([](D& d) { d.ldc = 7; });
  add([](D& d) { d.a = DType::bf16; });
  add([](D& d) { d.b = DType::bf16; });
  add([](D& d) { d.c = DType::bf16; });
  add([](D& d) { d.compute = Compute::fp32x3; });
  add([](D& d) { d.b_packing = Packing::vnni2; });
  add([](D& d) { d.trans_a = true; });
  add([](D& d) { d.trans_b = true; });
  add([](D& d) { d.accumulate = true; });
  add([](D& d) { d.own_chain = true; });
  add([](D& d) { d.b_part = 64; });
  add([](D& d) { d.addressing = D::Batch::stride; });
  add([](D& d) { d.batch = 2; });
  add([](D& d) { d.a_stride = 1; });
  add([](D& d) { d.b_stride = 1; });
  add([](D& d) { d.prologue_a.output(d.prologue_a.apply(ExprOp::abs, d.prologue_a.input(0))); });
  add([](D& d) { d.prologue_b.output(d.prologue_b.apply(ExprOp::abs, d.prologue_b.input(0))); });
  add([](D& d) { d.epilogue.output(d.epilogue.apply(ExprOp::abs, d.epilogue.input(0))); });
  add([](D& d) { d.epilogue.output(d.epilogue.apply(ExprOp::exp, d.epilogue.input(0))); });
  add([](D& d) { d.epilogue_inputs.push_back({}); });
  add([](D& d) { d.epilogue_inputs.push_back({.broadcast = Broadcast::row}); });
  EXPECT_EQ(static_cast<int64_t>(hashes.size()), count);
}

TEST(KernelCache, IsBoundedAndNeverFreesCodeInUse) {
  constexpr int64_t kBytes = 16 << 10;
  KernelCache cache(Target::detect(), kBytes);
  const ContractionDesc d = small(3, 3, 3);
  const auto held = cache.get(d);
  for (int64_t i = 1; i <= 60; ++i) cache.get(small(i, 17, 9));
  const auto statistics = cache.contractions().statistics();
  if (held->info().code_bytes > 0) {  // the reference has no code of its own
    EXPECT_GT(statistics.evictions, 0);
    EXPECT_LE(statistics.code_bytes, kBytes);
  }
  expect_right(*held, d);
  expect_right(*cache.get(d), d);
}

TEST(KernelCache, ManyThreadsGetRightKernels) {
  KernelCache cache(Target::detect(), 64 << 10);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int64_t i = 1; i <= 40; ++i) {
        const ContractionDesc d = small(i % 10 + 1, i % 7 + 1, i % 5 + 1);
        expect_right(*cache.get(d), d);
      }
    });
  for (std::thread& t : threads) t.join();
}

TEST(CallSite, FollowsItsDescriptor) {
  KernelCache cache(Target::detect());
  ContractionSite site;
  const ContractionDesc one = small(2, 3, 4), other = small(2, 3, 5);
  const ContractionKernel* kernel = &site.get(cache, one);
  EXPECT_EQ(&site.get(cache, one), kernel);
  expect_right(site.get(cache, other), other);
  expect_right(site.get(cache, one), one);
}

}  // namespace
}  // namespace gregale::kernels
