// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"

#include <fmt/format.h>

#include "kernels/expression/expression_kernel.hpp"
#include "kernels/kernel_cache.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

/// "a real float", "a real or complex float", ...
const char* accepted(bool real, bool complex, bool integer) {
  if (real && complex && integer) return "a number";
  if (real && complex) return "a real or complex float";
  if (real && integer) return "a real number";
  if (integer) return "an integer";
  return "a real float";
}

template <class Spec>
void check_accepts(const Spec& spec, const NodeView& node) {
  const DType dtype = node.input(0).dtype;
  const bool fits =
      (spec.real && is_real_float(dtype)) || (spec.complex && is_complex(dtype)) || (spec.integer && is_integer(dtype));
  GREGALE_CHECK(fits, dtype, "[{}] {} has dtype {}; expected {}", spec.name, node.op().inputs[0].name, name_of(dtype),
                accepted(spec.real, spec.complex, spec.integer));
}

template <class In, class Out, class F>
void map(const std::vector<In>& x, std::vector<Out>& y, F f) {
  for (size_t i = 0; i < x.size(); ++i) y[i] = f(x[i]);
}

/// y[i] = f(a[...], b[...]) over the broadcast shape.
template <class T, class Out, class F>
void map2(const ReferenceContext& c, const std::vector<T>& a, const std::vector<T>& b, std::vector<Out>& y, F f) {
  const Extents& extents = c.outputs[0].extents;
  for_each_element<2>(
      extents, {broadcast_strides(c.inputs[0].extents, extents), broadcast_strides(c.inputs[1].extents, extents)},
      [&](int64_t i, const std::array<int64_t, 2>& at) {
        y[static_cast<size_t>(i)] = f(a[static_cast<size_t>(at[0])], b[static_cast<size_t>(at[1])]);
      });
}

/// u64 lies in i64 by its bits; flipping the top bit makes the order of i64 its order.
int64_t order_bits(DType dtype) { return dtype == DType::u64 ? INT64_MIN : 0; }

std::vector<Type> infer_broadcast(const NodeView& node, DType dtype) {
  return {Type(dtype, broadcast(node.input(0).shape, node.input(1).shape, node.op().name))};
}

std::function<Cost(const NodeView&)> flops_cost(double flops) {
  return [flops](const NodeView& node) { return default_cost(node, flops); };
}

/// Shapes the binary operators are tested with: equal, scalars, every way of broadcasting.
const std::vector<std::pair<Extents, Extents>>& broadcast_samples() {
  static const std::vector<std::pair<Extents, Extents>> shapes = {
      {{3, 21}, {3, 21}}, {{}, {}}, {{2, 3}, {}}, {{1}, {4}}, {{2, 1, 5}, {3, 1}}, {{5}, {2, 5}},
  };
  return shapes;
}

}  // namespace

// --- expressions ---

int32_t express_unary(kernels::Expression& e, kernels::UnaryOp op, int32_t x) {
  using kernels::ExprOp;
  using Op = kernels::UnaryOp;
  switch (op) {
    case Op::neg:
      return e.apply(ExprOp::negate, x);
    case Op::abs:
      return e.apply(ExprOp::abs, x);
    case Op::sign:
      return e.apply(ExprOp::sign, x);
    case Op::exp:
      return e.apply(ExprOp::exp, x);
    case Op::log:
      return e.apply(ExprOp::log, x);
    case Op::sqrt:
      return e.apply(ExprOp::sqrt, x);
    case Op::rsqrt:
      return e.apply(ExprOp::reciprocal_sqrt, x);
    case Op::reciprocal:
      return e.apply(ExprOp::reciprocal, x);
    case Op::square:
      return e.apply(ExprOp::square, x);
    case Op::sin:
      return e.apply(ExprOp::sin, x);
    case Op::cos:
      return e.apply(ExprOp::cos, x);
    case Op::tanh:
      return e.apply(ExprOp::tanh, x);
    case Op::sigmoid:
      return e.apply(ExprOp::sigmoid, x);
    case Op::erf:
      return e.apply(ExprOp::erf, x);
    case Op::relu:
      return e.apply(ExprOp::relu, x);
    case Op::gelu:
      return e.gelu(x);
    case Op::silu:
      return e.silu(x);
    case Op::softshrink:
    case Op::add_scalar:
    case Op::mul_scalar:
      break;
  }
  return -1;
}

int32_t express_binary(kernels::Expression& e, kernels::BinaryOp op, int32_t a, int32_t b) {
  using kernels::ExprOp;
  using Op = kernels::BinaryOp;
  switch (op) {
    case Op::add:
      return e.apply(ExprOp::add, a, b);
    case Op::sub:
      return e.apply(ExprOp::sub, a, b);
    case Op::mul:
      return e.apply(ExprOp::mul, a, b);
    case Op::div:
      return e.apply(ExprOp::div, a, b);
    case Op::maximum:
      return e.apply(ExprOp::max, a, b);
    case Op::minimum:
      return e.apply(ExprOp::min, a, b);
    case Op::pow:
      break;
  }
  return -1;
}

int32_t express_comparison(kernels::Expression& e, kernels::CompareOp op, int32_t a, int32_t b) {
  using kernels::ExprOp;
  constexpr ExprOp kOps[] = {ExprOp::equal,      ExprOp::not_equal, ExprOp::less,
                             ExprOp::less_equal, ExprOp::greater,   ExprOp::greater_equal};
  return e.apply(kOps[static_cast<size_t>(op)], a, b);
}

// --- lowerings ---

BroadcastPlan::BroadcastPlan(const NodeView& node) : extents(node.outputs().at(0).shape.extents()) {
  for (const Type& type : node.inputs()) strides.push_back(broadcast_strides(type.shape.extents(), extents));
}

std::vector<std::pair<int, int>> in_place_pairs(const NodeView& node) {
  std::vector<std::pair<int, int>> pairs;
  for (int64_t i = 0; i < node.input_count(); ++i)
    if (node.input(i) == node.outputs().at(0)) pairs.emplace_back(0, static_cast<int>(i));
  return pairs;
}

Lowering copy_lowering() {
  return {"copy", [](const NodeView& node, const Target&) -> Result<Kernel> {
            if (!is_static(node)) return refuse(node, "the shape is symbolic");
            const int64_t bytes = node.outputs()[0].bytes();
            Kernel kernel;
            kernel.run = [bytes](const Launch& l) { kernels::copy_bytes(l.team, bytes, l.inputs[0], l.outputs[0]); };
            kernel.view = true;
            return kernel;
          }};
}

Lowering expression_lowering() {
  return {"expression", [](const NodeView& node, const Target& target) -> Result<Kernel> {
            if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
            if (!is_static(node)) return refuse(node, "the shape is symbolic");
            kernels::ExpressionDesc desc;
            desc.m = 1;
            desc.inputs.resize(1);
            desc.outputs.resize(1);
            const auto x = desc.expression.input(0);
            const auto y = node.op().express(desc.expression, node, {x});
            if (y < 0) return refuse(node, "this node is no expression");
            desc.expression.output(y);
            const auto code = kernel_cache(target)->get(desc);
            Kernel kernel;
            static constexpr int64_t kPiece = kernels::kElementGrain / 8;
            kernel.thread_scratch_bytes = kernels::align_bytes(code->scratch_bytes(kPiece));
            kernel.run = [code, count = node.outputs()[0].shape.elements(),
                          bytes = kernel.thread_scratch_bytes](const Launch& l) {
              // Pieces of a size that does not depend on the team, so that vectors begin at the same elements.
              const int64_t pieces = (count + kPiece - 1) / kPiece;
              parallel_for(l.team, pieces, 8, [&](int64_t begin, int64_t end, int thread) {
                for (int64_t piece = begin; piece < end; ++piece) {
                  const void* in = static_cast<const float*>(l.inputs[0]) + piece * kPiece;
                  void* out = static_cast<float*>(l.outputs[0]) + piece * kPiece;
                  kernels::ExpressionCall call;
                  call.m = 1;
                  call.n = std::min(kPiece, count - piece * kPiece);
                  call.inputs = &in;
                  call.outputs = &out;
                  call.input_leading = call.output_leading = &call.n;
                  call.scratch = l.thread_scratch + thread * bytes;
                  (*code)(call);
                }
              });
            };
            kernel.in_place = in_place_pairs(node);
            return kernel;
          }};
}

/// A lowering that calls a function for each f32.
static Lowering single_lowering(float (*f)(float)) {
  return {"f32", [f](const NodeView& node, const Target&) -> Result<Kernel> {
            if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
            if (!is_static(node)) return refuse(node, "the shape is symbolic");
            Kernel kernel;
            kernel.run = [f, count = node.outputs()[0].shape.elements()](const Launch& l) {
              const auto* x = static_cast<const float*>(l.inputs[0]);
              auto* y = static_cast<float*>(l.outputs[0]);
              parallel_for(l.team, count, kernels::kElementGrain / 16, [&](int64_t begin, int64_t end, int) {
                for (int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
              });
            };
            kernel.in_place = in_place_pairs(node);
            return kernel;
          }};
}

Lowering unary_lowering(kernels::UnaryOp op, std::function<float(const NodeView&)> parameter) {
  return {"f32", [op, parameter](const NodeView& node, const Target& target) -> Result<Kernel> {
            if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
            if (!is_static(node)) return refuse(node, "the shape is symbolic");
            const int64_t count = node.outputs()[0].shape.elements();
            const float p = parameter ? parameter(node) : 0;
            Kernel kernel;
            kernel.run = [op, count, p, isa = target.isa](const Launch& l) {
              kernels::unary_f32(isa, l.team, op, count, static_cast<const float*>(l.inputs[0]),
                                 static_cast<float*>(l.outputs[0]), p);
            };
            kernel.in_place = in_place_pairs(node);
            return kernel;
          }};
}

namespace {

/// Binary kernels share one calling convention: call(isa, team, rank, extents, a, strides, b, strides, dst).
template <class Call>
Lowering binary_lowering(DType dtype, Call call) {
  return {std::string(name_of(dtype)), [dtype, call](const NodeView& node, const Target& target) -> Result<Kernel> {
            if (node.input(0).dtype != dtype) return refuse(node, fmt::format("{} needed", name_of(dtype)));
            if (!is_static(node)) return refuse(node, "the shape is symbolic");
            if (node.outputs()[0].rank() > kernels::kMaxRank) return refuse(node, "the rank is above 8");
            Kernel kernel;
            kernel.run = [call, isa = target.isa, plan = BroadcastPlan(node)](const Launch& l) {
              call(isa, l.team, plan.rank(), plan.extents.data(), l.inputs[0], plan.strides[0].data(), l.inputs[1],
                   plan.strides[1].data(), l.outputs[0]);
            };
            kernel.in_place = in_place_pairs(node);
            return kernel;
          }};
}

}  // namespace

// --- definitions ---

std::vector<Type> infer_part_of_complex(const NodeView& node) {
  const DType dtype = node.input(0).dtype;
  GREGALE_CHECK(is_complex(dtype), dtype, "[{}] {} has dtype {}; expected a complex float", node.op().name,
                node.op().inputs[0].name, name_of(dtype));
  return {Type(real_of(dtype), node.input(0).shape)};
}

Value share_of_winner(Graph& g, Value won, Value tied, Value d) {
  const Value zero = scalar(g, g.type(d).dtype, 0);
  return select(g, won, d, select(g, tied, mul(g, d, 0.5), zero));
}

Value aligned_operand(OnnxNode& n) {
  const Value b = n.input(1);
  if (n.opset() >= 7 || n.integer("broadcast", 0) == 0 || !n.has("axis")) return b;
  // Before NumPy's rules: b's axes are those of a from `axis` on.
  const int64_t rank = n.rank(0), own = n.rank(1);
  int64_t axis = n.integer("axis", 0);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis + own > rank) n.fail(fmt::format("axis {} does not fit ranks {} and {}", axis, rank, own));
  Extents extents = n.extents(1);
  extents.resize(static_cast<size_t>(rank - axis), 1);
  return reshape(n.graph(), b, Shape(std::move(extents)));
}

/// The mapping of the operator `name` of ONNX that is `op`, of so many operands; none where there is no name.
static std::vector<OnnxMapping> mapping_to(const char* name, const std::string& op, int operands) {
  if (name == nullptr) return {};
  return {{name, 1, [op, operands](OnnxNode& n) {
             std::vector<Value> values{n.input(0)};
             if (operands == 2) values.push_back(aligned_operand(n));
             return n.graph().add(standard_ops().at(op), std::move(values));
           }}};
}

OpDef unary_op(UnarySpec spec) {
  OpDef op;
  op.name = spec.name;
  op.doc = spec.doc;
  op.inputs = {{"x", "operand"}};
  op.outputs = {{"y", "of x's dtype and shape"}};
  op.infer = [spec](const NodeView& node) {
    check_accepts(spec, node);
    return std::vector<Type>{node.input(0)};
  };
  op.reference = [spec](ReferenceContext& c) {
    const RefArray& x = c.inputs[0];
    RefArray& y = c.outputs[0];
    if (is_real_float(x.type.dtype))
      map(x.real(), y.real(), spec.real);
    else if (is_complex(x.type.dtype))
      map(x.complex(), y.complex(), spec.complex);
    else
      map(x.integer(), y.integer(), spec.integer);
  };
  op.gradient = [spec](GradientContext& c) {
    if (spec.gradient) c.set_d_input(0, spec.gradient(c.graph(), c.input(0), c.output(), c.d_output()));
  };
  if (spec.kernel) {
    op.lowerings = {unary_lowering(*spec.kernel)};
    op.express = [kernel = *spec.kernel](kernels::Expression& e, const NodeView&, const std::vector<int32_t>& in) {
      return express_unary(e, kernel, in[0]);
    };
  }
  if (spec.expression != nullptr) {
    op.express = [f = spec.expression](kernels::Expression& e, const NodeView&, const std::vector<int32_t>& in) {
      return f(e, in[0]);
    };
    op.lowerings = {expression_lowering()};
  }
  if (spec.single != nullptr) op.lowerings = {single_lowering(spec.single)};
  op.tolerance_eps = spec.tolerance_eps;
  op.onnx = mapping_to(spec.onnx, spec.name, 1);
  op.to_onnx = spec.to_onnx || spec.onnx == nullptr ? spec.to_onnx : one_node(spec.onnx);
  op.cost = flops_cost(spec.flops);
  op.samples = [spec] {
    std::vector<Sample> samples;
    uint32_t stream = 0;
    for (const Extents& extents : {Extents{}, Extents{1}, Extents{4}, Extents{5, 13}, Extents{2, 1, 3}})
      samples.push_back(
          {.inputs = {spec.gap > 0 ? sample_away_from_zero(extents, ++stream, spec.gap, spec.low, spec.high)
                                   : sample_uniform(extents, ++stream, spec.low, spec.high)}});
    if (spec.complex) samples.push_back({.inputs = {sample_complex({3, 5}, ++stream)}});
    if (spec.integer) samples.push_back({.inputs = {sample_integers({7}, ++stream)}, .check_gradient = false});
    return samples;
  };
  op.bits_exact_integers = spec.integer != nullptr;
  return op;
}

OpDef binary_op(BinarySpec spec) {
  OpDef op;
  op.name = spec.name;
  op.doc = spec.doc;
  op.inputs = {{"a", "left operand"}, {"b", "right operand, of a's dtype; shapes broadcast as in NumPy"}};
  op.outputs = {{"y", "of the operands' dtype and broadcast shape"}};
  op.infer = [spec](const NodeView& node) {
    check_accepts(spec, node);
    check_same_dtype(node, 0, 1);
    return infer_broadcast(node, node.input(0).dtype);
  };
  op.reference = [spec](ReferenceContext& c) {
    const RefArray &a = c.inputs[0], &b = c.inputs[1];
    if (is_real_float(a.type.dtype)) {
      map2(c, a.real(), b.real(), c.outputs[0].real(), spec.real);
    } else if (is_complex(a.type.dtype)) {
      map2(c, a.complex(), b.complex(), c.outputs[0].complex(), spec.complex);
    } else if (spec.natural != nullptr && a.type.dtype == DType::u64) {
      map2(c, a.integer(), b.integer(), c.outputs[0].integer(), [&](int64_t l, int64_t r) {
        return static_cast<int64_t>(spec.natural(static_cast<uint64_t>(l), static_cast<uint64_t>(r)));
      });
    } else {
      const int64_t bits = spec.ordered ? order_bits(a.type.dtype) : 0;
      map2(c, a.integer(), b.integer(), c.outputs[0].integer(),
           [&](int64_t l, int64_t r) { return spec.integer(l ^ bits, r ^ bits) ^ bits; });
    }
  };
  op.gradient = [spec](GradientContext& c) {
    Graph& g = c.graph();
    const Value a = c.input(0), b = c.input(1);
    if (spec.d_a) c.set_d_input(0, reduce_like(g, spec.d_a(g, a, b, c.output(), c.d_output()), a));
    if (spec.d_b) c.set_d_input(1, reduce_like(g, spec.d_b(g, a, b, c.output(), c.d_output()), b));
  };
  if (spec.kernel)
    op.express = [kernel = *spec.kernel](kernels::Expression& e, const NodeView&, const std::vector<int32_t>& in) {
      return express_binary(e, kernel, in[0], in[1]);
    };
  if (spec.kernel)
    op.lowerings.push_back(binary_lowering(
        DType::f32, [op = *spec.kernel](Isa isa, ThreadTeam& team, int rank, const int64_t* extents, const void* a,
                                        const int64_t* a_strides, const void* b, const int64_t* b_strides, void* y) {
          kernels::binary_f32(isa, team, op, rank, extents, static_cast<const float*>(a), a_strides,
                              static_cast<const float*>(b), b_strides, static_cast<float*>(y));
        }));
  if (spec.complex_kernel)
    op.lowerings.push_back(binary_lowering(
        DType::c64,
        [op = *spec.complex_kernel](Isa isa, ThreadTeam& team, int rank, const int64_t* extents, const void* a,
                                    const int64_t* a_strides, const void* b, const int64_t* b_strides, void* y) {
          kernels::binary_c64(isa, team, op, rank, extents, static_cast<const float*>(a), a_strides,
                              static_cast<const float*>(b), b_strides, static_cast<float*>(y));
        }));
  if (spec.native) op.lowerings.push_back(*spec.native);
  op.onnx = mapping_to(spec.onnx, spec.name, 2);
  op.to_onnx = spec.to_onnx || spec.onnx == nullptr ? spec.to_onnx : one_node(spec.onnx);
  op.cost = flops_cost(spec.flops);
  op.samples = [spec] {
    const auto make = [](const auto& given, const Extents& extents, uint32_t stream) {
      return given ? given(extents, stream) : sample_uniform(extents, stream);
    };
    std::vector<Sample> samples;
    uint32_t stream = 0;
    for (const auto& [a, b] : broadcast_samples()) {
      if (spec.real) {
        Tensor left = make(spec.sample_a, a, ++stream), right = make(spec.sample_b, b, ++stream);
        samples.push_back({.inputs = {left, right}});
      }
      if (spec.complex) samples.push_back({.inputs = {sample_complex(a, ++stream), sample_complex(b, ++stream)}});
      if (spec.integer)
        samples.push_back(
            {.inputs = {sample_integers(a, ++stream), sample_integers(b, ++stream)}, .check_gradient = false});
    }
    return samples;
  };
  op.bits_exact_integers = spec.integer != nullptr;
  return op;
}

OpDef comparison_op(ComparisonSpec spec) {
  OpDef op;
  op.name = spec.name;
  op.doc = spec.doc;
  op.inputs = {{"a", "left operand"}, {"b", "right operand, of a's dtype; shapes broadcast as in NumPy"}};
  op.outputs = {{"y", "boolean, of the broadcast shape"}};
  op.infer = [spec](const NodeView& node) {
    const DType dtype = node.input(0).dtype;
    GREGALE_CHECK(is_real_float(dtype) || is_integer(dtype) || (spec.booleans && dtype == DType::boolean), dtype,
                  "[{}] a has dtype {}; expected a real number{}", spec.name, name_of(dtype),
                  spec.booleans ? " or boolean" : "");
    check_same_dtype(node, 0, 1);
    return infer_broadcast(node, DType::boolean);
  };
  op.reference = [spec](ReferenceContext& c) {
    const RefArray &a = c.inputs[0], &b = c.inputs[1];
    std::vector<int64_t>& y = c.outputs[0].integer();
    const int64_t bits = order_bits(a.type.dtype);
    if (is_real_float(a.type.dtype))
      map2(c, a.real(), b.real(), y, spec.real);
    else
      map2(c, a.integer(), b.integer(), y,
           [&](int64_t l, int64_t r) { return int64_t{spec.integer(l ^ bits, r ^ bits)}; });
  };
  op.no_gradient = kNoGradientBoolean;
  if (spec.kernel)
    op.express = [kernel = *spec.kernel](kernels::Expression& e, const NodeView& node, const std::vector<int32_t>& in) {
      return is_real_float(node.input(0).dtype) ? express_comparison(e, kernel, in[0], in[1]) : -1;
    };
  if (spec.kernel)
    op.lowerings = {binary_lowering(
        DType::f32, [op = *spec.kernel](Isa isa, ThreadTeam& team, int rank, const int64_t* extents, const void* a,
                                        const int64_t* a_strides, const void* b, const int64_t* b_strides, void* y) {
          kernels::compare_f32(isa, team, op, rank, extents, static_cast<const float*>(a), a_strides,
                               static_cast<const float*>(b), b_strides, static_cast<uint8_t*>(y));
        })};
  if (spec.native) op.lowerings.push_back(*spec.native);
  op.onnx = mapping_to(spec.onnx, spec.name, 2);
  op.to_onnx = spec.to_onnx || spec.onnx == nullptr ? spec.to_onnx : one_node(spec.onnx);
  op.samples = [spec] {
    std::vector<Sample> samples;
    uint32_t stream = 0;
    for (const auto& [a, b] : broadcast_samples()) {
      samples.push_back({.inputs = {sample_ties(a, stream + 1), sample_ties(b, stream + 2)}, .check_gradient = false});
      samples.push_back({.inputs = {sample_integers(a, stream + 1, -2, 3), sample_integers(b, stream + 2, -2, 3)},
                         .check_gradient = false});
      stream += 2;
    }
    if (spec.booleans)
      samples.push_back({.inputs = {sample_booleans({9}, 1), sample_booleans({9}, 2)}, .check_gradient = false});
    return samples;
  };
  op.bits_exact_integers = true;
  return op;
}

OpDef logical_op(std::string name, std::string doc, bool (*function)(bool, bool), Lowering native, const char* onnx) {
  OpDef op;
  op.name = std::move(name);
  op.doc = std::move(doc);
  op.inputs = {{"a", "boolean"}, {"b", "boolean; shapes broadcast as in NumPy"}};
  op.outputs = {{"y", "boolean, of the broadcast shape"}};
  op.infer = [](const NodeView& node) {
    check_dtype(node, 0, DType::boolean);
    check_dtype(node, 1, DType::boolean);
    return infer_broadcast(node, DType::boolean);
  };
  op.reference = [function](ReferenceContext& c) {
    map2(c, c.inputs[0].integer(), c.inputs[1].integer(), c.outputs[0].integer(),
         [&](int64_t a, int64_t b) { return int64_t{function(a != 0, b != 0)}; });
  };
  op.no_gradient = kNoGradientBoolean;
  op.lowerings = {std::move(native)};
  op.onnx = mapping_to(onnx, op.name, 2);
  if (onnx != nullptr) op.to_onnx = one_node(onnx);
  op.samples = [] {
    std::vector<Sample> samples;
    uint32_t stream = 0;
    for (const auto& [a, b] : broadcast_samples())
      samples.push_back(
          {.inputs = {sample_booleans(a, ++stream), sample_booleans(b, ++stream)}, .check_gradient = false});
    return samples;
  };
  op.bits_exact_integers = true;
  return op;
}

}  // namespace gregale::ops
