// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {

Value Scope::parameter(const std::string& name, const Shape& shape, Initialiser initialiser, bool decay) {
  const Type type(dtype_, shape);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].name != name) continue;
    GREGALE_CHECK(parameters_[i].type == type, shape, "[parameter] '{}' is {}, and is wanted again as {}", name,
                  to_string(parameters_[i].type), to_string(type));
    return values_[i];
  }
  GREGALE_CHECK(shape.is_constant(), shape, "[parameter] '{}' has the symbolic shape {}", name, to_string(shape));
  const int64_t variable = graph_.add_variable(name, type);
  parameters_.push_back({name, variable, type, initialiser, decay});
  values_.push_back(graph_.read(variable));
  return values_.back();
}

int64_t Scope::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& p : parameters_) count += p.type.shape.elements();
  return count;
}

VariableValues Scope::initial_values(uint64_t seed) const {
  VariableValues values;
  for (const Parameter& p : parameters_) values[p.name] = initial_value(p, seed);
  return values;
}

}  // namespace gregale::nn
