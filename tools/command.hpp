// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "gregale/context.hpp"
#include "gregale/error.hpp"
#include "gregale/exec.hpp"

/// What the subcommands of `gregale` share. Each is one file with one function that declares its options and returns
/// what runs it; main.cpp lists them. Failures are Errors: main prints the one line and picks the exit status.
namespace gregale::tools {

/// Options every subcommand takes.
struct Common {
  bool json = false;   ///< exactly one JSON document on standard output
  bool quiet = false;  ///< no progress
  int threads = 0;
  std::optional<int64_t> seed;
  std::string trace;

  /// A context with these threads and this seed; the trace is written by finish().
  std::unique_ptr<ExecutionContext> make_context() const;
  void finish(ExecutionContext& context) const;
};

/// A subcommand runs and returns the exit status.
using Runner = std::function<int()>;

/// Adds a subcommand with the common options and an example below its help.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& example, Common& common);

Runner add_init(CLI::App& app);
Runner add_train(CLI::App& app);
Runner add_forecast(CLI::App& app);
Runner add_score(CLI::App& app);
Runner add_info(CLI::App& app);
Runner add_machine(CLI::App& app);
Runner add_bench(CLI::App& app);
Runner add_inspect(CLI::App& app);
Runner add_run(CLI::App& app);
Runner add_compress(CLI::App& app);
Runner add_decompress(CLI::App& app);
#ifdef GREGALE_HAS_ONNX
Runner add_conformance(CLI::App& app);
Runner add_export(CLI::App& app);
#endif

/// Progress on standard error: a bar with rate and time left on a terminal, a line every few seconds otherwise.
class Progress {
 public:
  Progress(std::string what, int64_t total, bool quiet);
  ~Progress();
  /// `note` follows the bar, e.g. "loss 0.123". Steps done before this process began do not count for the rate.
  void update(int64_t done, const std::string& note = "");
  /// A line of its own above the bar.
  void line(const std::string& text);
  void done();

 private:
  void draw(int64_t done, const std::string& note);
  std::string what_;
  int64_t total_, first_ = -1;
  bool quiet_, terminal_, drawn_ = false;
  double begin_ = 0, last_ = 0;
};

/// Set by Ctrl-C (the first one; a second ends the process at once).
std::atomic<bool>& interrupted();
void catch_interrupts();

/// Refuses an input file that is missing, a folder or not readable, naming the option.
void check_readable_file(const std::string& option, const std::string& path);
/// Refuses an output file that is a folder or in a folder that does not exist, before any work is done for it.
void check_writable_file(const std::string& option, const std::string& path);
/// Runs `body`; what it throws is preceded by the option it is about.
template <class Body>
auto for_option(const char* option, Body&& body) {
  try {
    return body();
  } catch (Error& e) {
    throw e.add_context(option);
  }
}
/// --tune off|quick, of commands that compile a model.
void add_tune_option(CLI::App& command, std::string& tune);
/// Throws ErrorCode::usage for another word.
Tune parse_tune(const std::string& tune);
/// "1.4 MB"
std::string format_bytes(double bytes);
/// The model file that stands for a path: a training folder's model.safetensors, or the file itself.
std::string model_path(const std::string& path);

}  // namespace gregale::tools
