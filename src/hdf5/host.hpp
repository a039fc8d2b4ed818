// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hdf5.h>

/// What the filter asks of the HDF5 library that runs it. Not linked but handed over: a plugin must call the very
/// library that loaded it, and a process may hold others (Python packages bring their own), whose identifiers differ.
#define GREGALE_HDF5_FUNCTIONS(X) \
  X(H5Pget_chunk)                 \
  X(H5Pget_filter_by_id2)         \
  X(H5Pmodify_filter)             \
  X(H5Pfill_value_defined)        \
  X(H5Pget_fill_value)            \
  X(H5Tget_class)                 \
  X(H5Tget_size)                  \
  X(H5Tget_order)                 \
  X(H5Eregister_class)            \
  X(H5Ecreate_msg)                \
  X(H5Epush2)

namespace gregale::hdf5 {

struct Host {
#define GREGALE_DECLARE(name) decltype(&::name) name = nullptr;
  GREGALE_HDF5_FUNCTIONS(GREGALE_DECLARE)
#undef GREGALE_DECLARE
};

}  // namespace gregale::hdf5
