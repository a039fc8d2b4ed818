// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "tools/command.hpp"

/// What the subcommands of `gregale bench` share; each is a file of its own.
namespace gregale::tools {

Runner add_bench_gemm(CLI::App& bench);
Runner add_bench_model(CLI::App& bench);

/// Of at least one value.
double median_of(std::vector<double> values);

}  // namespace gregale::tools
