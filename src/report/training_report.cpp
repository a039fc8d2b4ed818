// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/training_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/file.hpp"
#include "gregale/error.hpp"
#include "report/chart.hpp"
#include "report/map.hpp"
#include "report/page.hpp"

namespace gregale::report {
namespace {

constexpr int kRefreshSeconds = 5;

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e15) return "–";
  const auto whole = static_cast<int64_t>(std::lround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

std::string number_text(double value, const char* format = "{:.4g}") {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "–";
}

void check(const TrainingReport& report) {
  GREGALE_CHECK(report.status == "running" || report.status == "finished" || report.status == "interrupted" ||
                    report.status == "failed",
                invalid_argument, "[training_report] unknown status '{}'", report.status);
  const size_t count = report.variables.size();
  GREGALE_CHECK(report.units.size() == count, invalid_argument, "[training_report] {} units for {} variables",
                report.units.size(), count);
  for (const TrainingPoint& point : report.points)
    GREGALE_CHECK(point.rmse.size() == count, invalid_argument, "[training_report] step {}: {} RMSE for {} variables",
                  point.step, point.rmse.size(), count);
  for (const auto& [name, rmse] : report.baselines)
    GREGALE_CHECK(rmse.size() == count, invalid_argument, "[training_report] {}: {} RMSE for {} variables", name,
                  rmse.size(), count);
  const auto rows = static_cast<int64_t>(report.latitudes.size()),
             columns = static_cast<int64_t>(report.longitudes.size());
  for (const TrainingMaps& maps : report.maps)
    for (const Tensor* field : {&maps.truth, &maps.forecast, &maps.baseline})
      GREGALE_CHECK(field->empty() || (field->rank() == 2 && field->extent(0) == rows && field->extent(1) == columns),
                    shape, "[training_report] a map of {} does not fit {} x {} cells", maps.variable, rows, columns);
}

std::string lead_html(const TrainingReport& report) {
  const double share =
      report.total_steps > 0
          ? std::clamp(static_cast<double>(report.step) / static_cast<double>(report.total_steps), 0.0, 1.0)
          : 0.0;
  const bool running = report.status == "running";
  std::string out =
      fmt::format("<p><span class=\"badge {}\" id=\"status\">{}</span> <span class=\"soft\" id=\"age\"></span></p>",
                  report.status, report.status);
  out += fmt::format("<progress max=\"1\" value=\"{:.4f}\" aria-label=\"share of the steps made\"></progress>", share);
  const auto item = [](const std::string& value, const char* name) {
    return fmt::format("<div><b>{}</b><span>{}</span></div>", value, name);
  };
  out += "<div class=\"numbers\">" + item(fmt::format("{} of {}", report.step, report.total_steps), "steps");
  out += item(duration(report.seconds), "training time");
  if (running && report.step > 0 && share > 0)
    out += item(duration(report.seconds * (1 / share - 1)), "left, at this pace");
  out += item(number_text(report.loss), "training loss") +
         item(number_text(report.learning_rate, "{:.2e}"), "learning rate") + "</div>";
  if (!report.message.empty())
    out += fmt::format("<div class=\"box {}\" id=\"message\"><p>{}</p></div>",
                       report.status == "failed"        ? "worse"
                       : report.status == "interrupted" ? "same"
                                                        : "",
                       escape_html(report.message));
  out += fmt::format(
      "<p>This page shows the <strong>validation</strong> period alone{}: the test period has not been looked at. "
      "Few validation times make small differences noise.</p>",
      report.validation.empty() ? "" : " (" + escape_html(report.validation) + ")");
  return out;
}

/// The point whose weights are kept as the best: lowest ratio, or lowest first RMSE where there are no ratios.
const TrainingPoint* best_point(const TrainingReport& report) {
  const TrainingPoint* best = nullptr;
  for (const TrainingPoint& point : report.points)
    if (std::isfinite(point.ratio) && (!best || point.ratio < best->ratio)) best = &point;
  return best;
}

std::string ratios_html(const TrainingReport& report) {
  std::vector<std::string> header{""};
  for (size_t v = 0; v < report.variables.size(); ++v)
    header.push_back(fmt::format("{} RMSE [{}]", report.variables[v], report.units[v]));
  std::vector<std::vector<Cell>> rows;
  std::vector<double> lowest(report.variables.size(), INFINITY);
  for (const auto& [name, rmse] : report.baselines)
    for (size_t v = 0; v < lowest.size(); ++v)
      if (std::isfinite(rmse[v])) lowest[v] = std::min(lowest[v], rmse[v]);
  const auto row = [&](const std::string& name, const std::vector<double>& rmse, bool model) {
    std::vector<Cell> cells{{escape_html(name), model ? "model" : ""}};
    for (size_t v = 0; v < rmse.size(); ++v) {
      std::string text = number_text(rmse[v], "{:.3f}");
      if (model && std::isfinite(rmse[v]) && std::isfinite(lowest[v]) && lowest[v] > 0)
        text += fmt::format(" <span class=\"soft\">({:.1f} % {} the best baseline)</span>",
                            100 * std::fabs(rmse[v] / lowest[v] - 1), rmse[v] < lowest[v] ? "below" : "above");
      cells.push_back({text, model ? "model" : rmse[v] <= lowest[v] ? "best" : ""});
    }
    rows.push_back(std::move(cells));
  };
  if (!report.points.empty())
    row(fmt::format("model now, step {}", report.points.back().step), report.points.back().rmse, true);
  const TrainingPoint* best = best_point(report);
  if (best && best != &report.points.back())
    row(fmt::format("model at its best, step {}", best->step), best->rmse, true);
  for (const auto& [name, rmse] : report.baselines) row(name, rmse, false);
  std::string out =
      report.points.empty()
          ? paragraph("The network has not been validated yet; these are the forecasts it has to beat.")
          : paragraph(
                "Root mean square error over the validation period: lower is better. The best baseline is set "
                "in bold; persistence repeats the last state, climatology is the mean of the calendar month, "
                "damped ones are climatology plus a share of the last anomaly.");
  return out + html_table(header, rows);
}

std::string curves_html(const TrainingReport& report) {
  std::vector<double> steps, loss, ratio;
  for (const TrainingPoint& point : report.points) {
    steps.push_back(static_cast<double>(point.step));
    loss.push_back(point.train_loss);
    ratio.push_back(point.ratio);
  }
  const bool dots = steps.size() < 30;
  const auto spread = [](const std::vector<double>& values) {
    double low = INFINITY, high = 0;
    for (double value : values)
      if (std::isfinite(value) && value > 0) {
        low = std::min(low, value);
        high = std::max(high, value);
      }
    return high / low;
  };
  std::string out = "<div class=\"charts\">";
  for (size_t v = 0; v < report.variables.size(); ++v) {
    Chart chart{.title = "Validation RMSE of " + report.variables[v],
                .x_label = "step",
                .y_label = fmt::format("RMSE [{}]", report.units[v]),
                .units = report.units[v],
                .x = steps};
    std::vector<double> rmse;
    for (const TrainingPoint& point : report.points) rmse.push_back(point.rmse[v]);
    chart.log_y = spread(rmse) > 12;
    chart.curves.push_back({"model", rmse, "c0", false, dots});
    for (size_t b = 0; b < report.baselines.size(); ++b)
      chart.curves.push_back({report.baselines[b].first,
                              std::vector<double>(steps.size(), report.baselines[b].second[v]),
                              fmt::format("c{}", 1 + b % 7), true, false});
    chart.note = "The curve should fall below the dashed baselines and stay there.";
    out += chart_figure(chart);
  }
  Chart training{.title = "Training loss", .x_label = "step", .y_label = "loss", .x = steps};
  training.curves.push_back({"training loss", loss, "c0", false, dots});
  training.log_y = spread(loss) > 12;
  training.note =
      "Mean since the point before. It goes on falling where validation no longer does: that is overfitting.";
  out += chart_figure(training);
  Chart relative{
      .title = "RMSE over that of climatology, mean of variables", .x_label = "step", .y_label = "ratio", .x = steps};
  relative.curves.push_back({"model", ratio, "c0", false, dots});
  relative.reference = true;
  relative.reference_value = 1;
  relative.note = "1 is climatology; best.safetensors holds the weights of the lowest point.";
  return out + chart_figure(relative) + "</div>\n";
}

std::string maps_html(const TrainingReport& report) {
  const MapFrame frame = map_frame(grid::LatLonGrid(report.latitudes, report.longitudes), 720);
  std::string out;
  for (const TrainingMaps& maps : report.maps) {
    const std::string where = maps.variable + (maps.time.empty() ? "" : ", " + maps.time);
    out += "<h3>" + escape_html(where) + "</h3><div class=\"maps\">";
    const auto map = [&](const Tensor& field, const ColourScale& scale, const std::string& what) {
      out += map_figure(field, frame, scale, maps.units, what, fmt::format("Map of {}: {}", where, what));
    };
    const Tensor& state = maps.truth.empty() ? maps.forecast : maps.truth;
    const ColourScale scale = state.empty() ? ColourScale{} : state_scale(state.as<float>());
    if (!maps.truth.empty()) map(maps.truth, scale, "Truth");
    if (!maps.forecast.empty()) map(maps.forecast, scale, "Forecast");
    if (!maps.truth.empty()) {
      Tensor error, other;
      if (!maps.forecast.empty()) error = difference(maps.forecast, maps.truth);
      if (!maps.baseline.empty()) other = difference(maps.baseline, maps.truth);
      const Tensor& reference = other.empty() ? error : other;  // the baseline does not move while the model learns
      const ColourScale errors = reference.empty() ? ColourScale{} : symmetric_scale(reference.as<float>());
      if (!error.empty()) map(error, errors, "Error of the forecast (forecast − truth)");
      if (!other.empty()) map(other, errors, "Error of " + maps.baseline_name);
    }
    out += "</div>\n";
  }
  return out;
}

}  // namespace

std::string to_html(const TrainingReport& report) {
  check(report);
  Page page(report.title.empty() ? "Training" : report.title);
  page.lead(lead_html(report));
  if (report.status == "running") page.refresh(kRefreshSeconds);
  page.section("skill", "Validation skill beside the baselines", ratios_html(report));
  page.section(
      "curves", "Learning curves",
      report.points.empty() ? paragraph("The first point appears with the first validation.") : curves_html(report));
  if (!report.maps.empty())
    page.section(
        "maps", "A validation forecast on the map",
        paragraph("Truth and forecast share a colour scale, and so do the errors: paler is better. The scale of the "
                  "errors is that of the best baseline and stays while the network learns.") +
            maps_html(report));
  std::string configuration = report.choice.empty() ? "" : paragraph(report.choice);
  configuration += fmt::format("<details><summary>The whole configuration</summary><pre>{}</pre></details>\n",
                               escape_html(report.configuration));
  page.section("configuration", report.choice.empty() ? "Configuration" : "How the configuration was chosen",
               configuration);
  return page.html();
}

void write_training_report(const std::string& path, const TrainingReport& report) { write_file(path, to_html(report)); }

}  // namespace gregale::report
