// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "hdf5/host.hpp"

/// The HDF5 filter: one chunk of a dataset is one stream of the room codec (docs/compressed-files.md).
namespace gregale::hdf5 {

/// In the range that HDF5 leaves to filters nobody has registered.
inline constexpr H5Z_filter_t kFilterId = 51026;
inline constexpr const char* kFilterName = "gregale: error-bounded compression";

/// What H5Zregister and H5PLget_plugin_info want. The first host given is used from then on.
const H5Z_class2_t* filter_class(const Host& host);

/// Why the filter failed last in this thread, and forgets it; empty where it did not. HDF5 hands on numbers alone.
std::string take_filter_error();

}  // namespace gregale::hdf5
