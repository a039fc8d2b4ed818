// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "gregale/onnx.hpp"

/// ONNX's backend tests: folders with model.onnx and test_data_set_N/{input,output}_N.pb.
namespace gregale::onnx {

struct SuiteTest {
  std::string name;  ///< "node/test_relu": the path below the folder that was asked for
  std::string folder;
};
struct SuiteResult {
  enum class Status { passed, failed, skipped } status = Status::skipped;
  std::string reason;  ///< of a failure or a skip, one line
};

/// The tests below a folder, in order of their names; a folder that holds model.onnx is a test itself. Throws
/// ErrorCode::io where the folder cannot be read.
std::vector<SuiteTest> find_suite_tests(const std::string& folder);

/// What else a test asks beside the model's own answer.
struct SuiteOptions {
  CompileOptions compile;
  /// The model is written by export_model first, and what was written is run; skipped where it is no single graph, or
  /// holds what operator set 17 cannot say.
  bool exported = false;
  std::string keep;  ///< a folder for what was written, NAME.onnx each; empty: it is not kept
  /// The interpreter runs the model's graph too, and must agree; skipped where it is no single graph.
  bool interpreted = false;
};

/// Loads the model, runs every data set and compares: dtypes and extents exactly, values within rtol 1e-3 and atol 1e-7
/// (1e-5 for converted models), as the suite's own runner does. Of operators that draw random numbers, dtypes, extents
/// and means are compared.
SuiteResult run_suite_test(const SuiteTest& test, ExecutionContext& context, const SuiteOptions& options);

}  // namespace gregale::onnx
