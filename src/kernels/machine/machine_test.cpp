// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/machine/machine.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <vector>

#include "base/json.hpp"
#include "gregale/error.hpp"
#include "gregale/tensor.hpp"
#include "kernels/machine/machine_table.hpp"
#include "kernels/machine/tile_unit.hpp"
#include "kernels/testing/amx_emulator_for_tests.hpp"

namespace gregale::kernels {
namespace {

namespace fs = std::filesystem;

Target small_target() {
  Target target = Target::detect();
  target.l1_bytes = 32 << 10;
  target.l2_bytes = 256 << 10;
  return target;
}

MachineOptions tiny() {
  MachineOptions options;
  options.run_seconds = 1e-4;
  options.rounds = 3;
  options.budget_seconds = 0.2;  // a busy machine does not keep the test waiting for quiet moments
  options.memory_bytes = 4 << 20;
  return options;
}

/// A machine with values that are all different.
Machine example() {
  Machine m;
  m.target = {Isa::avx512, {}, 4, 49152, 2 << 20, 32 << 20, 0, "A processor", nullptr};
  m.threads = 3;
  m.fp32 = {100.5, 300.25};
  m.int8 = Rate{400.125, 1200};
  m.read_l1 = {200, 600};
  m.read_l2 = {90, 270};
  m.read_memory = {12, 25};
  m.copy = {11, 21};
  m.copy_nt = 31.5;
  m.l1_set = 24576;
  m.l2_set = 1 << 20;
  m.memory_set = 128 << 20;
  m.rounds = 7;
  m.noise = 0.03125;
  m.reasons = {{"bf16", "this processor lacks AVX512_BF16"}};
  return m;
}

class MachineCache : public ::testing::Test {
 protected:
  MachineCache() {
    std::string pattern = ::testing::TempDir() + "gregale-machine-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
    path_ = folder_ + "/cache/gregale/machine.json";
  }
  ~MachineCache() override { fs::remove_all(folder_); }

  void write(const std::string& text) {
    fs::create_directories(fs::path(path_).parent_path());
    std::ofstream(path_, std::ios::binary) << text;
  }
  std::string read() {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_, path_;
};

TEST(Machine, MeasuresEveryInstructionSetOnOneAndTwoThreads) {
  const Target here = small_target();
  for (const Isa isa : {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (isa > here.isa) continue;
    for (const int threads : {1, 2}) {
      const Target target = here.capped(isa);
      const auto team = make_thread_team(threads);
      int64_t last = 0, total = 0;
      MachineOptions options = tiny();
      options.progress = [&](int64_t done, int64_t all, const std::string& what) {
        EXPECT_EQ(done, last + 1);
        EXPECT_FALSE(what.empty());
        last = done;
        total = all;
      };
      const Machine m = measure_machine(target, *team, options);
      EXPECT_EQ(last, total);
      EXPECT_EQ(m.threads, threads);
      EXPECT_GE(m.rounds, 3);
      EXPECT_EQ(m.l1_set, 16 << 10);
      EXPECT_EQ(m.l2_set, 128 << 10);
      EXPECT_EQ(m.memory_set, 4 << 20);
      for (const Rate& rate : {m.fp32, m.read_l1, m.read_l2, m.read_memory, m.copy}) {
        // Above a billionth of any machine, below a thousand times the fastest: a wrong unit or a loop that the
        // compiler dropped would not be.
        EXPECT_GT(rate.one_thread, 1e-3);
        EXPECT_LT(rate.one_thread, 1e5);
        EXPECT_GT(rate.all_threads, 1e-3);
        EXPECT_LT(rate.all_threads, 1e5);
      }
      // A unit is measured, or a reason given: never both, never neither.
      EXPECT_NE(m.bf16.has_value(), m.reasons.count("bf16") == 1);
      EXPECT_NE(m.int8.has_value(), m.reasons.count("int8") == 1);
      EXPECT_NE(m.copy_nt.has_value(), m.reasons.count("copy_nt") == 1);
      if (isa < Isa::avx512) {
        EXPECT_FALSE(m.bf16 || m.int8);
      }
      for (const auto& unit : {m.bf16, m.int8}) {
        if (!unit) continue;
        EXPECT_GT(unit->one_thread, 1e-3);
        EXPECT_LT(unit->all_threads, 1e6);
      }
      const auto read_back = machine_from_json(to_json(m));
      ASSERT_TRUE(read_back);
      EXPECT_EQ(to_json(*read_back), to_json(m));
    }
  }
}

TEST(Machine, MeasuresOnePeakAlone) {
  const Target here = small_target();
  const auto team = make_thread_team(2);
  for (const Isa isa : {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (isa > here.isa) continue;
    const Target target = here.capped(isa);
    const Machine m = measure_machine(target, *team, tiny());
    double fp32 = m.fp32.all_threads;  // the best of several: all runs of one can have been interrupted
    for (int again = 0; again < 4; ++again)
      fp32 = std::max(fp32, measure_machine(target, *team, tiny()).fp32.all_threads);
    const double alone = measure_compute_peak(target, *team, ComputeUnit::fp32, 1e-4, 3);
    EXPECT_GT(alone, 0.01 * fp32);
    EXPECT_LT(alone, 100 * fp32);
    for (const auto& [unit, rate] : {std::pair(ComputeUnit::bf16, m.bf16), std::pair(ComputeUnit::int8, m.int8)}) {
      if (rate) {
        EXPECT_GT(measure_compute_peak(target, *team, unit, 1e-4, 3), 0.01 * rate->all_threads);
      } else {
        EXPECT_THROW(measure_compute_peak(target, *team, unit, 1e-4, 3), Error);
      }
    }
  }
}

TEST(Machine, AssemblesTheTileLoopsEverywhereAndHandsThemOutWithAmxAlone) {
  EXPECT_GT(assemble_tile_loop(true).bytes(), 0U);
  EXPECT_GT(assemble_tile_loop(false).bytes(), 0U);
  Target target = Target::detect();
  target.isa = Isa::avx512;
  EXPECT_EQ(bf16_tile_unit(target).run, nullptr);
  EXPECT_EQ(int8_tile_unit(target).run, nullptr);
  target.isa = Isa::amx;  // never run here: the loop alone is looked at
  target.features.amx_bf16 = target.features.amx_int8 = true;
  EXPECT_NE(bf16_tile_unit(target).run, nullptr);
  EXPECT_EQ(bf16_tile_unit(target).flops, 4 * 16 * 16 * 32 * 2);
  EXPECT_EQ(int8_tile_unit(target).flops, 4 * 16 * 16 * 64 * 2);
  target.features.amx_int8 = false;
  EXPECT_EQ(int8_tile_unit(target).run, nullptr);
}

TEST(Machine, TileLoopsAddUpWhatTheySay) {
  if (const char* why = testing::amx_untestable()) GTEST_SKIP() << why;
  const testing::AmxEmulator emulator;
  const Target target = testing::amx_target();
  for (const int64_t repeats : {0, 1, 5}) {
    const float sum = 0.25f * static_cast<float>(repeats);  // 32 products of 1 / 128 a repeat
    uint32_t bits = 0;
    std::memcpy(&bits, &sum, sizeof bits);
    EXPECT_EQ(bf16_tile_unit(target).run(repeats), 4 * bits);
    EXPECT_EQ(static_cast<int32_t>(int8_tile_unit(target).run(repeats)), 4 * 64 * -15 * repeats);
  }
}

TEST(Machine, StopsAfterThreeRoundsWhenTheBudgetIsSpent) {
  MachineOptions options = tiny();
  options.rounds = 1000;
  options.budget_seconds = 0;
  const auto team = make_thread_team(1);
  EXPECT_EQ(measure_machine(small_target(), *team, options).rounds, 3);
}

TEST(Machine, TakesMemoryInParts) {
  MachineOptions options = tiny();
  options.memory_bytes = 96 << 20;
  options.rounds = 4;  // past the last part and round to the first
  const auto team = make_thread_team(2);
  const Machine m = measure_machine(small_target(), *team, options);
  EXPECT_EQ(m.memory_set, 96 << 20);
  EXPECT_GT(m.copy.all_threads, 1e-3);
  EXPECT_LT(m.read_memory.all_threads, 1e5);
}

TEST(Machine, CopiesAndReadsEveryByte) {
  const Isa isa = Target::detect().isa;
  std::vector<const MachineTable*> tables = {&isa_generic::machine_table};
  if (isa >= Isa::avx2) tables.push_back(&isa_avx2::machine_table);
  if (isa >= Isa::avx512) tables.push_back(&isa_avx512::machine_table);
  const size_t count = 2 * kMachineStep / sizeof(uint32_t);
  const auto bytes = static_cast<int64_t>(count * sizeof(uint32_t));
  Tensor from(DType::i32, {static_cast<int64_t>(count)}), to(DType::i32, {static_cast<int64_t>(count)});
  auto* source = reinterpret_cast<int32_t*>(from.data());
  uint32_t sum = 0;
  for (size_t i = 0; i < count; ++i) {
    source[i] = static_cast<int32_t>(i * i + 1);
    sum += static_cast<uint32_t>(source[i]);
  }
  auto* source_bytes = reinterpret_cast<const std::byte*>(from.data());
  auto* target_bytes = reinterpret_cast<std::byte*>(to.data());
  for (const MachineTable* table : tables) {
    EXPECT_EQ(table->read(source_bytes, bytes, 3), 3 * sum);
    for (const auto copy : {table->copy, table->copy_nt}) {
      if (copy == nullptr) continue;
      std::memset(target_bytes, 0, static_cast<size_t>(bytes));
      copy(target_bytes, source_bytes, bytes);
      EXPECT_EQ(std::memcmp(target_bytes, source_bytes, static_cast<size_t>(bytes)), 0);
    }
  }
}

TEST(Machine, JsonHasTheKeysOfTheContract) {
  const nlohmann::json j = to_json(example());
  EXPECT_EQ(j.at("cpu"), "A processor");
  EXPECT_EQ(j.at("isa"), "avx512");
  EXPECT_EQ(j.at("cores"), 4);
  EXPECT_EQ(j.at("peak_gflops").at("fp32").at("one_thread"), 100.5);
  EXPECT_EQ(j.at("peak_gflops").at("int8").at("all_threads"), 1200);
  EXPECT_TRUE(j.at("peak_gflops").at("bf16").at("one_thread").is_null());
  EXPECT_TRUE(j.at("peak_gflops").at("bf16").at("all_threads").is_null());
  EXPECT_EQ(j.at("reasons").at("bf16"), "this processor lacks AVX512_BF16");
  EXPECT_EQ(j.at("read_gbs").at("l1").at("one_thread"), 200);
  EXPECT_EQ(j.at("read_gbs").at("l2").at("one_thread"), 90);
  EXPECT_EQ(j.at("read_gbs").at("memory").at("all_threads"), 25);
  EXPECT_EQ(j.at("copy_gbs").at("one_thread"), 11);
  EXPECT_EQ(j.at("copy_gbs").at("all_threads"), 21);
  EXPECT_EQ(j.at("copy_nt_gbs"), 31.5);
}

TEST(Machine, RefusesDocumentsWithMissingOrImpossibleValues) {
  const nlohmann::json good = to_json(example());
  ASSERT_TRUE(machine_from_json(good));
  for (const auto& [key, value] : good.items()) {
    if (key == "copy_nt_gbs") continue;  // null where there is none
    nlohmann::json bad = good;
    bad.erase(key);
    EXPECT_FALSE(machine_from_json(bad)) << key;
    bad[key] = nlohmann::json::array({1});
    EXPECT_FALSE(machine_from_json(bad)) << key;
  }
  auto with = [&](const char* pointer, nlohmann::json value) {
    nlohmann::json bad = good;
    bad[nlohmann::json::json_pointer(pointer)] = std::move(value);
    return machine_from_json(bad).has_value();
  };
  EXPECT_TRUE(with("/cores", 5));
  EXPECT_FALSE(with("/cores", 0));
  EXPECT_FALSE(with("/cores", 1.5));
  EXPECT_FALSE(with("/threads", 18446744073709551615u));
  EXPECT_FALSE(with("/isa", "neon"));
  EXPECT_FALSE(with("/noise", -1));
  EXPECT_FALSE(with("/peak_gflops/fp32/one_thread", 0));
  EXPECT_FALSE(with("/peak_gflops/fp32/one_thread", nullptr));
  EXPECT_FALSE(with("/peak_gflops/int8/one_thread", nullptr));
  EXPECT_FALSE(with("/read_gbs/l2/all_threads", -3.5));
  EXPECT_FALSE(with("/reasons/bf16", 3));
  EXPECT_FALSE(machine_from_json(nlohmann::json(3)));
}

TEST_F(MachineCache, RoundTrips) {
  const Machine m = example();
  EXPECT_FALSE(load_machine(path_, m.target, m.threads));
  save_machine(path_, m);
  const auto loaded = load_machine(path_, m.target, m.threads);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(to_json(*loaded), to_json(m));
}

TEST_F(MachineCache, KeepsMachinesApartAndReplacesTheSameOne) {
  const Machine first = example();
  save_machine(path_, first);
  Machine second = first;
  second.target.cpu = "Another processor";
  second.fp32.one_thread = 7;
  save_machine(path_, second);
  EXPECT_EQ(load_machine(path_, first.target, 3)->fp32.one_thread, 100.5);
  EXPECT_EQ(load_machine(path_, second.target, 3)->fp32.one_thread, 7);
  EXPECT_FALSE(load_machine(path_, first.target, 2));
  Target fewer = first.target;
  fewer.cores = 2;
  EXPECT_FALSE(load_machine(path_, fewer, 3));
  Target capped = first.target;
  capped.isa = Isa::avx2;
  EXPECT_FALSE(load_machine(path_, capped, 3));
  second.fp32.one_thread = 8;
  save_machine(path_, second);
  EXPECT_EQ(load_machine(path_, second.target, 3)->fp32.one_thread, 8);
  EXPECT_EQ(nlohmann::json::parse(read()).at("machines").size(), 2u);
  for (int threads = 4; threads < 40; ++threads) {
    second.threads = threads;
    save_machine(path_, second);
  }
  EXPECT_EQ(nlohmann::json::parse(read()).at("machines").size(), 16u);
  EXPECT_TRUE(load_machine(path_, second.target, 39));
  EXPECT_FALSE(load_machine(path_, first.target, 3));
}

TEST_F(MachineCache, IgnoresAndReplacesADamagedFile) {
  const Machine m = example();
  save_machine(path_, m);
  const std::string good = read();
  std::string bad_value = good;
  bad_value.replace(bad_value.find("100.5"), 5, "-10.5");
  const std::vector<std::string> damaged = {"",
                                            "not JSON",
                                            good.substr(0, good.size() / 2),
                                            "[]",
                                            "{\"version\": 1}",
                                            "{\"version\": 1, \"machines\": []}",
                                            "{\"version\": 2, \"machines\": {\"a\": 1}}",
                                            "{\"version\": 2, \"machines\": [1, null, {}]}",
                                            bad_value,
                                            std::string(100000, '['),
                                            good + std::string(2 << 20, ' '),
                                            std::string("\xff\xfe\0\0", 4)};
  for (const std::string& text : damaged) {
    write(text);
    EXPECT_FALSE(load_machine(path_, m.target, m.threads)) << text.substr(0, 60);
    save_machine(path_, m);
    EXPECT_EQ(read(), good) << text.substr(0, 60);
  }
}

TEST_F(MachineCache, WritesProcessorNamesThatAreNotUtf8) {
  Machine m = example();
  m.target.cpu = "\xc3(";
  EXPECT_NO_THROW(save_machine(path_, m));
  EXPECT_FALSE(load_machine(path_, example().target, m.threads));
}

TEST_F(MachineCache, SaysWhyItCannotBeWritten) {
  const Machine m = example();
  auto error_of = [&](const std::string& path) {
    try {
      save_machine(path, m);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::io);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(error_of("").find("XDG_CACHE_HOME"), std::string::npos);
  fs::create_directories(path_);  // a folder where the file should be
  EXPECT_FALSE(load_machine(path_, m.target, m.threads));
  EXPECT_NE(error_of(path_).find("not a file"), std::string::npos);
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(load_machine(pipe, m.target, m.threads));  // without waiting for a writer
  EXPECT_NE(error_of(pipe).find("not a file"), std::string::npos);
  std::ofstream(folder_ + "/file") << "x";
  EXPECT_NE(error_of(folder_ + "/file/machine.json"), "");
}

TEST_F(MachineCache, StandsWhereXdgSays) {
  auto value = [](const char* name) {
    const char* text = std::getenv(name);
    return text == nullptr ? std::optional<std::string>() : std::optional<std::string>(text);
  };
  const auto cache = value("XDG_CACHE_HOME"), home = value("HOME");
  setenv("HOME", "/home/a", 1);
  setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(machine_cache_path(), "/cache/gregale/machine.json");
  setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(machine_cache_path(), "/home/a/.cache/gregale/machine.json");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(machine_cache_path(), "/home/a/.cache/gregale/machine.json");
  unsetenv("HOME");
  EXPECT_EQ(machine_cache_path(), "");
  if (cache) setenv("XDG_CACHE_HOME", cache->c_str(), 1);
  if (home) setenv("HOME", home->c_str(), 1);
}

}  // namespace
}  // namespace gregale::kernels
