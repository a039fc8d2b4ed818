// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/window.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"

namespace gregale::ops {

const std::vector<int64_t>& check_entries(const NodeView& node, std::string_view name, size_t count, int64_t least) {
  const auto& values = node.integers(name);
  GREGALE_CHECK(values.size() == count, invalid_argument, "[{}] {} has {} entries, not {}", node.op().name, name,
                values.size(), count);
  for (int64_t v : values)
    GREGALE_CHECK(v >= least && v <= kLargest, invalid_argument, "[{}] {} holds {}, outside [{}, {}]", node.op().name,
                  name, v, least, kLargest);
  return values;
}

int64_t constant_extent(const NodeView& node, const Shape& shape, int64_t axis) {
  GREGALE_CHECK(shape[axis].is_constant(), unsupported, "[{}] only the batch may be symbolic, not {}", node.op().name,
                shape[axis].to_string());
  GREGALE_CHECK(shape[axis].value() <= kLargest, shape, "[{}] extent {} is above {}", node.op().name,
                shape[axis].value(), kLargest);
  return shape[axis].value();
}

}  // namespace gregale::ops
