// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/native.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ops/native_reduction.hpp"
#include "ops/reduction.hpp"

namespace gregale::ops::native {
namespace {

Kernel row_kernel(const NodeView& node, Row row) {
  const BroadcastPlan plan(node);
  int64_t dense[kernels::kMaxRank];
  kernels::dense_strides(plan.rank(), plan.extents.data(), dense);
  const auto loops =
      kernels::collapse<3>(plan.rank(), plan.extents.data(), {plan.strides[0].data(), plan.strides[1].data(), dense});
  const int64_t size = size_of(node.input(0).dtype), result_size = size_of(node.outputs()[0].dtype);
  Kernel k;
  k.run = [loops, row, size, result_size](const Launch& l) {
    const auto *a = static_cast<const std::byte*>(l.inputs[0]), *b = static_cast<const std::byte*>(l.inputs[1]);
    auto* y = static_cast<std::byte*>(l.outputs[0]);
    const int64_t* step = loops.strides[loops.rank - 1];
    kernels::for_rows(l.team, loops, [&](const int64_t(&at)[3], int64_t n) {
      row(a + at[0] * size, step[0], b + at[1] * size, step[1], y + at[2] * result_size, n);
    });
  };
  k.in_place = in_place_pairs(node);
  return k;
}

ReducedLoops reduced_loops(const NodeView& node) {
  const Extents extents = node.input(0).shape.extents(), strides = row_major_strides(extents);
  const std::vector<bool> reduced = reduced_axes(node);
  ReducedLoops loops;
  for (const bool which : {false, true}) {
    Extents own, own_strides;
    for (size_t i = 0; i < extents.size(); ++i) {
      if (reduced[i] != which) continue;
      own.push_back(extents[i]);
      own_strides.push_back(strides[i]);
    }
    (which ? loops.reduced : loops.kept) =
        kernels::collapse<1>(static_cast<int>(own.size()), own.data(), {own_strides.data()});
  }
  return loops;
}

std::optional<Error> refusal(const NodeView& node, const Type& widest) {
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  if (widest.rank() > kernels::kMaxRank) return refuse(node, "the rank is above 8");
  return std::nullopt;
}

Error unknown(const NodeView& node) {
  return refuse(node, fmt::format("{} is not among its dtypes", name_of(node.input(0).dtype)));
}

}  // namespace

Lowering lowering(Row (*row_of)(DType dtype)) {
  return {"native", [row_of](const NodeView& node, const Target&) -> Result<Kernel> {
            if (const auto error = refusal(node, node.outputs()[0])) return *error;
            const Row row = row_of(node.input(0).dtype);
            if (!row) return unknown(node);
            return row_kernel(node, row);
          }};
}

int64_t place(const kernels::Loops<1>& loops, int rank, int64_t index) {
  int64_t at = 0;
  for (int i = rank - 1; i >= 0; --i) {
    at += index % loops.extents[i] * loops.strides[i][0];
    index /= loops.extents[i];
  }
  return at;
}

Lowering reduction(Results (*results_of)(DType dtype)) {
  return {"native", [results_of](const NodeView& node, const Target&) -> Result<Kernel> {
            if (const auto error = refusal(node, node.input(0))) return *error;
            const Results results = results_of(node.input(0).dtype);
            if (!results) return unknown(node);
            Kernel k;
            k.run = [loops = reduced_loops(node), results](const Launch& l) {
              const int64_t each = loops.reduced.rows() * loops.reduced.inner();
              const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain / std::max<int64_t>(1, each));
              parallel_for(l.team, loops.kept.rows() * loops.kept.inner(), grain, [&](int64_t begin, int64_t end, int) {
                results(loops, l.inputs[0], l.outputs[0], begin, end);
              });
            };
            return k;
          }};
}

}  // namespace gregale::ops::native
