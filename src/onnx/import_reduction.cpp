// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "gregale/ops.hpp"
#include "onnx/compose.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {
namespace {

/// What a node of the Reduce family says.
struct Reduction {
  std::vector<int64_t> axes;
  bool keep = true;
  bool nothing = false;  ///< no axis at all: only what happens to each element
  bool empty = false;    ///< results are of no elements
  Extents result;
};

Reduction reduction_of(OnnxNode& n) {
  Reduction r;
  const Extents extents = n.extents(0);
  const auto rank = static_cast<int64_t>(extents.size());
  r.axes = n.integers_of(1, "axes", {});
  r.keep = n.integer("keepdims", 1) != 0;
  std::vector<bool> reduced(extents.size(), r.axes.empty());
  if (r.axes.empty() && n.integer("noop_with_empty_axes", 0) != 0) {
    r.nothing = true;
    reduced.assign(extents.size(), false);
  }
  for (int64_t& axis : r.axes) {
    axis = axis_in(n, axis, rank);
    if (reduced[static_cast<size_t>(axis)]) n.fail(fmt::format("axis {} is named twice", axis));
    reduced[static_cast<size_t>(axis)] = true;
  }
  for (size_t i = 0; i < extents.size(); ++i) {
    if (!reduced[i]) {
      r.result.push_back(extents[i]);
      continue;
    }
    r.empty = r.empty || extents[i] == 0;
    if (r.keep) r.result.push_back(1);
  }
  return r;
}

using Reduce = Value (*)(Graph&, Value, std::vector<int64_t>, bool);

Value apply(Graph& g, Reduce f, Value x, const Reduction& r) { return r.nothing ? x : f(g, x, r.axes, r.keep); }

/// f over x in a float where x is integers: their roots, logarithms and means are rounded towards zero.
OnnxMapping reduction(const char* name, Value (*f)(Graph&, Value, const Reduction&), bool of_floats = false) {
  return {name, 1, [f, of_floats](OnnxNode& n) {
            Graph& g = n.graph();
            const Value x = n.input(0);
            const DType dtype = n.dtype(0);
            // Squares and exponentials of narrow floats would leave their range.
            const bool narrow = dtype == DType::f16 || dtype == DType::bf16;
            const DType inner = narrow ? DType::f32 : of_floats && !is_real_float(dtype) ? DType::f64 : dtype;
            const Value y = f(g, ops::cast(g, x, inner), reduction_of(n));
            return std::vector{ops::cast(g, y, dtype)};
          }};
}

/// The greatest or least element; of none, what no element is below or above.
OnnxMapping extremum(const char* name, bool greatest) {
  return {name, 1, [greatest](OnnxNode& n) {
            Graph& g = n.graph();
            const Reduction r = reduction_of(n);
            const DType dtype = n.dtype(0);
            if (r.empty) {
              if (is_real_float(dtype) || dtype == DType::boolean) {
                const double infinity = std::numeric_limits<double>::infinity();
                return std::vector{g.constant(Tensor::full(dtype, r.result,
                                                           dtype == DType::boolean ? (greatest ? 0 : 1)
                                                           : greatest              ? -infinity
                                                                                   : infinity))};
              }
              // Saturating: the ends of whatever integer it is.
              return std::vector{g.constant(Tensor::full(dtype, r.result, greatest ? -0x1p64 : 0x1p64))};
            }
            Value x = n.input(0);
            if (dtype == DType::boolean) x = ops::cast(g, x, DType::u8);
            return std::vector{ops::cast(g, apply(g, greatest ? ops::max : ops::min, x, r), dtype)};
          }};
}

Value log_sum_exp(Graph& g, Value x, const Reduction& r) {
  if (r.nothing) return x;
  if (r.empty) return g.constant(Tensor::full(g.type(x).dtype, r.result, -std::numeric_limits<double>::infinity()));
  // The greatest element first, so that nothing overflows; a finite number, so that infinities stay what they are.
  constexpr double most = 3e38;
  const auto finite = [&](Value v) {
    return ops::minimum(g, ops::maximum(g, v, scalar_like(g, v, -most)), scalar_like(g, v, most));
  };
  const Value top = finite(ops::max(g, x, r.axes, true));
  const Value sum = ops::sum(g, ops::exp(g, ops::sub(g, x, top)), r.axes, true);
  const Value y = ops::add(g, ops::log(g, sum), top);
  return r.keep ? y : ops::reshape(g, y, Shape(r.result));
}

// --- softmax ---

/// f(x, axis); before operator set 13 over all axes from `axis` on.
OnnxMapping normalised(const char* name, Value (*f)(Graph&, Value, int64_t)) {
  return {name, 1, [f](OnnxNode& n) {
            Graph& g = n.graph();
            const Value x = n.input(0);
            const Extents extents = n.extents(0);
            if (n.opset() >= 13 || n.rank(0) == 0) {
              if (n.rank(0) == 0) n.fail("its operand is a scalar");
              return std::vector{f(g, x, axis_in(n, n.integer("axis", -1), n.rank(0)))};
            }
            const int64_t axis = n.integer("axis", 1);
            if (axis == n.rank(0) - 1 || axis == -1) return std::vector{f(g, x, n.rank(0) - 1)};
            return std::vector{ops::reshape(g, f(g, as_matrix(n, x, axis), 1), Shape(extents))};
          }};
}

Value hardmax(Graph& g, Value x, int64_t axis) {
  const Type type = g.type(x);
  const int64_t count = type.shape.extents()[static_cast<size_t>(axis)];
  if (count == 0) return x;
  const Value at = ops::argmax(g, x, axis, {.keep_dims = true});
  return ops::cast(g, ops::equal(g, positions(g, DType::i64, count, axis, type.rank()), at), type.dtype);
}

// --- places and running sums ---

OnnxMapping place(const char* name, bool least) {
  return {name, 1, [least](OnnxNode& n) {
            const int64_t axis = axis_in(n, n.integer("axis", 0), n.rank(0));
            return std::vector{ops::argmax(n.graph(), n.input(0), axis,
                                           {.keep_dims = n.integer("keepdims", 1) != 0,
                                            .least = least,
                                            .last = n.integer("select_last_index", 0) != 0})};
          }};
}

OnnxMapping running(const char* name, bool product) {
  return {name, 1, [product](OnnxNode& n) {
            const int64_t axis = axis_in(n, n.constant_integer(1), n.rank(0));
            return std::vector{ops::cumulative(n.graph(), n.input(0), axis,
                                               {.product = product,
                                                .exclusive = n.integer("exclusive", 0) != 0,
                                                .reverse = n.integer("reverse", 0) != 0})};
          }};
}

}  // namespace

std::vector<OnnxMapping> reduction_mappings() {
  return {
      reduction("ReduceSum", [](Graph& g, Value x, const Reduction& r) { return apply(g, ops::sum, x, r); }),
      reduction("ReduceProd", [](Graph& g, Value x, const Reduction& r) { return apply(g, ops::prod, x, r); }),
      reduction(
          "ReduceMean", [](Graph& g, Value x, const Reduction& r) { return apply(g, ops::mean, x, r); }, true),
      reduction("ReduceL1",
                [](Graph& g, Value x, const Reduction& r) {
                  const DType dtype = g.type(x).dtype;
                  const bool natural =
                      dtype == DType::u8 || dtype == DType::u16 || dtype == DType::u32 || dtype == DType::u64;
                  return apply(g, ops::sum, natural ? x : ops::abs(g, x), r);
                }),
      reduction(
          "ReduceL2",
          [](Graph& g, Value x, const Reduction& r) {
            return r.nothing ? ops::abs(g, x) : ops::sqrt(g, apply(g, ops::sum, ops::square(g, x), r));
          },
          true),
      reduction("ReduceSumSquare",
                [](Graph& g, Value x, const Reduction& r) { return apply(g, ops::sum, ops::mul(g, x, x), r); }),
      reduction(
          "ReduceLogSum", [](Graph& g, Value x, const Reduction& r) { return ops::log(g, apply(g, ops::sum, x, r)); },
          true),
      reduction("ReduceLogSumExp", log_sum_exp, true),
      extremum("ReduceMax", true),
      extremum("ReduceMin", false),
      normalised("Softmax", ops::softmax),
      normalised("LogSoftmax", log_softmax),
      normalised("Hardmax", hardmax),
      place("ArgMax", false),
      place("ArgMin", true),
      running("CumSum", false),
      running("CumProd", true),
  };
}

}  // namespace gregale::onnx
