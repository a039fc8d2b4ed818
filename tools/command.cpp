// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>

namespace gregale::tools {

std::unique_ptr<ExecutionContext> Common::make_context() const {
  if (!trace.empty()) check_writable_file("--trace", trace);
  // Not OpenMP, the library's default: its waiting threads spin, and a machine shared with another busy program then
  // trains several times slower. Threads of ours go to sleep soon. Results are the same bits either way.
  auto context = std::make_unique<ExecutionContext>(make_thread_team(threads, TeamKind::std_thread),
                                                    static_cast<uint64_t>(seed.value_or(0)));
  if (!trace.empty()) context->set_trace(std::make_shared<Trace>());
  return context;
}

void Common::finish(ExecutionContext& context) const {
  if (!trace.empty()) context.trace()->write(trace);
}

Option Option::required() { return Option(option_->required()); }
Option Option::range(int least, int most) { return Option(option_->check(CLI::Range(least, most))); }
Option Option::separated() { return Option(option_->delimiter(',')); }
Option Option::repeated() { return Option(option_->allow_extra_args(false)); }
Option Option::shown() { return Option(option_->capture_default_str()); }

Command::Command(const std::string& description, const std::string& footer)
    : app_(std::make_shared<CLI::App>(description, "gregale")) {
  app_->set_version_flag("--version", "gregale " GREGALE_VERSION);
  app_->footer(footer);
}

Command Command::subcommand(const std::string& name, const std::string& description, const std::string& example) {
  app_->require_subcommand(1);  // first: a new subcommand takes from it that there may be one at most
  CLI::App* command = app_->add_subcommand(name, description);
  command->footer("Example:\n  " + example);
  return Command({app_, command});
}

void Command::flag(const std::string& name, bool& value, const std::string& help) { app_->add_flag(name, value, help); }

Option Command::option(const std::string& name, Value value, const std::string& type, const std::string& help) {
  const auto add = [&](auto to) { return app_->add_option(name, to.get(), help)->type_name(type); };
  return Option(std::visit(add, value));
}

void Command::allow_extras() { app_->allow_extras(); }

bool Command::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
    return true;
  } catch (const CLI::Success& e) {  // --help, --version
    app_->exit(e);
    return false;
  } catch (const CLI::ParseError& e) {
    const std::string name = chosen();
    std::string what = e.what();
    if (name.empty() && argc > 1 && argv[1][0] != '-') {
      std::string known;
      for (const CLI::App* sub : app_->get_subcommands({})) known += (known.empty() ? "" : ", ") + sub->get_name();
      what = fmt::format("unknown subcommand '{}'; there are {}", argv[1], known);
    }
    throw_error(ErrorCode::usage, what + " (see gregale " + (name.empty() ? "" : name + " ") + "--help)");
  }
}

std::string Command::chosen() const {
  const std::vector<CLI::App*> given = app_->get_subcommands();
  return given.empty() ? "" : given.back()->get_name();
}

Command add_command(Command& program, const std::string& name, const std::string& description,
                    const std::string& example, Common& common) {
  Command command = program.subcommand(name, description, example);
  command.flag("--json", common.json, "Print one JSON document on standard output and nothing else there");
  command.flag("--quiet", common.quiet, "No progress");
  command.option("--threads", common.threads, "N", "Threads (default: OMP_NUM_THREADS, else all cores)").range(1, 4096);
  command.option("--seed", common.seed, "N", "Seed of all random numbers");
  command.option("--trace", common.trace, "F.json", "Write a Chrome/Perfetto trace");
  return command;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

namespace {

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}
}  // namespace

Progress::Progress(std::string what, int64_t total, bool quiet)
    : what_(std::move(what)),
      total_(total),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      begin_(seconds_now()),
      last_(begin_) {}

Progress::~Progress() {
  if (drawn_ && terminal_) std::fputs("\n", stderr);
}

void Progress::update(int64_t done, const std::string& note) {
  if (quiet_) return;
  if (first_ < 0) first_ = done - 1;
  const double t = seconds_now();
  // A terminal is redrawn ten times a second, a log file gets a line every five.
  if (done < total_ && t - last_ < (terminal_ ? 0.1 : 5.0)) return;
  last_ = t;
  draw(done, note);
}

void Progress::draw(int64_t done, const std::string& note) {
  const double elapsed = seconds_now() - begin_;
  const double rate = elapsed > 0 ? static_cast<double>(done - first_) / elapsed : 0;
  const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
  std::string text = fmt::format("{} {}/{}", what_, done, total_);
  if (terminal_) {
    constexpr int64_t kWidth = 24;
    const int64_t filled = total_ > 0 ? done * kWidth / total_ : kWidth;
    text += " [" + std::string(static_cast<size_t>(filled), '#') +
            std::string(static_cast<size_t>(kWidth - filled), '.') + "]";
  }
  text += rate >= 1 ? fmt::format(" {:.1f}/s", rate) : fmt::format(" {:.1f} s each", rate > 0 ? 1 / rate : 0.0);
  text += done < total_ ? ", " + clock_text(left) + " left" : ", took " + clock_text(elapsed);
  if (!note.empty()) text += "  " + note;
  std::fprintf(stderr, terminal_ ? "\r\x1b[K%s" : "%s\n", text.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::line(const std::string& text) {
  if (quiet_) return;
  std::fprintf(stderr, terminal_ && drawn_ ? "\r\x1b[K%s\n" : "%s\n", text.c_str());
}

void Progress::done() {
  if (drawn_ && terminal_) std::fputs("\n", stderr);
  drawn_ = false;
}

std::atomic<bool>& interrupted() {
  static std::atomic<bool> flag{false};  // signal handlers reach nothing else
  return flag;
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted().store(true); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void check_readable_file(const std::string& option, const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  GREGALE_CHECK(std::filesystem::exists(status), io, "{}: no such file: {}", option, path);
  GREGALE_CHECK(!std::filesystem::is_directory(status), io, "{}: is a folder: {}", option, path);
  GREGALE_CHECK(access(path.c_str(), R_OK) == 0, io, "{}: cannot be read: {}", option, path);
}

void check_writable_file(const std::string& option, const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  GREGALE_CHECK(!fs::is_directory(path, error), io, "{}: is a folder: {}", option, path);
  const fs::path folder = fs::absolute(path).parent_path();
  GREGALE_CHECK(fs::is_directory(folder, error), io, "{}: no such folder: {}", option, folder.string());
  GREGALE_CHECK(access(folder.c_str(), W_OK) == 0, io, "{}: cannot write into {}", option, folder.string());
}

void add_tune_option(Command& command, std::string& tune) {
  command.option(
      "--tune", tune, "T",
      "off or quick: time the costliest groups in a few tilings, 5 s at most, and keep what is best for next "
      "time; results are the same bits (default: off)");
}

Precision parse_precision(const std::string& precision) {
  constexpr std::pair<const char*, Precision> kPrecisions[] = {
      {"fp32", Precision::fp32}, {"bf16", Precision::bf16}, {"fp32x3", Precision::fp32x3}};
  for (const auto& [name, value] : kPrecisions)
    if (precision == name) return value;
  throw_error(ErrorCode::usage, fmt::format("--precision: expected fp32, bf16 or fp32x3, got '{}'", precision));
}

Tune parse_tune(const std::string& tune) {
  GREGALE_CHECK(tune == "off" || tune == "quick", usage, "--tune: expected off or quick, got '{}'", tune);
  return tune == "quick" ? Tune::quick : Tune::off;
}

std::string format_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"bytes", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < std::size(kUnits)) bytes /= 1000, ++unit;
  return unit == 0 ? fmt::format("{:.0f} {}", bytes, kUnits[unit]) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string model_path(const std::string& path) {
  namespace fs = std::filesystem;
  GREGALE_CHECK(fs::exists(path), io, "no such file or folder: {}", path);
  if (!fs::is_directory(path)) return path;
  const std::string model = path + "/model.safetensors";
  GREGALE_CHECK(fs::exists(model), io,
                "{} holds no finished run (no model.safetensors); its best.safetensors can be named", path);
  return model;
}

}  // namespace gregale::tools
