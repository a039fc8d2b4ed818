// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <exception>
#include <map>
#include <new>
#include <string>

#include "tools/command.hpp"

namespace {

/// Exit status of CLI.md: 0 success, 2 usage, 130 interrupted after saving, 1 anything else.
int status_of(gregale::ErrorCode code) {
  if (code == gregale::ErrorCode::usage) return 2;
  return code == gregale::ErrorCode::interrupted ? 130 : 1;
}

int fail(const std::string& command, const std::string& what, int status) {
  std::string line = what;  // one line, whatever libraries say
  for (char& c : line)
    if (c == '\n' || c == '\r') c = ' ';
  std::fprintf(stderr, "gregale: %s%s\n", command.empty() ? "" : (command + ": ").c_str(), line.c_str());
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace gregale;
  tools::Command program(
      "Trains, scores and serves emulators of physical fields on the processors people already have.",
      "First steps:\n"
      "  gregale init fields.nc -o run.yaml     look at the data, propose a configuration\n"
      "  gregale train run.yaml                 train; watch run-out/report.html\n"
      "  gregale forecast run-out --init fields.nc --time 1990-12 --steps 6 -o forecast.nc\n"
      "  gregale score run-out --truth fields.nc --report score.html\n"
      "Fields in less room, within a bound that every value keeps:\n"
      "  gregale compress fields.nc small.nc --rel 1e-3\n"
      "A network of an ONNX file:\n"
      "  gregale info resnet50.onnx             its inputs and operators\n"
      "  gregale run resnet50.onnx --input x=image.npy -o out\n"
      "  gregale bench model resnet50.onnx --input-shape x=1x3x224x224");
  const std::map<std::string, tools::Runner> commands = {
      {"init", tools::add_init(program)},
      {"train", tools::add_train(program)},
      {"forecast", tools::add_forecast(program)},
      {"score", tools::add_score(program)},
      {"info", tools::add_info(program)},
      {"machine", tools::add_machine(program)},
      {"bench", tools::add_bench(program)},
      {"inspect", tools::add_inspect(program)},
      {"run", tools::add_run(program)},
      {"compress", tools::add_compress(program)},
      {"decompress", tools::add_decompress(program)},
#ifdef GREGALE_HAS_ONNX
      {"conformance", tools::add_conformance(program)},
      {"export", tools::add_export(program)},
#endif
  };
  try {
    return program.parse(argc, argv) ? commands.at(program.chosen())() : 0;
  } catch (const Error& e) {
    return fail(program.chosen(), e.what(), status_of(e.code()));
  } catch (const std::bad_alloc&) {
    return fail(program.chosen(), "out of memory", 1);
  } catch (const std::exception& e) {
    return fail(program.chosen(), std::string("internal error, please report it: ") + e.what(), 1);
  }
}
