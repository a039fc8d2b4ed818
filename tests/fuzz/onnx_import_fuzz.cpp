// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// libFuzzer on the import of ONNX files (docs/contributing.md, "Fuzzing"): built where GREGALE_FUZZ is on, by clang.
//   build/fuzz/bin/onnx_import_fuzz CORPUS -malloc_limit_mb=320 -rss_limit_mb=2560 -timeout=10 -max_total_time=1800
#include "fuzz/onnx_import.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    gregale::fuzz::import_onnx({reinterpret_cast<const char*>(data), size});
  } catch (const gregale::Error& error) {
    if (error.code() == gregale::ErrorCode::internal) __builtin_trap();
  }
  return 0;
}
