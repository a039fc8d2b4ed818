// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// libFuzzer on compressed streams (docs/contributing.md, "Fuzzing"): built where GREGALE_FUZZ is on, by clang. It needs
// no corpus: what is too short to be a stream becomes a seed.
//   build/fuzz/bin/codec_stream_fuzz CORPUS -malloc_limit_mb=320 -timeout=10 -max_total_time=1800
#include "fuzz/codec_stream.hpp"
#include "gregale/error.hpp"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t greatest);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t greatest, unsigned seed) {
  static const std::vector<std::string> seeds = gregale::fuzz::codec_seeds();
  std::string stream;
  if (size < 24 || seed % 4096 == 0) {
    stream = seeds[seed / 4096 % seeds.size()];
  } else {
    size = LLVMFuzzerMutate(data, size, greatest);
    stream.assign(reinterpret_cast<const char*>(data), size);
    if (auto right = gregale::fuzz::with_checksums(stream)) stream = *std::move(right);
  }
  size = std::min(stream.size(), greatest);
  std::memcpy(data, stream.data(), size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    gregale::fuzz::decode_stream({reinterpret_cast<const char*>(data), size});
  } catch (const gregale::Error& error) {
    if (error.code() == gregale::ErrorCode::internal) __builtin_trap();
  }
  return 0;
}
