// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/emulator.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "train/data_for_tests.hpp"

namespace gregale::train {
namespace {

using test::TestData;
using testing::HasSubstr;

/// An emulator with everything a file can hold, and its file.
class EmulatorFile : public testing::Test {
 protected:
  EmulatorFile() {
    TestData data;
    data.mask_variable = true;
    data.write(folder_ / "d.nc");
    config_ =
        test::test_config(folder_ / "d.nc", {"model={name: afno, width: 4, depth: 1, patch: 5, blocks: 2}",
                                             "model.head=gated", "model.target={residual: recentred}", "data.means=[3]",
                                             "data.history=2", "data.static=[LAND]", "data.position=true",
                                             "data.time_features=[season, insolation]", "data.missing=mask"});
    records_ = std::make_unique<Records>(test::open_records(config_));
    problem_ = learn_problem(config_, *records_);
    emulator_ = test::drawn_emulator(problem_, config_);
    path_ = folder_ / "model.safetensors";
    write_emulator(path_, problem_, config_, emulator_->parameters,
                   {{"program", "gregale"}, {"seed", 3}, {"data", {"a\xb0.nc"}}});
  }
  /// The file again with other contents, its checksums right.
  std::string rewritten(const data::NamedTensors& tensors, const data::Metadata& metadata) const {
    data::write_safetensors(folder_ / "other.safetensors", tensors, metadata);
    return folder_ / "other.safetensors";
  }
  ErrorCode load_code(const std::string& path) const {
    return test::code_of([&] { Emulator::load(path); });
  }

  test::TempFolder folder_;
  RunConfig config_;
  std::unique_ptr<Records> records_;
  Problem problem_;
  std::unique_ptr<Emulator::State> emulator_;
  std::string path_;
  ExecutionContext context_;
};

TEST_F(EmulatorFile, ForecastsBitForBitWhatWasWritten) {
  const Emulator loaded = Emulator::load(path_);
  for (int64_t init : {1, 40, 71})
    for (double scale : {0.0, 1.0})
      EXPECT_TRUE(roll_out(loaded.state(), context_, *records_, init, 3, scale)
                      .identical(roll_out(*emulator_, context_, *records_, init, 3, scale)));
  const Emulator::Forecast f = loaded.forecast(context_, {folder_ / "d.nc"}, "1984-03/1984-05", 2);
  EXPECT_THAT(f.init_times, testing::ElementsAre("1984-03", "1984-04", "1984-05"));
  EXPECT_EQ(f.fields.extents(), (Extents{3, 3, 2, 8, 12}));
  const auto size = static_cast<size_t>(problem_.field_size());
  const Tensor second = roll_out(*emulator_, context_, *records_, 51, 2);
  EXPECT_EQ(test::largest_difference(f.fields.as<float>().subspan(3 * size, 3 * size), second.as<float>()), 0);
  std::vector<float> data(size);
  records_->copy(51, data.data());
  EXPECT_EQ(test::largest_difference(second.as<float>().subspan(0, size), data), 0) << "lead 0 is the data";
}

TEST_F(EmulatorFile, SaysAllAboutItself) {
  const Emulator e = Emulator::load(path_);
  EXPECT_THAT(e.variables(), testing::ElementsAre("U", "V"));
  EXPECT_THAT(e.units(), testing::ElementsAre("m/s", "m/s"));
  EXPECT_EQ(e.latitudes(), test::steps(-78.75, 22.5, 8));
  EXPECT_EQ(e.longitudes(), test::steps(0, 30, 12));
  EXPECT_EQ(e.step(), "1 month");
  int64_t count = 0;
  for (const auto& [name, t] : emulator_->parameters) count += t.size();
  EXPECT_EQ(e.parameter_count(), count);
  EXPECT_EQ(print(e.graph()), print(emulator_->graph));
  EXPECT_EQ(e.state().provenance.at("seed"), 3);
  EXPECT_EQ(config_from_json(e.state().config, "model").data, config_.data);

  // The problem is the same in every part.
  data::NamedTensors before, after;
  nlohmann::json said, says;
  problem_.to_parts(before, said);
  e.state().problem.to_parts(after, says);
  EXPECT_EQ(said, says);
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [name, t] : before) EXPECT_TRUE(t.identical(after.at(name))) << name;
  EXPECT_EQ(e.state().problem.climatology.mean.type(), problem_.climatology.mean.type());
}

TEST_F(EmulatorFile, FlippedBytesAreNoticed) {
  std::ifstream in(path_, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(whole.size(), 10000U);
  for (size_t i = 0; i < 150; ++i) {
    std::string bytes = whole;
    const size_t at = i < 20 ? i : i * 7919 % whole.size();
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << i % 8));
    std::ofstream(folder_ / "flipped", std::ios::binary) << bytes;
    try {
      Emulator::load(folder_ / "flipped");
      // Blanks that pad the header carry nothing.
      EXPECT_EQ(whole[at], ' ') << "byte " << at << " of " << whole.size();
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("flipped"));
    }
  }
  for (size_t size : {size_t{0}, size_t{7}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    std::ofstream(folder_ / "cut", std::ios::binary) << whole.substr(0, size);
    EXPECT_EQ(load_code(folder_ / "cut"), ErrorCode::corrupt_data) << size;
  }
  EXPECT_EQ(load_code(folder_ / "none"), ErrorCode::io);
}

TEST_F(EmulatorFile, WrongPartsAreRefusedThoughTheChecksumsHold) {
  const data::Safetensors file = data::read_safetensors(path_);
  EXPECT_NO_THROW(Emulator::load(rewritten(file.tensors, file.metadata)));
  for (const auto& [key, text] : file.metadata) {
    data::Metadata without = file.metadata;
    without.erase(key);
    EXPECT_EQ(load_code(rewritten(file.tensors, without)), ErrorCode::corrupt_data) << key;
    data::Metadata wrong = file.metadata;
    wrong[key] = "{[";
    EXPECT_EQ(load_code(rewritten(file.tensors, wrong)), ErrorCode::corrupt_data) << key;
  }
  for (const auto& [name, tensor] : file.tensors) {
    data::NamedTensors without = file.tensors;
    without.erase(name);
    EXPECT_EQ(load_code(rewritten(without, file.metadata)), ErrorCode::corrupt_data) << name;
  }
  // A graph that is well formed, and another one.
  auto graph_code = [&](const Graph& g) {
    data::Metadata other = file.metadata;
    other["graph"] = print(g);
    return load_code(rewritten(file.tensors, other));
  };
  Graph nothing;
  nothing.set_outputs({nothing.add_input("x", {DType::f32, {2}})});
  EXPECT_EQ(graph_code(nothing), ErrorCode::corrupt_data);
  Graph fits("fits");  // the right inputs, the wrong result
  for (const Type& type : forecast_graph_types(problem_))
    fits.add_input(fmt::format("i{}", fits.inputs().size()), type);
  fits.set_outputs({fits.inputs()[0]});
  EXPECT_EQ(graph_code(fits), ErrorCode::corrupt_data);
  Graph writes = emulator_->graph;  // a forecast must not change its weights
  const Variable& v = writes.variables()[0];
  writes.write(0, writes.constant(Tensor(v.type.dtype, v.type.shape.extents())));
  EXPECT_EQ(graph_code(writes), ErrorCode::corrupt_data);
}

TEST_F(EmulatorFile, MutatedTextLoadsOrThrows) {
  const data::Safetensors file = data::read_safetensors(path_);
  int refused = 0;
  for (uint64_t i = 0; i < 120; ++i) {
    data::Metadata metadata = file.metadata;
    std::string& text = metadata[i % 3 == 0 ? "problem" : "graph"];
    const auto at = random_below({1, 0, 0}, i, text.size());
    constexpr char kBytes[] = "0123456789-[]{}\",.:e %x(";
    text[at] = kBytes[random_below({1, 0, 1}, i, sizeof kBytes - 1)];
    try {
      const Emulator e = Emulator::load(rewritten(file.tensors, metadata));
      roll_out(e.state(), context_, *records_, 40, 1);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 40);
}

TEST_F(EmulatorFile, ProblemsOutOfRangeAreRefused) {
  data::NamedTensors tensors;
  nlohmann::json json;
  problem_.to_parts(tensors, json);
  const auto code = [&](const data::NamedTensors& t, const nlohmann::json& j) {
    return test::code_of([&] { Problem::from_parts(t, j); });
  };
  EXPECT_NO_THROW(Problem::from_parts(tensors, json));
  for (const auto& [name, tensor] : tensors) {
    data::NamedTensors wrong = tensors;
    wrong[name] = Tensor(DType::i32, tensor.extents());
    EXPECT_THROW(Problem::from_parts(wrong, json), Error) << name;
    Extents longer = tensor.extents();
    longer[0] += 1;
    wrong[name] = Tensor(tensor.dtype(), longer);
    EXPECT_THROW(Problem::from_parts(wrong, json), Error) << name;
    wrong[name] = Tensor(tensor.dtype(), {0});
    EXPECT_THROW(Problem::from_parts(wrong, json), Error) << name;
  }
  for (const char* name : {"problem/center", "problem/scale", "problem/output_scale"})
    for (double bad : {std::nan(""), std::numeric_limits<double>::infinity(), 0.0, -1.0}) {
      if (std::string(name) == "problem/center" && std::isfinite(bad)) continue;
      data::NamedTensors wrong = tensors;
      wrong[name] = Tensor::full(DType::f64, {2}, bad);
      EXPECT_EQ(code(wrong, json), ErrorCode::corrupt_data) << name << " " << bad;
    }
  // Every entry missing, and every entry of every other kind; what is accepted stays within bounds.
  const nlohmann::json flat = json.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    const nlohmann::json::json_pointer at(pointer);
    for (const nlohmann::json& other :
         {nlohmann::json(), nlohmann::json(-1), nlohmann::json(0), nlohmann::json(7), nlohmann::json(1e300),
          nlohmann::json(2.5), nlohmann::json(INT64_MAX), nlohmann::json(INT64_MIN), nlohmann::json(UINT64_MAX),
          nlohmann::json("x"), nlohmann::json::array(), nlohmann::json::object()}) {
      nlohmann::json wrong = json;
      wrong[at] = other;
      try {
        const Problem p = Problem::from_parts(tensors, wrong);
        p.reference();
        EXPECT_LE(p.window(), 1024);
        for (int64_t day = -400; day < 800; ++day) {
          const int64_t bin = p.climatology.bin_at(day * 86400 + 86399);
          ASSERT_TRUE(bin >= 0 && bin < p.climatology.mean.extent(0)) << pointer;
        }
      } catch (const Error&) {
      }
    }
  }
  auto with = [&](const char* pointer, nlohmann::json value) {
    nlohmann::json wrong = json;
    wrong[nlohmann::json::json_pointer(pointer)] = std::move(value);
    return wrong;
  };
  EXPECT_EQ(code(tensors, with("/lead", 0)), ErrorCode::corrupt_data);
  EXPECT_EQ(code(tensors, with("/lead", 7)), ErrorCode::corrupt_data) << "no damping for it";
  EXPECT_EQ(code(tensors, with("/history", 1 << 20)), ErrorCode::corrupt_data);
  EXPECT_EQ(code(tensors, with("/means", {1, 1 << 30})), ErrorCode::corrupt_data);
  EXPECT_EQ(code(tensors, with("/target/baseline", "best")), ErrorCode::corrupt_data);
  EXPECT_EQ(code(tensors, with("/climatology/kind", 1)), ErrorCode::corrupt_data) << "12 bins for 366 days";
  EXPECT_EQ(code(tensors, with("/climatology/counts", {1})), ErrorCode::corrupt_data);
  EXPECT_EQ(code(tensors, with("/variables", nlohmann::json::array())), ErrorCode::corrupt_data);
  EXPECT_EQ(code(tensors, nlohmann::json::array()), ErrorCode::corrupt_data);
}

TEST_F(EmulatorFile, OtherDataAreRefused) {
  const Emulator e = Emulator::load(path_);
  auto message = [&](const TestData& data, const std::string& time = "1984-01") {
    data.write(folder_ / "o.nc");
    return message_of([&] { e.forecast(context_, {folder_ / "o.nc"}, time, 1); });
  };
  TestData same;
  same.units = "months since 1980-01-10";
  EXPECT_EQ(message(same), "no error");
  TestData coarse;
  coarse.longitudes = test::steps(0, 45, 8);
  EXPECT_THAT(message(coarse), HasSubstr("12"));
  TestData shifted;
  shifted.latitudes = test::steps(-77, 22, 8);
  EXPECT_THAT(message(shifted), HasSubstr("grid"));
  TestData seasons;  // a quarter is a number of months, too
  seasons.unit_steps = 3;
  EXPECT_THAT(message(seasons), HasSubstr("the model steps by 1 month, the data by 3 months"));
  TestData daily;
  daily.units = "days since 1984-01-01";
  EXPECT_THAT(message(daily), HasSubstr("the model steps by 1 month, the data by 1 day"));
  TestData years;
  years.calendar = "noleap";
  EXPECT_THAT(message(years), HasSubstr("calendar"));
  EXPECT_THAT(message({}, "1993"), HasSubstr("no record in '1993'"));
  EXPECT_THAT(message({}, "1980-01"), HasSubstr("missing")) << "two records of history are needed";
  data::test::write_months(folder_ / "u.nc", 30);
  EXPECT_THAT(message_of([&] { e.forecast(context_, {folder_ / "u.nc"}, "1991", 1); }), HasSubstr("V"));
  EXPECT_EQ(test::code_of([&] { e.forecast(context_, {folder_ / "d.nc"}, "1984-01", -1); }),
            ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace gregale::train
