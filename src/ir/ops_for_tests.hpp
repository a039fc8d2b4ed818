// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/expect_error_for_tests.hpp"
#include "gregale/error.hpp"
#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "ir/interpret.hpp"

/// Operators small enough to test the graph itself with: this room knows none but its three.
namespace gregale::ir_test {

/// a + b, of one type, real or integer.
inline const OpDef& plus() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "plus";
    d.inputs = {{"a", ""}, {"b", ""}};
    d.outputs = {{"sum", ""}};
    d.infer = [](const NodeView& node) {
      GREGALE_CHECK(node.input(0) == node.input(1), shape, "[plus] operands differ");
      return std::vector<Type>{node.input(0)};
    };
    d.reference = [](ReferenceContext& c) {
      for (size_t i = 0; i < c.outputs[0].real().size(); ++i)
        c.outputs[0].real()[i] = c.inputs[0].real()[i] + c.inputs[1].real()[i];
    };
    return d;
  }();
  return op;
}

/// Its operand, twice, with an attribute of every kind.
inline const OpDef& tag() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "variance_tag";  // begins like the keyword "var"
    d.inputs = {{"x", ""}};
    d.outputs = {{"first", ""}, {"second", ""}};
    d.attributes = {{"integer", AttributeKind::integer, "", Attribute(int64_t{7})},
                    {"real", AttributeKind::real, "", Attribute(0.5)},
                    {"boolean", AttributeKind::boolean, "", Attribute(false)},
                    {"string", AttributeKind::string, "", Attribute(std::string("s"))},
                    {"integers", AttributeKind::integers, "", Attribute(std::vector<int64_t>{1, 2})},
                    {"reals", AttributeKind::reals, "", Attribute(std::vector<double>{})},
                    {"dtype", AttributeKind::dtype, "", Attribute(DType::bf16)},
                    {"tensor", AttributeKind::tensor, "", Attribute(Tensor::from<float>({1}, {1}))}};
    d.infer = [](const NodeView& node) { return std::vector<Type>{node.input(0), node.input(0)}; };
    d.reference = [](ReferenceContext& c) { c.outputs = {c.inputs[0], c.inputs[0]}; };
    return d;
  }();
  return op;
}

/// Runs its one body on its operands.
inline const OpDef& call() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "call";
    d.inputs = {{"arguments", "", OperandDef::Arity::variadic}};
    d.outputs = {{"results", "", OperandDef::Arity::variadic}};
    d.infer = [](const NodeView& node) {
      GREGALE_CHECK(node.regions().size() == 1, invalid_argument, "[call] takes one body");
      std::vector<Type> types;
      const Graph& body = node.regions()[0];
      GREGALE_CHECK(body.inputs().size() == node.inputs().size(), invalid_argument, "[call] wrong number of arguments");
      for (Value v : body.outputs()) types.push_back(body.type(v));
      return types;
    };
    d.reference = [](ReferenceContext& c) { c.outputs = interpret_arrays(c.node.regions()[0], c.inputs, nullptr); };
    return d;
  }();
  return op;
}

/// The type its attribute says; its inference reaches for what need not be there, as careless ones do.
inline const OpDef& careless() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "careless";
    d.inputs = {{"x", ""}};
    d.outputs = {{"y", ""}};
    d.attributes = {{"axis", AttributeKind::integer, "", {}}};
    d.infer = [](const NodeView& node) {
      return std::vector<Type>{
          Type(node.input(0).dtype, Shape{node.input(0).shape.dims().at(static_cast<size_t>(node.integer("axis")))})};
    };
    return d;
  }();
  return op;
}

inline const OpSet& test_ops() {
  static const OpSet set(
      {&core::read_op(), &core::write_op(), &core::constant_op(), &plus(), &tag(), &call(), &careless()});
  return set;
}

inline Tensor vec(std::vector<double> values) {
  const auto n = static_cast<int64_t>(values.size());
  return Tensor::from(values, {n});
}

}  // namespace gregale::ir_test
