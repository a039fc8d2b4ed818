// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/indexing.hpp"

#include <fmt/format.h>

namespace gregale::ops {

using kernels::Scatter;

void check_indices(const NodeView& node, int64_t input) {
  const DType dtype = node.input(input).dtype;
  GREGALE_CHECK(dtype == DType::i64 || dtype == DType::i32, dtype, "[{}] {} has dtype {}; expected i64 or i32",
                node.op().name, node.op().inputs.at(static_cast<size_t>(input)).name, name_of(dtype));
}

int64_t wrapped_index(const NodeView& node, int64_t index, int64_t axis, int64_t extent) {
  GREGALE_CHECK(index >= -extent && index < extent, invalid_argument,
                "[{}] index {} is out of range for axis {} of extent {}", node.op().name, index, axis, extent);
  return index < 0 ? index + extent : index;
}

kernels::Indices indices_of(DType dtype, const void* data) {
  if (dtype == DType::i32) return static_cast<const int32_t*>(data);
  return static_cast<const int64_t*>(data);
}

Scatter reduction_of(const NodeView& node) {
  static const std::pair<const char*, Scatter> names[] = {{"none", Scatter::none},
                                                          {"add", Scatter::add},
                                                          {"mul", Scatter::mul},
                                                          {"max", Scatter::max},
                                                          {"min", Scatter::min}};
  const std::string& name = node.string("reduction");
  const DType dtype = node.input(0).dtype;
  for (const auto& [known, op] : names) {
    if (name != known) continue;
    const bool ordered = op == Scatter::max || op == Scatter::min;
    GREGALE_CHECK(op == Scatter::none || (ordered ? !is_complex(dtype) : dtype != DType::boolean), dtype,
                  "[{}] {} has no reduction {}", node.op().name, name_of(dtype), name);
    return op;
  }
  throw_error(ErrorCode::invalid_argument,
              fmt::format("[{}] reduction '{}' is none of none, add, mul, max, min", node.op().name, name));
}

AttributeDef reduction_attribute() {
  return {"reduction", AttributeKind::string, "what an update does to the element it meets: none, add, mul, max or min",
          std::string("none")};
}

void check_scatter_gradient(const NodeView& node, Scatter op) {
  GREGALE_CHECK(op == Scatter::none || op == Scatter::add, unsupported, "[{}] reduction {} has no gradient",
                node.op().name, node.string("reduction"));
}

IndexedRows indexed_rows(const NodeView& node, const Extents& x, const Extents& indices) {
  const auto batch_dims = static_cast<size_t>(node.integer("batch_dims"));
  const auto depth = static_cast<size_t>(indices.back());
  IndexedRows rows;
  for (size_t i = 0; i < batch_dims; ++i) rows.batch *= x[i];
  for (size_t i = batch_dims; i + 1 < indices.size(); ++i) rows.count *= indices[i];
  for (size_t i = batch_dims + depth; i < x.size(); ++i) rows.inner *= x[i];
  rows.extents.assign(x.begin() + static_cast<int64_t>(batch_dims),
                      x.begin() + static_cast<int64_t>(batch_dims + depth));
  return rows;
}

Shape gathered_shape(const NodeView& node) {
  check_indices(node, 1);
  const std::string& who = node.op().name;
  const Type &x = node.input(0), &indices = node.input(1);
  const int64_t batch_dims = node.integer("batch_dims");
  GREGALE_CHECK(batch_dims >= 0 && batch_dims < indices.rank() && batch_dims <= x.rank(), invalid_argument,
                "[{}] {} batch dims of {} and {}", who, batch_dims, to_string(x), to_string(indices));
  for (int64_t i = 0; i < batch_dims; ++i)
    GREGALE_CHECK(x.shape[i] == indices.shape[i], shape, "[{}] {} and {} differ in batch dim {}", who, to_string(x),
                  to_string(indices), i);
  const Dim& depth = indices.shape[indices.rank() - 1];
  GREGALE_CHECK(depth.is_constant() && depth.value() <= x.rank() - batch_dims, shape,
                "[{}] indices {} name more axes than {} has after {} batch dims", who, to_string(indices), to_string(x),
                batch_dims);
  std::vector<Dim> dims(indices.shape.dims().begin(), indices.shape.dims().end() - 1);
  dims.insert(dims.end(), x.shape.dims().begin() + batch_dims + depth.value(), x.shape.dims().end());
  return Shape(std::move(dims));
}

int64_t indexed_row(const NodeView& node, const IndexedRows& rows, const std::vector<int64_t>& indices, int64_t j) {
  const size_t depth = rows.extents.size();
  int64_t row = 0, elements = 1;
  for (size_t a = 0; a < depth; ++a) {
    const int64_t axis = node.integer("batch_dims") + static_cast<int64_t>(a);
    row =
        row * rows.extents[a] + wrapped_index(node, indices[static_cast<size_t>(j) * depth + a], axis, rows.extents[a]);
    elements *= rows.extents[a];
  }
  return j / rows.count * elements + row;
}

}  // namespace gregale::ops
