// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/error.hpp"
#include "gregale/exec.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

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

/// An option of a command, or an argument told by its position.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option required();                  ///< it must be given
  Option range(int least, int most);  ///< of a number, or of each number of a list
  Option separated();                 ///< a list with commas between its values
  Option repeated();                  ///< a list whose values are each preceded by the name
  Option shown();                     ///< help shows the value it has without being given

 private:
  CLI::Option* option_;
};

/// The program or a subcommand; copies are the same command. CLI11, which parses the options, is slow to compile: only
/// command.cpp includes it.
class Command {
 public:
  template <class... T>
  using ReferenceToOneOf = std::variant<std::reference_wrapper<T>...>;
  /// Where an option's value goes; it must live until parse().
  using Value = ReferenceToOneOf<int, int64_t, double, std::string, std::optional<int64_t>, std::optional<std::string>,
                                 std::vector<int64_t>, std::vector<std::string>>;

  /// The program, with a text below its help.
  Command(const std::string& description, const std::string& footer);
  /// Adds a subcommand, one of which must be given, with an example below its help.
  Command subcommand(const std::string& name, const std::string& description, const std::string& example);
  /// "!--no-x" clears the value.
  void flag(const std::string& name, bool& value, const std::string& help);
  /// A name without dashes is told by its position. `type` is what help calls the value.
  Option option(const std::string& name, Value value, const std::string& type, const std::string& help);
  /// Arguments that nothing takes are no error.
  void allow_extras();

  /// Of the program. False where help or the version was asked for, and printed: nothing is left to do. Throws
  /// ErrorCode::usage.
  bool parse(int argc, char** argv);
  /// The name of the subcommand that was given, also after parse() threw; empty: none.
  std::string chosen() const;

 private:
  explicit Command(std::shared_ptr<CLI::App> app) : app_(std::move(app)) {}
  std::shared_ptr<CLI::App> app_;
};

/// Adds a subcommand with the common options.
Command add_command(Command& program, const std::string& name, const std::string& description,
                    const std::string& example, Common& common);

Runner add_init(Command& program);
Runner add_train(Command& program);
Runner add_forecast(Command& program);
Runner add_score(Command& program);
Runner add_info(Command& program);
Runner add_machine(Command& program);
Runner add_bench(Command& program);
Runner add_inspect(Command& program);
Runner add_run(Command& program);
Runner add_compress(Command& program);
Runner add_decompress(Command& program);
#ifdef GREGALE_HAS_ONNX
Runner add_conformance(Command& program);
Runner add_export(Command& program);
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
void add_tune_option(Command& command, std::string& tune);
/// Throws ErrorCode::usage for another word.
Tune parse_tune(const std::string& tune);
/// fp32, bf16 or fp32x3; the same.
Precision parse_precision(const std::string& precision);
/// Of a clock that never goes back.
double seconds_now();
/// "1.4 MB"
std::string format_bytes(double bytes);
/// The model file that stands for a path: a training folder's model.safetensors, or the file itself.
std::string model_path(const std::string& path);

}  // namespace gregale::tools
