// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "gregale/exec.hpp"
#include "gregale/nn.hpp"
#include "gregale/random.hpp"
#include "kernels/machine/machine.hpp"
#include "tools/bench.hpp"
#include "train/trainer.hpp"

namespace gregale::tools {
namespace {

struct ModelOptions {
  Common common;
  std::string name, precision = "fp32", mode = "infer";
  std::optional<int64_t> batch, length, width, depth;
};

/// A network of `bench model`: which options it takes, and how it is built from them.
struct Network {
  const char* name;
  bool length, width_and_depth;
  int64_t batch;  ///< where none is given
  Shape (*input)(const ModelOptions& o, int64_t batch);
  Value (*build)(nn::Scope& scope, Value x, const ModelOptions& o);
};

constexpr int64_t kLength = 128, kWidth = 64, kDepth = 4;

const Network kNetworks[] = {
    {"fourcastnet", false, false, 1,
     [](const ModelOptions&, int64_t batch) {
       return Shape{batch, 20, 720, 1440};
     },
     [](nn::Scope& scope, Value x, const ModelOptions&) {
       return nn::afno(scope, "fourcastnet", x, {.patch = 8, .width = 768, .depth = 12, .blocks = 8, .out = 20});
     }},
    {"bert-base-layer", true, false, 8,
     [](const ModelOptions& o, int64_t batch) {
       return Shape{batch, o.length.value_or(kLength), 768};
     },
     [](nn::Scope& scope, Value x, const ModelOptions&) { return nn::bert_layer(scope, "bert", x, {}); }},
    {"resnet50", false, false, 1,
     [](const ModelOptions&, int64_t batch) {
       return Shape{batch, 3, 224, 224};
     },
     [](nn::Scope& scope, Value x, const ModelOptions&) { return nn::resnet(scope, "resnet", x, {}); }},
    {"mlp", false, true, 1024,
     [](const ModelOptions& o, int64_t batch) {
       return Shape{batch, o.width.value_or(kWidth)};
     },
     [](nn::Scope& scope, Value x, const ModelOptions& o) {
       const int64_t width = o.width.value_or(kWidth);
       return nn::mlp(scope, "mlp", x, {.width = width, .depth = o.depth.value_or(kDepth), .out = width});
     }}};

/// Everything that can be wrong, before any work.
const Network& check(const ModelOptions& o) {
  std::string known;
  const Network* network = nullptr;
  for (const Network& n : kNetworks) {
    known += (known.empty() ? "" : ", ") + std::string(n.name);
    if (o.name == n.name) network = &n;
  }
  GREGALE_CHECK(network != nullptr, usage, "model '{}' is none of {}", o.name, known);
  GREGALE_CHECK(o.precision == "fp32" || o.precision == "bf16", usage, "--precision: expected fp32 or bf16, got '{}'",
                o.precision);
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
  GREGALE_CHECK(o.precision == "fp32", usage, "--precision: bf16 is not available yet");
  GREGALE_CHECK(o.mode == "infer", usage, "--mode: train is not available yet");
  return *network;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The peak, in Gflop/s, of the fp32 unit: what `gregale machine` measured, else measured now.
double peak_of(const Target& target, ThreadTeam& team) {
  const auto machine = kernels::load_machine(kernels::machine_cache_path(), target, team.size());
  if (machine) return machine->fp32.all_threads;
  return kernels::measure_compute_peak(target, team, kernels::ComputeUnit::fp32);
}

Graph build(const Network& network, const ModelOptions& o, uint64_t seed) {
  Graph graph(o.name);
  const Value x = graph.add_input("x", Type(DType::f32, network.input(o, o.batch.value_or(network.batch))));
  nn::Scope scope(graph);
  graph.set_outputs({network.build(scope, x, o)}, {"y"});
  double bytes = static_cast<double>(graph.type(x).bytes() + graph.type(graph.outputs()[0]).bytes());
  bytes += static_cast<double>(scope.parameter_count() * size_of(DType::f32));
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  GREGALE_CHECK(bytes <= 0.9 * memory, usage, "too large: input, output and weights take {}, this machine has {}",
                format_bytes(bytes), format_bytes(memory));
  return freeze(graph, scope.initial_values(seed));
}

Tensor draw_input(ThreadTeam& team, const Type& type, uint64_t seed) {
  constexpr uint32_t kStream = 0;  // the parameters' streams come from their names
  constexpr int64_t kGrain = 65536;
  Tensor x(type.dtype, type.shape.extents());
  parallel_for(team, x.size(), kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      x.as<float>()[static_cast<size_t>(i)] = random_normal({seed, 0, kStream}, static_cast<uint64_t>(i));
  });
  return x;
}

/// Runs until about three seconds are over, seven times at most and three at least. Short runs are so many that their
/// median means something.
std::vector<double> repeat(const ModelOptions& o, ExecutionContext& context, const Executable& program,
                           const std::vector<Tensor>& inputs) {
  constexpr double kTotal = 3, kWarm = 0.3;  // seconds
  constexpr int64_t kLeast = 3, kUsual = 7, kMost = 100000;
  std::vector<Tensor> outputs = program.make_outputs();
  const auto once = [&] {
    const double begin = now();
    program.run(context, inputs, outputs);
    return now() - begin;
  };
  double estimate = once();  // pages and threads are new
  for (double warm = estimate; warm < kWarm; warm += estimate) estimate = std::max(once(), 1e-7);
  // Runs much shorter than that share one second.
  const auto fitting = static_cast<int64_t>(kTotal / std::max(estimate, 1e-7));
  const int64_t runs = fitting <= kUsual ? std::max(kLeast, fitting) : std::clamp(fitting / 3, kUsual, kMost);
  std::vector<double> seconds;
  Progress progress("run", runs, o.common.quiet);
  const TraceSpan span(context.trace(), "bench", o.name);
  for (int64_t r = 1; r <= runs; ++r) {
    seconds.push_back(once());
    progress.update(r);
  }
  progress.done();
  return seconds;
}

int run_model(const ModelOptions& o) {
  const Network& network = check(o);
  auto context = o.common.make_context();
  const auto seed = static_cast<uint64_t>(o.common.seed.value_or(0));
  CompileOptions options;
  const Graph graph = build(network, o, seed);
  const Type input = graph.type(graph.inputs()[0]);
  const double begin = now();
  const Executable program = compile(graph, options);
  const double compile_seconds = now() - begin;
  const std::vector<double> seconds = repeat(o, *context, program, {draw_input(context->team(), input, seed)});
  const double median = median_of(seconds), fastest = *std::min_element(seconds.begin(), seconds.end());
  const int64_t peak_rss = train::peak_rss_bytes();  // before the peak is measured
  const double peak = peak_of(options.target, context->team());
  const double gflops = program.flops() * 1e-9 / median;
  o.common.finish(*context);
  if (o.common.json) {
    const nlohmann::json document = {{"model", o.name},
                                     {"precision", o.precision},
                                     {"mode", o.mode},
                                     {"input", input.shape.extents()},
                                     {"threads", context->team().size()},
                                     {"seed", seed},
                                     {"runs", seconds.size()},
                                     {"median_seconds", median},
                                     {"min_seconds", fastest},
                                     {"flops", program.flops()},
                                     {"gflops", gflops},
                                     {"peak_gflops", peak},
                                     {"fraction_of_peak", gflops / peak},
                                     {"compile_seconds", compile_seconds},
                                     {"arena_bytes", program.arena_bytes()},
                                     {"peak_rss_bytes", peak_rss}};
    std::printf("%s\n", document.dump(2).c_str());
    return 0;
  }
  fmt::print("{} {}, {}, input {}, {} thread{}\n", o.name, o.precision, o.mode, to_string(input),
             context->team().size(), context->team().size() == 1 ? "" : "s");
  fmt::print("  median    {:.4g} ms of {} runs, fastest {:.4g} ms\n", median * 1e3, seconds.size(), fastest * 1e3);
  fmt::print("  speed     {:.1f} Gflop/s, {:.1f} % of the measured peak, {:.1f}\n", gflops, 100 * gflops / peak, peak);
  fmt::print("  compiled  in {:.2f} s, {:.4g} Gflop a run\n", compile_seconds, program.flops() * 1e-9);
  fmt::print("  memory    {} for intermediate results, {} in all at most\n",
             format_bytes(static_cast<double>(program.arena_bytes())), format_bytes(static_cast<double>(peak_rss)));
  return 0;
}

}  // namespace

Runner add_bench_model(CLI::App& bench) {
  auto o = std::make_shared<ModelOptions>();
  CLI::App* model =
      add_command(bench, "model", "Time one model with random weights: the median of repeated runs after a warm-up",
                  "gregale bench model bert-base-layer --batch 8 --length 128", o->common);
  model->add_option("name", o->name, "fourcastnet, bert-base-layer, resnet50 or mlp")->required()->type_name("NAME");
  model->add_option("--precision", o->precision, "fp32 or bf16 (default: fp32)")->type_name("P");
  model->add_option("--mode", o->mode, "infer or train (default: infer)")->type_name("M");
  model->add_option("--batch", o->batch, "Samples a run (default: 1; bert-base-layer 8, mlp 1024)")->type_name("N");
  model->add_option("--length", o->length, "bert-base-layer: positions of a sequence (default: 128)")->type_name("N");
  model->add_option("--width", o->width, "mlp: of input, hidden layers and output (default: 64)")->type_name("N");
  model->add_option("--depth", o->depth, "mlp: hidden layers (default: 4)")->type_name("N");
  return [o] { return run_model(*o); };
}

}  // namespace gregale::tools
