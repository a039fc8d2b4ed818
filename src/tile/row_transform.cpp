// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/row_transform.hpp"

#include <cmath>

namespace gregale::tile {

std::optional<RowTransform> row_transform(const NodeView& node) {
  const std::string& name = node.op().name;
  if (name != "fft" && name != "rfft" && name != "irfft") return {};
  const Type &x = node.input(0), &y = node.outputs()[0];
  if (!node.boolean("parts") || !x.shape.is_constant() || x.shape.elements() == 0) return {};
  const auto& axes = node.integers("axes");
  const int64_t rows = x.rank() - 2;
  if (axes.size() != 1 || (axes[0] != rows && axes[0] != -2)) return {};
  RowTransform t;
  t.from_real = name == "rfft";
  t.to_real = name == "irfft";
  t.inverse = t.to_real || (!t.from_real && node.boolean("inverse"));
  const Shape& whole = t.to_real ? y.shape : x.shape;
  t.length = whole[rows].value();
  t.columns = whole[rows + 1].value() / (t.from_real || t.to_real ? 1 : 2);
  const std::string& norm = node.string("norm");
  const auto n = static_cast<double>(t.length);
  t.scale = norm == "ortho" ? 1 / std::sqrt(n) : (norm == "backward") == t.inverse ? 1 / n : 1;
  return t;
}

}  // namespace gregale::tile
