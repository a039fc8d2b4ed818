// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/networks.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "gregale/autodiff.hpp"
#include "gregale/nn.hpp"
#include "gregale/random.hpp"
#include "gregale/train.hpp"
#include "tools/onnx.hpp"
#include "train/config_values.hpp"
#include "train/trainer.hpp"

namespace gregale::tools {
namespace {

/// A network of `bench model`: which options it takes, and how it is built from them.
struct Network {
  const char* name;
  bool length, width_and_depth;
  bool layer;     ///< one of several: its operand's gradient is wanted too
  int64_t batch;  ///< where none is given
  Shape (*input)(const NetworkOptions& o, int64_t batch);
  Value (*build)(nn::Scope& scope, Value x, const NetworkOptions& o);
};

const std::pair<const char*, Keep> kActivationModes[] = {{"recompute", Keep::or_recompute},
                                                         {"keep", Keep::everything},
                                                         {"bf16", Keep::bf16},
                                                         {"compress", Keep::compressed}};

Keep keep_of(const NetworkOptions& o) {
  const std::string name = o.activations.value_or("recompute");
  for (const auto& [mode, keep] : kActivationModes)
    if (name == mode) return keep;
  throw_error(ErrorCode::usage,
              fmt::format("--activations: expected recompute, keep, bf16 or compress, got '{}'", name));
}

constexpr const char *kAdamW = "adamw", *kSgd = "sgd", *kNone = "none";

constexpr int64_t kLength = 128, kWidth = 64, kDepth = 4;

const Network kNetworks[] = {
    {"fourcastnet", false, false, false, 1,
     [](const NetworkOptions&, int64_t batch) {
       return Shape{batch, 20, 720, 1440};
     },
     [](nn::Scope& scope, Value x, const NetworkOptions&) {
       return nn::afno(scope, "fourcastnet", x, {.patch = 8, .width = 768, .depth = 12, .blocks = 8, .out = 20});
     }},
    {"bert-base-layer", true, false, true, 8,
     [](const NetworkOptions& o, int64_t batch) {
       return Shape{batch, o.length.value_or(kLength), 768};
     },
     [](nn::Scope& scope, Value x, const NetworkOptions&) { return nn::bert_layer(scope, "bert", x, {}); }},
    {"resnet50", false, false, false, 1,
     [](const NetworkOptions&, int64_t batch) {
       return Shape{batch, 3, 224, 224};
     },
     [](nn::Scope& scope, Value x, const NetworkOptions&) { return nn::resnet(scope, "resnet", x, {}); }},
    {"afno", false, false, false, 1,
     [](const NetworkOptions&, int64_t batch) {
       return Shape{batch, 20, 120, 240};
     },
     [](nn::Scope& scope, Value x, const NetworkOptions&) {
       return nn::afno(scope, "afno", x, {.patch = 4, .width = 256, .depth = 6, .blocks = 8, .out = 20});
     }},
    {"surrogate3d", false, false, false, 1,
     [](const NetworkOptions&, int64_t batch) {
       return Shape{batch, 1, 64, 64, 64};
     },
     [](nn::Scope& scope, Value x, const NetworkOptions&) { return nn::surrogate3d(scope, "surrogate3d", x, {}); }},
    {"mlp", false, true, false, 1024,
     [](const NetworkOptions& o, int64_t batch) {
       return Shape{batch, o.width.value_or(kWidth)};
     },
     [](nn::Scope& scope, Value x, const NetworkOptions& o) {
       const int64_t width = o.width.value_or(kWidth);
       return nn::mlp(scope, "mlp", x, {.width = width, .depth = o.depth.value_or(kDepth), .out = width});
     }}};

/// Everything that can be wrong, before any work.
const Network& check(const NetworkOptions& o) {
  std::string known;
  const Network* network = nullptr;
  for (const Network& n : kNetworks) {
    known += (known.empty() ? "" : ", ") + std::string(n.name);
    if (o.name == n.name) network = &n;
  }
  GREGALE_CHECK(network != nullptr, usage, "model '{}' is none of {}, and no .onnx file", o.name, known);
  GREGALE_CHECK(o.onnx.files.empty() && o.onnx.shapes.empty(), usage, "{}: {} draws its own input",
                o.onnx.files.empty() ? "--input-shape" : "--input", o.name);
  parse_precision(o.precision);
  parse_tune(o.tune);
  GREGALE_CHECK(o.mode == "infer" || o.mode == "train", usage, "--mode: expected infer or train, got '{}'", o.mode);
  const struct {
    const char* name;
    std::optional<int64_t> value;
    bool taken;
    int64_t largest = 1 << 20;  // products of two do not overflow
  } extents[] = {{"--batch", o.batch, true},
                 {"--length", o.length, network->length},
                 {"--width", o.width, network->width_and_depth},
                 {"--depth", o.depth, network->width_and_depth, 4096}};
  for (const auto& e : extents) {
    GREGALE_CHECK(e.taken || !e.value, usage, "{}: {} has none", e.name, o.name);
    GREGALE_CHECK(!e.value || (*e.value >= 1 && *e.value <= e.largest), usage,
                  "{}: expected an integer in [1, {}], got {}", e.name, e.largest, *e.value);
  }
  GREGALE_CHECK(!o.memory || train::parse_size(*o.memory), usage, "--memory: expected a size such as 1.5GB, got '{}'",
                o.memory.value_or(""));
  keep_of(o);
  GREGALE_CHECK(o.mode == "train" || (!o.activations && !o.activation_bits), usage,
                "--activations: --mode {} keeps none", o.mode);
  GREGALE_CHECK(!o.activation_bits || keep_of(o) == Keep::compressed, usage,
                "--activation-bits: only --activations compress has them");
  GREGALE_CHECK(!o.activation_bits || (*o.activation_bits >= 1 && *o.activation_bits <= 8), usage,
                "--activation-bits: expected 1 to 8, got {}", *o.activation_bits);
  GREGALE_CHECK(o.mode == "train" || !o.optimizer, usage, "--optimizer: --mode {} has none", o.mode);
  const std::string optimizer = o.optimizer.value_or(kAdamW);
  GREGALE_CHECK(optimizer == kAdamW || optimizer == kSgd || optimizer == kNone, usage,
                "--optimizer: expected {}, {} or {}, got '{}'", kAdamW, kSgd, kNone, optimizer);
  return *network;
}

/// Standard normal numbers; the parameters' streams come from their names.
Tensor draw(ThreadTeam& team, const Type& type, uint64_t seed, uint32_t stream) {
  constexpr int64_t kGrain = 65536;
  Tensor x(type.dtype, type.shape.extents());
  parallel_for(team, x.size(), kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      x.as<float>()[static_cast<size_t>(i)] = random_normal({seed, 0, stream}, static_cast<uint64_t>(i));
  });
  return x;
}

}  // namespace

bool is_onnx_file(const std::string& name) { return name.ends_with(".onnx"); }

void check_network(const NetworkOptions& o) {
  if (is_onnx_file(o.name)) return check_onnx_options(o);
  check(o);
}

Workload make_workload(const NetworkOptions& o, ThreadTeam& team, uint64_t seed) {
  if (is_onnx_file(o.name)) return make_onnx_workload(o, team, seed);
  const Network& network = check(o);
  const bool trains = o.mode == "train";
  Graph graph(o.name);
  const Value x = graph.add_input("x", Type(DType::f32, network.input(o, o.batch.value_or(network.batch))));
  nn::Scope scope(graph);
  const Value y = network.build(scope, x, o);
  const Type result = graph.type(y);
  // Beside input and result: the weights, and for each of them a gradient or two moments.
  double bytes = static_cast<double>(graph.type(x).bytes() + result.bytes());
  bytes += (trains ? 3 : 1) * static_cast<double>(scope.parameter_count() * size_of(DType::f32));
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  GREGALE_CHECK(bytes <= 0.9 * memory, usage, "too large: input, output and weights take {}, this machine has {}",
                format_bytes(bytes), format_bytes(memory));

  Workload w;
  w.inputs.push_back(draw(team, graph.type(x), seed, 0));
  if (!trains) {
    graph.set_outputs({y}, {"y"});
    w.graph = freeze(graph, scope.initial_values(seed));
    return w;
  }
  const Value truth = graph.add_input("truth", result);
  w.inputs.push_back(draw(team, result, seed, 1));
  const Value loss = nn::mse_loss(graph, y, truth);
  const std::string optimizer = o.optimizer.value_or(kAdamW);
  if (optimizer == kNone) {
    std::vector<Value> wanted = scope.values();
    if (network.layer) wanted.push_back(x);
    std::vector<Value> outputs = gradients(graph, loss, wanted);
    outputs.insert(outputs.begin(), loss);
    graph.set_outputs(outputs);
    w.graph = std::move(graph);
  } else {
    StepOptions step;
    if (optimizer == kSgd) step.optimizer.kind = Optimizer::Kind::sgd;
    step.optimizer.learning_rate = 1e-4;
    w.graph = training_graph(std::move(graph), scope, loss, step);
    w.inputs.push_back(Tensor::scalar(static_cast<float>(step.optimizer.learning_rate)));
  }
  w.state = initial_state(w.graph, scope.parameters(), seed);
  return w;
}

Executable compile_workload(const NetworkOptions& o, const Workload& work, CompileOptions options) {
  if (!o.memory) return compile(work.graph, options);
  int64_t used = train::resident_bytes() + train::kRuntimeBytes;
  for (const Value v : work.graph.outputs()) used += work.graph.type(v).bytes();
  options.target.memory_budget = std::max<int64_t>(1, train::parse_size(*o.memory).value() - used);
  try {
    return compile(work.graph, options);
  } catch (const BudgetError& e) {
    throw_error(ErrorCode::out_of_memory, fmt::format("--memory: {} are allowed, the run needs {}", *o.memory,
                                                      format_bytes(static_cast<double>(used + e.least()))));
  }
}

CompileOptions compile_options(const NetworkOptions& o, int threads) {
  CompileOptions options;
  options.precision = parse_precision(o.precision);
  options.target.cores = threads;
  options.fuse = !o.no_fusion;
  options.tune = parse_tune(o.tune);
  if (o.mode == "train") options.loss = 0;
  options.keep = keep_of(o);
  options.keep_bits = static_cast<int>(o.activation_bits.value_or(options.keep_bits));
  return options;
}

void add_network_options(Command& command, NetworkOptions& o) {
  command.option("--precision", o.precision, "P",
                 "fp32, bf16, or fp32x3: fp32 accuracy on tile units, for many rows (default: fp32)");
  command.option("--mode", o.mode, "M", "infer or train (default: infer)");
  command.option("--optimizer", o.optimizer, "NAME",
                 "Of --mode train: adamw, sgd or none, which gives gradients (default: adamw)");
  command.option(
      "--activations", o.activations, "HOW",
      "Of --mode train, what the backward pass reads: recompute (what is cheaper to), keep, bf16 or compress "
      "(default: recompute)");
  command.option("--activation-bits", o.activation_bits, "N", "Of --activations compress: 1 to 8 (default: 3)");
  command.option("--memory", o.memory, "SIZE", "Cap on the memory of the whole process, such as 1.5GB");
  command.flag("--no-fusion", o.no_fusion, "Run operator by operator, to compare");
  add_tune_option(command, o.tune);
  command.option("--batch", o.batch, "N", "Samples a run (default: 1; bert-base-layer 8, mlp 1024)");
  command.option("--length", o.length, "N", "bert-base-layer: positions of a sequence (default: 128)");
  command.option("--width", o.width, "N", "mlp: of input, hidden layers and output (default: 64)");
  command.option("--depth", o.depth, "N", "mlp: hidden layers (default: 4)");
  add_onnx_input_options(command, o.onnx);
}

void add_onnx_input_options(Command& command, OnnxInputOptions& o) {
  command.option("--input", o.files, "NAME=F.npy", "Of an ONNX model: an input's values; once for each input")
      .repeated();
  command
      .option("--input-shape", o.shapes, "NAME=1x3x224x224",
              "Of an ONNX model: an input of random values with these extents; nothing after the = for a scalar")
      .repeated();
}

}  // namespace gregale::tools
