// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/random.hpp"
#include "kernels/common.hpp"

/// Random numbers for whole arrays: element i is bit for bit random_uniform(key, first + i) or random_normal(key, first
/// + i) of gregale/random.hpp, on every ISA.
namespace gregale::kernels {

void fill_uniform_f32(ThreadTeam& team, const RandomKey& key, uint64_t first, int64_t count, float* dst);
void fill_normal_f32(ThreadTeam& team, const RandomKey& key, uint64_t first, int64_t count, float* dst);
/// dst = src / (1 - rate) where random_uniform(key, i) >= rate, else 0. In place is fine.
void dropout_f32(ThreadTeam& team, const RandomKey& key, double rate, int64_t count, const float* src, float* dst);

}  // namespace gregale::kernels
