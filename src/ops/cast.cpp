// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

namespace {

int64_t truncate(double x) {
  const bool fits = x >= -0x1p63 && x < 0x1p63;
  return fits ? static_cast<int64_t>(x) : INT64_MIN;
}

void cast_real(double x, size_t i, RefArray& y) {
  if (is_real_float(y.type.dtype))
    y.real()[i] = x;
  else if (is_complex(y.type.dtype))
    y.complex()[i] = x;
  else
    y.integer()[i] = y.type.dtype == DType::boolean ? int64_t{x != 0} : truncate(x);
}

void cast_integer(int64_t x, DType from, size_t i, RefArray& y) {
  if (is_differentiable(y.type.dtype))
    cast_real(from == DType::u64 ? static_cast<double>(static_cast<uint64_t>(x)) : static_cast<double>(x), i, y);
  else
    y.integer()[i] = y.type.dtype == DType::boolean ? int64_t{x != 0} : x;
}

template <class T>
double widened(T x) {
  if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>)
    return to_f32(x);
  else
    return static_cast<double>(x);
}

/// A piece of an array; the same as the reference says.
template <class From, class To>
void convert(const From* x, To* y, int64_t n) {
  constexpr bool half = std::is_same_v<From, f16> || std::is_same_v<From, bf16>;
  if constexpr (half || std::is_floating_point_v<From>) {
    if constexpr (std::is_same_v<From, float> && sizeof(To) <= 4 && std::is_integral_v<To>) {
      // In range of i32, as nearly everything is, the compiler has vectors for it.
      float greatest = 0;
      bool ordered = true;
      for (int64_t i = 0; i < n; ++i) {
        greatest = std::max(greatest, std::abs(x[i]));
        ordered &= x[i] == x[i];
      }
      if (ordered && greatest < 0x1p31f) {
        for (int64_t i = 0; i < n; ++i) y[i] = static_cast<To>(static_cast<int32_t>(x[i]));
        return;
      }
    }
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (std::is_floating_point_v<To>)
        y[i] = static_cast<To>(widened(x[i]));
      else if constexpr (std::is_same_v<To, f16>)
        y[i] = to_f16(static_cast<float>(widened(x[i])));
      else if constexpr (std::is_same_v<To, bf16>)
        y[i] = to_bf16(static_cast<float>(widened(x[i])));
      else
        y[i] = static_cast<To>(truncate(widened(x[i])));
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (std::is_same_v<To, f16>)
        y[i] = to_f16(static_cast<float>(x[i]));
      else if constexpr (std::is_same_v<To, bf16>)
        y[i] = to_bf16(static_cast<float>(x[i]));
      else
        y[i] = static_cast<To>(x[i]);
    }
  }
}

/// Calls body(T{}) with the type of real elements; booleans as bytes.
template <class Body>
bool visit_real(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f64:
      return body(double{}), true;
    case DType::f32:
      return body(float{}), true;
    case DType::f16:
      return body(f16{}), true;
    case DType::bf16:
      return body(bf16{}), true;
    default:
      return visit_integer(dtype, body);
  }
}

using Conversion = void (*)(const void* x, void* y, int64_t begin, int64_t end);

template <class From, class To>
void convert_piece(const void* x, void* y, int64_t begin, int64_t end) {
  convert(static_cast<const From*>(x) + begin, static_cast<To*>(y) + begin, end - begin);
}

template <class From>
void truth(const void* x, void* y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const From v = static_cast<const From*>(x)[i];
    if constexpr (std::is_integral_v<From>)
      static_cast<uint8_t*>(y)[i] = v != 0;
    else
      static_cast<uint8_t*>(y)[i] = widened(v) != 0;
  }
}

Result<Kernel> native_cast(const NodeView& node) {
  const DType from = node.input(0).dtype, to = node.outputs()[0].dtype;
  Conversion conversion = nullptr;
  visit_real(from, [&](auto in) {
    using From = decltype(in);
    if (to == DType::boolean)
      conversion = truth<From>;
    else
      visit_real(to, [&](auto out) { conversion = convert_piece<From, decltype(out)>; });
  });
  if (!conversion) return refuse(node, fmt::format("no kernel from {} to {}", name_of(from), name_of(to)));
  Kernel kernel;
  kernel.run = [count = node.outputs()[0].shape.elements(), conversion](const Launch& l) {
    parallel_for(l.team, count, kernels::kElementGrain,
                 [&](int64_t begin, int64_t end, int) { conversion(l.inputs[0], l.outputs[0], begin, end); });
  };
  return kernel;
}

Lowering cast_lowering() {
  return {"cast", [](const NodeView& node, const Target& target) -> Result<Kernel> {
            const DType from = node.input(0).dtype, to = node.outputs()[0].dtype;
            if (!is_static(node)) return refuse(node, "the shape is symbolic");
            if (from == to) return copy_lowering().make(node, target);
            const int64_t count = node.outputs()[0].shape.elements();
            Kernel kernel;
            if (from == DType::f32 && to == DType::c64) {
              kernel.run = [count, isa = target.isa](const Launch& l) {
                kernels::complex_join(isa, l.team, count, static_cast<const float*>(l.inputs[0]), nullptr,
                                      static_cast<float*>(l.outputs[0]));
              };
              return kernel;
            }
            if (!kernels::cast_supported(from, to)) return native_cast(node);
            kernel.run = [from, to, count, isa = target.isa](const Launch& l) {
              kernels::cast(isa, l.team, from, to, count, l.inputs[0], l.outputs[0]);
            };
            return kernel;
          }};
}

}  // namespace

const OpDef& cast_op() {
  static const OpDef op = [] {
    OpDef d;
    d.express = [](kernels::Expression& e, const NodeView& node, const std::vector<int32_t>& in) -> int32_t {
      const DType from = node.input(0).dtype, to = node.outputs()[0].dtype;
      if (!is_real_float(from) || !is_real_float(to) || from == DType::f64 || to == DType::f64) return -1;
      return to == DType::f32 ? in[0] : e.round_to(to, in[0]);
    };
    d.name = "cast";
    d.doc =
        "x in another dtype. To a narrower float: rounds to nearest even. From float to integer: truncates towards "
        "zero by way of i64, where NaN and what is out of range become the smallest i64. Integers to narrower ones "
        "keep their low bits. To boolean: true where not 0. Real to complex: imaginary part 0. Complex to real is "
        "refused: say `real`, `imag` or `abs`.";
    d.inputs = {{"x", "any dtype"}};
    d.outputs = {{"y", "of the attribute's dtype and x's shape"}};
    d.attributes = {{"dtype", AttributeKind::dtype, "of the result", {}},
                    {"exact", AttributeKind::boolean,
                     "x is known to be whole and in the dtype's range, so that casting back gives x", false}};
    d.to_onnx = [](OnnxWriter& w) {
      const DType from = w.view().input(0).dtype, to = w.view().outputs()[0].dtype;
      const auto cast_to = [&](DType dtype) {
        return w.add1("Cast", {w.input(0)}, {{"to", onnx_element_type(is_complex(dtype) ? real_of(dtype) : dtype)}});
      };
      if (is_complex(from) || !is_complex(to)) return w.set_output(0, cast_to(to));
      const std::string re = cast_to(to);
      w.set_output(0, onnx_pair(w, re, w.add1("Mul", {re, w.scalar(real_of(to), 0)})));
    };
    d.infer = [](const NodeView& node) {
      const DType from = node.input(0).dtype, to = node.dtype("dtype");
      GREGALE_CHECK(!is_complex(from) || is_complex(to), dtype, "[cast] {} to {}: take real, imag or abs instead",
                    name_of(from), name_of(to));
      return std::vector<Type>{Type(to, node.input(0).shape)};
    };
    d.reference = [](ReferenceContext& c) {
      const RefArray& x = c.inputs[0];
      RefArray& y = c.outputs[0];
      if (is_complex(x.type.dtype)) {
        y.values = x.values;
        return;
      }
      for (size_t i = 0; i < static_cast<size_t>(x.size()); ++i) {
        if (is_real_float(x.type.dtype))
          cast_real(x.real()[i], i, y);
        else
          cast_integer(x.integer()[i], x.type.dtype, i, y);
      }
    };
    d.gradient = [](GradientContext& c) {
      const DType from = c.type(c.input(0)).dtype, to = c.type(c.output()).dtype;
      if (!is_differentiable(from) || !is_differentiable(to)) return;
      const Value d_y = !is_complex(from) && is_complex(to) ? real(c.graph(), c.d_output()) : c.d_output();
      c.set_d_input(0, cast(c.graph(), d_y, from));
    };
    d.lowerings = {cast_lowering()};
    d.samples = [] {
      const auto sample = [](Tensor x, DType to, bool check_gradient) {
        return Sample{.inputs = {std::move(x)}, .attributes = {{"dtype", to}}, .check_gradient = check_gradient};
      };
      return std::vector<Sample>{sample(sample_uniform({3, 7}, 1), DType::f64, true),
                                 sample(sample_uniform({3, 7}, 1), DType::c128, true),
                                 sample(sample_complex({5}, 2), DType::c128, true),
                                 sample(sample_uniform({}, 3), DType::f32, false),
                                 sample(sample_uniform({19}, 3), DType::bf16, false),
                                 sample(sample_uniform({19}, 3), DType::f16, false),
                                 sample(sample_uniform({19}, 4), DType::c64, false),
                                 sample(sample_uniform({19}, 4, -9, 9), DType::i64, false),
                                 sample(sample_ties({19}, 5), DType::boolean, false),
                                 sample(sample_integers({19}, 6), DType::f32, false),
                                 sample(sample_integers({19}, 7), DType::u8, false),
                                 sample(sample_booleans({2, 9}, 8), DType::f32, false)};
    };
    return d;
  }();
  return op;
}

Value cast(Graph& g, Value x, DType dtype, bool exact) {
  return g.type(x).dtype == dtype ? x : g.add1(cast_op(), {x}, {{"dtype", dtype}, {"exact", exact}});
}

}  // namespace gregale::ops
