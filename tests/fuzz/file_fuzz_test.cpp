// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "data/safetensors.hpp"
#include "data/temporary_folder_for_tests.hpp"
#include "fuzz/mutate.hpp"

namespace gregale::fuzz {
namespace {

/// A file of the same tensors whose header has no checksums, so that mutations get past them.
std::string plain(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(header.size() >> (8 * i));
  return bytes + header + std::string(data_bytes, '\1');
}

TEST(FuzzReplay, Safetensors) {
  data::TemporaryFolder folder;
  const std::string path = folder.path("fuzz.safetensors");
  Tensor weights(DType::f32, {3, 4}), mask(DType::boolean, {5}), step(DType::i64, {});
  data::write_safetensors(path, {{"weights", weights}, {"mask", mask}, {"step", step}}, {{"note", "a model"}});
  const std::vector<std::string> seeds = {
      data::read_text(path),
      plain(
          R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BOOL","shape":[4],"data_offsets":[24,28]}})",
          28),
      plain(R"({"__metadata__":{"k":"v"},"z":{"dtype":"I64","shape":[],"data_offsets":[0,8]}})", 8), plain("{}", 0)};
  const Mutator mutator(
      6, seeds,
      {R"("dtype":"F64")", R"("shape":[0])", R"("shape":[4294967296,4294967296])", R"("data_offsets":[0,0])", "{", "}",
       "[", "]", ",", ":", "\"", "null", "-", R"("a":)", R"("__metadata__":)"});
  // `map` shares the file's pages: the same bytes must give the same answer by both roads.
  replay(mutator, 1000, seeds.size(), [&](const std::string& bytes) {
    data::write_text(path, bytes);
    std::string mapped_sum, mapped_error;
    try {
      mapped_sum = data::tensors_sha256(data::read_safetensors(path, {.map = true}).tensors);
    } catch (const Error& error) {
      mapped_error = error.what();
    }
    try {
      EXPECT_EQ(data::tensors_sha256(data::read_safetensors(path).tensors), mapped_sum) << mapped_error;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), mapped_error);
      throw;
    }
  });
}

}  // namespace
}  // namespace gregale::fuzz
