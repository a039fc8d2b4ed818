// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/emulator.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "train/emulator_graph.hpp"
#include "train/emulator_state.hpp"
#include "train/features.hpp"

namespace gregale {
namespace train {
namespace {

constexpr const char* kEmulatorFormat = "gregale.emulator/1";

const std::string& metadata_at(const data::Metadata& metadata, const std::string& key) {
  auto at = metadata.find(key);
  GREGALE_CHECK(at != metadata.end(), corrupt_data, "the metadata have no '{}'", key);
  return at->second;
}

nlohmann::json parse_json(const std::string& text, const std::string& key) {
  nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  GREGALE_CHECK(!value.is_discarded(), corrupt_data, "the metadata's '{}' is not JSON", key);
  return value;
}

}  // namespace

bool is_emulator(const data::Metadata& metadata) {
  auto at = metadata.find("format");
  return at != metadata.end() && at->second == kEmulatorFormat;
}

void write_emulator(const std::string& path, const Problem& problem, const RunConfig& config,
                    const VariableValues& parameters, const nlohmann::json& provenance) {
  data::NamedTensors tensors;
  for (const auto& [name, tensor] : parameters) tensors["weights/" + name] = tensor;
  nlohmann::json description;
  problem.to_parts(tensors, description);
  Blobs blobs;
  const std::string text = print(forecast_graph(problem, config.model, 1), &blobs);
  for (size_t i = 0; i < blobs.size(); ++i) tensors[fmt::format("blobs/{}", i)] = blobs[i];
  data::write_safetensors(path, tensors,
                          {{"format", kEmulatorFormat},
                           {"graph", text},
                           {"problem", json_text(description)},
                           {"config", json_text(config_to_json(config))},
                           {"provenance", json_text(provenance)}});
}

void check_same_problem(const Problem& problem, const data::FieldDataset& dataset) {
  GREGALE_CHECK(dataset.variables().size() == problem.variables.size(), invalid_argument,
                "the model was trained on {} but the data give {} variables", fmt::join(problem.variable_names(), ", "),
                dataset.variables().size());
  for (size_t i = 0; i < problem.variables.size(); ++i)
    GREGALE_CHECK(dataset.variables()[i].name == problem.variables[i].name, invalid_argument,
                  "the model was trained on {}, not on {}", fmt::join(problem.variable_names(), ", "),
                  dataset.variables()[i].name);
  const std::string difference = problem.grid.difference(dataset.grid());
  GREGALE_CHECK(difference.empty(), shape, "the data are not on the model's grid: {}", difference);
  const grid::TimeStep& step = dataset.time().step();
  GREGALE_CHECK(step.kind == problem.step.kind && step.months == problem.step.months &&
                    (step.kind != grid::TimeStep::Kind::fixed || step.seconds == problem.step.seconds),
                invalid_argument, "the model steps by {}, the data by {}", problem.step.describe(), step.describe());
  // Dates of another calendar would meet the wrong season; these two differ before 1582 alone.
  auto modern = [](grid::Calendar c) {
    return c == grid::Calendar::standard ? grid::Calendar::proleptic_gregorian : c;
  };
  GREGALE_CHECK(modern(dataset.time().calendar()) == modern(problem.calendar), invalid_argument,
                "the model was trained on the {} calendar, the data have the {} one", grid::to_string(problem.calendar),
                grid::to_string(dataset.time().calendar()));
}

Tensor roll_out(const Emulator::State& emulator, ExecutionContext& context, const Records& records, int64_t init,
                int64_t steps, double network_scale, const std::function<void(int64_t)>& before_step) {
  const Problem& p = emulator.problem;
  const Features features(p, records);
  const Reference reference = p.reference();
  const int64_t size = p.field_size(), window = p.window();
  const int64_t start = records.time().seconds(init);
  Tensor fields(DType::f32, {1 + steps, p.variable_count(), p.rows(), p.columns()});
  float* out = fields.as<float>().data();
  records.copy(init, out);
  std::vector<uint8_t> missing(static_cast<size_t>(size));
  for (int64_t i = 0; i < size; ++i) missing[static_cast<size_t>(i)] = std::isnan(out[i]);
  if (steps == 0) return fields;

  // All steps' means and forcing are known now; the stack of states moves along with the forecast.
  Batch batch = Batch::allocate(p, 1, steps, false);
  features.fill(batch, 0, init, {}, reference);
  auto step_view = [](Tensor& t, int64_t r) {
    Extents extents = t.extents();
    const int64_t steps_here = extents[1];
    extents.erase(extents.begin() + 1);
    const int64_t bytes = t.bytes() / steps_here;
    return Tensor::borrow(static_cast<std::byte*>(t.data()) + r * bytes, t.dtype(), extents);
  };
  auto stack = batch.stack.as<float>();
  const int64_t shift = steps > 1 ? rollout_shift(p) : 1;
  VariableValues parameters = emulator.parameters;
  std::vector<Tensor> outputs = emulator.executable->make_outputs();
  const Tensor scale = Tensor::scalar(static_cast<float>(network_scale));
  for (int64_t r = 0; r < steps; ++r) {
    if (before_step) before_step(r);
    // Weights of the means follow how many states there are: each step adds one.
    std::vector<Tensor> inputs{batch.stack};
    if (!batch.windows.empty()) inputs.push_back(step_view(batch.windows, r));
    if (!batch.forcing.empty()) inputs.push_back(step_view(batch.forcing, r));
    if (!batch.base_last.empty()) inputs.push_back(batch.base_last);
    if (!batch.base_mean.empty()) inputs.push_back(batch.base_mean);
    inputs.push_back(scale);
    emulator.executable->run(context, inputs, outputs, &parameters);
    const float* prediction = outputs[0].as<float>().data();
    std::copy(stack.begin() + shift * size, stack.end(), stack.begin());
    std::fill(stack.end() - shift * size, stack.end(), 0.0F);
    std::memcpy(stack.data() + (window - 1) * size, prediction, static_cast<size_t>(size) * sizeof(float));
    float* field = out + (r + 1) * size;
    std::memcpy(field, prediction, static_cast<size_t>(size) * sizeof(float));
    features.restore(field, records.time().advance(start, (r + 1) * p.lead), reference);
    for (int64_t i = 0; i < size; ++i)
      if (missing[static_cast<size_t>(i)]) field[i] = std::numeric_limits<float>::quiet_NaN();
  }
  return fields;
}

}  // namespace train

Emulator::Emulator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Emulator::Emulator(Emulator&&) noexcept = default;
Emulator& Emulator::operator=(Emulator&&) noexcept = default;
Emulator::~Emulator() = default;

Emulator Emulator::load(const std::string& path, const CompileOptions& options) {
  data::Safetensors file = data::read_safetensors(path);
  try {
    GREGALE_CHECK(train::is_emulator(file.metadata), corrupt_data, "this safetensors file is not an emulator");
    auto state = std::make_unique<State>();
    state->problem = train::Problem::from_parts(
        file.tensors, train::parse_json(train::metadata_at(file.metadata, "problem"), "problem"));
    state->config = train::parse_json(train::metadata_at(file.metadata, "config"), "config");
    state->provenance = train::parse_json(train::metadata_at(file.metadata, "provenance"), "provenance");
    Blobs blobs;
    for (size_t i = 0; file.tensors.count(fmt::format("blobs/{}", i)) > 0; ++i)
      blobs.push_back(file.tensors.at(fmt::format("blobs/{}", i)));
    state->graph = parse_graph(train::metadata_at(file.metadata, "graph"), ops::standard_ops(), blobs);
    for (const Variable& v : state->graph.variables()) {
      GREGALE_CHECK(state->graph.version(state->graph.variable_index(v.name)) == 0, corrupt_data,
                    "the graph writes to '{}'", v.name);
      auto at = file.tensors.find("weights/" + v.name);
      GREGALE_CHECK(at != file.tensors.end() && at->second.type() == v.type, corrupt_data,
                    "weights '{}' are missing or not {}", v.name, to_string(v.type));
      state->parameters[v.name] = at->second;
    }
    // The graph must take what roll_out gives it.
    const auto expected = train::forecast_graph_types(state->problem);
    GREGALE_CHECK(state->graph.inputs().size() == expected.size() && state->graph.outputs().size() == 1, corrupt_data,
                  "the graph does not fit the problem");
    for (size_t i = 0; i < expected.size(); ++i)
      GREGALE_CHECK(state->graph.type(state->graph.inputs()[i]) == expected[i], corrupt_data,
                    "the graph's input {} is {}, not {}", i, to_string(state->graph.type(state->graph.inputs()[i])),
                    to_string(expected[i]));
    const train::Problem& p = state->problem;
    GREGALE_CHECK(state->graph.type(state->graph.outputs()[0]) ==
                      Type(DType::f32, {1, p.variable_count(), p.rows(), p.columns()}),
                  corrupt_data, "the graph's result does not fit the problem");
    state->executable = std::make_unique<Executable>(compile(state->graph, options));
    return Emulator(std::move(state));
  } catch (Error& e) {
    throw e.add_context(path);
  }
}

std::vector<std::string> Emulator::variables() const { return state_->problem.variable_names(); }
std::vector<std::string> Emulator::units() const {
  std::vector<std::string> units;
  for (const auto& v : state_->problem.variables) units.push_back(v.units);
  return units;
}
std::vector<double> Emulator::latitudes() const { return state_->problem.grid.latitudes(); }
std::vector<double> Emulator::longitudes() const { return state_->problem.grid.longitudes(); }
std::string Emulator::step() const { return state_->problem.step.describe(); }
const Graph& Emulator::graph() const { return state_->graph; }

int64_t Emulator::parameter_count() const {
  int64_t count = 0;
  for (const auto& [name, tensor] : state_->parameters) count += tensor.size();
  return count;
}

Emulator::Forecast Emulator::forecast(ExecutionContext& context, const std::vector<std::string>& data,
                                      const std::string& time, int64_t steps, double network_scale) const {
  GREGALE_CHECK(steps >= 0, invalid_argument, "[forecast] {} steps", steps);
  const auto& p = state_->problem;
  const train::Records records(data::FieldDataset::open(data, p.variable_names()));
  train::check_same_problem(p, records.dataset());
  const auto inits = records.time().find(time);
  Forecast forecast;
  forecast.fields =
      Tensor(DType::f32, {static_cast<int64_t>(inits.size()), 1 + steps, p.variable_count(), p.rows(), p.columns()});
  float* out = forecast.fields.as<float>().data();
  for (int64_t init : inits) {
    forecast.init_times.push_back(records.time().label(init));
    const Tensor fields = train::roll_out(*state_, context, records, init, steps, network_scale);
    std::copy(fields.as<float>().begin(), fields.as<float>().end(), out);
    out += fields.size();
  }
  return forecast;
}

}  // namespace gregale
