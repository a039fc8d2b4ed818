// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "gregale/error.hpp"
#include "kernels/kernel_cache.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<int64_t> permutation_of(const NodeView& node) {
  return distinct_axes(per_axis(node, "permutation"), node.input(0).rank(), "transpose");
}

std::vector<Type> infer_transpose(const NodeView& node) {
  std::vector<Dim> dims;
  for (int64_t axis : permutation_of(node)) dims.push_back(node.input(0).shape[axis]);
  return {Type(node.input(0).dtype, Shape(std::move(dims)))};
}

void reference_transpose(ReferenceContext& c) {
  const Extents strides = row_major_strides(c.inputs[0].extents);
  Extents walk;
  for (int64_t axis : permutation_of(c.node)) walk.push_back(strides[static_cast<size_t>(axis)]);
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    for_each_element<1>(c.outputs[0].extents, {walk}, [&](int64_t i, const std::array<int64_t, 1>& from) {
      out[static_cast<size_t>(i)] = in[static_cast<size_t>(from[0])];
    });
  });
}

/// What is left of a permutation when axes of one element are dropped and those that stay together are merged.
struct Merged {
  Extents extents;  ///< of the source
  std::vector<int64_t> permutation;
};
Merged merged(const Extents& extents, const std::vector<int64_t>& permutation) {
  std::vector<std::pair<int64_t, int64_t>> runs;  // of the result: first axis of the source, elements
  int64_t next = -1;
  for (const int64_t axis : permutation) {
    const int64_t extent = extents[static_cast<size_t>(axis)];
    if (extent == 1) continue;
    // Axes of one element between two others do not part them.
    while (next >= 0 && next < axis && extents[static_cast<size_t>(next)] == 1) ++next;
    if (!runs.empty() && axis == next)
      runs.back().second *= extent;
    else
      runs.emplace_back(axis, extent);
    next = axis + 1;
  }
  Merged m;
  std::vector<std::pair<int64_t, int64_t>> sorted = runs;
  std::sort(sorted.begin(), sorted.end());
  for (const auto& run : sorted) m.extents.push_back(run.second);
  for (const auto& run : runs) m.permutation.push_back(std::find(sorted.begin(), sorted.end(), run) - sorted.begin());
  return m;
}

constexpr int64_t kBlock = 64;  ///< rows and columns of a transposed tile

/// Matrices one after another, each transposed in tiles.
Result<Kernel> make_matrices(const NodeView& node, const Target& target) {
  if (auto error = refuse_move(node)) return *error;
  Merged m = merged(node.input(0).shape.extents(), permutation_of(node));
  if (m.permutation == std::vector<int64_t>{1, 0}) {
    m.extents.insert(m.extents.begin(), 1);
    m.permutation = {0, 2, 1};
  }
  if (m.permutation != std::vector<int64_t>{0, 2, 1})
    return refuse(node, "more moves than a matrix's rows and columns");
  constexpr int64_t kLeast = 8;
  if (std::min(m.extents[1], m.extents[2]) < kLeast) return refuse(node, "a few rows or columns");
  kernels::LayoutDesc d;
  d.op = kernels::LayoutOp::transpose;
  d.src = d.dst = node.input(0).dtype;
  d.src_leading = m.extents[2];
  d.dst_leading = m.extents[1];
  Kernel k;
  k.run = [turn = kernel_cache(target)->get(d), e = m.extents, size = size_of(d.src)](const Launch& l) {
    const int64_t rows = (e[1] + kBlock - 1) / kBlock, columns = (e[2] + kBlock - 1) / kBlock;
    const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain / (kBlock * kBlock));
    parallel_for(l.team, e[0] * rows * columns, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t matrix = t / (rows * columns) * e[1] * e[2], i = t % rows * kBlock,
                      j = t / rows % columns * kBlock;
        kernels::LayoutCall call;
        call.src = static_cast<const std::byte*>(l.inputs[0]) + (matrix + i * e[2] + j) * size;
        call.dst = static_cast<std::byte*>(l.outputs[0]) + (matrix + j * e[1] + i) * size;
        call.m = std::min(kBlock, e[1] - i);
        call.n = std::min(kBlock, e[2] - j);
        (*turn)(call);
      }
    });
  };
  return k;
}

/// [a, b, c] to [c, b, a], of which a or c are few, as the taps of a convolution's weights: a block of the other one
/// and of b is transposed in a thread's own tile, from whole rows or to whole rows.
Result<Kernel> make_reversed(const NodeView& node, const Target& target) {
  if (auto error = refuse_move(node)) return *error;
  const Merged m = merged(node.input(0).shape.extents(), permutation_of(node));
  if (m.permutation != std::vector<int64_t>{2, 1, 0}) return refuse(node, "not the three axes reversed");
  const int64_t a = m.extents[0], b = m.extents[1], c = m.extents[2];
  constexpr int64_t kFew = 64, kMany = 32, kTileColumns = 512;
  const bool few_first = a < c;
  const int64_t few = std::min(a, c), many = std::max(a, c);
  if (few > kFew || many < kMany) return refuse(node, "no axis is short beside the others");
  const int64_t block_b = std::min(b, std::max<int64_t>(1, kTileColumns / few));
  kernels::LayoutDesc d;
  d.op = kernels::LayoutOp::transpose;
  d.src = d.dst = node.input(0).dtype;
  d.src_leading = few_first ? kBlock : b * c;
  d.dst_leading = few_first ? b * a : kBlock;
  const int64_t size = size_of(d.src), tile_bytes = kernels::align_bytes(block_b * few * kBlock * size);
  Kernel k;
  k.thread_scratch_bytes = tile_bytes;
  k.run = [=, turn = kernel_cache(target)->get(d)](const Launch& l) {
    const int64_t blocks = (many + kBlock - 1) / kBlock, blocks_b = (b + block_b - 1) / block_b;
    parallel_for(l.team, blocks * blocks_b, 1, [&](int64_t t, int64_t, int thread) {
      const auto* src = static_cast<const std::byte*>(l.inputs[0]);
      auto* dst = static_cast<std::byte*>(l.outputs[0]);
      std::byte* tile = l.thread_scratch + thread * tile_bytes;
      const int64_t i0 = t / blocks_b * kBlock, b0 = t % blocks_b * block_b;
      const int64_t count = std::min(kBlock, many - i0), count_b = std::min(block_b, b - b0);
      kernels::LayoutCall call;
      if (few_first) {
        for (int64_t j = 0; j < count_b; ++j)
          for (int64_t i = 0; i < few; ++i)
            std::memcpy(tile + (j * few + i) * kBlock * size, src + ((i * b + b0 + j) * c + i0) * size,
                        static_cast<size_t>(count * size));
        call.src = tile;
        call.dst = dst + (i0 * b + b0) * a * size;
        call.m = count_b * few;
        call.n = count;
        (*turn)(call);
        return;
      }
      call.src = src + (i0 * b + b0) * c * size;
      call.dst = tile;
      call.m = count;
      call.n = count_b * few;
      (*turn)(call);
      for (int64_t i = 0; i < few; ++i)
        for (int64_t j = 0; j < count_b; ++j)
          std::memcpy(dst + ((i * b + b0 + j) * a + i0) * size, tile + (j * few + i) * kBlock * size,
                      static_cast<size_t>(count * size));
    });
  };
  return k;
}

Result<Kernel> make_transpose(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype), extents = node.input(0).shape.extents(),
           permutation = permutation_of(node)](const Launch& l) {
    kernels::transpose(l.team, size, static_cast<int>(extents.size()), extents.data(), permutation.data(), l.inputs[0],
                       l.outputs[0]);
  };
  return k;
}

}  // namespace

const OpDef& transpose_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "transpose";
    d.doc = "Permutes the axes, as numpy.transpose: axis i of the result is axis permutation[i] of x.";
    d.inputs = {{"x", "any shape, any dtype"}};
    d.outputs = {{"y", "extents x.shape[permutation[i]]"}};
    d.attributes = {{"permutation", AttributeKind::integers, "every axis of x once; negative counts from the end", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      const int64_t rank = w.view().input(0).rank();
      std::vector<int64_t> order = w.view().integers("permutation");
      for (int64_t& a : order) a = normalize_axis(a, rank, "transpose");
      if (is_complex(w.view().input(0).dtype)) order.push_back(rank);
      w.same("Transpose", {{"perm", order}});
    };
    d.infer = infer_transpose;
    d.reference = reference_transpose;
    d.gradient = [](GradientContext& c) {
      const auto permutation = permutation_of(c.view());
      std::vector<int64_t> inverse(permutation.size());
      for (size_t i = 0; i < permutation.size(); ++i)
        inverse[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
      c.set_d_input(0, transpose(c.graph(), c.d_output(), std::move(inverse)));
    };
    d.result_as_view = [](const NodeView& node, const StridedView& x) -> std::optional<StridedView> {
      StridedView y;
      y.offset = x.offset;
      for (const int64_t axis : permutation_of(node)) {
        y.extents.push_back(x.extents[static_cast<size_t>(axis)]);
        y.strides.push_back(x.strides[static_cast<size_t>(axis)]);
      }
      return y;
    };
    d.operand_as_view = [](const NodeView& node, const StridedView& y) -> std::optional<StridedView> {
      StridedView x = y;
      const auto permutation = permutation_of(node);
      for (size_t i = 0; i < permutation.size(); ++i) {
        x.extents[static_cast<size_t>(permutation[i])] = y.extents[i];
        x.strides[static_cast<size_t>(permutation[i])] = y.strides[i];
      }
      return x;
    };
    d.lowerings = {{"matrices", make_matrices}, {"axes reversed", make_reversed}, {"elements", make_transpose}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.onnx = {{"Transpose", 1, [](OnnxNode& n) {
                 std::vector<int64_t> reversed;
                 for (int64_t a = n.rank(0); a-- > 0;) reversed.push_back(a);
                 return std::vector{transpose(n.graph(), n.input(0), n.integers("perm", reversed))};
               }}};
    d.samples = [] {
      const auto sample = [](Tensor x, std::vector<int64_t> permutation) {
        return Sample{{std::move(x)}, {{"permutation", std::move(permutation)}}};
      };
      return std::vector<Sample>{sample(sample_uniform({3, 5}, 1), {1, 0}),
                                 sample(sample_complex({2, 3, 4}, 2), {2, 0, 1}),
                                 sample(sample_uniform({2, 3, 1, 4}, 3), {0, -1, 2, 1}),
                                 sample(sample_uniform({}, 4), {}),
                                 sample(sample_integers({17, 19}, 5), {1, 0}),
                                 sample(sample_uniform({0, 3}, 6), {1, 0}),
                                 sample(sample_uniform({2, 70, 3, 45}, 7), {0, 3, 1, 2}),
                                 sample(sample_uniform({80, 65, 3, 3}, 8), {2, 3, 1, 0}),
                                 sample(sample_uniform({3, 1, 66, 70}, 9), {3, 2, 1, 0})};
    };
    return d;
  }();
  return op;
}

Value transpose(Graph& g, Value x, std::vector<int64_t> permutation) {
  return g.add1(transpose_op(), {x}, {{"permutation", std::move(permutation)}});
}

}  // namespace gregale::ops
