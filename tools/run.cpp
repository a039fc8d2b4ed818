// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>

#include "data/npy.hpp"
#include "tools/onnx_inputs.hpp"

namespace gregale::tools {
namespace {

struct RunOptions {
  Common common;
  std::string model, folder, tune = "off";
  OnnxInputOptions inputs;
};

std::string file_of(std::string name) {
  for (char& c : name)
    if (c == '/' || c == ':' || c == '\0') c = '_';
  return name + ".npy";
}

/// Everything about the folder that can be wrong, before the model runs.
void check_folder(const RunOptions& o, const onnx::Model& model) {
  if (o.folder.empty()) return;
  namespace fs = std::filesystem;
  std::error_code error;
  GREGALE_CHECK(!fs::exists(o.folder, error) || fs::is_directory(o.folder, error), io, "-o: is no folder: {}",
                o.folder);
  // A folder is made where there is none.
  check_writable_file("-o", fs::exists(o.folder, error) ? o.folder + "/x.npy" : fs::absolute(o.folder).string());
  std::set<std::string> names;
  for (const onnx::Port& p : model.outputs())
    GREGALE_CHECK(names.insert(file_of(p.name)).second, unsupported, "-o: two outputs would be the file {}",
                  file_of(p.name));
}

std::string statistics(const Tensor& t) {
  if (t.size() == 0) return "";
  if (is_complex(t.dtype())) return "";
  const Tensor wide = t.cast(DType::f64);
  double low = INFINITY, high = -INFINITY, sum = 0;
  int64_t finite = 0;
  for (double v : wide.as<double>()) {
    if (!std::isfinite(v)) continue;
    low = std::min(low, v);
    high = std::max(high, v);
    sum += v;
    ++finite;
  }
  std::string text;
  if (t.size() == 1)
    text = fmt::format("{:.6g}", wide.as<double>()[0]);
  else if (finite > 0)
    text = fmt::format("from {:.4g} to {:.4g}, mean {:.4g}", low, high, sum / static_cast<double>(finite));
  if (finite < t.size() && t.size() > 1)
    text += fmt::format("{}{} not finite", text.empty() ? "" : ", ", t.size() - finite);
  return text;
}

int run_network(const RunOptions& o) {
  CompileOptions options;
  options.tune = parse_tune(o.tune);
  auto context = o.common.make_context();
  options.target.cores = context->team().size();
  const onnx::Model model = load_onnx(o.model, options);
  check_folder(o, model);
  const auto seed = static_cast<uint64_t>(o.common.seed.value_or(0));
  const OnnxInputs inputs = make_onnx_inputs(model, o.inputs, true, context->team(), seed);

  const double begin = seconds_now();
  const std::vector<onnx::Datum> results = model.run(*context, inputs.values);
  const double seconds = seconds_now() - begin;
  o.common.finish(*context);

  if (!o.folder.empty()) {
    std::error_code error;
    std::filesystem::create_directory(o.folder, error);
    GREGALE_CHECK(!error, io, "-o: {} cannot be made: {}", o.folder, error.message());
  }
  nlohmann::json outputs = nlohmann::json::array();
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string& name = model.outputs()[i].name;
    const Tensor* t = results[i].tensor();
    nlohmann::json output = {{"name", name}};
    std::string file;
    if (t != nullptr) {
      output["dtype"] = name_of(t->dtype());
      output["shape"] = t->extents();
      if (!o.folder.empty()) {
        file = (std::filesystem::path(o.folder) / file_of(name)).string();
        data::write_npy(file, *t);
      }
    } else {
      output["kind"] = to_string(results[i]);
    }
    if (!file.empty()) output["file"] = file;
    if (!o.common.json) {
      const std::string about = t != nullptr ? statistics(*t) : o.folder.empty() ? "" : "no .npy file can hold it";
      fmt::print("{} {}{}{}\n", name, to_string(results[i]), about.empty() ? "" : ": ", about);
    }
    outputs.push_back(std::move(output));
  }
  if (o.common.json)
    fmt::print("{}\n", nlohmann::json({{"outputs", outputs}, {"seconds", seconds}})
                           .dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  else
    fmt::print("{:.3g} s, compilation included{}\n", seconds,
               o.folder.empty() ? "" : fmt::format("; outputs are in {}", o.folder));
  return 0;
}

}  // namespace

Runner add_run(Command& program) {
  auto o = std::make_shared<RunOptions>();
  Command c = add_command(program, "run", "Run an ONNX model once",
                          "gregale run resnet50.onnx --input x=image.npy -o out\n"
                          "  gregale run resnet50.onnx --input-shape x=1x3x224x224",
                          o->common);
  c.option("model", o->model, "FILE.onnx", "The model").required();
  add_onnx_input_options(c, o->inputs);
  c.option("-o,--out", o->folder, "DIR", "Write each output into this folder, as NAME.npy");
  add_tune_option(c, o->tune);
  return [o] { return run_network(*o); };
}

}  // namespace gregale::tools
