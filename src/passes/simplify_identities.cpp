// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Nodes that give back what they are given, or what their operand was made of.
#include <algorithm>

#include "gregale/op.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

/// x + 0, 0 + x; -0 stays -0, which is more than addition does.
Value add_zero(const Match& m) {
  for (const size_t i : {size_t{0}, size_t{1}})
    if (m.is_uniform(m.in(1 - i), 0) && m.forward(m.in(i)).valid()) return m.at(m.in(i));
  return {};
}

Value subtract_zero(const Match& m) { return m.is_uniform(m.in(1), 0) ? m.forward(m.in(0)) : Value(); }

Value multiply_by_one(const Match& m) {
  for (const size_t i : {size_t{0}, size_t{1}})
    if (m.is_uniform(m.in(1 - i), 1) && m.forward(m.in(i)).valid()) return m.at(m.in(i));
  return {};
}

Value divide_by_one(const Match& m) { return m.is_uniform(m.in(1), 1) ? m.forward(m.in(0)) : Value(); }

/// neg, conj, logical_not of themselves.
Value twice(const Match& m) {
  const Node* inner = m.made_by(m.in(0), m.node.op->name);
  return inner ? m.forward(inner->inputs[0]) : Value();
}

/// The part of complex(re, im), broadcast where it was.
Value part_of_complex(const Match& m) {
  const bool real = m.node.op->name == "real";
  if (const Node* complex = m.made_by(m.in(0), "complex")) {
    const Value part = complex->inputs[real ? 0 : 1];
    const Value same = m.forward(part);
    return same.valid() ? same : ops::broadcast_to(m.target, m.at(part), m.result().shape);
  }
  const Node* cast = real ? m.made_by(m.in(0), "cast") : nullptr;  // a real number made complex
  return cast ? m.forward(cast->inputs[0]) : Value();
}

/// complex(real(z), imag(z)).
Value complex_of_parts(const Match& m) {
  const Node *re = m.made_by(m.in(0), "real"), *im = m.made_by(m.in(1), "imag");
  return re && im && re->inputs[0] == im->inputs[0] ? m.forward(re->inputs[0]) : Value();
}

/// What does nothing where it keeps the shape: a reshape, a broadcast, a sum over nothing, a slice of the whole,
/// padding by nothing, concatenation of one, and stop_gradient, which only differentiation heeds.
Value same_shape(const Match& m) { return m.node.inputs.size() == 1 ? m.forward(m.in(0)) : Value(); }

/// Their operand `like` counts for its shape alone.
Value same_shape_like(const Match& m) { return m.forward(m.in(0)); }

/// Whether `wide` holds every value of `narrow`.
bool holds(DType wide, DType narrow) {
  if (narrow == DType::boolean) return wide != DType::boolean;
  if (is_complex(narrow)) return wide == DType::c128;
  const auto float_bits = [](DType d) {  // bits of the significand and room for the exponent
    switch (d) {
      case DType::f64:
        return std::pair{53, 11};
      case DType::f32:
        return std::pair{24, 8};
      case DType::f16:
        return std::pair{11, 5};
      case DType::bf16:
        return std::pair{8, 8};
      default:
        return std::pair{0, 0};
    }
  };
  const auto [bits, exponent] = float_bits(wide);
  if (is_real_float(narrow)) {
    const auto [n, e] = float_bits(narrow);
    return bits >= n && exponent >= e;
  }
  const bool is_unsigned = narrow == DType::u8 || narrow == DType::u16 || narrow == DType::u32 || narrow == DType::u64;
  const int64_t digits = 8 * size_of(narrow) - (is_unsigned ? 0 : 1);
  if (is_real_float(wide)) return bits >= digits && exponent >= 8;
  // Between integers the low bits survive a wider type of either sign.
  return is_integer(wide) && size_of(wide) >= size_of(narrow);
}

Value cast_to_same(const Match& m) { return m.forward(m.in(0)); }

/// To a type that holds every value, or these ones, and back.
Value cast_round_trip(const Match& m) {
  const Node* inner = m.made_by(m.in(0), "cast");
  if (!inner) return {};
  const bool exact = std::get<bool>(inner->attributes.at("exact")) && m.type(inner->inputs[0]) == m.result();
  if (!exact && !holds(m.type(m.in(0)).dtype, m.type(inner->inputs[0]).dtype)) return {};
  return m.forward(inner->inputs[0]);
}

/// v of the source, a sum of i32, as the result's floats: where its terms are such, whole and cast (`exact`), moved
/// perhaps, or constants that f32 holds.
Value sum_of_whole_numbers(const Match& m, Value v, int depth = 4) {
  if (const Node* cast = m.made_by(v, "cast"))
    return std::get<bool>(cast->attributes.at("exact")) && m.type(cast->inputs[0]).dtype == m.result().dtype
               ? m.at(cast->inputs[0])
               : Value();
  if (const Tensor* t = constant_of(m.graph(), v)) {
    constexpr int32_t kMost = 1 << 24;
    const auto x = t->as<int32_t>();
    return std::all_of(x.begin(), x.end(), [](int32_t e) { return e >= -kMost && e <= kMost; })
               ? m.target.constant(t->cast(m.result().dtype))
               : Value();
  }
  const Node* sum = depth > 0 ? m.producer(v) : nullptr;
  if (!sum) return {};
  if (sum->op->result_as_view) {
    const Value moved = sum_of_whole_numbers(m, sum->inputs[0], depth - 1);
    return moved.valid() ? m.again(*sum, 0, moved) : Value();
  }
  if (sum->op->name != "add") return {};
  const Value a = sum_of_whole_numbers(m, sum->inputs[0], depth - 1);
  const Value b = a.valid() ? sum_of_whole_numbers(m, sum->inputs[1], depth - 1) : Value();
  return b.valid() ? ops::add(m.target, a, b) : Value();
}

/// Sums of products of integers, which are made in floats, become i32 for a bias of that dtype, and floats again.
Value sum_left_as_floats(const Match& m) {
  const DType real = m.result().dtype;
  if (m.type(m.in(0)).dtype != DType::i32 || (real != DType::f32 && real != DType::f64)) return {};
  if (!m.made_by(m.in(0), "add")) return {};
  return sum_of_whole_numbers(m, m.in(0));
}

bool is_one(const Dim& d) { return d == Dim(1); }

/// sum, mean, max or min over axes of extent 1.
Value reduce_nothing(const Match& m) {
  const Shape& shape = m.type(m.in(0)).shape;
  for (int64_t axis : reduction_axes(m, m.node))
    if (!is_one(shape[axis])) return {};
  return ops::reshape(m.target, m.at(m.in(0)), m.result().shape);
}

/// sum_to and broadcast_to where only axes of extent 1 come or go.
Value only_unit_axes(const Match& m) {
  const auto without_ones = [](const Shape& shape) {
    std::vector<Dim> dims;
    std::copy_if(shape.dims().begin(), shape.dims().end(), std::back_inserter(dims),
                 [](const Dim& d) { return !is_one(d); });
    return dims;
  };
  if (without_ones(m.type(m.in(0)).shape) != without_ones(m.result().shape)) return {};
  return ops::reshape(m.target, m.at(m.in(0)), m.result().shape);
}

Value reverse_nothing(const Match& m) {
  for (int64_t axis : integers(m.node, "axes")) {
    const int64_t rank = m.result().rank();
    if (!is_one(m.result().shape[axis < 0 ? axis + rank : axis])) return {};
  }
  return m.at(m.in(0));
}

Value reverse_twice(const Match& m) {
  const Node* inner = m.made_by(m.in(0), "reverse");
  if (!inner) return {};
  const auto axes = [&](const Node& node) {
    std::vector<int64_t> all = integers(node, "axes");
    for (int64_t& a : all) a = a < 0 ? a + m.result().rank() : a;
    std::sort(all.begin(), all.end());
    return all;
  };
  return axes(*inner) == axes(m.node) ? m.at(inner->inputs[0]) : Value();
}

/// What an even or idempotent function makes of what was done to its operand: |-x|, (-x)^2, cos(-x), |x|^2, relu(relu
/// x).
Value of_sign_or_modulus(const Match& m) {
  const std::string& name = m.node.op->name;
  const Node* inner = m.producer(m.in(0));
  if (!inner || inner->inputs.empty()) return {};
  const Value x = inner->inputs[0];
  const bool real = !is_complex(m.type(x).dtype);
  const std::string& of = inner->op->name;
  const bool drops = (of == "neg") || (of == "abs" && real && (name == "square" || name == "abs" || name == "cos")) ||
                     (of == "conj" && name == "abs");
  return drops ? m.again(m.node, 0, m.at(x)) : Value();
}

/// abs and relu of what is not negative anyway.
Value of_nonnegative(const Match& m) { return is_nonnegative(m.graph(), m.in(0)) ? m.forward(m.in(0)) : Value(); }

}  // namespace

std::vector<Rule> identity_rules() {
  return {
      {"x + 0", {"add"}, add_zero},
      {"x - 0", {"sub"}, subtract_zero},
      {"x * 1", {"mul"}, multiply_by_one},
      {"x / 1", {"div"}, divide_by_one},
      {"operator of itself", {"neg", "conj", "logical_not"}, twice},
      {"part of complex", {"real", "imag"}, part_of_complex},
      {"complex of parts", {"complex"}, complex_of_parts},
      {"same shape", {"reshape", "broadcast_to", "sum_to", "slice", "pad", "concat", "stop_gradient"}, same_shape},
      {"same shape", {"broadcast_like", "sum_to_like"}, same_shape_like},
      {"cast to the same dtype", {"cast"}, cast_to_same},
      {"cast there and back", {"cast"}, cast_round_trip},
      {"sum of whole floats left as floats", {"cast"}, sum_left_as_floats},
      {"reduction of nothing", {"sum", "mean", "max", "min"}, reduce_nothing},
      {"unit axes only", {"sum_to", "broadcast_to"}, only_unit_axes},
      {"reverse of nothing", {"reverse"}, reverse_nothing},
      {"reverse of reverse", {"reverse"}, reverse_twice},
      {"sign or modulus dropped", {"abs", "square", "cos"}, of_sign_or_modulus},
      {"abs or relu of a nonnegative value", {"abs", "relu"}, of_nonnegative},
  };
}

}  // namespace gregale::passes
