// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <H5PLextern.h>

#include "hdf5/filter.hpp"

// libh5gregale.so: what HDF5 loads from HDF5_PLUGIN_PATH when it meets a dataset that was compressed by Gregale.
extern "C" {

__attribute__((visibility("default"))) H5PL_type_t H5PLget_plugin_type() { return H5PL_TYPE_FILTER; }

__attribute__((visibility("default"))) const void* H5PLget_plugin_info() {
  gregale::hdf5::Host host;
#define GREGALE_TAKE(name) host.name = &::name;
  GREGALE_HDF5_FUNCTIONS(GREGALE_TAKE)
#undef GREGALE_TAKE
  return gregale::hdf5::filter_class(host);
}
}
