// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/sha256.hpp"

#include <gtest/gtest.h>

#include "gregale/error.hpp"

namespace gregale::data {
namespace {

// FIPS 180-4 example vectors.
TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(Sha256().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256().update("abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256().update("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, IsIncremental) {
  Sha256 hash;
  hash.update("a");
  EXPECT_NE(hash.hex(), Sha256().update("abc").hex());
  hash.update("b").update("").update("c");
  EXPECT_EQ(hash.hex(), Sha256().update("abc").hex());
}

TEST(Sha256, RefusesAMissingFile) { EXPECT_THROW(sha256_of_file("/nonexistent/file"), Error); }

}  // namespace
}  // namespace gregale::data
