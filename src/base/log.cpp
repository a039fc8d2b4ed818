// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <string>

namespace gregale {
namespace {

std::shared_ptr<spdlog::logger> logger_of(const std::string& name) {
  if (auto logger = spdlog::get(name)) return logger;
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%n: %v");
  logger->set_level(spdlog::level::info);
  try {
    spdlog::register_logger(logger);
  } catch (const spdlog::spdlog_ex&) {
    // Another thread was first: this line still goes out, through a logger of its own.
  }
  return logger;
}

}  // namespace

bool log_enabled(std::string_view topic) {
  const char* text = std::getenv("GREGALE_LOG");
  if (text == nullptr) return false;
  for (std::string_view rest(text); !rest.empty();) {
    const size_t comma = rest.find(',');
    const std::string_view word = rest.substr(0, comma);
    if (word == topic || word == "all") return true;
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return false;
}

void log_line(std::string_view topic, std::string_view text) {
  logger_of("gregale/" + std::string(topic))->log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace gregale
