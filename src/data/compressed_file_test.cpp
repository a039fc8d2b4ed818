// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/compressed_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netcdf.h>

#include <cmath>
#include <cstring>

#include "data/chunk_grid.hpp"
#include "data/netcdf_file.hpp"
#include "data/netcdf_test_file.hpp"

namespace gregale::data {
namespace {

using test::TempFolder;
using test::TestFile;

TEST(ChunkGrid, BoxesAreTheArrayInOrder) {
  const ChunkGrid grid({5, 3}, {2, 3});
  ASSERT_EQ(grid.size(), 3);
  EXPECT_EQ(grid.box(2).start, (Extents{4, 0}));
  EXPECT_EQ(grid.box(2).extents, (Extents{1, 3}));
  EXPECT_EQ(grid.box(2).values, 3);
  EXPECT_EQ(ChunkGrid({}, {}).size(), 1);
  EXPECT_EQ(ChunkGrid({0, 3}, {1, 3}).size(), 0);
}

TEST(ChunkGrid, ChunksAreWholeRecordsCutEvenly) {
  // 132 records of 1 MB: nine of at most 16 MB.
  EXPECT_EQ(choose_box({132, 512, 512}, {}, 4, 16 << 20, true), (Extents{15, 512, 512}));
  EXPECT_EQ(choose_box({4, 8, 8}, {}, 4, 16 << 20, true), (Extents{4, 8, 8}));
  // A record that is larger is cut along its slowest dimension.
  EXPECT_EQ(choose_box({3, 2, 4096, 4096}, {}, 4, 16 << 20, true), (Extents{1, 1, 1024, 4096}));
  EXPECT_EQ(choose_box({0, 10}, {}, 4, 1 << 20, true), (Extents{1, 10}));
  // Multiples of a file's own chunks.
  EXPECT_EQ(choose_box({100, 100}, {10, 100}, 4, 20000, false), (Extents{50, 100}));
}

class CompressedFile : public testing::Test {
 protected:
  CompressedFile() : in_(folder_ / "in.nc"), out_(folder_ / "out.nc"), back_(folder_ / "back.nc") {}

  std::vector<double> read(const std::string& path, const std::string& name) {
    int id = -1, v = -1, rank = 0;
    EXPECT_EQ(nc_open(path.c_str(), NC_NOWRITE, &id), NC_NOERR);
    EXPECT_EQ(nc_inq_varid(id, name.c_str(), &v), NC_NOERR);
    EXPECT_EQ(nc_inq_varndims(id, v, &rank), NC_NOERR);
    std::vector<int> ids(static_cast<size_t>(rank));
    nc_inq_vardimid(id, v, ids.data());
    size_t total = 1;
    for (const int dimension : ids) {
      size_t length = 0;
      nc_inq_dimlen(id, dimension, &length);
      total *= length;
    }
    std::vector<double> values(total);
    EXPECT_EQ(nc_get_var_double(id, v, values.data()), NC_NOERR);
    nc_close(id);
    return values;
  }

  TempFolder folder_;
  std::string in_, out_, back_;
};

/// Waves, with gaps of every kind that attributes can name.
void write_gaps(const std::string& path) {
  TestFile file(path, 0);
  file.dim("time", NC_UNLIMITED);
  file.dim("y", 37);
  file.dim("x", 41);
  for (const char* name : {"listed", "limited", "plain"}) {
    file.var(name, name == std::string("plain") ? NC_DOUBLE : NC_FLOAT, {"time", "y", "x"});
    if (name == std::string("listed")) file.number("missing_value", NC_FLOAT, {-999, 0, 1e20});
    if (name == std::string("limited")) file.number("valid_range", NC_FLOAT, {-20, 18.5});
  }
  std::vector<double> listed, limited, plain;
  for (int i = 0; i < 7 * 37 * 41; ++i) {
    const double wave = 20 * std::sin(i / 11.0) + 0.3 * std::cos(i * 1.7);
    listed.push_back(i % 17 == 3 ? -999 : i % 31 == 4 ? 0 : i % 1000 == 5 ? 1e20 : wave);
    limited.push_back(i % 13 == 3 ? 1e30 : i % 29 == 1 ? -1e5 : std::clamp(wave, -20.0, 18.5));
    plain.push_back(i % 101 == 0 ? std::nan("") : i % 103 == 0 ? INFINITY : wave);
  }
  file.put("listed", listed);
  file.put("limited", limited);
  file.put("plain", plain);
}

TEST_F(CompressedFile, DataStaysDataAndNoDataNoData) {
  write_gaps(in_);
  CompressOptions options;
  options.contract = ErrorContract::relative(1e-2);
  options.chunk_bytes = 20000;  // chunks of 3, 3 and 1 records
  const auto team = make_thread_team(3, TeamKind::std_thread);
  options.team = team.get();
  const CompressionReport report = compress_file(in_, out_, options);
  ASSERT_EQ(report.variables.size(), 3U);
  for (const CompressedVariable& v : report.variables) {
    EXPECT_NEAR(v.certificate.bound, 0.4, 0.02) << v.path;  // of the range of what is data
    EXPECT_EQ(v.certificate.codec, "predictive") << v.path;
  }
  const NetcdfFile before(in_), after(out_);  // physical values, NaN where there is none
  for (const CompressedVariable& v : report.variables) {
    const std::vector<double> a = before.read_all(before.variable(v.path)), b = after.read_all(after.variable(v.path));
    const std::vector<double> raw_a = read(in_, v.path), raw_b = read(out_, v.path);
    double greatest = 0;
    int64_t valid = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(std::isfinite(a[i]), std::isfinite(b[i])) << v.path << " " << i;
      if (!std::isfinite(a[i])) {
        ASSERT_TRUE(raw_a[i] == raw_b[i] || (std::isnan(raw_a[i]) && std::isnan(raw_b[i])));
        continue;
      }
      ++valid;
      greatest = std::max(greatest, std::abs(a[i] - b[i]));
    }
    EXPECT_EQ(greatest, v.certificate.max_error);
    EXPECT_LE(greatest, v.certificate.bound);
    EXPECT_GT(greatest, 0.9 * v.certificate.bound);
    EXPECT_EQ(valid, v.certificate.valid);
  }
  EXPECT_NE(after.variable("plain").text("gregale_compression").find("|error| <= "), std::string::npos);
}

TEST_F(CompressedFile, ExactlyIsEveryBitWhateverTheChunks) {
  write_gaps(in_);
  std::vector<uint64_t> hashes;
  for (const int64_t bytes : {1 << 24, 50000, 3000}) {
    CompressOptions options;
    options.chunk_bytes = bytes;
    const CompressionReport report = compress_file(in_, out_, options);
    EXPECT_EQ(report.variables[2].certificate.max_error, 0);
    hashes.push_back(report.variables[2].certificate.hash);
    const CompressionReport back = decompress_file(out_, back_, {});
    EXPECT_EQ(back.variables[2].certificate.hash, hashes.back());
    const std::vector<double> a = read(in_, "plain"), b = read(back_, "plain"), c = read(out_, "plain");
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(double)), 0);
    EXPECT_EQ(std::memcmp(a.data(), c.data(), a.size() * sizeof(double)), 0);
  }
  EXPECT_THAT(hashes, testing::Each(hashes[0]));
}

TEST_F(CompressedFile, BoundsOfSingleVariablesAndWhatCannotHaveOne) {
  write_gaps(in_);
  CompressOptions options;
  options.by_name = {{"plain", ErrorContract::absolute(0.25)}};
  const CompressionReport report = compress_file(in_, out_, options);
  EXPECT_EQ(report.variables[0].certificate.bound, 0);
  EXPECT_EQ(report.variables[2].certificate.bound, 0.25);
  options.by_name = {{"salt", ErrorContract::absolute(1)}};
  EXPECT_EQ(message_of([&] { compress_file(in_, folder_ / "no.nc", options); }),
            "no variable 'salt' in " + in_ + "; its fields are listed, limited, plain");
  EXPECT_EQ(test::code_of([&] { compress_file(in_, in_, {}); }), ErrorCode::usage);
  EXPECT_THAT(folder_.entries(), testing::UnorderedElementsAre("in.nc", "out.nc"));
}

TEST_F(CompressedFile, StopsWithoutAFileWhereItIsToldTo) {
  write_gaps(in_);
  CompressOptions options;
  options.contract = ErrorContract::relative(1e-3);
  int64_t last = 0, expected = 0;
  options.progress = [&](int64_t done, int64_t total, const std::string&) {
    EXPECT_GT(done, last);
    last = done;
    expected = total;
  };
  compress_file(in_, out_, options);
  EXPECT_EQ(last, expected);
  std::filesystem::remove(out_);
  for (int stop = 1; stop < 6; ++stop) {
    int calls = 0;
    options.progress = [&](int64_t, int64_t, const std::string&) {
      if (++calls == stop) throw_error(ErrorCode::interrupted, "stop");
    };
    EXPECT_EQ(test::code_of([&] { compress_file(in_, out_, options); }), ErrorCode::interrupted);
    EXPECT_THAT(folder_.entries(), testing::ElementsAre("in.nc"));
  }
}

}  // namespace
}  // namespace gregale::data
