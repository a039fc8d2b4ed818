// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <istream>
#include <string>

#include "gregale/tensor.hpp"

/// NumPy's .npy files (numpy.org, "NumPy Format"): one array each.
namespace gregale::data {

/// Versions 1 to 3, either byte order, C or Fortran order; booleans, integers, floats and complex numbers. Throws
/// ErrorCode::io where the file cannot be read, unsupported for other elements (texts, objects, dates, records),
/// corrupt_data for anything else that is wrong. Nothing is allocated before the file is known to hold it.
Tensor read_npy(const std::string& path);
/// The same of a stream of `bytes`, for tests.
Tensor parse_npy(std::istream& file, int64_t bytes);

/// Version 1, C order. NumPy has no bf16: it is written as f32, which holds every bf16. Replaces the file in one step.
void write_npy(const std::string& path, const Tensor& tensor);

}  // namespace gregale::data
