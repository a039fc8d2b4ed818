// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/suite.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "gregale/error.hpp"
#include "onnx/tensor_data.hpp"

namespace gregale::onnx {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  GREGALE_CHECK(file.good(), io, "no such file: {}", path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The values of input_0.pb, input_1.pb, ... in a data set.
std::vector<Datum> read_values(const fs::path& folder, const std::string& kind, const std::vector<Port>& ports) {
  std::vector<Datum> values;
  for (size_t i = 0; i < ports.size(); ++i) {
    const fs::path path = folder / fmt::format("{}_{}.pb", kind, i);
    if (!fs::exists(path)) break;
    values.push_back(read_datum(read_file(path), ports[i]));
    // The suite of 1.12 keeps bf16 as the bits of u16, its NumPy having no such type.
    if (const Tensor* t = values.back().tensor(); t != nullptr && ports[i].kind == Port::Kind::tensor &&
                                                  ports[i].dtype == DType::bf16 && t->dtype() == DType::u16) {
      Tensor bits(DType::bf16, t->extents());
      std::memcpy(bits.data(), t->data(), static_cast<size_t>(t->bytes()));
      values.back() = bits;
    }
  }
  return values;
}

/// What is different, or nothing.
std::string compare_tensors(const Tensor& got, const Tensor& expected, double atol, bool random) {
  constexpr double kRelative = 1e-3;
  if (got.type() != expected.type())
    return fmt::format("{} where {} is expected", to_string(Datum(got)), to_string(Datum(expected)));
  if (is_complex(got.dtype())) {
    const Tensor g = got.cast(DType::c128), e = expected.cast(DType::c128);
    for (int64_t i = 0; i < g.size(); ++i) {
      const auto a = g.as<std::complex<double>>()[static_cast<size_t>(i)],
                 b = e.as<std::complex<double>>()[static_cast<size_t>(i)];
      if (!(std::abs(a - b) <= atol + kRelative * std::abs(b))) return fmt::format("element {} differs", i);
    }
    return "";
  }
  if (is_integer(got.dtype()) && !random) {
    const Tensor g = got.cast(DType::i64), e = expected.cast(DType::i64);
    for (int64_t i = 0; i < g.size(); ++i) {
      const int64_t a = g.as<int64_t>()[static_cast<size_t>(i)], b = e.as<int64_t>()[static_cast<size_t>(i)];
      if (a != b && !(std::abs(static_cast<double>(a) - static_cast<double>(b)) <=
                      atol + kRelative * std::abs(static_cast<double>(b))))
        return fmt::format("element {} is {}, not {}", i, a, b);
    }
    return "";
  }
  const Tensor g = got.cast(DType::f64), e = expected.cast(DType::f64);
  const auto a = g.as<double>(), b = e.as<double>();
  if (random) {  // of the same distribution: means within five standard errors of what was drawn elsewhere
    double mean_a = 0, mean_b = 0, square = 0;
    const auto n = static_cast<double>(std::max<size_t>(a.size(), 1));
    for (size_t i = 0; i < a.size(); ++i) {
      mean_a += a[i] / n;
      mean_b += b[i] / n;
    }
    for (double v : b) square += (v - mean_b) * (v - mean_b) / n;
    if (!(std::abs(mean_a - mean_b) <= 5 * std::sqrt(2 * square / n) + atol))
      return fmt::format("the mean of random numbers is {:.4g}, not near {:.4g}", mean_a, mean_b);
    return "";
  }
  for (size_t i = 0; i < a.size(); ++i) {
    const bool same =
        a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])) ||
        (std::isfinite(a[i]) && std::isfinite(b[i]) && std::abs(a[i] - b[i]) <= atol + kRelative * std::abs(b[i]));
    if (!same) return fmt::format("element {} is {:.9g}, not {:.9g}", i, a[i], b[i]);
  }
  return "";
}

std::string compare(const Datum& got, const Datum& expected, double atol, bool random) {
  if (got.value.index() != expected.value.index())
    return fmt::format("{} where {} is expected", to_string(got), to_string(expected));
  if (got.tensor() != nullptr) return compare_tensors(*got.tensor(), *expected.tensor(), atol, random);
  if (got.strings() != nullptr) return *got.strings() == *expected.strings() ? "" : "strings differ";
  if (const Sequence* s = got.sequence()) {
    if (s->items.size() != expected.sequence()->items.size())
      return fmt::format("{} where {} is expected", to_string(got), to_string(expected));
    for (size_t i = 0; i < s->items.size(); ++i)
      if (std::string why = compare(s->items[i], expected.sequence()->items[i], atol, random); !why.empty())
        return fmt::format("item {}: {}", i, why);
  }
  return "";
}

bool draws_random_numbers(const Model& model, const std::string& name) {
  static const std::set<std::string> operators = {"Bernoulli",     "RandomNormal",      "RandomNormalLike",
                                                  "RandomUniform", "RandomUniformLike", "Multinomial"};
  for (const auto& [op, count] : model.operators())
    if (operators.count(op) > 0 || (op == "Dropout" && name.find("training_dropout") != std::string::npos)) return true;
  return false;
}

}  // namespace

std::vector<SuiteTest> find_suite_tests(const std::string& folder) {
  std::error_code error;
  GREGALE_CHECK(fs::is_directory(folder, error), io, "no such folder: {}", folder);
  std::vector<SuiteTest> tests;
  if (fs::exists(fs::path(folder) / "model.onnx")) return {{fs::path(folder).filename().string(), folder}};
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    if (entry.path().filename() != "model.onnx") continue;
    const fs::path home = entry.path().parent_path();
    tests.push_back({fs::relative(home, folder).string(), home.string()});
  }
  GREGALE_CHECK(!error, io, "{}: {}", folder, error.message());
  std::sort(tests.begin(), tests.end(), [](const SuiteTest& a, const SuiteTest& b) { return a.name < b.name; });
  return tests;
}

namespace {

/// Values of inputs that the graph's extents may depend on: of integers, booleans and what is no tensor; with `scales`
/// of short lists of floats, too.
std::map<std::string, Datum> shaping_values(const Model& model, const std::vector<Datum>& inputs, bool scales) {
  std::map<std::string, Datum> values;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* t = inputs[i].tensor();
    if (t == nullptr || (!is_real_float(t->dtype()) && t->size() <= 64) || (scales && t->rank() <= 1 && t->size() <= 8))
      values[model.inputs()[i].name] = inputs[i];
  }
  return values;
}

struct OneGraph {
  Graph graph;
  std::vector<Tensor> inputs;
};

/// The model as one graph for these inputs, values of some of them in it; ErrorCode::unsupported where there is none.
OneGraph one_graph(const Model& model, const std::vector<Datum>& inputs) {
  std::vector<Type> types;
  for (const Datum& d : inputs) types.push_back(d.tensor() != nullptr ? d.tensor()->type() : Type());
  const auto attempt = [&](const std::map<std::string, Datum>& values) {
    OneGraph one{model.graph(types, values), {}};
    for (size_t i = 0; i < inputs.size(); ++i)
      if (values.count(model.inputs()[i].name) == 0) one.inputs.push_back(*inputs[i].tensor());
    return one;
  };
  std::map<std::string, Datum> values;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].tensor() == nullptr) values[model.inputs()[i].name] = inputs[i];
  try {
    return attempt(values);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::unsupported) throw;
  }
  try {
    return attempt(shaping_values(model, inputs, false));
  } catch (const Error& e) {
    if (e.code() != ErrorCode::unsupported) throw;
  }
  return attempt(shaping_values(model, inputs, true));
}

}  // namespace

SuiteResult run_suite_test(const SuiteTest& test, ExecutionContext& context, const SuiteOptions& options) {
  using Status = SuiteResult::Status;
  const double atol = test.folder.find("pytorch-converted") != std::string::npos ? 1e-5 : 1e-7;
  try {
    const Model model = Model::load(test.folder + "/model.onnx", {.compile = options.compile});
    const bool random = draws_random_numbers(model, test.name);
    int sets = 0;
    for (;; ++sets) {
      const fs::path data = fs::path(test.folder) / fmt::format("test_data_set_{}", sets);
      if (!fs::exists(data)) break;
      const std::vector<Datum> expected = read_values(data, "output", model.outputs());
      std::vector<Datum> inputs = read_values(data, "input", model.inputs());
      inputs.resize(model.inputs().size());
      const auto check = [&](const std::vector<Datum>& got) -> std::string {
        for (size_t i = 0; i < expected.size(); ++i)
          if (std::string why = compare(got.at(i), expected[i], atol, random); !why.empty())
            return fmt::format("set {}, output '{}': {}", sets, model.outputs()[i].name, why);
        return "";
      };
      if (!options.exported && !options.interpreted) {
        if (std::string why = check(model.run(context, inputs)); !why.empty()) return {Status::failed, why};
        continue;
      }
      std::optional<OneGraph> one;
      std::string file;
      try {
        one = one_graph(model, inputs);
        if (options.exported) file = export_model(one->graph);
      } catch (const Error& e) {
        if (e.code() == ErrorCode::unsupported) return {Status::skipped, e.what()};
        throw;
      }
      if (options.interpreted) {
        const std::vector<Tensor> got = interpret(one->graph, one->inputs);
        if (std::string why = check({got.begin(), got.end()}); !why.empty())
          return {Status::failed, "interpreted: " + why};
      }
      if (options.exported) {
        if (!options.keep.empty()) {
          std::string name = test.name;
          std::replace(name.begin(), name.end(), '/', '.');
          std::ofstream(fs::path(options.keep) / (name + ".onnx"), std::ios::binary) << file;
        }
        const Model again = Model::parse(file, {.compile = options.compile});
        const std::vector<Tensor> got = again.run(context, one->inputs);
        if (std::string why = check({got.begin(), got.end()}); !why.empty())
          return {Status::failed, "exported: " + why};
      }
    }
    if (sets == 0) return {Status::skipped, "no data set"};
    return {Status::passed, ""};
  } catch (const Error& e) {
    std::string line = e.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    return {Status::failed, line.substr(line.find(": node") == std::string::npos ? 0 : line.find(": node") + 2)};
  }
}

}  // namespace gregale::onnx
