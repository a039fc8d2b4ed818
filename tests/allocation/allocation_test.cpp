// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "gregale/train.hpp"

/// A step of training after the first allocates nothing. Every way to the heap that the library has is counted: `new`
/// is replaced, the C functions are wrapped by the linker.
namespace {

std::atomic<int64_t> allocations{0};

void* counted(size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
  throw std::bad_alloc();
}

void* counted(size_t bytes, std::align_val_t alignment) {
  ++allocations;
  const auto a = static_cast<size_t>(alignment);
  if (void* p = std::aligned_alloc(a, (bytes + a - 1) / a * a)) return p;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(size_t bytes) { return counted(bytes); }
void* operator new[](size_t bytes) { return counted(bytes); }
void* operator new(size_t bytes, std::align_val_t alignment) { return counted(bytes, alignment); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return counted(bytes, alignment); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }

extern "C" {
void* __real_malloc(size_t);
void* __real_calloc(size_t, size_t);
void* __real_realloc(void*, size_t);
void* __real_aligned_alloc(size_t, size_t);
int __real_posix_memalign(void**, size_t, size_t);
void* __wrap_malloc(size_t n) { return ++allocations, __real_malloc(n); }
void* __wrap_calloc(size_t n, size_t m) { return ++allocations, __real_calloc(n, m); }
void* __wrap_realloc(void* p, size_t n) { return ++allocations, __real_realloc(p, n); }
void* __wrap_aligned_alloc(size_t a, size_t n) { return ++allocations, __real_aligned_alloc(a, n); }
int __wrap_posix_memalign(void** p, size_t a, size_t n) { return ++allocations, __real_posix_memalign(p, a, n); }
}

namespace gregale {
namespace {

TEST(Allocation, IsCounted) {
  int64_t before = allocations;
  std::make_unique<int>(1).reset();
  EXPECT_GT(allocations, before) << "new";
  before = allocations;
  const Tensor t(DType::f32, {1024});
  EXPECT_GE(allocations, before + 2) << "a tensor takes its elements and their owner";
}

TEST(Allocation, NoneInAStepAfterTheFirst) {
  const Type field(DType::f32, {2, 3, 8, 12});
  Graph g("afno");
  const Value x = g.add_input("x", field), y = g.add_input("y", field), key = g.add_input("key", Type(DType::i64, {2}));
  nn::Scope scope(g, key);
  nn::AfnoOptions model{.patch = 2, .width = 32, .depth = 2, .blocks = 4};
  model.dropout = 0.1;
  model.out = 3;
  const Value prediction = nn::afno(scope, "net", nn::pad_sphere(g, x, {.south = 1, .north = 1}), model);
  const Value cropped = ops::slice_axis(g, prediction, 2, 1, 9);
  const Value loss = nn::relative_l2_loss(g, cropped, y);
  StepOptions options;
  options.clip = 1;
  options.ema = 0.99;
  options.optimizer.weight_decay = 0.01;
  TrainingStep step(std::move(g), scope, loss, options, {cropped});
  ASSERT_EQ(step.executable().reference_steps(), 0) << step.executable().describe();

  VariableValues state = step.initial_state(0);
  std::vector<Tensor> batch{Tensor::full(DType::f32, field.shape.extents(), 0.5),
                            Tensor::full(DType::f32, field.shape.extents(), 1)};
  ExecutionContext context(make_thread_team(2));
  const double first = step.run(context, batch, state).loss;
  double last = first;
  const int64_t before = allocations;
  for (int i = 0; i < 5; ++i) last = step.run(context, batch, state).loss;
  EXPECT_EQ(allocations - before, 0);
  EXPECT_LT(last, first) << "and it does learn";
}

}  // namespace
}  // namespace gregale
