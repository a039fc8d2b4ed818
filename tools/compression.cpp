// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/compression.hpp"

#include "codec/autoencoder.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <ctime>

namespace gregale::tools {

void add_compression_files(Command& command, CompressionFiles& files, const char* in, const char* out) {
  command.option("input", files.in, "IN.nc", in).required();
  command.option("output", files.out, "OUT.nc", out).required();
}

void check_compression_files(const CompressionFiles& files) {
  check_readable_file("IN", files.in);
  check_writable_file("OUT", files.out);
}

std::string history_line(const std::string& command, const CompressionFiles& files,
                         const std::vector<std::string>& arguments) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ} gregale {} {} {}{}{} (version {})", fmt::gmtime(std::time(nullptr)),
                     command, files.in, files.out, arguments.empty() ? "" : " ", fmt::join(arguments, " "),
                     GREGALE_VERSION);
}

void CompressionProgress::operator()(int64_t done, int64_t total, const std::string& variable) {
  constexpr int64_t kMegabyte = 1 << 20;  // what the bar counts
  if (bar_ == nullptr) bar_ = std::make_unique<Progress>(what_ + " MB", (total + kMegabyte - 1) / kMegabyte, quiet_);
  bar_->update(done / kMegabyte, variable);
  GREGALE_CHECK(!interrupted(), interrupted, "interrupted: nothing was written");
}

void CompressionProgress::done() {
  if (bar_ != nullptr) bar_->done();
}

nlohmann::json to_json(const data::CompressionReport& report, bool certified) {
  nlohmann::json variables = nlohmann::json::object();
  int64_t bytes_in = 0, bytes_out = 0;
  for (const data::CompressedVariable& v : report.variables) {
    const Certificate& c = v.certificate;
    nlohmann::json& j = variables[v.path] = {{"ratio", c.ratio()},
                                             {"bound", c.bound},
                                             {"values", c.values},
                                             {"bytes_in", c.bytes_in},
                                             {"bytes_out", c.bytes_out},
                                             {"decode_gbs", v.decode_gbs()},
                                             {"hash", fmt::format("{:016x}", c.hash)}};
    bytes_in += c.bytes_in;
    bytes_out += c.bytes_out;
    if (!certified) continue;
    j["max_error"] = c.max_error;
    j["rms"] = c.rms;
    j["bias"] = c.bias;
    j["range"] = c.range;
    j["psnr"] = std::isfinite(c.psnr()) ? nlohmann::json(c.psnr()) : nlohmann::json();
    j["valid"] = c.valid;
    j["encode_gbs"] = v.encode_gbs();
    j["codec"] = c.codec;
    if (const auto& l = v.learned.counts; l != nullptr)
      j["learned"] = {{"seconds", v.learned.seconds},
                      {"blocks", l->blocks.load()},
                      {"other_blocks", l->other_blocks.load()},
                      {"model_bytes", l->model_bytes.load()},
                      {"learned_boxes", l->learned_boxes.load()},
                      {"lorenzo_boxes", l->lorenzo_boxes.load()},
                      {"mean_boxes", l->mean_boxes.load()}};
  }
  return {{"variables", variables},
          {"kept", report.kept},
          {"bytes_in", bytes_in},
          {"bytes_out", bytes_out},
          {"ratio", bytes_out > 0 ? static_cast<double>(bytes_in) / static_cast<double>(bytes_out) : 1.0},
          {"file_bytes_in", report.file_bytes_in},
          {"file_bytes_out", report.file_bytes_out}};
}

}  // namespace gregale::tools
