// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <H5PLextern.h>
#include <dlfcn.h>

#include <optional>

#include "hdf5/filter.hpp"

// libh5gregale.so: what HDF5 loads from HDF5_PLUGIN_PATH when it meets a dataset that was compressed by Gregale. It is
// linked with no HDF5 library, for it must call the very one that loaded it: Python packages bring their own.
namespace {

std::optional<gregale::hdf5::Host> host_in(void* library) {
  gregale::hdf5::Host host;
#define GREGALE_TAKE(name)                                                    \
  host.name = reinterpret_cast<decltype(host.name)>(::dlsym(library, #name)); \
  if (host.name == nullptr) return std::nullopt;
  GREGALE_HDF5_FUNCTIONS(GREGALE_TAKE)
#undef GREGALE_TAKE
  return host;
}

/// The library that an address of code is in; where it cannot be asked, what the whole program sees.
std::optional<gregale::hdf5::Host> host_of(void* code) {
  Dl_info caller{};
  if (::dladdr(code, &caller) != 0 && caller.dli_fname != nullptr)
    if (void* library = ::dlopen(caller.dli_fname, RTLD_LAZY | RTLD_NOLOAD)) {
      const auto host = host_in(library);
      ::dlclose(library);  // its users keep it loaded
      if (host) return host;
    }
  return host_in(RTLD_DEFAULT);
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) H5PL_type_t H5PLget_plugin_type() { return H5PL_TYPE_FILTER; }

/// Null where the library lacks what the filter asks of it: HDF5 then says that the filter is not there.
__attribute__((visibility("default"))) const void* H5PLget_plugin_info() {
  const auto host = host_of(__builtin_return_address(0));
  return host ? gregale::hdf5::filter_class(*host) : nullptr;
}
}
