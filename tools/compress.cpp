// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "codec/autoencoder.hpp"
#include "tools/compression.hpp"
#include "train/block_autoencoder.hpp"

namespace gregale::tools {
namespace {

struct CompressCommand : CompressionFiles {
  std::vector<std::string> absolute, relative, exact;  ///< a bound, or VARIABLE=bound
  std::string codec = "auto";
};

constexpr const char* kLearned = "autoencoder";

std::vector<std::string> known_codecs() {
  std::vector<std::string> names = codec_names();
  names.emplace_back(kLearned);
  return names;
}

/// Trains an autoencoder for a variable, with a bar of its own.
data::LearnedCodec learn(const std::string& variable, const Tensor& values, const std::vector<double>& missing,
                         const CompressCommand& o, ExecutionContext& context) {
  train::BlockAutoencoderOptions options;
  options.seed = static_cast<uint64_t>(o.common.seed.value_or(0));
  Progress bar(fmt::format("learn {}", variable), options.steps, o.common.quiet || o.common.json);
  options.progress = [&](int64_t step, int64_t) {
    bar.update(step);
    GREGALE_CHECK(!interrupted(), interrupted, "interrupted: nothing was written");
  };
  const train::TrainedBlockAutoencoder trained = train::train_block_autoencoder(values, missing, options, context);
  bar.done();
  data::LearnedCodec learned;
  learned.seconds = trained.seconds;
  if (trained.model == nullptr) return learned;
  const auto counts = std::make_shared<codec::AutoencoderCounts>();
  learned.codec = codec::autoencoder_codec(Target::detect().isa, trained.model, counts);
  learned.counts = counts;
  return learned;
}

double parse_bound(const std::string& option, const std::string& text) {
  size_t end = 0;
  double bound = 0;
  try {
    bound = std::stod(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  GREGALE_CHECK(end > 0 && end == text.size() && bound > 0 && std::isfinite(bound), usage,
                "{}: expected a positive number, or VARIABLE=one, got '{}'", option, text);
  return bound;
}

/// A bound for all fields, and those of single ones.
void read_bounds(const std::string& option, const std::vector<std::string>& given, ErrorContract (*make)(double),
                 data::CompressOptions& options, bool& whole) {
  for (const std::string& text : given) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) {
      GREGALE_CHECK(!whole, usage, "{}: there is a bound for all fields already", option);
      whole = true;
      options.contract = make(parse_bound(option, text));
      continue;
    }
    const std::string name = text.substr(0, equals);
    GREGALE_CHECK(options.by_name.count(name) == 0, usage, "{}: there is a bound for {} already", option, name);
    options.by_name[name] = make(parse_bound(option, text.substr(equals + 1)));
  }
}

data::CompressOptions options_of(const CompressCommand& o) {
  data::CompressOptions options;
  bool whole = false;
  read_bounds("--abs", o.absolute, ErrorContract::absolute, options, whole);
  read_bounds("--rel", o.relative, ErrorContract::relative, options, whole);
  for (const std::string& name : o.exact) options.by_name[name] = ErrorContract::lossless();
  const std::vector<std::string> names = known_codecs();
  GREGALE_CHECK(std::find(names.begin(), names.end(), o.codec) != names.end(), usage, "--codec: '{}' is none of {}",
                o.codec, fmt::join(names, ", "));
  options.codec = o.codec == kLearned ? "auto" : o.codec;
  return options;
}

std::vector<std::string> arguments_of(const CompressCommand& o) {
  std::vector<std::string> arguments;
  const auto add = [&](const char* option, const std::vector<std::string>& values) {
    for (const std::string& value : values) arguments.insert(arguments.end(), {option, value});
  };
  add("--abs", o.absolute);
  add("--rel", o.relative);
  add("--exact", o.exact);
  if (o.codec != "auto") add("--codec", {o.codec});
  return arguments;
}

void print_table(const data::CompressionReport& report, const std::string& out) {
  fmt::print("{:<18}{:>9}{:>12}{:>12}{:>12}{:>9}  {:<16}{:>13}{:>13}\n", "variable", "ratio", "bound", "max error",
             "rms", "PSNR", "codec", "encode GB/s", "decode GB/s");
  for (const data::CompressedVariable& v : report.variables) {
    const Certificate& c = v.certificate;
    const std::string psnr = std::isfinite(c.psnr()) ? fmt::format("{:.1f} dB", c.psnr()) : "-";
    fmt::print("{:<18}{:>9.2f}{:>12.4g}{:>12.4g}{:>12.4g}{:>9}  {:<16}{:>13.3f}{:>13.3f}\n", v.path, c.ratio(), c.bound,
               c.max_error, c.rms, psnr, c.codec, v.encode_gbs(), v.decode_gbs());
  }
  for (const data::CompressedVariable& v : report.variables)
    if (const auto& c = v.learned.counts; c != nullptr)
      fmt::print(
          "{}: trained for {:.1f} s; of {} blocks {} by boxes, their model {} bytes each (boxes tried: {} learned, {} "
          "Lorenzo, {} mean)\n",
          v.path, v.learned.seconds, c->blocks + c->other_blocks, c->blocks.load(), c->model_bytes.load(),
          c->learned_boxes.load(), c->lorenzo_boxes.load(), c->mean_boxes.load());
  if (!report.kept.empty()) {
    std::vector<std::string> kept;
    for (const auto& [name, why] : report.kept) kept.push_back(fmt::format("{} ({})", name, why));
    fmt::print("kept exactly: {}\n", fmt::join(kept, ", "));
  }
  fmt::print("{}: {} from {}\n", out, format_bytes(static_cast<double>(report.file_bytes_out)),
             format_bytes(static_cast<double>(report.file_bytes_in)));
}

int run_compress(const CompressCommand& o) {
  check_compression_files(o);
  data::CompressOptions options = options_of(o);
  catch_interrupts();
  auto context = o.common.make_context();
  CompressionProgress progress("compress", o.common.quiet || o.common.json);
  options.team = &context->team();
  options.history = history_line("compress", o, arguments_of(o));
  options.progress = [&](int64_t done, int64_t total, const std::string& variable) { progress(done, total, variable); };
  if (o.codec == kLearned)
    options.learn = [&](const std::string& variable, const Tensor& values, const std::vector<double>& missing) {
      return learn(variable, values, missing, o, *context);
    };
  const data::CompressionReport report = data::compress_file(o.in, o.out, options);
  progress.done();
  o.common.finish(*context);
  if (o.common.json)
    fmt::print("{}\n", to_json(report, true).dump(2));
  else
    print_table(report, o.out);
  return 0;
}

}  // namespace

Runner add_compress(Command& program) {
  auto o = std::make_shared<CompressCommand>();
  Command c = add_command(program, "compress",
                          "Compress the fields of a netCDF file within an error bound that every value keeps; "
                          "coordinates, integers and attributes stay exactly. Without a bound nothing changes",
                          "gregale compress winds.nc small.nc --rel 1e-3\n"
                          "  gregale compress model.nc small.nc --abs 0.01 --rel SALT=1e-4 --exact MASK",
                          o->common);
  add_compression_files(c, *o, "A netCDF file", "The netCDF-4 file to be written");
  c.option("--abs", o->absolute, "E|VAR=E", "The most a value may change, in its unit; of one variable with its name")
      .repeated();
  c.option("--rel", o->relative, "E|VAR=E", "The same, as a share of the range of the variable's valid values")
      .repeated();
  c.option("--exact", o->exact, "VAR", "A variable that keeps every bit").repeated();
  c.option(
      "--codec", o->codec, "NAME",
      fmt::format("{} (default: auto); the last is trained first, on each variable", fmt::join(known_codecs(), ", ")));
  return [o] { return run_compress(*o); };
}

}  // namespace gregale::tools
