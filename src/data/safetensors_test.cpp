// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/safetensors.hpp"

#include <cstring>
#include <functional>
#include <memory>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/temporary_folder_for_tests.hpp"
#include "gregale/random.hpp"

namespace gregale::data {
namespace {

using testing::HasSubstr;

NamedTensors sample() {
  NamedTensors tensors;
  tensors.emplace("weights", Tensor::from<float>({1, 2, 3, 4, 5, -6.5f}, {2, 3}));
  tensors.emplace("mask", Tensor::from<uint8_t>({1, 0, 1, 1, 0}, {5}));
  tensors.emplace("step", Tensor::scalar<int64_t>(123456789012));
  tensors.emplace("none", Tensor(DType::f32, {0, 7}));
  tensors.emplace("spectrum", Tensor(DType::c64, {2, 2}));
  tensors.emplace("half", Tensor::full(DType::bf16, {3}, 1.5));
  return tensors;
}

std::string file_of(const std::string& header, const std::string& data) {
  uint64_t length = header.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text + header + data;
}

class SafetensorsTest : public testing::Test {
 protected:
  std::string refusal(const std::string& content, ErrorCode code = ErrorCode::corrupt_data) {
    write_text(path_, content);
    try {
      read_safetensors(path_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(path_));
      return error.what();
    }
    return "no error";
  }
  std::string header_refusal(const std::string& header, const std::string& data = std::string(8, '\0')) {
    return refusal(file_of(header, data));
  }
  TemporaryFolder folder_;
  std::string path_ = folder_.path("model.safetensors");
};

void expect_equal(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_TRUE(tensor.identical(b.at(name))) << name;
  }
}

TEST_F(SafetensorsTest, RoundTrips) {
  Metadata metadata{{"graph", "line 1\nline 2 \"quoted\" ü"}, {"empty", ""}};
  write_safetensors(path_, sample(), metadata);
  for (bool map : {false, true}) {
    Safetensors read = read_safetensors(path_, {.map = map});
    expect_equal(sample(), read.tensors);
    EXPECT_EQ(read.metadata, metadata);
    EXPECT_EQ(read.sha256, tensors_sha256(sample()));
  }
  EXPECT_EQ(folder_.names().size(), 1u);
}

TEST_F(SafetensorsTest, EveryElementTypeOfTheFormatRoundTrips) {
  NamedTensors tensors;
  for (int i = 0; i < kDTypeCount; ++i) {
    auto dtype = static_cast<DType>(i);
    if (dtype != DType::c128) tensors.emplace(std::string(name_of(dtype)), Tensor(dtype, {3}));
  }
  write_safetensors(path_, tensors);
  expect_equal(tensors, read_safetensors(path_).tensors);
  tensors.emplace("c128", Tensor(DType::c128, {1}));
  EXPECT_THROW(write_safetensors(path_, tensors), Error);
  EXPECT_EQ(read_safetensors(path_).tensors.size(), tensors.size() - 1);
}

TEST_F(SafetensorsTest, NoTensorsAtAll) {
  write_safetensors(path_, {}, {{"a", "b"}});
  EXPECT_EQ(read_safetensors(path_).metadata.at("a"), "b");
  write_text(path_, file_of("{}", ""));
  EXPECT_TRUE(read_safetensors(path_).tensors.empty());
}

TEST_F(SafetensorsTest, DataAreAligned) {
  write_safetensors(path_, sample());
  SafetensorsHeader header = read_safetensors_header(path_);
  EXPECT_EQ(header.data_offset % 64, 0);
  for (const auto& entry : header.tensors) EXPECT_EQ(entry.begin % size_of(entry.dtype), 0) << entry.name;
}

TEST_F(SafetensorsTest, WritingToAMappedTensorChangesNoFile) {
  write_safetensors(path_, {{"w", Tensor::from<float>({1, 2}, {2})}});
  Safetensors read = read_safetensors(path_, {.map = true});
  read.tensors.at("w").as<float>()[0] = 9;
  EXPECT_EQ(read_safetensors(path_).tensors.at("w").as<float>()[0], 1);
}

TEST_F(SafetensorsTest, ReadsAFileOfAnotherWriter) {
  // Unpadded, without metadata, as the format's own documentation writes it.
  write_text(path_, file_of(R"({"b":{"dtype":"I16","shape":[2],"data_offsets":[4,8]},)"
                            R"("a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}})",
                            std::string("\1\2\3\4\5\0\6\0", 8)));
  Safetensors read = read_safetensors(path_);
  EXPECT_TRUE(read.tensors.at("a").identical(Tensor::from<uint8_t>({1, 2, 3, 4}, {2, 2})));
  EXPECT_TRUE(read.tensors.at("b").identical(Tensor::from<int16_t>({5, 6}, {2})));
}

TEST_F(SafetensorsTest, ChecksumDoesNotDependOnMetadataButOnEverythingElse) {
  NamedTensors a{{"x", Tensor::from<float>({1, 2}, {2})}};
  std::string hash = tensors_sha256(a);
  EXPECT_EQ(hash, tensors_sha256({{"x", Tensor::from<float>({1, 2}, {2})}}));
  EXPECT_NE(hash, tensors_sha256({{"y", Tensor::from<float>({1, 2}, {2})}}));
  EXPECT_NE(hash, tensors_sha256({{"x", Tensor::from<float>({1, 2}, {1, 2})}}));
  EXPECT_NE(hash, tensors_sha256({{"x", Tensor::from<float>({1, 3}, {2})}}));
}

TEST_F(SafetensorsTest, TruncationIsRefusedAtEveryByte) {
  write_safetensors(path_, sample());
  std::string whole = read_text(path_);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(refusal(whole.substr(0, size)), HasSubstr(fmt::format("truncated at byte {}", size)));
  EXPECT_THAT(refusal(whole + "x"), HasSubstr("1 bytes after the last tensor's end"));
}

TEST_F(SafetensorsTest, AFlippedBitInAnyByteIsNoticedOrHarmless) {
  Metadata metadata{{"graph", "text"}};
  write_safetensors(path_, sample(), metadata);
  const std::string whole = read_text(path_);
  std::string damaged = folder_.path("damaged");
  for (size_t byte = 0; byte < whole.size(); ++byte) {
    for (int bit : {static_cast<int>(byte % 8), 5}) {
      std::string flipped = whole;
      flipped[byte] = static_cast<char>(flipped[byte] ^ (1 << bit));
      write_text(damaged, flipped);
      try {
        Safetensors read = read_safetensors(damaged);
        // Blanks of the padding, and the name of the metadata's checksum: the content is whole.
        expect_equal(sample(), read.tensors);
        EXPECT_EQ(read.metadata.at("graph"), "text");
        EXPECT_TRUE(std::isspace(whole[byte]) || whole.substr(0, byte).find("sha256_metadata") == std::string::npos)
            << byte;
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr(damaged));
      }
    }
  }
}

TEST_F(SafetensorsTest, RandomDamageNeverCrashes) {
  write_safetensors(path_, sample());
  const std::string whole = read_text(path_);
  std::string damaged = folder_.path("damaged");
  int refused = 0;
  for (uint32_t round = 0; round < 1500; ++round) {
    RandomKey key{.seed = 20260101, .step = round};
    std::string content = whole;
    uint64_t changes = 1 + random_below(key, 0, 8);
    for (uint64_t i = 0; i < changes; ++i) {
      size_t at = random_below(key, 1 + 3 * i, content.size());
      // Digits and brackets get further into the reader than random bytes do.
      static const std::string alphabet = "0123456789[]{},:\"-eFIUx ";
      content[at] = random_below(key, 2 + 3 * i, 2) == 0 ? static_cast<char>(random_below(key, 3 + 3 * i, 256))
                                                         : alphabet[random_below(key, 3 + 3 * i, alphabet.size())];
    }
    write_text(damaged, content);
    try {
      // Without checksums, so that the bounds alone must hold.
      read_safetensors(damaged, {.map = round % 2 == 1, .verify = false});
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 500);
}

TEST_F(SafetensorsTest, ChecksumMismatchNamesTheFile) {
  write_safetensors(path_, sample(), {{"graph", "text"}});
  std::string whole = read_text(path_);
  std::string last = whole;
  last.back() ^= 1;
  EXPECT_THAT(refusal(last), HasSubstr("the tensors do not match their SHA-256 checksum: the file is damaged"));
  std::string text = whole;
  text.replace(text.find("\"text\""), 6, "\"texT\"");
  EXPECT_THAT(refusal(text), HasSubstr("the metadata do not match their SHA-256 checksum"));
}

TEST_F(SafetensorsTest, HostileLengths) {
  EXPECT_THAT(refusal(std::string(16, '\xff')), HasSubstr("not a safetensors file: its header would have "));
  std::string length(8, '\0');
  uint64_t limit = 100'000'000;
  std::memcpy(length.data(), &limit, 8);
  EXPECT_THAT(refusal(length + "{}"), HasSubstr("truncated at byte 10: the header ends at byte 100000008"));
  ++limit;
  std::memcpy(length.data(), &limit, 8);
  EXPECT_THAT(refusal(length + "{}"), HasSubstr("at most 100000000 are allowed"));
}

TEST_F(SafetensorsTest, HostileHeaders) {
  auto entry = [](const std::string& rest) { return "{\"a\":{" + rest + "}}"; };
  EXPECT_THAT(header_refusal(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(header_refusal("[1]"), HasSubstr("an array where the object of tensors should begin"));
  EXPECT_THAT(header_refusal("{} x"), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(header_refusal("{\"a\":1}"), HasSubstr("a: a number where an object should be"));
  EXPECT_THAT(header_refusal("{\"__metadata__\":{\"k\":1}}"),
              HasSubstr("metadata key k: a number where a text should be"));
  EXPECT_THAT(header_refusal("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"), HasSubstr("metadata key k occurs twice"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[2])")), HasSubstr("needs dtype, shape and data_offsets"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0])")), HasSubstr("not two numbers"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,9])")),
              HasSubstr("too many numbers"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])")),
              HasSubstr("a negative number"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])")), HasSubstr("a fraction"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8])")),
              HasSubstr("beyond 64 bits"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8])")),
              HasSubstr("out of range"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])")),
              HasSubstr("an array in its shape"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":3,"shape":[2],"data_offsets":[0,8])")),
              HasSubstr("a number in its dtype"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])")),
              HasSubstr("dtype occurs twice"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1)")),
              HasSubstr("unknown key x"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])")),
              HasSubstr("larger than any memory"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0])")),
              HasSubstr("larger than any memory"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])")),
              HasSubstr("do not fit its 12 bytes"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])")),
              HasSubstr("do not fit its 8 bytes"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,16])")),
              HasSubstr("leaves a hole after 0"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,12])")),
              HasSubstr("truncated at byte"));
  EXPECT_THAT(
      header_refusal(entry(R"("dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807])")),
      HasSubstr("truncated at byte"));
  std::string one = R"("dtype":"F32","shape":[1],"data_offsets":)";
  EXPECT_THAT(header_refusal("{\"a\":{" + one + "[0,4]},\"a\":{" + one + "[4,8]}}"), HasSubstr("a occurs twice"));
  EXPECT_THAT(header_refusal("{\"a\":{" + one + "[0,4]},\"b\":{" + one + "[2,6]}}"),
              HasSubstr("overlaps the bytes before 4"));
  EXPECT_THAT(header_refusal("{\"a\":{" + one + "[0,4]},\"b\":{" + one + "[0,4]}}"), HasSubstr("overlaps"));
  EXPECT_THAT(header_refusal(std::string(100'000, '[')), HasSubstr("an array where"));
  EXPECT_THAT(header_refusal("{\"a\":" + std::string(100'000, '[')), HasSubstr("an array where"));
  EXPECT_THAT(refusal(file_of(entry(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"), std::string(8, '\0')),
                      ErrorCode::unsupported),
              HasSubstr("unknown element type F8_E4M3"));
  EXPECT_THAT(header_refusal(entry(R"("dtype":"BOOL","shape":[8],"data_offsets":[0,8])"), std::string(7, '\1') + '\2'),
              HasSubstr("(tensor a) is 2 and should be 0 or 1"));
}

TEST_F(SafetensorsTest, FilesThatAreNoFiles) {
  auto message = [&](const std::string& path) -> std::string {
    try {
      read_safetensors(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::io);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(path_), "cannot read " + path_ + ": No such file or directory");
  EXPECT_EQ(message(folder_.path()), "cannot read " + folder_.path() + ": it is a directory");
  EXPECT_EQ(message("/dev/zero"), "cannot read /dev/zero: it is not a regular file");
}

TEST_F(SafetensorsTest, AFailedWriteLeavesTheOldFile) {
  write_safetensors(path_, sample());
  std::string before = read_text(path_);
  auto full = [](const std::string& path) {
    open_file_sink(path);
    return std::make_unique<FullDiskSink>();
  };
  try {
    write_safetensors(path_, {}, {}, full);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_THAT(error.what(), HasSubstr("model.safetensors: write: No space left on device"));
  }
  EXPECT_EQ(read_text(path_), before);
  EXPECT_EQ(folder_.names().size(), 1u);
}

TEST_F(SafetensorsTest, RefusesReservedNamesAndBadText) {
  EXPECT_THROW(write_safetensors(path_, {}, {{"sha256", "x"}}), Error);
  EXPECT_THROW(write_safetensors(path_, {{"__metadata__", Tensor(DType::f32, {1})}}), Error);
  EXPECT_THROW(write_safetensors(path_, {}, {{"text", "\xff\xfe"}}), Error);
  EXPECT_TRUE(folder_.names().empty());
}

}  // namespace
}  // namespace gregale::data
