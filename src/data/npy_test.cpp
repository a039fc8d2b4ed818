// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/npy.hpp"

#include <complex>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/netcdf_test_file.hpp"
#include "data/temporary_folder_for_tests.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

std::string npy(const std::string& header, const std::string& data = "", char version = 1) {
  std::string file = std::string("\x93NUMPY") + version + '\0';
  for (int shift = 0; shift < (version == 1 ? 16 : 32); shift += 8) file += static_cast<char>(header.size() >> shift);
  return file + header + data;
}

Tensor parse(const std::string& bytes) {
  std::istringstream stream(bytes);
  return parse_npy(stream, static_cast<int64_t>(bytes.size()));
}

TEST(Npy, RoundTrip) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/x.npy";
  for (int d = 0; d < kDTypeCount; ++d) {
    const auto dtype = static_cast<DType>(d);
    if (dtype == DType::bf16) continue;
    for (const Extents& extents : {Extents{}, Extents{3}, Extents{2, 0, 4}, Extents{2, 3, 2}}) {
      Tensor t(dtype, extents);
      for (int64_t i = 0; i < t.bytes(); ++i) static_cast<char*>(t.data())[i] = static_cast<char>(i % 2);
      write_npy(path, t);
      EXPECT_TRUE(read_npy(path).identical(t)) << to_string(t.type());
      EXPECT_EQ(read_text(path).find('\n') % 64, 63U);
    }
  }
  write_npy(path, Tensor::full(DType::bf16, {2}, 1.5));
  EXPECT_TRUE(read_npy(path).identical(Tensor::from<float>({1.5F, 1.5F}, {2})));
}

TEST(Npy, WhatOthersWrite) {
  const std::string two = {0, 1, 0, 2};
  EXPECT_TRUE(parse(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }    \n", two))
                  .identical(Tensor::from<int16_t>({1, 2}, {2})));
  EXPECT_TRUE(parse(npy(R"({"shape": (2L, 1L), "fortran_order": False, "descr": "<u2"})", two, 2))
                  .identical(Tensor::from<uint16_t>({256, 512}, {2, 1})));
  EXPECT_TRUE(parse(npy("{'descr': '|i1', 'fortran_order': True, 'shape': (2, 3)}", {1, 2, 3, 4, 5, 6}, 3))
                  .identical(Tensor::from<int8_t>({1, 3, 5, 2, 4, 6}, {2, 3})));
  EXPECT_TRUE(parse(npy("{'descr':'|b1','fortran_order':False,'shape':()}", "\x07")).as<bool>()[0]);
}

TEST(Npy, HostileFiles) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  const auto refuse = [](const std::string& bytes, ErrorCode code, const std::string& fact) {
    try {
      parse(bytes);
      ADD_FAILURE() << "accepted, not refused: " << fact;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      EXPECT_THAT(e.what(), testing::HasSubstr(fact));
    }
  };
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string header = good;
    return npy(header.replace(header.find(from), from.size(), to), "12345678");
  };
  EXPECT_EQ(parse(npy(good, "12345678")).extents(), Extents{2});
  for (size_t length = 0; length < npy(good, "12345678").size(); ++length)
    EXPECT_THROW(parse(npy(good, "12345678").substr(0, length)), Error) << length;
  using enum ErrorCode;
  refuse("PK\3\4 an archive", corrupt_data, "no .npy file");
  refuse(npy(good, "12345678", 9), unsupported, "version 9");
  refuse(npy(good, "123456789"), corrupt_data, "9 bytes of data");
  refuse(changed("'<f4'", "'<U4'"), unsupported, "texts ('<U4')");
  refuse(changed("'<f4'", "'|O'"), unsupported, "Python objects");
  refuse(changed("'<f4'", "[('a', '<f4')]"), unsupported, "records");
  refuse(changed("'<f4'", "'<f16'"), unsupported, "'<f16'");
  refuse(changed("(2,)", "(-2,)"), corrupt_data, "no extent");
  refuse(changed("(2,)", "(4611686018427387904, 4)"), corrupt_data, "too large");
  refuse(changed("(2,)", "(4611686018427387904,)"), corrupt_data, "8 bytes of data");
  refuse(changed("(2,)", "(99999999999999999999,)"), corrupt_data, "no extent");
  refuse(changed("False", "None"), corrupt_data, "neither True nor False");
  refuse(changed("'shape': (2,)", "'descr': '<f4'"), corrupt_data, "twice");
  refuse(changed("'shape': (2,)", "'order': (2,)"), corrupt_data, "unknown key");
  refuse(changed(", }", ", } import os"), corrupt_data, "text behind");
  refuse(std::string("\x93NUMPY\2\0\xff\xff\xff\xff", 12), corrupt_data, "a header of");
}

}  // namespace
}  // namespace gregale::data
