// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// predictive_bench FIELD.f32 MASK BOUND CODEC E0 E1 ...: one field of raw values, for work on the codec.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <ctime>

#include "codec/raw_field_for_benches.hpp"
#include "gregale/codec.hpp"

using namespace gregale;

int main(int argc, char** argv) {
  const Tensor src = codec::read_raw_field(argv[1], argv[2], argv + 5, argv + argc);
  ErrorContract contract = ErrorContract::relative(std::atof(argv[3]));
  contract.missing = {codec::kNoValue};
  EncodeOptions options;
  options.codec = argv[4];
  options.verify = std::getenv("UNVERIFIED") == nullptr;
  const auto workspace = make_codec_workspace();
  options.workspace = workspace.get();
  DecodeOptions decoding;
  decoding.workspace = workspace.get();
  const auto now = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };  // of this process alone
  double best_encode = 1e9, best_decode = 1e9;
  Encoded e;
  const auto rounds = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? std::atoi(value) : 7;
  };
  for (int r = 0; r < rounds("ENCODE"); ++r) {
    const double a = now();
    e = encode(src, contract, options);
    best_encode = std::min(best_encode, now() - a);
  }
  for (int r = 0; r < rounds("DECODE"); ++r) {
    const double b = now();
    decode(e.bytes, decoding);
    best_decode = std::min(best_decode, now() - b);
  }
  const Certificate& c = e.certificate;
  fmt::print("{:.4f} {:.2f} {:.3f} {:.1f} {:.1f} {}\n",
             8.0 * static_cast<double>(c.bytes_out) / static_cast<double>(c.valid), c.psnr(), c.max_error / c.bound,
             static_cast<double>(src.bytes()) * 1e-6 / best_encode,
             static_cast<double>(src.bytes()) * 1e-6 / best_decode, c.bytes_out);
}
