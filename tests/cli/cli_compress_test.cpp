// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// compress and decompress: what comes back, what others read, and what becomes of damaged files.
#include <netcdf.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "data/netcdf_test_file.hpp"
#include "program.hpp"

namespace gregale::cli {
namespace {

constexpr int64_t kTimes = 5, kRows = 60, kColumns = 90;
constexpr float kMissing = -1e34F;

/// A file with a field that has a coast, one of doubles, coordinates, integers and a growing dimension.
class Compressed : public testing::Test {
 protected:
  Compressed() {
    int id = -1, time = -1, y = -1, x = -1, v = -1;
    ok(nc_create((folder_ / "in.nc").c_str(), NC_CLOBBER | NC_64BIT_OFFSET, &id));
    ok(nc_def_dim(id, "time", NC_UNLIMITED, &time));
    ok(nc_def_dim(id, "y", kRows, &y));
    ok(nc_def_dim(id, "x", kColumns, &x));
    const int dims[] = {time, y, x};
    ok(nc_def_var(id, "x", NC_DOUBLE, 1, &x, &v));
    ok(nc_put_att_text(id, v, "units", 12, "degrees_east"));
    ok(nc_def_var(id, "area", NC_INT, 1, &y, &v));
    ok(nc_def_var(id, "temp", NC_FLOAT, 3, dims, &v));
    ok(nc_put_att_float(id, v, "missing_value", NC_FLOAT, 1, &kMissing));
    ok(nc_put_att_text(id, v, "units", 5, "deg C"));
    ok(nc_def_var(id, "wide", NC_DOUBLE, 3, dims, &v));
    ok(nc_put_att_text(id, NC_GLOBAL, "title", 6, "a test"));
    ok(nc_enddef(id));
    std::vector<double> longitude(kColumns);
    for (size_t i = 0; i < longitude.size(); ++i) longitude[i] = 0.1 * static_cast<double>(i) + 1.0 / 3;
    ok(nc_put_var_double(id, 0, longitude.data()));
    std::vector<int> area(kRows, 7);
    ok(nc_put_var_int(id, 1, area.data()));
    std::vector<float> temp;
    std::vector<double> wide;
    for (int64_t i = 0; i < kTimes * kRows * kColumns; ++i) {
      const double c = static_cast<double>(i % kColumns), r = static_cast<double>(i / kColumns);
      const double value = 15 + 10 * std::sin(c / 9) * std::cos(r / 13) + 0.01 * std::sin(r * c);
      temp.push_back(c > 30 && c < 40 + std::fmod(r, 7) ? kMissing : static_cast<float>(value));
      wide.push_back(1e5 + 1e-3 * value);
    }
    const size_t start[] = {0, 0, 0}, count[] = {kTimes, kRows, kColumns};
    ok(nc_put_vara_float(id, 2, start, count, temp.data()));
    ok(nc_put_vara_double(id, 3, start, count, wide.data()));
    ok(nc_close(id));
    how_.folder = std::filesystem::path(folder_ / "in.nc").parent_path().string();
  }

  static void ok(int status) { ASSERT_EQ(status, NC_NOERR) << nc_strerror(status); }
  Outcome gregale(const std::vector<std::string>& arguments) { return run(arguments, how_); }
  std::vector<double> values(const std::string& file, const std::string& name) {
    int id = -1, v = -1;
    std::vector<double> result(kTimes * kRows * kColumns);
    ok(nc_open((folder_ / file).c_str(), NC_NOWRITE, &id));
    ok(nc_inq_varid(id, name.c_str(), &v));
    ok(nc_get_var_double(id, v, result.data()));
    ok(nc_close(id));
    return result;
  }
  /// What a command prints, run where the files are, with the plugin.
  std::string shell(const std::string& command) {
    const std::string line =
        "cd '" + how_.folder + "' && HDF5_PLUGIN_PATH='" GREGALE_HDF5_PLUGIN "' " + command + " 2>&1";
    FILE* pipe = ::popen(line.c_str(), "r");
    std::string text;
    char bytes[4096];
    for (size_t got = 0; (got = std::fread(bytes, 1, sizeof bytes, pipe)) > 0;) text.append(bytes, got);
    EXPECT_EQ(::pclose(pipe), 0) << command << "\n" << text;
    return text;
  }

  data::test::TempFolder folder_;
  How how_;
};

TEST_F(Compressed, KeepsItsBoundAndEverythingElse) {
  const Outcome outcome = gregale({"compress", "in.nc", "small.nc", "--rel", "1e-3", "--abs", "wide=1e-5", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto document = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(document["variables"].size(), 2U);
  const auto& temp = document["variables"]["temp"];
  EXPECT_GT(temp["ratio"].get<double>(), 4);
  EXPECT_EQ(temp["codec"], "predictive");
  EXPECT_EQ(document["variables"]["wide"]["bound"], 1e-5);
  EXPECT_EQ(document["kept"]["x"], "coordinate");
  EXPECT_EQ(document["kept"]["area"], "integer");
  const Outcome back = gregale({"decompress", "small.nc", "plain.nc", "--json"});
  ASSERT_EQ(back.status, 0) << back.err;
  const auto decompressed = nlohmann::json::parse(back.out);
  for (const char* name : {"temp", "wide"}) {
    for (const char* key : {"hash", "bound", "bytes_in", "bytes_out"})
      EXPECT_EQ(decompressed["variables"][name][key], document["variables"][name][key]) << name << key;
    EXPECT_GT(decompressed["variables"][name]["decode_gbs"], 0);
  }
  EXPECT_EQ(decompressed["variables"].size(), 2U);
  for (const std::string name : {"temp", "wide"}) {
    const auto& said = document["variables"][name];
    const std::vector<double> before = values("in.nc", name), after = values("plain.nc", name);
    double greatest = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i] == static_cast<double>(kMissing)) {
        ASSERT_EQ(after[i], before[i]);
        continue;
      }
      greatest = std::max(greatest, std::abs(after[i] - before[i]));
    }
    EXPECT_EQ(greatest, said["max_error"].get<double>());
    EXPECT_LE(greatest, said["bound"].get<double>());
    EXPECT_GT(greatest, 0.5 * said["bound"].get<double>());
  }
  // The same dataset for ncdump, but for what compression says of itself.
  const auto header = [&](const std::string& file) {
    return shell("ncdump -h " + file + " | tail -n +2 | grep -v gregale");
  };
  EXPECT_EQ(header("plain.nc"), header("in.nc"));
  EXPECT_EQ(shell("ncdump -v x,area small.nc | sed -n '/^data:/,$p'"),
            shell("ncdump -v x,area in.nc | sed -n '/^data:/,$p'"));
}

TEST_F(Compressed, IsReadByOtherPrograms) {
  ASSERT_EQ(gregale({"compress", "in.nc", "small.nc", "--rel", "1e-3", "--quiet"}).status, 0);
  ASSERT_EQ(gregale({"decompress", "small.nc", "plain.nc", "--quiet"}).status, 0);
  const auto data_of = [&](const std::string& file) {
    return shell("ncdump -p 9,17 -v temp " + file + " | sed -n '/^data:/,$p'");
  };
  EXPECT_EQ(data_of("small.nc"), data_of("plain.nc"));
  const auto dump_of = [&](const std::string& file) {
    return shell("h5dump -d /temp -s 2,30,0 -c 1,5,90 -m %.9g " + file + " | grep '^ *(2,3'");
  };
  EXPECT_EQ(dump_of("small.nc"), dump_of("plain.nc"));
  EXPECT_GT(dump_of("small.nc").size(), 4000U);
  EXPECT_EQ(
      shell("/usr/bin/python3 -c \"import h5py, numpy; a, b = (h5py.File(f, 'r')['temp'][:] for f in ('small.nc', "
            "'plain.nc')); print(numpy.array_equal(a, b), a.shape)\""),
      "True (5, 60, 90)\n");
  // And written by them: a bound of 5 / 10^3 for every value.
  EXPECT_EQ(shell("/usr/bin/python3 -c \"import h5py, numpy; x = numpy.random.default_rng(1).normal(size=(50, 70)); "
                  "h5py.File('w.h5', 'w').create_dataset('d', data=x, chunks=(25, 70), compression=51026, "
                  "compression_opts=(1, 5, 3)); d = h5py.File('w.h5', 'r')['d'][:]; "
                  "print(0 < abs(d - x).max() <= 5e-3)\""),
            "True\n");
  // Theirs are whole chunks, also at the array's end, and in either order of bytes.
  EXPECT_EQ(shell("/usr/bin/python3 -c \"import h5py, numpy; x = numpy.random.default_rng(1).normal(size=(50, 70)); "
                  "f = h5py.File('w.h5', 'w'); [f.create_dataset(n, data=x, dtype=t, chunks=(24, 32), "
                  "compression=51026, compression_opts=(1, 5, 3)) for n, t in (('d', '<f8'), ('e', '>f8'))]\""),
            "");
  ASSERT_EQ(gregale({"decompress", "w.h5", "w.nc", "--quiet"}).status, 0);
  EXPECT_EQ(shell("/usr/bin/python3 -c \"import h5py, numpy; a, b = (h5py.File(f, 'r') for f in ('w.h5', 'w.nc')); "
                  "print([numpy.array_equal(a[n][:], b[n][:]) for n in 'de'])\""),
            "[True, True]\n");
  // And copied by them: other chunks, the same parameters.
  shell("h5repack -l temp:CHUNK=2x13x17 small.nc again.nc");
  EXPECT_THAT(shell("h5diff -d 0.06 small.nc again.nc /temp && h5dump -pH -d /temp again.nc"),
              testing::HasSubstr("51026"));
  // Our own program needs no plugin.
  EXPECT_EQ(gregale({"info", "small.nc"}).status, 0);
}

TEST_F(Compressed, KeepsGroupsTypesStringsAndWhatElseAFileMayHold) {
  std::ofstream(folder_ / "all.cdl") << R"(netcdf all {
types:
  byte enum sky { clear = 0, cloudy = 1 } ;
  compound point { float x ; int n(2) ; } ;
  opaque(3) blob ;
  int(*) list ;
dimensions:
  time = UNLIMITED ;
  member = UNLIMITED ;
  x = 40 ;
variables:
  double time(time) ;
    time:units = "days since 2000-01-01" ;
  float one ;
  string words(x) ;
    string words:also = "a", "b" ;
  char letters(time, x) ;
  sky weather(time) ;
  point points(time) ;
    point points:origin = {1.5, {1, 2}} ;
  blob blobs(time) ;
  list lists(time) ;
  ubyte small(x) ;
    small:_FillValue = 3UB ;
  int64 large(time, x) ;
    large:_DeflateLevel = 4 ;
    large:_Shuffle = "true" ;
  float empty(member, x) ;
// global attributes:
    :title = "everything" ;
    :numbers = 1b, 2b ;
data:
  time = 0.5, 1.5 ;
  one = 4.25 ;
  words = "one", "two", "", "four" ;
  letters = "abc", "xyz" ;
  weather = clear, cloudy ;
  points = {1, {2, 3}}, {4, {5, 6}} ;
  blobs = 0X010203, 0X0a0b0c ;
  lists = {1, 2, 3}, {} ;
  small = 1, 2, 3, 4 ;
  large = 1, 2, 3, 4, 5, 6, 7, 8, 9 ;
group: model {
  dimensions:
    y = 30 ;
  variables:
    float field(y, x) ;
      field:_FillValue = -9.f ;
  data:
    field = 1, 2.5, _, 3, 4, 5, 6, 7, 8, 9, 1e5, 11 ;
  group: inner {
    variables:
      double deep(y, x) ;
    data:
      deep = 0.1, 0.2, 0.3 ;
  }
}
})";
  shell("ncgen -4 -o all.nc all.cdl");
  const Outcome outcome = gregale({"compress", "all.nc", "small.nc", "--abs", "/model/field=0.5", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto document = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(document["variables"]["/model/field"]["bound"], 0.5);
  EXPECT_EQ(document["variables"]["/model/inner/deep"]["max_error"], 0);
  EXPECT_EQ(document["kept"]["empty"], "small");
  EXPECT_EQ(document["kept"]["points"], "user-defined type");
  ASSERT_EQ(gregale({"decompress", "small.nc", "plain.nc", "--quiet"}).status, 0);
  for (const std::string file : {"small.nc", "plain.nc"}) {
    const auto dump = [&](const std::string& name) {
      return shell("ncdump " + name + " | tail -n +2 | grep -v 'gregale\\|:history' | sed '/field =/,/;$/d'");
    };
    EXPECT_EQ(dump(file), dump("all.nc"));
  }
}

TEST_F(Compressed, KeepsTheBoundOnObservations) {
  const std::string coads = "/usr/share/ferret-vis/data/coads_climatology.cdf";
  ASSERT_TRUE(std::filesystem::exists(coads)) << "ferret-datasets is not installed";
  const Outcome outcome = gregale({"compress", coads, "small.nc", "--rel", "1e-3", "--json", "--threads", "2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto document = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(document["variables"].size(), 7U);
  EXPECT_GT(document["ratio"], 8);
  const auto read = [&](const std::string& path, const std::string& name) {
    int id = -1, v = -1;
    std::vector<float> values(12 * 90 * 180);
    ok(nc_open(path.c_str(), NC_NOWRITE, &id));
    ok(nc_inq_varid(id, name.c_str(), &v));
    ok(nc_get_var_float(id, v, values.data()));
    ok(nc_close(id));
    return values;
  };
  ASSERT_EQ(gregale({"decompress", "small.nc", "plain.nc", "--quiet"}).status, 0);
  for (const auto& [name, said] : document["variables"].items()) {
    const std::vector<float> before = read(coads, name), after = read(folder_ / "plain.nc", name);
    double least = 1e30, most = -1e30, greatest = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i] == kMissing) {
        ASSERT_EQ(after[i], kMissing);
        continue;
      }
      const double x = static_cast<double>(before[i]);
      least = std::min(least, x);
      most = std::max(most, x);
      greatest = std::max(greatest, std::abs(static_cast<double>(after[i]) - x));
    }
    EXPECT_EQ(said["range"], most - least);
    EXPECT_NEAR(said["bound"].get<double>(), 1e-3 * (most - least), 1e-12 * most);
    EXPECT_LE(greatest, said["bound"].get<double>());
    EXPECT_EQ(greatest, said["max_error"].get<double>());
  }
}

TEST_F(Compressed, AFullDiskLeavesWhatWasThere) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"compress", "in.nc", "out.nc", "--rel", "1e-5"}, {"decompress", "in.nc", "out.nc"}}) {
    std::ofstream(folder_ / "out.nc") << "older";
    How how = how_;
    for (const uint64_t limit : {1000, 60000, 100000}) {
      how.file_size_limit = limit;
      expect_failure(run(arguments, how), 1, {"gregale: " + arguments[0] + ": ", "cannot write out.nc"});
      EXPECT_EQ(std::filesystem::file_size(folder_ / "out.nc"), 5U);
      EXPECT_THAT(folder_.entries(), testing::Not(testing::Contains(".out.nc.tmp")));
    }
  }
}

TEST_F(Compressed, RefusesWhatItCannotDo) {
  const auto refused = [&](const std::vector<std::string>& arguments, int status,
                           const std::vector<std::string>& facts) {
    const Outcome outcome = gregale(arguments);
    expect_failure(outcome, status, facts);
    EXPECT_EQ(lines_of(outcome.err).size(), 1U);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.nc"));
  };
  refused({"compress", "none.nc", "out.nc"}, 1, {"gregale: compress: ", "none.nc"});
  refused({"compress", "in.nc", "out.nc", "--rel", "-1"}, 2, {"--rel", "'-1'"});
  refused({"compress", "in.nc", "out.nc", "--rel", "1e-3", "--abs", "2"}, 2, {"--rel", "already"});
  refused({"compress", "in.nc", "out.nc", "--codec", "zip"}, 2, {"--codec", "'zip'", "predictive"});
  refused({"compress", "in.nc", "out.nc", "--rel", "salt=1e-3"}, 2, {"salt", "temp, wide"});
  refused({"compress", "in.nc", "out.nc", "--rel", "x=1e-3"}, 2, {"x", "coordinate"});
  refused({"compress", "in.nc", "in.nc"}, 2, {"in.nc"});
  refused({"compress", "in.nc", "none/out.nc"}, 1, {"none"});
  refused({"decompress", "in.nc", "none/out.nc"}, 1, {"none"});
}

TEST_F(Compressed, NamesBlockAndByteOfDamage) {
  ASSERT_EQ(gregale({"compress", "in.nc", "small.nc", "--rel", "1e-4", "--quiet"}).status, 0);
  std::ifstream stream(folder_ / "small.nc", std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  const auto damaged = [&](const std::string& bytes) {
    std::ofstream(folder_ / "bad.nc", std::ios::binary) << bytes;
    return gregale({"decompress", "bad.nc", "out.nc", "--quiet"});
  };
  std::string bad = good;  // in the first stream's only block
  const size_t at = good.find("GRGC");
  ASSERT_NE(at, std::string::npos);
  for (size_t i = 0; i < 40; ++i) bad[at + 200 + i] = static_cast<char>(bad[at + 200 + i] ^ 0x55);
  expect_failure(
      damaged(bad), 1,
      {"gregale: decompress: ", ": temp: ", "bad.nc", "the chunk from (0, 0, 0), at byte ", "block 0 at byte "});
  std::mt19937 random(1);
  for (int i = 0; i < 30; ++i) {  // anything else: one line, no crash
    bad = good;
    if (i % 3 == 0)
      bad.resize(random() % good.size());
    else
      for (int k = 0; k < 5; ++k) bad[random() % good.size()] = static_cast<char>(random());
    const Outcome outcome = damaged(bad);
    ASSERT_TRUE(outcome.status == 0 || outcome.status == 1) << outcome.status << outcome.err;
    if (outcome.status == 1) expect_failure(outcome, 1, {"gregale: decompress: "});
  }
}

}  // namespace
}  // namespace gregale::cli
