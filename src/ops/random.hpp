// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/ops.hpp"

/// What the operators that draw share: the key operand and the attribute `stream`.
namespace gregale::ops {

OperandDef key_operand();
AttributeDef stream_attribute();
/// Throws unless operand `input` is i64[2] and the stream fits 32 bits.
void check_key(const NodeView& node, int64_t input);
/// (seed, step) and the stream as the generator takes them; the step counts modulo 2^32.
RandomKey random_key(const NodeView& node, const int64_t* key);

/// random_uniform and random_normal are one definition with another draw.
using Draw = float (*)(const RandomKey&, uint64_t);
using Fill = void (*)(ThreadTeam&, const RandomKey&, uint64_t first, int64_t count, float* dst);
OpDef draw_op(std::string name, std::string doc, Draw draw, Fill fill, double flops);

}  // namespace gregale::ops
