// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <vector>

#include "data/netcdf_file.hpp"
#include "gregale/tensor.hpp"

/// What must be known of a field before it is compressed, and what must hold afterwards.
namespace gregale::data {

/// Found by reading a field once.
struct FieldScan {
  double least = 0, greatest = 0;  ///< of its data
  int64_t valid = 0;
  /// Different values outside valid_min and valid_max: no data, though no attribute lists them.
  std::set<double> outside;
  bool too_many_outside = false;

  double width() const { return greatest - least; }
  void add(const Tensor& values, const NetcdfMissing& missing);
};

/// Decompressed values against the original ones; errors are over data.
struct FieldCheck {
  int64_t valid = 0;
  double max_error = 0, squares = 0, sum = 0;
  double least = 0, greatest = 0;  ///< of the original data
  int64_t wrong = 0;               ///< values that became or ceased to be data, no data that changed, and missed bounds

  void add(const FieldCheck& other);
};
/// `bound` 0: every bit must be there.
FieldCheck check_field(const Tensor& original, const Tensor& decompressed, const NetcdfMissing& missing, double bound);

}  // namespace gregale::data
