// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/graph_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/file.hpp"
#include "base/json.hpp"
#include "gregale/error.hpp"
#include "report/graph_layout.hpp"
#include "report/page.hpp"

namespace gregale::report {
namespace {

constexpr const char* kKindNames[] = {"input", "output", "product", "elementwise", "move", "state", "other"};

/// What the script draws: heights of a box's parts, and the most lines and characters it shows. Estimated widths do,
/// as the script cuts what is longer.
constexpr double kLabelHeight = 25, kLineHeight = 17, kPadding = 9, kLeastWidth = 110, kMostWidth = 300;
constexpr int kManyReaders = 12;
constexpr double kFewBytes = 4096;
constexpr size_t kMostLines = 14, kMostCharacters = 44;

LayoutBox size_of(const GraphNode& node) {
  const auto shown = [](const std::string& text) {
    return static_cast<double>(std::min(text.size(), kMostCharacters));
  };
  double width = 7.4 * shown(node.label);
  for (const std::string& line : node.lines) width = std::max(width, 6.6 * shown(line));
  const size_t lines = std::min(node.lines.size(), kMostLines + 1);
  return {std::clamp(width + 28, kLeastWidth, kMostWidth),
          kLabelHeight + kLineHeight * static_cast<double>(lines) + kPadding};
}

double seconds_of(const GraphStep& step) { return step.seconds > 0 ? step.seconds : step.predicted_seconds; }
double excess_of(const GraphStep& step) { return seconds_of(step) - step.ceiling_seconds; }
bool is_measured(const GraphPage& page) {
  return std::any_of(page.steps.begin(), page.steps.end(), [](const GraphStep& s) { return s.seconds > 0; });
}

void check(const GraphPage& page) {
  const auto steps = static_cast<int32_t>(page.steps.size());
  for (const GraphLevel& level : page.levels) {
    const auto nodes = static_cast<int32_t>(level.nodes.size());
    for (const GraphNode& node : level.nodes)
      GREGALE_CHECK(node.step >= -1 && node.step < steps, invalid_argument, "[graph page] {}: step {} of {}",
                    level.name, node.step, steps);
    for (const GraphEdge& e : level.edges)
      GREGALE_CHECK(e.from >= 0 && e.from < nodes && e.to >= 0 && e.to < nodes, invalid_argument,
                    "[graph page] {}: edge {} -> {} among {} nodes", level.name, e.from, e.to, nodes);
  }
}

nlohmann::json pairs(const std::vector<GraphDetail>& details) {
  nlohmann::json list = nlohmann::json::array();
  for (const GraphDetail& d : details) list.push_back({d.name, d.text});
  return list;
}

double tenth(double v) { return std::round(v * 10) / 10; }

nlohmann::json level_json(const GraphLevel& level) {
  std::vector<LayoutBox> boxes;
  std::vector<LayoutEdge> edges;
  for (const GraphNode& node : level.nodes) boxes.push_back(size_of(node));
  std::vector<int> readers(level.nodes.size(), 0);
  for (const GraphEdge& edge : level.edges) ++readers[static_cast<size_t>(edge.from)];
  for (const GraphEdge& edge : level.edges) {
    // A learning rate that all updates read would be most of the picture.
    const bool loose = readers[static_cast<size_t>(edge.from)] > kManyReaders && edge.bytes <= kFewBytes;
    edges.push_back({edge.from, edge.to, 1 + std::sqrt(std::max(0.0, edge.bytes)), loose});
  }
  const GraphLayout layout = lay_out(boxes, edges);
  nlohmann::json nodes = nlohmann::json::array(), lines = nlohmann::json::array();
  for (size_t i = 0; i < boxes.size(); ++i) {
    const GraphNode& n = level.nodes[i];
    nodes.push_back(
        {{"label", n.label},
         {"kind", kKindNames[static_cast<size_t>(n.kind)]},
         {"group", n.group},
         {"lines", n.lines},
         {"name", n.name},
         {"step", n.step},
         {"details", pairs(n.details)},
         {"box", {tenth(layout.boxes[i].x), tenth(layout.boxes[i].y), tenth(boxes[i].width), tenth(boxes[i].height)}}});
  }
  for (size_t i = 0; i < edges.size(); ++i) {
    const GraphEdge& e = level.edges[i];
    nlohmann::json points = nlohmann::json::array();
    for (const Point& p : layout.lines[i].points) {
      points.push_back(tenth(p.x));
      points.push_back(tenth(p.y));
    }
    lines.push_back({e.from, e.to, e.bytes, e.type, (layout.lines[i].across ? 1 : 0) + (edges[i].loose ? 2 : 0),
                     std::move(points)});
  }
  return {{"name", level.name},           {"caption", level.caption},
          {"width", tenth(layout.width)}, {"height", tenth(layout.height)},
          {"nodes", std::move(nodes)},    {"edges", std::move(lines)}};
}

nlohmann::json page_json(const GraphPage& page) {
  nlohmann::json levels = nlohmann::json::array(), steps = nlohmann::json::array(), programs = nlohmann::json::array();
  for (const GraphLevel& level : page.levels) levels.push_back(level_json(level));
  std::map<std::string, size_t> known;  // repeated blocks share a text
  for (const GraphStep& s : page.steps) {
    nlohmann::json program;
    if (!s.program.empty()) {
      const auto [at, fresh] = known.try_emplace(s.program, programs.size());
      if (fresh) programs.push_back(s.program);
      program = at->second;
    }
    steps.push_back({{"label", s.label},
                     {"lowering", s.lowering},
                     {"operators", s.operators},
                     {"program", program},
                     {"flops", s.flops},
                     {"predicted", s.predicted_bytes},
                     {"counted", s.counted_bytes},
                     {"least", s.least_bytes},
                     {"seconds", s.seconds},
                     {"expected", s.predicted_seconds},
                     {"ceiling", s.ceiling_seconds},
                     {"memory", pairs(s.memory)}});
  }
  return {{"levels", std::move(levels)}, {"steps", std::move(steps)}, {"programs", std::move(programs)}};
}

std::string bytes_text(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1000;
  return fmt::format("{:.3g} {}", bytes, kUnits[unit]);
}

std::string milliseconds(double seconds) { return seconds > 0 ? fmt::format("{:.3g}", seconds * 1e3) : "–"; }

std::string worst_html(const GraphPage& page) {
  const bool measured = is_measured(page);
  double total = 0;
  for (const GraphStep& s : page.steps) total += seconds_of(s);
  std::vector<std::vector<Cell>> rows;
  for (const int32_t i : worst_steps(page)) {
    const GraphStep& s = page.steps[static_cast<size_t>(i)];
    const auto number = [](std::string text) { return Cell{std::move(text), "num"}; };
    const double time = seconds_of(s);
    rows.push_back({{fmt::format("<button type=\"button\" class=\"go\" data-step=\"{}\"><b>{}</b> {}</button>", i, i,
                                 escape_html(s.label)),
                     ""},
                    number(milliseconds(time)),
                    number(milliseconds(s.ceiling_seconds)),
                    number(excess_of(s) > 0 ? milliseconds(excess_of(s)) : "–"),
                    number(time > 0 ? fmt::format("{:.0f} %", 100 * s.ceiling_seconds / time) : "–"),
                    number(total > 0 ? fmt::format("{:.1f} %", 100 * time / total) : "–"),
                    number(bytes_text(s.predicted_bytes)),
                    number(bytes_text(s.counted_bytes)),
                    number(bytes_text(s.least_bytes))});
  }
  if (rows.empty()) return paragraph("The program has no steps.");
  const std::string table = html_table({"Step", measured ? "ms" : "pred. ms", "ceiling ms", "above it", "of ceiling",
                                        "of all", "predicted", "counted", "least"},
                                       rows);
  return paragraph(fmt::format("Steps by {} time above their ceiling. A click shows one in the graph below.",
                               measured ? "measured" : "predicted"),
                   "soft") +
         "<div id=\"worst-table\">" + table + "</div>\n";
}

/// Every step as a stretch of one bar.
std::string strip_html(const GraphPage& page) {
  double total = 0, x = 0;
  for (const GraphStep& s : page.steps) total += seconds_of(s);
  if (!(total > 0)) return "";
  std::string out =
      "<svg id=\"strip\" viewBox=\"0 0 1000 26\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"time of "
      "every step\">";
  for (size_t i = 0; i < page.steps.size(); ++i) {
    const GraphStep& s = page.steps[i];
    const double time = seconds_of(s), width = 1000 * time / total;
    const double reached = time > 0 ? std::clamp(s.ceiling_seconds / time, 0.0, 1.0) : 1;
    out += fmt::format(
        "<rect data-step=\"{}\" x=\"{:.2f}\" y=\"0\" width=\"{:.2f}\" height=\"26\" class=\"h{}\"><title>"
        "{} {}: {} ms, {:.0f} % of its ceiling</title></rect>",
        i, x, width, std::min(4, static_cast<int>(5 * reached)), i, escape_html(s.label), milliseconds(time),
        100 * reached);
    x += width;
  }
  return out + "</svg><p class=\"soft strip-key\">Every step in the order of the run, as wide as its time. " +
         "<span class=\"key h0\"></span> below 20 % of its ceiling <span class=\"key h1\"></span> 40 % "
         "<span class=\"key h2\"></span> 60 % <span class=\"key h3\"></span> 80 % <span class=\"key h4\"></span> "
         "at it</p>\n";
}

std::string graph_html(const GraphPage& page) {
  std::string out = "<div class=\"toolbar\"><div class=\"levels\" role=\"radiogroup\" aria-label=\"Level\">";
  for (size_t i = 0; i < page.levels.size(); ++i)
    out += fmt::format("<button type=\"button\" role=\"radio\" aria-checked=\"false\" data-level=\"{}\">{}</button>", i,
                       escape_html(page.levels[i].name));
  return out + R"html(</div>
<label class="search"><span>Search</span><input id="search" type="search" autocomplete="off" spellcheck="false"
placeholder="operator, type, name, step   ( / )"></label><output id="found" aria-live="polite"></output>
<label><span>Colour</span><select id="colour"><option value="kind">kind of operator</option>
<option value="step">step it runs in</option><option value="time">share of its ceiling</option></select></label>
<span class="zooms"><button type="button" id="zoom-out" aria-label="Zoom out">&#8722;</button>
<button type="button" id="zoom-in" aria-label="Zoom in">+</button>
<button type="button" id="fit">Fit</button></span></div>
<p id="caption" class="soft"></p><div id="legend"></div>
<div class="graph"><div id="view" tabindex="0" role="application" aria-label="Graph: drag or arrow keys move, wheel or
plus and minus zoom, n and p go to the next and previous node"><svg id="drawing" aria-hidden="true"></svg>
<canvas id="map" width="400" height="260" aria-hidden="true"></canvas></div>
<aside id="details" aria-label="Details"></aside></div><p id="said" role="status"></p>
)html";
}

}  // namespace

std::vector<int32_t> worst_steps(const GraphPage& page, size_t most) {
  std::vector<int32_t> order;
  for (size_t i = 0; i < page.steps.size(); ++i) order.push_back(static_cast<int32_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return excess_of(page.steps[static_cast<size_t>(a)]) > excess_of(page.steps[static_cast<size_t>(b)]);
  });
  order.resize(std::min(order.size(), most));
  return order;
}

std::string to_html(const GraphPage& data) {
  check(data);
  Page page(data.title);
  page.style(kGraphStyle);
  std::string lead = paragraph(data.subtitle, "soft") + "<div class=\"numbers\">";
  for (const GraphDetail& figure : data.summary)
    lead += fmt::format("<div><b>{}</b><span>{}</span></div>", escape_html(figure.text), escape_html(figure.name));
  page.lead(lead + "</div>\n" + strip_html(data));
  page.section("worst", "Where time is lost", worst_html(data));
  page.section("graph", "The graph", graph_html(data) + json_island(page_json(data), "id=\"graph-data\""));
  std::string notes;
  for (const std::string& note : data.notes) notes += paragraph(note);
  if (!notes.empty()) page.section("notes", "What the figures mean", notes);
  page.script(kGraphDetailsScript).script(kGraphScript);
  return page.html();
}

void write_graph_page(const std::string& path, const GraphPage& page) { write_file(path, to_html(page)); }

}  // namespace gregale::report
