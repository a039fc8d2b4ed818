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

/// Loads the model, runs every data set and compares: dtypes and extents exactly, values within rtol 1e-3 and atol 1e-7
/// (1e-5 for converted models), as the suite's own runner does. Of operators that draw random numbers without a seed
/// that is ours, dtypes, extents and the mean are compared. `exported`: the model goes through export_model first; one
/// that no file of operator set 17 can say is skipped.
SuiteResult run_suite_test(const SuiteTest& test, ExecutionContext& context, const CompileOptions& options);

}  // namespace gregale::onnx
