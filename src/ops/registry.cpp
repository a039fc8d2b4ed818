// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpSet& standard_ops() {
  static const OpSet set({
      &core::constant_op(),
      &core::read_op(),
      &core::write_op(),
#define GREGALE_OP(name) &name##_op(),
#include "ops/list.inc"
#undef GREGALE_OP
  });
  return set;
}

}  // namespace gregale::ops
