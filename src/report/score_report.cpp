// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/score_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/file.hpp"
#include "gregale/error.hpp"
#include "report/chart.hpp"
#include "report/map.hpp"
#include "report/page.hpp"
#include "report/slider.hpp"

namespace gregale::report {
namespace {

using score::find_named;
using score::ForecastScore;
using score::PairedInterval;
using score::VariableScore;
using score::Verdict;

const char* css_of(Verdict verdict) {
  return verdict == Verdict::better ? "better" : verdict == Verdict::worse ? "worse" : "same";
}

std::string number(double value, int digits = 3, bool sign = false) {
  if (!std::isfinite(value)) return "–";
  return sign ? fmt::format("{:+.{}f}", value, digits) : fmt::format("{:.{}f}", value, digits);
}

/// Digits after the point that show about four significant ones of a value.
int digits_for(double value) {
  if (!std::isfinite(value) || value == 0) return 3;
  return std::clamp(3 - static_cast<int>(std::floor(std::log10(std::fabs(value)))), 0, 8);
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) out += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return out;
}

/// What formatting needs at hand everywhere.
struct View {
  const ScoreReport& report;
  const score::Scorecard& card = report.card;

  std::string units(const std::string& variable) const {
    for (size_t v = 0; v < card.variables.size(); ++v)
      if (card.variables[v] == variable && v < card.units.size()) return card.units[v];
    return "";
  }
  std::string bracketed(const std::string& variable) const {
    const std::string text = units(variable);
    return text.empty() ? "" : " [" + text + "]";
  }
  std::string lead(int64_t lead) const {
    if (report.step.empty()) return fmt::format("lead {}", lead);
    return lead == 1 ? fmt::format("lead 1 ({})", report.step)
                     : fmt::format("lead {} (in steps of {})", lead, report.step);
  }
  bool is_ablation(const std::string& name) const {
    return !report.ablation_name.empty() && name == report.ablation_name;
  }
  std::string label(const std::string& name) const { return is_ablation(name) ? "network zeroed" : name; }
  /// One colour a forecast on the whole page.
  std::string colour(const std::string& name) const {
    for (size_t b = 0; b < card.baseline_names.size(); ++b)
      if (card.baseline_names[b] == name) return fmt::format("c{}", 1 + b % 7);
    return "c0";
  }
  /// The baseline of lowest RMSE, the ablation apart.
  const std::string* best_baseline(const VariableScore& score) const {
    const std::string* best = nullptr;
    double lowest = INFINITY;
    for (const auto& [name, baseline] : score.baselines)
      if (!is_ablation(name) && baseline.global.rmse < lowest) {
        lowest = baseline.global.rmse;
        best = &name;
      }
    return best;
  }
};

void check(const ScoreReport& report) {
  const score::Scorecard& card = report.card;
  GREGALE_CHECK(!card.scores.empty(), invalid_argument, "[score_report] the scorecard is empty");
  GREGALE_CHECK(card.units.empty() || card.units.size() == card.variables.size(), invalid_argument,
                "[score_report] {} units for {} variables", card.units.size(), card.variables.size());
  const auto rows = static_cast<int64_t>(report.latitudes.size()),
             columns = static_cast<int64_t>(report.longitudes.size());
  const auto variables = static_cast<int64_t>(card.variables.size()), times = static_cast<int64_t>(report.times.size());
  for (const Tensor* series : {&report.truth, &report.forecast, &report.climatology, &report.baseline}) {
    if (series->empty()) continue;
    GREGALE_CHECK(series->dtype() == DType::f32 && series->extents() == Extents({times, variables, rows, columns}),
                  shape, "[score_report] a series of fields is not f32 [{}, {}, {}, {}]", times, variables, rows,
                  columns);
  }
  GREGALE_CHECK(report.truth.empty() || times > 0, invalid_argument, "[score_report] no verification time");
  GREGALE_CHECK(
      report.skill_difference.empty() || (report.skill_difference.dtype() == DType::f32 &&
                                          report.skill_difference.extents() == Extents({variables, rows, columns})),
      shape, "[score_report] the difference map is not f32 [{}, {}, {}]", variables, rows, columns);
}

std::string interval_text(const PairedInterval& interval, int digits) {
  return fmt::format("{} to {}", number(interval.low95, digits, true), number(interval.high95, digits, true));
}

/// Half the width an interval of an RMSE would have at one standard error: the spread of the monthly squared errors
/// carried through the root (delta method), times taken as independent.
double rmse_standard_error(const ForecastScore& score) {
  double mean = 0, variance = 0;
  int64_t count = 0;
  for (double squared : score.squared)
    if (std::isfinite(squared)) {
      mean += squared;
      ++count;
    }
  if (count < 2 || !(mean > 0)) return NAN;
  mean /= static_cast<double>(count);
  for (double squared : score.squared)
    if (std::isfinite(squared)) variance += (squared - mean) * (squared - mean);
  variance /= static_cast<double>(count - 1);
  return std::sqrt(variance / static_cast<double>(count)) / (2 * std::sqrt(mean));
}

std::string caution_html(const View& view) {
  std::string widths;
  int64_t times = 0;
  for (const VariableScore& score : view.card.scores) {
    if (score.lead != view.card.leads.front() || score.baselines.empty()) continue;
    const ForecastScore& shown = view.card.has_model ? score.model : score.baselines.front().second;
    times = std::max(times, shown.global.times);
    const double error = rmse_standard_error(shown);
    if (std::isfinite(error))
      widths += fmt::format("{}{} {} for {}", widths.empty() ? "" : ", ", number(error, digits_for(error) - 2),
                            escape_html(view.units(score.variable)), escape_html(score.variable));
  }
  return fmt::format(
      "<div class=\"box\" id=\"caution\"><h3>How far to trust these numbers</h3><p>{} verification time{} are a small "
      "sample. {}"
      "Model and baseline meet the same times, so their difference is known better than either: read the intervals, "
      "and take "
      "a difference whose interval contains zero for noise, whatever its sign. The intervals cover the choice of times "
      "within this period, not what other years would bring.</p></div>\n",
      times, times == 1 ? "" : "s", widths.empty() ? "" : "The standard error of one RMSE is about " + widths + ". ");
}

std::string verdict_html(const View& view) {
  std::string out = "<div class=\"tables\">";
  const int64_t lead = view.card.leads.front();
  for (const VariableScore& score : view.card.scores) {
    if (score.lead != lead || score.paired.empty()) continue;
    std::vector<std::string> groups[3];
    for (const auto& [name, interval] : score.paired)
      if (!view.is_ablation(name)) groups[static_cast<size_t>(interval.verdict)].push_back(name);
    const std::string* best = view.best_baseline(score);
    const PairedInterval* against = best ? find_named(score.paired, *best) : nullptr;
    std::vector<std::string> words;
    if (!groups[0].empty()) words.push_back("better than " + join(groups[0]));
    if (!groups[1].empty()) words.push_back("indistinguishable from " + join(groups[1]));
    if (!groups[2].empty()) words.push_back("worse than " + join(groups[2]));
    std::string sentence;
    for (size_t i = 0; i < words.size(); ++i) sentence += (i ? "; " : "") + words[i];
    out += fmt::format("<div class=\"box verdict {}\"><h3>{}, {}</h3><p>The model is {}.</p>",
                       against ? css_of(against->verdict) : "", escape_html(score.variable),
                       escape_html(view.lead(lead)), escape_html(sentence));
    if (against)
      out += "<p class=\"soft\">Against the best baseline: " +
             escape_html(score::verdict_sentence(view.card, score, *best)) + "</p>";
    out += "</div>\n";
  }
  return out + "</div>\n";
}

std::string paired_html(const View& view) {
  std::string out = paragraph(
      "RMSE of the model minus RMSE of each baseline, over the same times and cells: left of the dashed line the model "
      "is better. The bar is the 95 % interval of a paired bootstrap over verification times; an arrow points to what "
      "lies beyond. The verdict is \"better\" or \"worse\" only where the whole interval is on one side.");
  std::vector<std::string> notes;
  out += "<div class=\"tables compact\">";
  for (const VariableScore& score : view.card.scores) {
    if (score.paired.empty()) continue;
    std::vector<double> reach;  // the scale suits the middle of them, so that persistence does not flatten the rest
    for (const auto& [name, interval] : score.paired) {
      const double farthest = std::max(std::fabs(interval.low95), std::fabs(interval.high95));
      if (std::isfinite(farthest)) reach.push_back(farthest);
    }
    std::sort(reach.begin(), reach.end());
    const double limit = reach.empty() ? 0 : std::min(reach.back(), 2 * reach[reach.size() / 2]);
    std::vector<std::vector<Cell>> rows;
    const int digits = digits_for(score.model.global.rmse);
    for (const auto& [name, interval] : score.paired) {
      const std::string words = fmt::format("{}: {} ({})", view.label(name), number(interval.difference, digits, true),
                                            interval_text(interval, digits));
      rows.push_back(
          {{escape_html(view.label(name)), ""},
           {score::to_string(interval.verdict), css_of(interval.verdict)},
           {number(interval.difference, digits, true), "num"},
           {interval_text(interval, digits), "num"},
           {whisker(interval.low95, interval.difference, interval.high95, limit, words), css_of(interval.verdict)}});
      const std::string note = score::reliability_note(interval);
      if (!note.empty())
        notes.push_back(fmt::format("{}, {}, {}: {}", score.variable, view.lead(score.lead), view.label(name), note));
    }
    out += html_table({"against", "the model is", "difference", "95 % interval", ""}, rows,
                      fmt::format("{}{}, {}", score.variable, view.bracketed(score.variable), view.lead(score.lead)));
  }
  out += "</div>\n";
  if (!notes.empty()) {
    out += "<details><summary>Notes on the intervals</summary><ul>";
    for (const std::string& note : notes) out += "<li>" + escape_html(note) + "</li>";
    out += "</ul></details>\n";
  }
  return out;
}

std::string skill_html(const View& view) {
  std::string out = paragraph(
      "RMSE is the root of the area-weighted mean of squares over all cells and times; ACC correlates anomalies (1 is "
      "perfect, "
      "0 is what climatology reaches); bias is the mean error. The lowest RMSE of each table is in bold.");
  std::string left_out;
  out += "<div class=\"tables\">";
  for (const VariableScore& score : view.card.scores) {
    const int digits = digits_for(view.card.has_model       ? score.model.global.rmse
                                  : score.baselines.empty() ? NAN
                                                            : score.baselines.front().second.global.rmse);
    double lowest = view.card.has_model ? score.model.global.rmse : INFINITY;
    for (const auto& [name, baseline] : score.baselines)
      if (baseline.global.rmse < lowest) lowest = baseline.global.rmse;
    std::vector<std::vector<Cell>> rows;
    const auto row = [&](const std::string& name, const ForecastScore& at, bool model) {
      rows.push_back({{escape_html(name), model ? "model" : ""},
                      {number(at.global.rmse, digits), at.global.rmse <= lowest ? "num best" : "num"},
                      {number(at.acc), "num"},
                      {number(at.global.bias, digits, true), "num"},
                      {number(at.global.mae, digits), "num"},
                      {fmt::to_string(at.global.times), "num"}});
    };
    if (view.card.has_model) row("model", score.model, true);
    for (const auto& [name, baseline] : score.baselines) row(view.label(name), baseline, false);
    const std::string units = view.bracketed(score.variable);
    out += html_table({"forecast", "RMSE" + units, "ACC", "bias" + units, "mean |error|" + units, "times"}, rows,
                      fmt::format("{}, {}", score.variable, view.lead(score.lead)));
    if (view.card.has_model && score.missing_share > 0)
      left_out += paragraph(
          fmt::format(
              "{} {}: the model gives no value at {:.2g} % of the area where the truth has one: these cells are "
              "left out for all forecasts alike.",
              score.variable, view.lead(score.lead), 100 * score.missing_share),
          "soft");
  }
  out += "</div>\n" + left_out;
  if (view.card.leads.size() > 1) {
    out += "<div class=\"charts\">";
    for (const std::string& variable : view.card.variables) {
      Chart chart{.title = "RMSE by lead: " + variable,
                  .x_label = view.report.step.empty() ? "lead" : "lead, in steps of " + view.report.step,
                  .y_label = "RMSE" + view.bracketed(variable),
                  .units = view.units(variable)};
      if (view.card.has_model) chart.curves.push_back({"model", {}, "c0", false, true});
      for (const std::string& name : view.card.baseline_names)
        chart.curves.push_back({view.label(name), {}, view.colour(name), view.is_ablation(name), true, true});
      for (int64_t lead : view.card.leads) {
        const VariableScore& score = view.card.at(variable, lead);
        chart.x.push_back(static_cast<double>(lead));
        size_t at = 0;
        if (view.card.has_model) chart.curves[at++].y.push_back(score.model.global.rmse);
        for (const std::string& name : view.card.baseline_names) {
          const ForecastScore* baseline = find_named(score.baselines, name);
          chart.curves[at++].y.push_back(baseline ? baseline->global.rmse : NAN);
        }
      }
      chart.note = "Errors grow with the lead until nothing is left that climatology does not know.";
      out += chart_figure(chart);
    }
    out += "</div>\n";
  }
  std::string glossary =
      "<details><summary>What the baselines are</summary><p>persistence repeats the state at the start; climatology is "
      "the mean "
      "of the training period for that time of year; anomaly_persistence adds the anomaly at the start to it; "
      "damped_global adds a "
      "share of that anomaly, one share for the globe; damped_local one share for each cell; recentred damps the "
      "anomaly "
      "towards the mean anomaly of the last 24 records. All are fitted on the training period alone.</p></details>\n";
  return out + glossary;
}

std::string ablation_html(const View& view) {
  std::string out = paragraph(
      "The same model with the output of its network set to zero: what is left is whatever baseline the model starts "
      "from. Only "
      "the difference between the two is the network's own.");
  std::vector<std::vector<Cell>> rows;
  for (const VariableScore& score : view.card.scores) {
    const ForecastScore* zeroed = find_named(score.baselines, view.report.ablation_name);
    const PairedInterval* interval = find_named(score.paired, view.report.ablation_name);
    if (!zeroed || !interval) continue;
    const int digits = digits_for(score.model.global.rmse);
    rows.push_back(
        {{fmt::format("{}{}, {}", escape_html(score.variable), escape_html(view.bracketed(score.variable)),
                      escape_html(view.lead(score.lead))),
          ""},
         {number(score.model.global.rmse, digits), "num"},
         {number(zeroed->global.rmse, digits), "num"},
         {fmt::format("{} ({})", number(interval->difference, digits, true), interval_text(*interval, digits)), "num"},
         {interval->verdict == Verdict::better  ? "the network improves it"
          : interval->verdict == Verdict::worse ? "the network harms it"
                                                : "no effect beyond noise",
          css_of(interval->verdict)}});
  }
  return out + html_table({"", "RMSE", "RMSE, network zeroed", "difference (95 % interval)", ""}, rows);
}

std::string bands_and_months_html(const View& view) {
  static const std::vector<std::string> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::string bands, months;
  const auto curves_for = [&](const VariableScore& score, Chart& chart, const auto& values) {
    if (view.card.has_model) chart.curves.push_back({"model", values(score.model), "c0", false, true});
    for (const auto& [name, baseline] : score.baselines)
      chart.curves.push_back(
          {view.label(name), values(baseline), view.colour(name), view.is_ablation(name), true, true});
    for (size_t i = 0; i < chart.categories.size(); ++i) chart.x.push_back(static_cast<double>(i));
  };
  for (const VariableScore& score : view.card.scores) {
    if (score.lead != view.report.map_lead) continue;
    const ForecastScore& first =
        view.card.has_model || score.baselines.empty() ? score.model : score.baselines.front().second;
    const std::string units = view.units(score.variable), axis = "RMSE" + view.bracketed(score.variable);
    if (!first.bands.empty()) {
      Chart chart{.title = "RMSE by latitude band: " + score.variable,
                  .x_label = "latitude band, south to north",
                  .y_label = axis,
                  .units = units};
      for (const auto& [name, summary] : first.bands) chart.categories.push_back(name);
      curves_for(score, chart, [](const ForecastScore& at) {
        std::vector<double> values;
        for (const auto& [name, summary] : at.bands) values.push_back(summary.rmse);
        return values;
      });
      chart.note = "Where on the globe errors are large, and where the model gains.";
      bands += chart_figure(chart);
    }
    if (first.months.size() == kMonths.size()) {
      Chart chart{.title = "RMSE by calendar month: " + score.variable,
                  .x_label = "calendar month of the verification time",
                  .y_label = axis,
                  .units = units,
                  .categories = kMonths};
      curves_for(score, chart, [](const ForecastScore& at) {
        std::vector<double> values;
        for (const score::ErrorSummary& summary : at.months) values.push_back(summary.times > 0 ? summary.rmse : NAN);
        return values;
      });
      chart.note = "Each point rests on very few months: look for a season, not at single points.";
      months += chart_figure(chart);
    }
  }
  return bands.empty() && months.empty() ? "" : "<div class=\"charts\">" + bands + months + "</div>\n";
}

std::string spectra_html(const View& view) {
  std::string out;
  for (const VariableScore& score : view.card.scores) {
    if (score.lead != view.report.map_lead || score.spectra.empty()) continue;
    const auto& globe = score.spectra.front().second;
    if (globe.forecast.size() < 3 || globe.truth.size() != globe.forecast.size()) continue;
    Chart power{.title = "Zonal spectrum: " + score.variable,
                .x_label = "zonal wavenumber",
                .y_label = view.units(score.variable).empty()
                               ? "power"
                               : fmt::format("power [m ({})²]", view.units(score.variable)),
                .log_x = true,
                .log_y = true};
    const auto tail = [](const std::vector<double>& values) {
      return std::vector<double>(values.begin() + 1, values.end());
    };
    for (size_t k = 1; k < globe.truth.size(); ++k) power.x.push_back(static_cast<double>(k));
    power.curves.push_back({"forecast", tail(globe.forecast), "c0", false, false});
    power.curves.push_back({"truth", tail(globe.truth), "ct", true, false});
    power.note = "How much variance circles of latitude have at each scale: small scales are to the right.";
    Chart ratio{.title = "Forecast power over true power: " + score.variable,
                .x_label = "zonal wavenumber",
                .y_label = "ratio",
                .x = power.x,
                .log_x = true,
                .log_y = true,
                .reference = true,
                .reference_value = 1};
    for (size_t i = 0; i < score.spectra.size(); ++i) {
      const auto& pair = score.spectra[i].second;
      if (pair.rows > 0 && pair.ratio.size() == globe.ratio.size())
        ratio.curves.push_back(
            {score.spectra[i].first, tail(pair.ratio), fmt::format("c{}", i % 8), false, false, i > 0});
    }
    ratio.note =
        "Below 1 the forecast is smoother than the truth, as every forecast of a mean is; above 1 it invents detail.";
    out += chart_figure(power) + chart_figure(ratio);
  }
  return out.empty() ? "" : "<div class=\"charts\">" + out + "</div>\n";
}

/// One field of a series, sharing memory.
Tensor field_at(const Tensor& series, int64_t time, int64_t variable) {
  const int64_t cells = series.extent(2) * series.extent(3);
  float* at =
      const_cast<float*>(series.as<float>().data()) + (time * series.extent(1) + variable) * cells;  // only read below
  return Tensor::borrow(at, DType::f32, {series.extent(2), series.extent(3)});
}

std::string anomaly_html(const View& view, const MapFrame& frame) {
  const ScoreReport& report = view.report;
  std::string out = paragraph(
      "Departures from climatology at the first and the middle verification time. The scale of each variable is fixed "
      "over all "
      "times; a forecast paler than the truth knows less than it shows, and rightly so.");
  const int64_t times = report.truth.extent(0);
  std::vector<int64_t> chosen{0};
  if (times > 2) chosen.push_back(times / 2);
  for (size_t v = 0; v < view.card.variables.size() && v < static_cast<size_t>(kSliderVariables); ++v) {
    const auto variable = static_cast<int64_t>(v);
    ColourScale scale{ColourMap::diverging, 0, 0};
    for (int64_t t = 0; t < times; ++t) {
      const Tensor anomaly = difference(field_at(report.truth, t, variable), field_at(report.climatology, t, variable));
      scale = widest(scale, symmetric_scale(anomaly.as<float>(), 0.01));
    }
    for (int64_t t : chosen) {
      const std::string where = fmt::format("{}, {}", view.card.variables[v], report.times[static_cast<size_t>(t)]);
      out += "<h3>" + escape_html(where) + "</h3><div class=\"maps three\">";
      const auto map = [&](const Tensor& series, const std::string& what) {
        if (series.empty()) return;
        out += map_figure(difference(field_at(series, t, variable), field_at(report.climatology, t, variable)), frame,
                          scale, view.units(view.card.variables[v]), what,
                          fmt::format("Map of the anomaly of {}: {}", where, what));
      };
      map(report.truth, "Truth");
      map(report.forecast, "Forecast");
      if (report.baseline_name != "climatology") map(report.baseline, report.baseline_name);
      out += "</div>\n";
    }
  }
  return out;
}

std::string difference_html(const View& view, const MapFrame& frame) {
  const ScoreReport& report = view.report;
  std::string out =
      paragraph(fmt::format("RMSE of the model minus RMSE of {} at each cell, over all verification times: blue is "
                            "where the model is better, red where "
                            "it is worse. With so few times single cells mean little; look for regions.",
                            report.baseline_name));
  out += "<div class=\"maps\">";
  const int64_t rows = report.skill_difference.extent(1), columns = report.skill_difference.extent(2);
  for (size_t v = 0; v < view.card.variables.size(); ++v) {
    float* at = const_cast<float*>(report.skill_difference.as<float>().data()) +
                static_cast<int64_t>(v) * rows * columns;  // only read
    const Tensor field = Tensor::borrow(at, DType::f32, {rows, columns});
    out += map_figure(field, frame, symmetric_scale(field.as<float>(), 0.01), view.units(view.card.variables[v]),
                      view.card.variables[v],
                      fmt::format("Map of the difference of RMSE of {}: model minus {}", view.card.variables[v],
                                  report.baseline_name));
  }
  return out + "</div>\n";
}

}  // namespace

std::string to_html(const ScoreReport& report) {
  check(report);
  const View view{report};
  Page page(report.title.empty() ? "Scores" : report.title);
  if (!report.description.empty()) page.lead(paragraph(report.description));
  if (view.card.has_model) {
    page.section("verdict", "The verdict", verdict_html(view) + caution_html(view));
    page.section("paired", "Model against each baseline", paired_html(view));
  } else {
    page.section("verdict", "Baselines alone",
                 paragraph("No forecast was given: these are the scores to beat.") + caution_html(view));
  }
  page.section("skill", "Skill", skill_html(view));
  if (view.card.has_model && !report.ablation_name.empty())
    page.section("ablation", "What the network adds", ablation_html(view));
  const std::string where = bands_and_months_html(view);
  if (!where.empty()) page.section("where", "Where and when", paragraph(view.lead(report.map_lead)) + where);
  const std::string spectra = view.card.has_model ? spectra_html(view) : "";
  if (!spectra.empty())
    page.section(
        "spectra", "Zonal spectra",
        paragraph("Averages over rows, weighed by area, and over times; the ratio also by latitude band.") + spectra);
  const bool maps = !report.latitudes.empty() && !report.longitudes.empty();
  if (maps && (!report.truth.empty() || !report.skill_difference.empty())) {
    const MapFrame frame = map_frame(grid::LatLonGrid(report.latitudes, report.longitudes), 720);
    if (!report.skill_difference.empty())
      page.section("difference", "Where the model differs from " + report.baseline_name, difference_html(view, frame));
    if (!report.truth.empty()) {
      page.section("slider", "Time by time: truth, forecast and error", slider_html(report));
      page.script(kSliderScript);
      if (!report.climatology.empty()) page.section("anomalies", "Anomaly maps", anomaly_html(view, frame));
    }
  }
  if (!report.choice.empty()) page.section("choice", "How the configuration was chosen", paragraph(report.choice));
  if (!report.facts.empty()) {
    std::vector<std::vector<Cell>> rows;
    for (const auto& [name, fact] : report.facts) rows.push_back({{escape_html(name), ""}, {escape_html(fact), ""}});
    page.section("provenance", "Provenance", html_table({}, rows));
  }
  return page.html();
}

void write_score_report(const std::string& path, const ScoreReport& report) { write_file(path, to_html(report)); }

}  // namespace gregale::report
