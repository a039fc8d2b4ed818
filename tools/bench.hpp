// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "base/json.hpp"
#include "tools/command.hpp"

/// What the subcommands of `gregale bench` share; each is a file of its own.
namespace gregale::tools {

Runner add_bench_gemm(Command& bench);
Runner add_bench_model(Command& bench);
Runner add_bench_activations(Command& bench);

/// Of at least one value.
double median_of(std::vector<double> values);
/// What each of several runs took: until about three seconds are over, seven times at most and three at least, unless
/// told how often. Short runs are so many that their median means something.
std::vector<double> repeat(const Common& common, const std::string& name, std::optional<int64_t> runs,
                           ExecutionContext& context, const std::function<void()>& run);
/// Products of bf16 in one product of `options`: 1 of bf16, several where tiles multiply parts of fp32; 0 where the
/// unit of fp32 multiplies.
int bf16_products(const CompileOptions& options);
/// The peak, in Gflop/s, of the unit that multiplies: what `gregale machine` measured, else measured now.
double peak_of(const CompileOptions& options, ThreadTeam& team);
/// Bytes past L2 of programs that run one after the other.
nlohmann::json ledger_of(const std::vector<const Executable*>& programs, const Target& target, int threads);

}  // namespace gregale::tools
