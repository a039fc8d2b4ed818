// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <new>

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
  CLI::App app{"Trains, scores and serves emulators of physical fields on the processors people already have.",
               "gregale"};
  app.set_version_flag("--version", "gregale " GREGALE_VERSION);
  app.require_subcommand(1);
  app.footer(
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
  const std::pair<const char*, tools::Runner> commands[] = {
      {"init", tools::add_init(app)},
      {"train", tools::add_train(app)},
      {"forecast", tools::add_forecast(app)},
      {"score", tools::add_score(app)},
      {"info", tools::add_info(app)},
      {"machine", tools::add_machine(app)},
      {"bench", tools::add_bench(app)},
      {"inspect", tools::add_inspect(app)},
      {"run", tools::add_run(app)},
      {"compress", tools::add_compress(app)},
      {"decompress", tools::add_decompress(app)},
#ifdef GREGALE_HAS_ONNX
      {"conformance", tools::add_conformance(app)},
      {"export", tools::add_export(app)},
#endif
  };
  std::string name;
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    for (const CLI::App* sub : app.get_subcommands()) name = sub->get_name();
    std::string what = e.what();
    if (name.empty() && argc > 1 && argv[1][0] != '-') {
      std::string known;
      for (const auto& [command, run] : commands) known += (known.empty() ? "" : ", ") + std::string(command);
      what = fmt::format("unknown subcommand '{}'; there are {}", argv[1], known);
    }
    return fail(name, what + " (see gregale " + (name.empty() ? "" : name + " ") + "--help)", 2);
  }
  try {
    for (const auto& [command, run] : commands) {
      if (!app.got_subcommand(command)) continue;
      name = command;
      return run();
    }
  } catch (const Error& e) {
    return fail(name, e.what(), status_of(e.code()));
  } catch (const std::bad_alloc&) {
    return fail(name, "out of memory", 1);
  } catch (const std::exception& e) {
    return fail(name, std::string("internal error, please report it: ") + e.what(), 1);
  }
  return 1;
}
