// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/slider.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/json.hpp"
#include "report/colour.hpp"
#include "report/map.hpp"
#include "report/page.hpp"
#include "report/png.hpp"

namespace gregale::report {
namespace {

/// Means of `factor` neighbouring coordinates; the last group may be smaller.
std::vector<double> thinned(const std::vector<double>& axis, int64_t factor) {
  std::vector<double> out;
  const auto size = static_cast<int64_t>(axis.size());
  for (int64_t i = 0; i < size; i += factor) {
    double sum = 0;
    const int64_t end = std::min(i + factor, size);
    for (int64_t k = i; k < end; ++k) sum += axis[static_cast<size_t>(k)];
    out.push_back(sum / static_cast<double>(end - i));
  }
  return out;
}

/// One variable of a series, f32 [time, lat, lon], cells averaged over blocks of factor x factor.
std::vector<float> variable_of(const Tensor& series, int64_t variable, int64_t times, int64_t factor) {
  const int64_t variables = series.extent(1), rows = series.extent(2), columns = series.extent(3);
  const auto values = series.as<float>();
  std::vector<float> out;
  for (int64_t t = 0; t < times; ++t) {
    const int64_t field = (t * variables + variable) * rows * columns;
    for (int64_t j = 0; j < rows; j += factor)
      for (int64_t i = 0; i < columns; i += factor) {
        double sum = 0;
        int64_t count = 0;
        for (int64_t y = j; y < std::min(j + factor, rows); ++y)
          for (int64_t x = i; x < std::min(i + factor, columns); ++x) {
            const float value = values[static_cast<size_t>(field + y * columns + x)];
            if (!std::isfinite(value)) continue;
            sum += static_cast<double>(value);
            ++count;
          }
        out.push_back(count > 0 ? static_cast<float>(sum / static_cast<double>(count)) : NAN);
      }
  }
  return out;
}

/// value = offset + scale * q, q in -32767..32767; -32768 is missing. Little-endian bytes.
struct Quantiser {
  double offset = 0, scale = 1;
  std::string encode(const std::vector<float>& values) const {
    std::string bytes;
    bytes.reserve(2 * values.size());
    for (float value : values) {
      const double q = std::clamp((static_cast<double>(value) - offset) / scale, -32767.0, 32767.0);
      const auto bits =
          static_cast<uint16_t>(std::isfinite(value) ? static_cast<int16_t>(std::lround(q)) : int16_t{-32768});
      bytes += static_cast<char>(bits & 255);
      bytes += static_cast<char>(bits >> 8);
    }
    return base64(bytes);
  }
};

Quantiser quantiser_for(const std::vector<const std::vector<float>*>& fields) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const std::vector<float>* field : fields)
    for (float value : *field)
      if (std::isfinite(value)) {
        low = std::min(low, static_cast<double>(value));
        high = std::max(high, static_cast<double>(value));
      }
  if (!(high > low)) return {low <= high ? low : 0, 1};
  return {(low + high) / 2, (high - low) / 65534};
}

/// Climatologies repeat every year: each different field once, and which one a time has.
std::vector<float> unique_fields(const std::vector<float>& series, size_t cells, std::vector<int64_t>& which) {
  std::vector<float> out;
  for (size_t at = 0; at < series.size(); at += cells) {
    size_t found = 0;
    while (found * cells < out.size() && std::memcmp(&out[found * cells], &series[at], cells * sizeof(float)) != 0)
      ++found;
    if (found * cells == out.size())
      out.insert(out.end(), series.begin() + static_cast<int64_t>(at),
                 series.begin() + static_cast<int64_t>(at + cells));
    which.push_back(static_cast<int64_t>(found));
  }
  return out;
}

std::vector<float> difference(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> out(a.size());
  for (size_t i = 0; i < a.size(); ++i) out[i] = a[i] - b[i];
  return out;
}

nlohmann::json scale_json(const ColourScale& scale) {
  return {{"map", scale.map == ColourMap::diverging ? "diverging" : "sequential"},
          {"low", scale.low},
          {"high", scale.high}};
}

nlohmann::json palette_json(ColourMap map) {
  nlohmann::json out = nlohmann::json::array();
  for (Rgb colour : palette(map)) out.push_back(to_hex(colour));
  return out;
}

std::string panel(const char* id, const std::string& heading, const MapFrame& frame) {
  return fmt::format(
      "<figure class=\"panel\" id=\"panel-{0}\"><figcaption>{1}</figcaption>"
      "<div class=\"stack\" tabindex=\"0\" role=\"img\" aria-label=\"Map: {1}. Arrow keys move the cell whose series "
      "is shown.\">"
      "<canvas width=\"{2}\" height=\"{3}\"></canvas><svg viewBox=\"{4:g} {5:g} {6:g} {7:g}\" aria-hidden=\"true\">{8}"
      "<path class=\"cross halo\"/><path class=\"cross\"/></svg></div><div class=\"scale\"></div></figure>",
      id, escape_html(heading), frame.width(), frame.height(), frame.west, -frame.north, frame.east - frame.west,
      frame.north - frame.south, map_overlay(frame));
}

}  // namespace

std::string slider_html(const ScoreReport& report) {
  const int64_t times = std::min(report.truth.extent(0), kSliderTimes);
  const int64_t variables = std::min(report.truth.extent(1), kSliderVariables);
  const bool model = !report.forecast.empty(), baseline = !report.baseline.empty(),
             climatology = !report.climatology.empty();
  const auto rows = static_cast<int64_t>(report.latitudes.size()),
             columns = static_cast<int64_t>(report.longitudes.size());
  const int64_t series = times * variables * (1 + model + baseline + climatology);  // climatology at its worst
  int64_t factor = 1;
  while (series * ((rows + factor - 1) / factor) * ((columns + factor - 1) / factor) > kSliderValues &&
         factor < std::min(rows, columns))
    ++factor;
  const grid::LatLonGrid grid(thinned(report.latitudes, factor), thinned(report.longitudes, factor));
  const MapFrame frame = map_frame(grid, 720);

  nlohmann::json data{
      {"west", frame.west},
      {"east", frame.east},
      {"south", frame.south},
      {"north", frame.north},
      {"rowOf", frame.row_of},
      {"columnOf", frame.column_of},
      {"latitudes", grid.latitudes()},
      {"longitudes", grid.longitudes()},
      {"baseline", report.baseline_name},
      {"times", std::vector<std::string>(report.times.begin(), report.times.begin() + times)},
      {"palettes",
       {{"diverging", palette_json(ColourMap::diverging)}, {"sequential", palette_json(ColourMap::sequential)}}},
      {"variables", nlohmann::json::array()}};
  const auto cells = static_cast<size_t>(grid.cells());
  for (int64_t v = 0; v < variables; ++v) {
    const auto index = static_cast<size_t>(v);
    const std::vector<float> truth = variable_of(report.truth, v, times, factor);
    std::vector<float> forecast, other, normal, normals;
    std::vector<int64_t> which;
    std::vector<const std::vector<float>*> all{&truth};
    ColourScale error = symmetric_scale({}), anomaly = error;
    if (model) {
      forecast = variable_of(report.forecast, v, times, factor);
      all.push_back(&forecast);
      error = symmetric_scale(difference(forecast, truth));
    }
    if (baseline) {
      other = variable_of(report.baseline, v, times, factor);
      all.push_back(&other);
      const ColourScale scale = symmetric_scale(difference(other, truth));
      error = model ? widest(error, scale) : scale;
    }
    if (climatology) {
      normal = variable_of(report.climatology, v, times, factor);
      normals = unique_fields(normal, cells, which);
      all.push_back(&normals);
      anomaly = symmetric_scale(difference(truth, normal));
    }
    const Quantiser quantiser = quantiser_for(all);
    nlohmann::json entry{{"name", report.card.variables[index]},
                         {"units", report.card.units.empty() ? "" : report.card.units[index]},
                         {"offset", quantiser.offset},
                         {"scale", quantiser.scale},
                         {"state", scale_json(state_scale(truth))},
                         {"error", scale_json(error)},
                         {"anomaly", scale_json(anomaly)},
                         {"truth", quantiser.encode(truth)}};
    if (model) entry["forecast"] = quantiser.encode(forecast);
    if (baseline) entry["baseline"] = quantiser.encode(other);
    if (climatology) {
      entry["climatology"] = quantiser.encode(normals);
      entry["climatologyOf"] = which;
    }
    data["variables"].push_back(std::move(entry));
  }

  std::string options;
  for (int64_t v = 0; v < variables; ++v)
    options +=
        fmt::format("<option value=\"{}\">{}</option>", v, escape_html(report.card.variables[static_cast<size_t>(v)]));
  std::string out = paragraph(
      "Move through the verification times and click a cell (or reach a map with the Tab key and use the arrow keys) "
      "to see "
      "how truth and forecast went there. Errors are forecast minus truth: blue is too low, red too high. The scales "
      "stay fixed "
      "over all times; the ends take what lies beyond.");
  std::string left_out;
  if (factor > 1) left_out += fmt::format("Drawn in means of {0} x {0} cells. ", factor);
  if (times < report.truth.extent(0))
    left_out += fmt::format("The first {} of {} times. ", times, report.truth.extent(0));
  if (variables < report.truth.extent(1))
    left_out += fmt::format("The first {} of {} variables. ", variables, report.truth.extent(1));
  if (!left_out.empty()) out += paragraph(left_out + "This keeps the page small.", "soft");
  out += fmt::format(
      "<div class=\"controls\"><label>Variable <select id=\"variable\">{}</select></label>{}"
      "<label class=\"long\">Time <input id=\"time\" type=\"range\" min=\"0\" max=\"{}\" step=\"1\" value=\"0\" "
      "aria-describedby=\"time-label\"></label><output id=\"time-label\" for=\"time\">{}</output>"
      "<button id=\"play\" type=\"button\">Play</button></div>\n",
      options,
      climatology ? "<label>Show <select id=\"view\"><option value=\"state\">values</option>"
                    "<option value=\"anomaly\">departures from climatology</option></select></label>"
                  : "",
      times - 1, escape_html(report.times.front()));
  out += "<div class=\"maps\">" + panel("truth", "Truth", frame);
  if (model) out += panel("forecast", "Forecast", frame) + panel("error", "Error of the forecast", frame);
  if (baseline) out += panel("other", fmt::format("Error of {}", report.baseline_name), frame);
  out +=
      "</div>\n<p id=\"readout\" aria-live=\"polite\"></p>\n<figure class=\"chart\" id=\"series\"></figure>\n"
      "<noscript><p>The slider needs JavaScript; everything else on this page does not.</p></noscript>\n";
  return out + json_island(data, "id=\"slider-data\"");
}

}  // namespace gregale::report
