// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// codec_bounds write SEED VALUES: random arrays of so many values in all, compressed to standard output; each is
//   decompressed and held to its contract.
// codec_bounds read SEED: the same arrays from standard input: decompressed here, held to their contracts, and compared
//   with what the writer got, bit by bit.
#include <cstdio>
#include <cstdlib>

#include "codec/bounds_for_tests.hpp"

namespace {

using namespace gregale;

uint64_t hash_of(const Tensor& t) {  // FNV-1a
  uint64_t hash = 1469598103934665603U;
  const auto* bytes = static_cast<const unsigned char*>(t.data());
  for (int64_t i = 0; i < t.bytes(); ++i) hash = (hash ^ bytes[i]) * 1099511628211U;
  return hash;
}

struct Record {
  uint64_t index, bytes, hash;
};

[[noreturn]] void fail(const codec::BoundsCase& c, const std::string& what) {
  fmt::print(stderr, "codec_bounds: {}: {}\n", c.words, what);
  std::exit(1);
}

int write(uint64_t seed, int64_t values) {
  codec::BoundsCases cases(seed);
  int64_t done = 0;
  uint64_t index = 0;
  for (; done < values; ++index) {
    const codec::BoundsCase c = cases.make(index);
    EncodeOptions options;
    options.codec = c.codec;
    options.key = {seed, static_cast<uint32_t>(index), 0};
    Encoded encoded;
    Tensor decoded;
    try {
      encoded = encode(c.src, c.contract, options);
      decoded = decode(encoded.bytes);
    } catch (const Error& error) {
      fail(c, error.what());
    }
    if (const std::string wrong = codec::BoundsCases::check(c, decoded, &encoded.certificate); !wrong.empty())
      fail(c, wrong);
    const Record record{index, encoded.bytes.size(), hash_of(decoded)};
    std::fwrite(&record, sizeof record, 1, stdout);
    std::fwrite(encoded.bytes.data(), 1, encoded.bytes.size(), stdout);
    done += c.src.size();
  }
  fmt::print(stderr, "codec_bounds: wrote {} arrays of {} values, no violation\n", index, done);
  return 0;
}

int read(uint64_t seed) {
  codec::BoundsCases cases(seed);
  int64_t done = 0;
  Record record{};
  uint64_t count = 0;
  std::vector<std::byte> bytes;
  for (; std::fread(&record, sizeof record, 1, stdin) == 1; ++count) {
    const codec::BoundsCase c = cases.make(record.index);
    bytes.resize(record.bytes);
    if (std::fread(bytes.data(), 1, bytes.size(), stdin) != bytes.size()) fail(c, "the input ends");
    const Tensor decoded = decode(bytes);
    if (const std::string wrong = codec::BoundsCases::check(c, decoded, nullptr); !wrong.empty()) fail(c, wrong);
    if (hash_of(decoded) != record.hash) fail(c, "decompressed to other bits here than there");
    done += c.src.size();
  }
  fmt::print(stderr, "codec_bounds: read {} arrays of {} values, no violation, the same bits\n", count, done);
  return count > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "write" && argc == 4) return write(std::strtoull(argv[2], nullptr, 10), std::atoll(argv[3]));
  if (mode == "read" && argc == 3) return read(std::strtoull(argv[2], nullptr, 10));
  fmt::print(stderr, "codec_bounds write SEED VALUES | codec_bounds read SEED\n");
  return 2;
}
