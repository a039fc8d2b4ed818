// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Charts, pages and the two reports. tests/pages runs them in a browser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/json.hpp"
#include "gregale/error.hpp"
#include "report/chart.hpp"
#include "report/page.hpp"
#include "report/sample_report_for_tests.hpp"
#include "report/slider.hpp"

namespace gregale::report {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pointwise;

int64_t count(const std::string& text, const std::string& part) {
  int64_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

/// Elements that were opened and not closed, or the reverse; scripts and styles are skipped.
void expect_balanced(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const bool closing = html[at + 1] == '/';
    const size_t begin = at + 1 + closing, end = html.find_first_of(" />\n", begin), close = html.find('>', at);
    const std::string name = html.substr(begin, end - begin);
    if (name.empty() || name[0] == '!' || name == "meta" || name == "link" || name == "input") continue;
    if (closing) {
      ASSERT_FALSE(open.empty()) << name;
      ASSERT_EQ(open.back(), name) << "before ..." << html.substr(at > 200 ? at - 200 : 0, 220);
      open.pop_back();
    } else if (html[close - 1] != '/') {
      open.push_back(name);
      if (name == "script" || name == "style") at = html.find("</" + name, at) - 1;
    }
  }
  EXPECT_TRUE(open.empty()) << open.back();
}

/// Nothing is fetched: links stay inside the page, pictures are data, no address of a network.
void expect_self_contained(const std::string& html) {
  EXPECT_EQ(html.find("http:"), std::string::npos);
  EXPECT_EQ(html.find("https:"), std::string::npos);
  EXPECT_EQ(html.find("src="), std::string::npos);
  EXPECT_EQ(html.find("@import"), std::string::npos);
  EXPECT_EQ(html.find("url("), std::string::npos);
  EXPECT_EQ(count(html, "href=\""), count(html, "href=\"#") + count(html, "href=\"data:"));
}

nlohmann::json island(const std::string& html, const std::string& attribute) {
  const std::string head = "<script type=\"application/json\" " + attribute + ">";
  const size_t begin = html.find(head) + head.size();
  return nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin));
}

/// The int16 values of a base64 text, by a decoder of the test's own.
std::vector<int> decode_int16(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<uint8_t> bytes;
  unsigned bits = 0;
  int held = 0;
  for (char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<unsigned>(digits.find(c));
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<uint8_t>(bits >> held & 255));
    }
  }
  std::vector<int> out;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) out.push_back(static_cast<int16_t>(bytes[i] | bytes[i + 1] << 8));
  return out;
}

TEST(Page, EscapesText) {
  EXPECT_EQ(escape_html("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
  EXPECT_EQ(escape_html("Grüße 10⁵ 😀"), "Grüße 10⁵ 😀");
  EXPECT_EQ(escape_html("a\xff\xc3"), "a\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(escape_html("\xc0\xaf\xed\xa0\x80").find('\xc0'), std::string::npos);
  const std::string page = Page("<script>alert(1)</script>").section("a", "b & c", "").html();
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_THAT(page, HasSubstr("<h2>b &amp; c</h2>"));
}

TEST(Page, JsonCannotEndItsElement) {
  const std::string text = json_island({{"a", "</script><b>"}, {"b", NAN}, {"c", "\xff"}}, "id=\"x\"");
  EXPECT_EQ(count(text, "</script>"), 1);
  EXPECT_EQ(island(text, "id=\"x\"")["a"], "</script><b>");
  EXPECT_TRUE(island(text, "id=\"x\"")["b"].is_null());
}

TEST(Chart, TicksAreRound) {
  EXPECT_THAT(nice_ticks(1.81, 2.4, 5), Pointwise(DoubleNear(1e-9), {2.0, 2.2, 2.4}));
  EXPECT_THAT(nice_ticks(-3, 3, 3), Pointwise(DoubleNear(1e-9), {-2.0, 0.0, 2.0}));
  EXPECT_THAT(log_ticks(1, 72), Pointwise(DoubleNear(1e-9), {1.0, 2.0, 5.0, 10.0, 20.0, 50.0}));
  EXPECT_TRUE(nice_ticks(1, 1, 5).empty());
  EXPECT_TRUE(nice_ticks(0, std::numeric_limits<double>::infinity(), 5).empty());
  EXPECT_TRUE(log_ticks(0, 5).empty());
  EXPECT_LT(log_ticks(1e-300, 1e300).size(), 20u);
  EXPECT_GT(log_ticks(1e-300, 1e300).size(), 4u);
}

TEST(Chart, DrawsWhatIsFinite) {
  Chart chart{.title = "a < b", .x_label = "step", .y_label = "RMSE [m/s]", .units = "m/s", .x = {0, 1, 2, 3, 4}};
  chart.curves = {{"model", {1, 2, NAN, 4, 5}, "c0", false, true}, {"base", {3, 3, 3, 3, 3}, "c1", true}};
  const std::string html = chart_figure(chart);
  expect_balanced(html);
  EXPECT_THAT(html, HasSubstr("a &lt; b"));
  EXPECT_EQ(count(html, "class=\"curve\""), 4);  // two of them in the legend
  EXPECT_EQ(count(html, "<circle"), 4);
  const size_t model = html.rfind("d=\"", html.find("<circle"));
  EXPECT_EQ(count(html.substr(model, html.find('"', model + 3) - model), "M"), 2) << "the gap lifts the pen";
  const nlohmann::json data = island(html, "class=\"chart-data\"");
  EXPECT_TRUE(data["series"][0]["y"][2].is_null());
  EXPECT_EQ(data["series"][1]["y"][2], 3);
  EXPECT_LT(data["px"][0].get<double>(), data["px"][4].get<double>());

  chart.log_y = true;
  chart.curves = {{"model", {0, -1, NAN, NAN, INFINITY}, "c0"}};
  EXPECT_THAT(chart_figure(chart), HasSubstr("No value yet"));
  chart.curves = {{"model", {1, 2}, "c0"}};
  EXPECT_THROW(chart_figure(chart), Error);
}

TEST(Chart, WhiskersEndAtTheLimit) {
  const std::string inside = whisker(-0.5, -0.25, 0.1, 1, "a < b");
  EXPECT_THAT(inside, HasSubstr("M37.0 10H76.6"));
  EXPECT_THAT(inside, HasSubstr("cx=\"53.5\""));
  EXPECT_THAT(inside, HasSubstr("a &lt; b"));
  EXPECT_THAT(whisker(-9, -5, -0.5, 1, ""), HasSubstr("class=\"beyond\""));
  EXPECT_EQ(whisker(NAN, 0, 1, 1, ""), "");
}

TEST(TrainingReport, HoldsEverySection) {
  TrainingReport report = sample_training_report(13, 24);
  const std::string html = to_html(report);
  expect_balanced(html);
  expect_self_contained(html);
  for (const char* text :
       {"id=\"skill\"", "id=\"curves\"", "id=\"maps\"", "id=\"configuration\"", "700 of 2000", "1 min 23 s",
        "damped_local", "3.6 % below the best baseline", "# &lt;embedded&gt; &amp; escaped",
        "12 forecasts of 1990-01 to 1990-12", "Three widths were compared", "data-refresh=\"5\"",
        "http-equiv=\"refresh\"", "UWND RMSE [M/S]"})
    EXPECT_THAT(html, HasSubstr(text));
  EXPECT_EQ(count(html, "<figure class=\"map\">"), 8);
  EXPECT_EQ(count(html, "<figure class=\"chart\">"), 4);

  report.status = "finished";
  const std::string finished = to_html(report);
  EXPECT_THAT(finished, HasSubstr("data-refresh=\"0\""));
  EXPECT_THAT(finished, Not(HasSubstr("http-equiv=\"refresh\"")));
  report.status = "failed";
  report.message = "loss is NaN at step 12 <here>";
  EXPECT_THAT(to_html(report), HasSubstr("NaN at step 12 &lt;here&gt;"));
}

TEST(TrainingReport, IsAPageBeforeTheFirstPoint) {
  TrainingReport report;
  report.title = "fresh";
  report.variables = {"T"};
  report.units = {"K"};
  report.baselines = {{"climatology", {1.5}}};
  const std::string html = to_html(report);
  expect_balanced(html);
  EXPECT_THAT(html, HasSubstr("has not been validated yet"));
  EXPECT_THAT(html, HasSubstr("1.500"));
  report.points = {{0, NAN, NAN, {NAN}}};
  expect_balanced(to_html(report));
  EXPECT_THAT(to_html(report), HasSubstr("No value yet"));
}

TEST(TrainingReport, RefusesWhatDoesNotFit) {
  TrainingReport report = sample_training_report(7, 8);
  report.status = "done";
  EXPECT_THROW(to_html(report), Error);
  report = sample_training_report(7, 8);
  report.points.front().rmse.pop_back();
  EXPECT_THROW(to_html(report), Error);
  report = sample_training_report(7, 8);
  report.maps.front().baseline = Tensor(DType::f32, {8, 7});
  EXPECT_THROW(to_html(report), Error);
}

class Score : public testing::Test {
 protected:
  static void SetUpTestSuite() { report_ = sample_score_report(13, 24); }
  static void TearDownTestSuite() { report_ = {}; }
  static inline ScoreReport report_;
};

TEST_F(Score, HoldsEverySection) {
  const std::string html = to_html(report_);
  expect_balanced(html);
  expect_self_contained(html);
  for (const char* id : {"verdict", "paired", "skill", "ablation", "where", "spectra", "difference", "slider",
                         "anomalies", "choice", "provenance"})
    EXPECT_THAT(html, HasSubstr(fmt::format("<section id=\"{}\">", id)));
  EXPECT_THAT(html, HasSubstr("Sample winds: &lt;test&gt; scores"));
  EXPECT_THAT(html, HasSubstr("24 verification times are a small sample"));
  EXPECT_THAT(html, HasSubstr("The standard error of one RMSE is about"));
  const score::VariableScore& score = report_.card.at("UWND", 1);
  EXPECT_THAT(html, HasSubstr(fmt::format("<td class=\"num best\">{:.3f}</td>", score.model.global.rmse)));
  EXPECT_THAT(html, HasSubstr(fmt::format(">{:+.3f} to {:+.3f}</td>", score.paired[0].second.low95,
                                          score.paired[0].second.high95)));
  EXPECT_THAT(html, HasSubstr(escape_html(score::verdict_sentence(report_.card, score, "damped_global"))));
  EXPECT_THAT(html, HasSubstr("network zeroed"));
}

TEST_F(Score, VerdictsFollowTheIntervals) {
  ScoreReport report = report_;
  for (auto& score : report.card.scores)
    for (auto& [name, interval] : score.paired) {
      interval.verdict = name == "persistence"   ? score::Verdict::better
                         : name == "climatology" ? score::Verdict::worse
                                                 : score::Verdict::indistinguishable;
    }
  const std::string html = to_html(report);
  EXPECT_THAT(
      html,
      HasSubstr("The model is better than persistence; indistinguishable from anomaly_persistence, damped_global, "
                "damped_local and recentred; worse than climatology."));
  EXPECT_THAT(html, HasSubstr("no effect beyond noise"));
  EXPECT_THAT(html, Not(HasSubstr("the network improves it")));
}

TEST_F(Score, SliderFieldsDecodeToTheValues) {
  const nlohmann::json data = island(slider_html(report_), "id=\"slider-data\"");
  ASSERT_EQ(data["variables"].size(), 2u);
  const nlohmann::json& entry = data["variables"][1];
  const double scale = entry["scale"], offset = entry["offset"];
  const std::vector<int> truth = decode_int16(entry["truth"]);
  const int64_t cells = 13 * 24;
  ASSERT_EQ(truth.size(), static_cast<size_t>(24 * cells));
  int64_t missing = 0;
  const auto values = report_.truth.as<float>();
  for (int64_t t = 0; t < 24; ++t)
    for (int64_t c = 0; c < cells; ++c) {
      const float value = values[static_cast<size_t>((2 * t + 1) * cells + c)];
      const int q = truth[static_cast<size_t>(t * cells + c)];
      if (std::isnan(value)) {
        ASSERT_EQ(q, -32768);
        ++missing;
      } else {
        ASSERT_NEAR(offset + scale * q, static_cast<double>(value), 0.51 * scale);
      }
    }
  EXPECT_EQ(missing, 2 * 24);  // two cells of the sample have no values
  EXPECT_LT(scale, 0.001);
  EXPECT_EQ(decode_int16(entry["climatology"]).size(), static_cast<size_t>(12 * cells)) << "each month once";
  EXPECT_EQ(entry["climatologyOf"][13], entry["climatologyOf"][1]);
}

TEST_F(Score, LargeFieldsAreThinned) {
  ScoreReport report = report_;
  report.latitudes.clear();
  report.longitudes.clear();
  for (int j = 0; j < 91; ++j) report.latitudes.push_back(-90 + 2 * j);
  for (int i = 0; i < 180; ++i) report.longitudes.push_back(2 * i);
  const int64_t times = 70;
  report.times.assign(static_cast<size_t>(times), "t");
  report.climatology = report.skill_difference = Tensor();
  report.truth = Tensor(DType::f32, {times, 2, 91, 180});
  auto values = report.truth.as<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 180) - 90;
  report.forecast = report.truth;
  report.baseline = report.truth;
  const std::string html = slider_html(report);
  EXPECT_LT(html.size(), 6'500'000u);
  EXPECT_THAT(html, HasSubstr("The first 60 of 70 times."));
  EXPECT_THAT(html, HasSubstr("Drawn in means of 2 x 2 cells."));
  EXPECT_EQ(island(html, "id=\"slider-data\"")["latitudes"].size(), 46u);
}

TEST_F(Score, DoesWithoutWhatIsNotGiven) {
  ScoreReport report;
  report.card = report_.card;
  report.card.has_model = false;
  const std::string baselines = to_html(report);
  expect_balanced(baselines);
  EXPECT_THAT(baselines, HasSubstr("Baselines alone"));
  EXPECT_THAT(baselines, Not(HasSubstr("<section id=\"slider\">")));
  EXPECT_THAT(baselines, Not(HasSubstr("<section id=\"paired\">")));
  report = report_;
  report.forecast = report.baseline = report.climatology = report.skill_difference = Tensor();
  const std::string html = to_html(report);
  expect_balanced(html);
  EXPECT_THAT(html, HasSubstr("panel-truth"));
  EXPECT_THAT(html, Not(HasSubstr("panel-forecast\"")));
  report.times.pop_back();
  EXPECT_THROW(to_html(report), Error);
  report.card.scores.clear();
  EXPECT_THROW(to_html(report), Error);
}

TEST_F(Score, IsWrittenAsOneFile) {
  const std::string path = (std::filesystem::path(testing::TempDir()) / "gregale_score_report.html").string();
  write_score_report(path, report_);
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), to_html(report_));
  std::filesystem::remove(path);
  EXPECT_THROW(write_score_report("/nonexistent/folder/score.html", report_), Error);
}

}  // namespace
}  // namespace gregale::report
