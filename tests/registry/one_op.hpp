// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include "gregale/error.hpp"
#include "gregale/graph.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"

/// What the tests of every operator share: the operators as test parameters, and graphs of one of them.
namespace gregale::registry {

inline Tensor cast_sample(const Tensor& t, bool narrow) {
  if (!narrow) return t;
  if (t.dtype() == DType::f64) return t.cast(DType::f32);
  if (t.dtype() == DType::c128) return t.cast(DType::c64);
  return t;
}

/// The operator applied to inputs of the sample's types; `narrow` makes f64 f32 and c128 c64 (not where regions fix the
/// types).
inline Graph graph_of(const OpDef& op, const Sample& sample, bool narrow) {
  Graph g(op.name);
  narrow = narrow && sample.regions.empty();
  std::vector<Value> inputs;
  for (size_t i = 0; i < sample.inputs.size(); ++i)
    inputs.push_back(g.add_input("x" + std::to_string(i), cast_sample(sample.inputs[i], narrow).type()));
  g.set_outputs(g.add(op, inputs, sample.attributes, sample.regions));
  return g;
}

inline std::vector<Tensor> inputs_of(const Sample& sample, bool narrow) {
  std::vector<Tensor> inputs;
  for (const Tensor& t : sample.inputs) inputs.push_back(cast_sample(t, narrow && sample.regions.empty()));
  return inputs;
}

class EveryOperator : public testing::TestWithParam<const OpDef*> {
 protected:
  const OpDef& op() const { return *GetParam(); }
  std::vector<Sample> samples() const { return op().samples ? op().samples() : std::vector<Sample>{}; }
};

inline std::string op_name(const testing::TestParamInfo<const OpDef*>& info) { return info.param->name; }

}  // namespace gregale::registry
