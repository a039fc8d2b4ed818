// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "gregale/error.hpp"
#include "kernels/kernel_cache.hpp"
#include "onnx/stages.hpp"

namespace gregale::onnx {

Block::Block() : stages(std::make_shared<StageTree>()) {}

std::string to_string(const Datum& datum) {
  if (const Tensor* t = datum.tensor()) return gregale::to_string(t->type());
  if (const Strings* s = datum.strings()) return "string" + gregale::to_string(s->extents);
  if (const Sequence* s = datum.sequence()) return fmt::format("a sequence of {}", s->items.size());
  return "nothing";
}

std::string to_string(const Port& port) {
  if (port.kind == Port::Kind::sequence) return "sequence";
  if (port.kind == Port::Kind::optional) return "optional";
  const std::string element(port.kind == Port::Kind::strings ? "string" : name_of(port.dtype));
  return element + (port.has_shape ? gregale::to_string(port.shape) : "[...]");
}

struct Model::State {
  ReadModel model;
  CompileOptions options;
};

namespace {

void count_operators(const Block& block, std::map<std::string, int64_t>& counts) {
  for (const BlockNode& node : block.nodes) {
    if (node.function != nullptr) {  // the file says what it stands for
      count_operators(*node.function, counts);
      continue;
    }
    ++counts[node.domain.empty() ? node.op_type : node.domain + "." + node.op_type];
    for (const auto& [name, body] : node.bodies) count_operators(*body, counts);
  }
}

}  // namespace

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::parse(std::string_view bytes, LoadOptions options) {
  auto state = std::make_unique<State>();
  state->model = read_model(bytes, options.folder);
  state->options = std::move(options.compile);
  if (state->options.target.kernels == nullptr)  // programs of one model share their kernels
    state->options.target.kernels = std::make_shared<kernels::KernelCache>(state->options.target);
  return Model(std::move(state));
}

Model Model::load(const std::string& path, LoadOptions options) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  GREGALE_CHECK(file.good(), io, "no such file: {}", path);
  std::string bytes(static_cast<size_t>(file.tellg()), '\0');
  file.seekg(0);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  GREGALE_CHECK(file.good(), io, "{} cannot be read", path);
  if (options.folder.empty()) options.folder = std::filesystem::absolute(path).parent_path().string();
  try {
    return parse(bytes, std::move(options));
  } catch (Error& e) {
    throw e.add_context(path);
  }
}

const std::vector<Port>& Model::inputs() const { return state_->model.block->input_ports; }
const std::vector<Port>& Model::outputs() const { return state_->model.block->output_ports; }
const std::map<std::string, std::string>& Model::metadata() const { return state_->model.metadata; }
int64_t Model::opset() const { return state_->model.opset; }
int64_t Model::parameters() const { return state_->model.parameters; }

std::vector<std::pair<std::string, int64_t>> Model::operators() const {
  std::map<std::string, int64_t> counts;
  count_operators(*state_->model.block, counts);
  return {counts.begin(), counts.end()};
}

namespace {

/// Inputs against what the file declares: kind, dtype, rank and constant extents.
void check_inputs(const Block& block, const std::vector<Datum>& inputs) {
  GREGALE_CHECK(inputs.size() == block.inputs.size(), invalid_argument, "[onnx] '{}' takes {} inputs, got {}",
                block.name, block.inputs.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Port& port = block.input_ports[i];
    if (port.kind == Port::Kind::optional) continue;
    bool fits = inputs[i].has_value();
    if (port.kind == Port::Kind::sequence) fits = inputs[i].sequence() != nullptr;
    if (port.kind == Port::Kind::strings) fits = inputs[i].strings() != nullptr;
    if (port.kind == Port::Kind::tensor) {
      const Tensor* t = inputs[i].tensor();
      fits = t != nullptr && t->dtype() == port.dtype;
      if (fits && port.has_shape) {
        fits = t->rank() == port.shape.rank();
        for (int64_t a = 0; fits && a < t->rank(); ++a)
          fits = !port.shape[a].is_constant() || port.shape[a].value() == t->extent(a);
      }
    }
    GREGALE_CHECK(fits, shape, "[onnx] input '{}' is {}, got {}", port.name, to_string(port), to_string(inputs[i]));
  }
}

/// Tensors in it, those of sequences included.
void each_tensor(Datum& datum, const std::function<void(Tensor&)>& visit) {
  if (auto* t = std::get_if<Tensor>(&datum.value)) visit(*t);
  if (auto* s = std::get_if<Sequence>(&datum.value))
    for (Datum& item : s->items) each_tensor(item, visit);
}

}  // namespace

std::vector<Datum> Model::run(ExecutionContext& context, const std::vector<Datum>& inputs) const {
  const Block& block = *state_->model.block;
  check_inputs(block, inputs);
  RunContext run{context, state_->options};
  std::vector<Datum> results = run_block(block, run, inputs, {});
  // Results are the caller's: what is an operand, a weight or another result as it came is copied.
  for (Datum d : inputs) each_tensor(d, [&](Tensor& t) { run.kept.insert(t.data()); });
  for (Datum& d : results)
    each_tensor(d, [&](Tensor& t) {
      if (!run.kept.insert(t.data()).second) t = t.clone();
    });
  return results;
}

std::vector<Tensor> Model::run(ExecutionContext& context, const std::vector<Tensor>& inputs) const {
  std::vector<Tensor> results;
  for (Datum& d : run(context, std::vector<Datum>(inputs.begin(), inputs.end()))) {
    GREGALE_CHECK(d.tensor() != nullptr, unsupported, "[onnx] result '{}' is {}, not a tensor",
                  outputs()[results.size()].name, to_string(d));
    results.push_back(std::move(*std::get_if<Tensor>(&d.value)));
  }
  return results;
}

Graph Model::graph(const std::vector<Type>& inputs, const std::map<std::string, Datum>& values) const {
  const Block& block = *state_->model.block;
  GREGALE_CHECK(inputs.size() == block.inputs.size(), invalid_argument, "[onnx] '{}' takes {} inputs, got {} types",
                block.name, block.inputs.size(), inputs.size());
  std::vector<Datum> stored(static_cast<size_t>(block.slots()));
  std::vector<int> read;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const int slot = block.inputs[i];
    if (const auto at = values.find(block.input_ports[i].name); at != values.end()) {
      stored[static_cast<size_t>(slot)] = at->second;
      read.push_back(slot);
    } else {  // only the type is looked at: no memory is touched
      static char nothing;
      stored[static_cast<size_t>(slot)] = Tensor::borrow(&nothing, inputs[i].dtype, inputs[i].shape.extents());
    }
  }
  return trace_whole(block, stored, read);
}

std::vector<std::shared_ptr<const Executable>> Model::programs(ExecutionContext& context,
                                                               const std::vector<Datum>& inputs) const {
  const Block& block = *state_->model.block;
  check_inputs(block, inputs);
  std::vector<std::shared_ptr<const Executable>> programs;
  RunContext run{context, state_->options, &programs};
  run_block(block, run, inputs, {});
  return programs;
}

}  // namespace gregale::onnx
