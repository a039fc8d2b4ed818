// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/op.hpp"

namespace gregale {

inline constexpr const char* kReadOp = "read";
inline constexpr const char* kWriteOp = "write";
inline constexpr const char* kConstantOp = "constant";

/// The three operators the graph itself cannot do without: state in, state out, and data. They stand in the registry
/// like any other (src/ops/list.inc).
namespace core {
const OpDef& read_op();
const OpDef& write_op();
const OpDef& constant_op();
}  // namespace core

}  // namespace gregale
