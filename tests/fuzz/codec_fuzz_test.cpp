// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "fuzz/codec_stream.hpp"
#include "fuzz/mutate.hpp"

namespace gregale::fuzz {
namespace {

TEST(FuzzReplay, CodecStreamsAsTheyAre) {
  const std::vector<std::string> seeds = codec_seeds();
  const Mutator mutator(10, seeds, {std::string("GRGC\x02", 5), std::string(4, '\xff'), std::string(9, '\x80')});
  // Checksums find nearly all; what they let through is what mutations put back.
  replay(mutator, seeds.size() + 2000, seeds.size(), [](const std::string& bytes) {
    decode_stream(bytes);
    decode_stream(*with_checksums(bytes));
  });
}

TEST(FuzzReplay, CodecStreamsPastTheirChecksums) {
  const std::vector<std::string> seeds = codec_seeds();
  const Mutator mutator(11, seeds, {std::string(4, '\xff'), std::string(9, '\x80'), std::string(8, '\0')});
  replay(mutator, seeds.size() + 12000, seeds.size(), [](const std::string& bytes) {
    const auto right = with_checksums(bytes);
    decode_stream(right ? *right : bytes);
  });
}

TEST(FuzzReplay, ChecksumsAreThoseOfTheFormat) {
  for (const std::string& seed : codec_seeds()) EXPECT_EQ(with_checksums(seed), seed);
}

}  // namespace
}  // namespace gregale::fuzz
