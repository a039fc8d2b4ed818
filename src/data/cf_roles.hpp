// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "data/netcdf_file.hpp"

namespace gregale::data {

/// Why a variable is no field of numbers that may lose bits, by the attributes that name it or that it has (CF
/// conventions 1.10, chapters 4, 5 and 7, and UGRID): "coordinate", "auxiliary coordinate", "bounds", "grid mapping",
/// "cell measure", "integer", "text", ...; empty for a field of float or double. In the order of the variables; names
/// count whatever group they are in, which errs on the exact side.
std::vector<std::string> reasons_to_keep(const std::vector<const NetcdfVariable*>& variables,
                                         const std::vector<NetcdfAttribute>& global);

}  // namespace gregale::data
