// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/op.hpp"

/// Declares the definition of every operator of list.inc: relu_op(), matmul_op(), ...
namespace gregale::ops {

#define GREGALE_OP(name) const OpDef& name##_op();
#include "ops/list.inc"
#undef GREGALE_OP

}  // namespace gregale::ops
