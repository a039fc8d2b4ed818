// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "ops/indexing.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_top_k(const NodeView& node) {
  const Type& x = node.input(0);
  GREGALE_CHECK(!is_complex(x.dtype), dtype, "[top_k] x has dtype {}; expected real numbers", name_of(x.dtype));
  const int64_t axis = axis_of(node), k = node.integer("k");
  Shape shape = x.shape;
  GREGALE_CHECK(shape[axis].is_constant(), unsupported, "[top_k] axis {} of {} is symbolic", axis, to_string(x));
  GREGALE_CHECK(k >= 0 && k <= shape[axis].value(), shape, "[top_k] there are no {} elements along axis {} of {}", k,
                axis, to_string(x));
  shape[axis] = Dim(k);
  return {Type(x.dtype, shape), Type(DType::i64, shape)};
}

/// Whether a stands before b; NaN counts as greater than all numbers.
template <class T>
bool before(T a, T b, bool largest) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return largest ? std::isnan(a) && !std::isnan(b) : !std::isnan(a);
  }
  return largest ? b < a : a < b;
}

/// An element with its place. The order is strict, so that the result depends on nothing else.
template <class T>
struct Item {
  T value;
  int64_t index;
};

template <class T>
void order(Item<T>* items, int64_t count, int64_t k, bool largest) {
  const auto first = [largest](const Item<T>& a, const Item<T>& b) {
    if (before(a.value, b.value, largest)) return true;
    return a.index < b.index && !before(b.value, a.value, largest);
  };
  constexpr int64_t kFew = 16;  // beyond an element in so many a full sort is faster than a heap
  if (k < count / kFew)
    std::partial_sort(items, items + k, items + count, first);
  else
    std::sort(items, items + count, first);
}

void reference_top_k(ReferenceContext& c) {
  const int64_t axis = axis_of(c.node), k = c.node.integer("k");
  const bool largest = c.node.boolean("largest"), is_unsigned = c.inputs[0].type.dtype == DType::u64;
  const AxisSplit s = split_at(c.inputs[0].extents, axis);
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    using T = typename std::decay_t<decltype(out)>::value_type;
    if constexpr (!std::is_same_v<T, RefArray::Complex>) {
      std::vector<Item<T>> items(static_cast<size_t>(s.extent));
      // Flipping the sign bit orders the bits of u64 as i64.
      const auto flip = [&](T v) {
        if constexpr (std::is_integral_v<T>)
          return is_unsigned ? v ^ INT64_MIN : v;
        else
          return v;
      };
      for (int64_t o = 0; o < s.outer; ++o)
        for (int64_t i = 0; i < s.inner; ++i) {
          for (int64_t j = 0; j < s.extent; ++j)
            items[static_cast<size_t>(j)] = {flip(in[static_cast<size_t>((o * s.extent + j) * s.inner + i)]), j};
          order(items.data(), s.extent, k, largest);
          for (int64_t j = 0; j < k; ++j) {
            const auto to = static_cast<size_t>((o * k + j) * s.inner + i);
            out[to] = flip(items[static_cast<size_t>(j)].value);
            c.outputs[1].integer()[to] = items[static_cast<size_t>(j)].index;
          }
        }
    }
  });
}

template <class T>
Kernel kernel_of_top_k(const NodeView& node) {
  const int64_t axis = axis_of(node);
  Kernel kernel;
  const AxisSplit s = split_at(node.input(0).shape.extents(), axis);
  using Key = std::conditional_t<std::is_same_v<T, f16> || std::is_same_v<T, bf16>, float, T>;
  kernel.thread_scratch_bytes = kernels::align_bytes(s.extent * static_cast<int64_t>(sizeof(Item<Key>)));
  kernel.run = [s, k = node.integer("k"), largest = node.boolean("largest"),
                scratch = kernel.thread_scratch_bytes](const Launch& l) {
    const T* x = static_cast<const T*>(l.inputs[0]);
    T* values = static_cast<T*>(l.outputs[0]);
    auto* indices = static_cast<int64_t*>(l.outputs[1]);
    const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain / std::max<int64_t>(1, s.extent * 4));
    if (k == 0) return;
    parallel_for(l.team, s.outer * s.inner, grain, [&](int64_t begin, int64_t end, int thread) {
      auto* items = reinterpret_cast<Item<Key>*>(l.thread_scratch + thread * scratch);
      for (int64_t t = begin; t < end; ++t) {
        const int64_t o = t / s.inner, i = t % s.inner;
        const T* from = x + o * s.extent * s.inner + i;
        for (int64_t j = 0; j < s.extent; ++j) {
          if constexpr (std::is_same_v<T, Key>)
            items[j] = {from[j * s.inner], j};
          else
            items[j] = {to_f32(from[j * s.inner]), j};
        }
        order(items, s.extent, k, largest);
        for (int64_t j = 0; j < k; ++j) {
          const int64_t to = (o * k + j) * s.inner + i;
          values[to] = from[items[j].index * s.inner];
          indices[to] = items[j].index;
        }
      }
    });
  };
  return kernel;
}

Result<Kernel> make_top_k(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  switch (node.input(0).dtype) {
    case DType::f64:
      return kernel_of_top_k<double>(node);
    case DType::f32:
      return kernel_of_top_k<float>(node);
    case DType::f16:
      return kernel_of_top_k<f16>(node);
    case DType::bf16:
      return kernel_of_top_k<bf16>(node);
    case DType::i64:
      return kernel_of_top_k<int64_t>(node);
    case DType::i32:
      return kernel_of_top_k<int32_t>(node);
    case DType::i16:
      return kernel_of_top_k<int16_t>(node);
    case DType::i8:
      return kernel_of_top_k<int8_t>(node);
    case DType::u64:
      return kernel_of_top_k<uint64_t>(node);
    case DType::u32:
      return kernel_of_top_k<uint32_t>(node);
    case DType::u16:
      return kernel_of_top_k<uint16_t>(node);
    case DType::u8:
    case DType::boolean:
      return kernel_of_top_k<uint8_t>(node);
    default:
      return refuse(node, "no kernel for its dtype");
  }
}

std::vector<Value> import_top_k(OnnxNode& n) {
  if (n.rank(0) == 0) n.fail("a scalar has no axis to choose from");
  const int64_t k = n.opset() >= 10 ? n.constant_integer(1) : n.required_integer("k");
  const int64_t axis = normalize_axis(n.integer("axis", -1), n.rank(0), "onnx");
  const TopK top = top_k(n.graph(), n.input(0), k, axis, n.integer("largest", 1) != 0);
  return {top.values, top.indices};
}

}  // namespace

const OpDef& top_k_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "top_k";
    d.doc =
        "The k greatest (or smallest) elements along one axis, in order, and their indices; of equal ones the first "
        "come first. NaN counts as greater than all numbers.";
    d.inputs = {{"x", "real numbers, of rank at least 1"}};
    d.outputs = {{"values", "x's dtype; extent k along the axis"}, {"indices", "i64, of the same shape"}};
    d.attributes = {{"k", AttributeKind::integer, "how many; at most the axis's extent", {}},
                    {"axis", AttributeKind::integer, "the axis, negative from the end", int64_t{-1}},
                    {"largest", AttributeKind::boolean, "the greatest, else the smallest", true}};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      const OnnxWriter::Names both =
          w.add("TopK", {w.input(0), w.integers({node.integer("k")})},
                {{"axis", node.integer("axis")}, {"largest", int64_t{node.boolean("largest")}}}, 2);
      w.set_output(0, both[0]);
      w.set_output(1, both[1]);
    };
    d.infer = infer_top_k;
    d.reference = reference_top_k;
    d.gradient = [](GradientContext& c) {
      if (!c.d_output(0).valid()) return;
      Graph& g = c.graph();
      c.set_d_input(0, scatter_elements(g, zeros_like(g, c.input(0)), c.output(1), c.d_output(0), axis_of(c.view())));
    };
    d.lowerings = {{"lanes", make_top_k}};
    d.cost = [](const NodeView& node) {
      Cost cost = default_cost(node, 0);
      cost.flops = 4 * static_cast<double>(node.input(0).shape.elements());
      return cost;
    };
    d.bits_exact_integers = true;
    d.onnx = {{"TopK", 1, import_top_k}};
    d.samples = [] {
      const auto sample = [](Tensor x, int64_t k, int64_t axis, bool largest) {
        return Sample{{std::move(x)}, {{"k", k}, {"axis", axis}, {"largest", largest}}};
      };
      Sample ties = sample(sample_ties({3, 40}, 5), 9, -1, false);
      ties.check_gradient = false;
      return std::vector<Sample>{sample(sample_distinct({7}, 1), 3, 0, true),
                                 sample(sample_distinct({2, 5, 3}, 2), 5, 1, false),
                                 sample(sample_distinct({3, 70}, 3), 2, -1, true),
                                 sample(sample_integers({3, 6}, 4), 4, -1, true),
                                 ties,
                                 sample(Tensor::from<uint64_t>({1, UINT64_MAX, 3, 1ull << 63}, {4}), 3, 0, true),
                                 sample(sample_distinct({3, 2}, 6), 0, 1, true)};
    };
    return d;
  }();
  return op;
}

TopK top_k(Graph& g, Value x, int64_t k, int64_t axis, bool largest) {
  const std::vector<Value> results = g.add(top_k_op(), {x}, {{"k", k}, {"axis", axis}, {"largest", largest}});
  return {results[0], results[1]};
}

}  // namespace gregale::ops
