// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gregale::data {

/// Looks at the bytes of a file before the netCDF library does, which reads zeros (classic) or says "HDF error"
/// (netCDF-4) where a file was cut short. Parses the header of the classic formats (CDF-1, -2 and -5; NetCDF Users
/// Guide, "File Format Specifications") and the superblock of HDF5 (HDF5 File Format Specification, II.A), and throws
/// ErrorCode::corrupt_data for a file that is of neither format, whose header is damaged, or that ends before its data:
/// "truncated: x.nc: variable UWND ends at byte 11104376 of 5000000". Opens the file with check_readable's errors.
void check_netcdf_layout(const std::string& path);

}  // namespace gregale::data
