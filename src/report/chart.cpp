// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json.hpp"
#include "gregale/error.hpp"
#include "report/page.hpp"

namespace gregale::report {
namespace {

constexpr double kWidth = 460, kHeight = 285, kLeft = 56, kRight = 12, kTop = 10, kBottom = 44;

struct Axis {
  double low = 0, high = 1, from = 0, to = 1;
  bool log = false;
  double operator()(double value) const {
    const double a = log ? std::log10(low) : low, b = log ? std::log10(high) : high,
                 v = log ? std::log10(value) : value;
    return from + (v - a) / (b - a) * (to - from);
  }
};

bool usable(double value, bool log) { return std::isfinite(value) && (!log || value > 0); }

/// The range of usable values, widened to something that can be drawn.
bool range_of(const std::vector<double>& values, bool log, double& low, double& high) {
  low = std::numeric_limits<double>::infinity();
  high = -low;
  for (double value : values) {
    if (!usable(value, log)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (!(low <= high)) return false;
  if (low == high) {
    const double half = log ? 0 : std::max(std::fabs(low) * 0.05, 1e-6);
    low = log ? low / 1.5 : low - half;
    high = log ? high * 1.5 : high + half;
  }
  return true;
}

std::string plain_text(double value) {
  if (value == 0) return "0";
  const double size = std::fabs(value);
  if (size >= 1e-3 && size < 1e5) return fmt::format("{:g}", value);
  static constexpr const char* kRaised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  const double exponent = std::floor(std::log10(size) + 1e-9), factor = value / std::pow(10, exponent);
  std::string out = std::fabs(factor - 1) < 1e-6 ? "10" : fmt::format("{:.3g}·10", factor);
  if (exponent < 0) out += "⁻";
  for (char digit : fmt::format("{:.0f}", std::fabs(exponent))) out += kRaised[digit - '0'];
  return out;
}

/// Ticks of one axis share their digits after the point.
std::string tick_text(double value, const std::vector<double>& ticks) {
  if (ticks.size() > 1 && std::fabs(ticks.front()) < 1e5 && std::fabs(ticks.back()) < 1e5) {
    const double step = ticks[1] - ticks[0];
    for (int digits = 0; digits < 5; ++digits) {
      const double scaled = step * std::pow(10, digits);
      if (std::fabs(scaled - std::round(scaled)) < 1e-6 * scaled)
        return fmt::format("{:.{}f}", std::fabs(value) < 1e-12 ? 0.0 : value, digits);
    }
  }
  return plain_text(value);
}

std::string stroke(const Curve& curve) {
  return fmt::format("style=\"stroke:var(--{}){}{}\"", curve.colour, curve.dashed ? ";stroke-dasharray:6 4" : "",
                     curve.thin ? ";stroke-width:1.3" : "");
}

std::string draw(const Curve& curve, const Chart& chart, const Axis& x, const Axis& y) {
  std::string path, dots;
  bool pen = false;
  for (size_t i = 0; i < curve.y.size(); ++i) {
    if (!usable(curve.y[i], chart.log_y) || !usable(chart.x[i], chart.log_x)) {
      pen = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen ? "L" : "M", x(chart.x[i]), y(curve.y[i]));
    pen = true;
    const bool alone = curve.y.size() == 1;
    if (curve.dots || alone)
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" style=\"fill:var(--{})\"/>", x(chart.x[i]),
                          y(curve.y[i]), curve.thin ? 1.8 : 2.8, curve.colour);
  }
  return fmt::format("<path class=\"curve\" {} d=\"{}\"/>{}", stroke(curve), path, dots);
}

std::string legend(const Chart& chart) {
  if (chart.curves.size() < 2) return "";
  std::string out = "<div class=\"legend\">";
  for (const Curve& curve : chart.curves)
    out += fmt::format(
        "<span><svg viewBox=\"0 0 22 8\" aria-hidden=\"true\"><path class=\"curve\" d=\"M0 4H22\" {}/></svg>{}</span>",
        stroke(curve), escape_html(curve.name));
  return out + "</div>";
}

nlohmann::json number(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); }

std::string hover_data(const Chart& chart, const Axis& x) {
  nlohmann::json data{{"width", kWidth},
                      {"units", chart.units},
                      {"px", nlohmann::json::array()},
                      {"labels", nlohmann::json::array()},
                      {"series", nlohmann::json::array()}};
  for (size_t i = 0; i < chart.x.size(); ++i) {
    data["px"].push_back(usable(chart.x[i], chart.log_x) ? number(std::round(10 * x(chart.x[i])) / 10)
                                                         : nlohmann::json());
    data["labels"].push_back(chart.categories.empty() ? fmt::format("{} {:g}", chart.x_label, chart.x[i])
                                                      : chart.categories[i]);
  }
  for (const Curve& curve : chart.curves) {
    nlohmann::json y = nlohmann::json::array();  // six digits are more than anyone reads
    for (double value : curve.y)
      y.push_back(std::isfinite(value) ? number(std::stod(fmt::format("{:.6g}", value))) : nullptr);
    data["series"].push_back({{"name", curve.name}, {"colour", curve.colour}, {"y", std::move(y)}});
  }
  return json_island(data, "class=\"chart-data\"");
}

std::string x_axis(const Chart& chart, const Axis& x, double bottom) {
  std::string out;
  const auto label = [&](double at, const std::string& text) {
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", at, bottom + 17,
                       escape_html(text));
  };
  if (!chart.categories.empty()) {
    size_t longest = 1;
    for (const std::string& name : chart.categories) longest = std::max(longest, name.size());
    const double room = (x.to - x.from) / static_cast<double>(chart.categories.size());
    const auto every = static_cast<size_t>(std::ceil(7.5 * static_cast<double>(longest + 1) / room));
    for (size_t i = 0; i < chart.categories.size(); i += std::max<size_t>(every, 1))
      label(x(chart.x[i]), chart.categories[i]);
  } else {
    const std::vector<double> ticks = chart.log_x ? log_ticks(x.low, x.high) : nice_ticks(x.low, x.high, 6);
    for (double tick : ticks) label(x(tick), chart.log_x ? plain_text(tick) : tick_text(tick, ticks));
  }
  return out;
}

std::string describe(const Chart& chart) {
  std::string out = fmt::format("Line chart: {}. {} over {}. Curves: ", chart.title, chart.y_label, chart.x_label);
  for (size_t i = 0; i < chart.curves.size(); ++i) out += (i ? ", " : "") + chart.curves[i].name;
  return out + ".";
}

}  // namespace

std::vector<double> nice_ticks(double low, double high, int count) {
  std::vector<double> ticks;
  if (!(high > low) || !std::isfinite(high - low) || count < 1) return ticks;
  const double raw = (high - low) / count, power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (double nice : {1.0, 2.0, 2.5, 5.0})
    if (raw <= nice * power * (1 + 1e-9)) {
      step = nice * power;
      break;
    }
  const double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
  if (!(last - first < 1000)) return ticks;
  for (double k = first; k <= last; ++k) ticks.push_back(k * step);
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  std::vector<double> ticks;
  if (!(low > 0) || !(high > low) || !std::isfinite(high)) return ticks;
  const int first = static_cast<int>(std::floor(std::log10(low))), last = static_cast<int>(std::ceil(std::log10(high)));
  const double decades = std::log10(high) - std::log10(low);
  const int every = std::max(1, static_cast<int>(decades / 7));
  for (int e = first; e <= last; ++e)
    for (double m : {1.0, 2.0, 5.0}) {
      if ((m != 1 && decades > 2.5) || (e - first) % every != 0) continue;
      const double tick = m * std::pow(10, e);
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  return ticks;
}

std::string chart_figure(const Chart& chart) {
  GREGALE_CHECK(chart.categories.empty() || chart.categories.size() == chart.x.size(), invalid_argument,
                "[chart] {} categories for {} values", chart.categories.size(), chart.x.size());
  std::vector<double> values;
  for (const Curve& curve : chart.curves) {
    GREGALE_CHECK(curve.y.size() == chart.x.size(), invalid_argument, "[chart] curve {}: {} values for {} x",
                  curve.name, curve.y.size(), chart.x.size());
    for (size_t i = 0; i < curve.y.size(); ++i)
      if (usable(chart.x[i], chart.log_x)) values.push_back(curve.y[i]);
  }
  const std::string head = "<figure class=\"chart\"><figcaption>" + escape_html(chart.title) + "</figcaption>";
  Axis x{0, 1, kLeft, kWidth - kRight, chart.log_x}, y{0, 1, kHeight - kBottom, kTop, chart.log_y};
  if (!range_of(chart.x, chart.log_x, x.low, x.high) || !range_of(values, chart.log_y, y.low, y.high))
    return head + "<p class=\"note\">No value yet.</p></figure>\n";
  if (chart.reference && usable(chart.reference_value, chart.log_y)) {
    y.low = std::min(y.low, chart.reference_value);
    y.high = std::max(y.high, chart.reference_value);
  }
  if (!chart.categories.empty()) {  // half a place of room at both ends
    x.low = -0.4;
    x.high = static_cast<double>(chart.x.size()) - 0.6;
  }
  const double room = chart.log_y ? 0 : 0.05 * (y.high - y.low);
  const bool from_zero = !chart.log_y && y.low >= 0 && y.low < 0.15 * y.high;
  y.low = chart.log_y ? y.low / 1.15 : from_zero ? 0 : y.low - room;
  y.high = chart.log_y ? y.high * 1.15 : y.high + room;

  std::string out = head + legend(chart);
  out += fmt::format("<svg class=\"plot\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {} {}\">",
                     escape_html(describe(chart)), kWidth, kHeight);
  const std::vector<double> ticks = chart.log_y ? log_ticks(y.low, y.high) : nice_ticks(y.low, y.high, 5);
  for (double tick : ticks)
    out += fmt::format(
        "<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/><text x=\"{:.1f}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>",
        x.from, y(tick), x.to, x.from - 6, y(tick) + 4, chart.log_y ? plain_text(tick) : tick_text(tick, ticks));
  out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\"/>", x.from, y.to, y.from, x.to);
  out += x_axis(chart, x, y.from);
  out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", (x.from + x.to) / 2,
                     kHeight - 7, escape_html(chart.x_label));
  out += fmt::format("<text transform=\"translate(13 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
                     (y.from + y.to) / 2, escape_html(chart.y_label));
  if (chart.reference && usable(chart.reference_value, chart.log_y))
    out += fmt::format("<path class=\"ref\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", x.from, y(chart.reference_value), x.to);
  for (auto curve = chart.curves.rbegin(); curve != chart.curves.rend(); ++curve)  // the first one on top
    out += draw(*curve, chart, x, y);
  out += fmt::format("<line class=\"hair\" y1=\"{:.1f}\" y2=\"{:.1f}\"/></svg>", y.to, y.from);
  if (!chart.note.empty()) out += "<p class=\"note\">" + escape_html(chart.note) + "</p>";
  return out + hover_data(chart, x) + "</figure>\n";
}

std::string whisker(double low, double middle, double high, double limit, std::string_view description) {
  if (!std::isfinite(low + middle + high) || !(limit > 0)) return "";
  const auto at = [&](double value) { return 70 + 66 * std::clamp(value / limit, -1.0, 1.0); };
  std::string mark = fmt::format("<circle cx=\"{:.1f}\" cy=\"10\" r=\"4\"/>", at(middle));
  if (middle < -limit) mark = "<path class=\"beyond\" d=\"M11 5L3 10L11 15Z\"/>";
  if (middle > limit) mark = "<path class=\"beyond\" d=\"M129 5L137 10L129 15Z\"/>";
  return fmt::format(
      "<svg class=\"whisker\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 140 20\"><path class=\"zero\" d=\"M70 "
      "1V19\"/>"
      "<path class=\"ci\" d=\"M{:.1f} 10H{:.1f}\"/>{}</svg>",
      escape_html(description), at(low), at(high), mark);
}

}  // namespace gregale::report
