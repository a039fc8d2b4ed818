// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The page of a compiled graph: its layout and its data. tests/pages runs it in a browser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <set>

#include "base/expect_error_for_tests.hpp"
#include "base/json.hpp"
#include "gregale/random.hpp"
#include "report/graph_layout.hpp"
#include "report/sample_graph_for_tests.hpp"

namespace gregale::report {
namespace {

using testing::HasSubstr;
using testing::Not;

nlohmann::json data_of(const std::string& html) {
  const std::string head = "<script type=\"application/json\" id=\"graph-data\">";
  const size_t begin = html.find(head) + head.size();
  return nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin));
}

bool overlap(const Point& a, const LayoutBox& size_a, const Point& b, const LayoutBox& size_b) {
  return a.x < b.x + size_b.width && b.x < a.x + size_a.width && a.y < b.y + size_b.height && b.y < a.y + size_a.height;
}

void expect_sound(const GraphLayout& layout, const std::vector<LayoutBox>& boxes,
                  const std::vector<LayoutEdge>& edges) {
  ASSERT_EQ(layout.boxes.size(), boxes.size());
  ASSERT_EQ(layout.lines.size(), edges.size());
  constexpr double kRounding = 1e-6;
  for (size_t i = 0; i < boxes.size(); ++i) {
    const Point& p = layout.boxes[i];
    EXPECT_GE(p.x, -kRounding);
    EXPECT_GE(p.y, -kRounding);
    EXPECT_LE(p.x + boxes[i].width, layout.width + kRounding);
    EXPECT_LE(p.y + boxes[i].height, layout.height + kRounding);
    for (size_t k = i + 1; k < boxes.size(); ++k)
      ASSERT_FALSE(overlap(p, boxes[i], layout.boxes[k], boxes[k])) << i << " and " << k;
  }
  for (size_t e = 0; e < edges.size(); ++e) {
    const auto& line = layout.lines[e];
    const auto from = static_cast<size_t>(edges[e].from), to = static_cast<size_t>(edges[e].to);
    ASSERT_GE(line.points.size(), 2U);
    if (line.across) continue;
    EXPECT_NEAR(line.points.front().y, layout.boxes[from].y + boxes[from].height, kRounding);
    EXPECT_NEAR(line.points.back().y, layout.boxes[to].y, kRounding);
    for (size_t i = 1; i < line.points.size(); ++i) EXPECT_GE(line.points[i].y, line.points[i - 1].y - kRounding);
    EXPECT_GE(line.points.front().x, layout.boxes[from].x);
    EXPECT_LE(line.points.front().x, layout.boxes[from].x + boxes[from].width);
    EXPECT_GE(line.points.back().x, layout.boxes[to].x);
    EXPECT_LE(line.points.back().x, layout.boxes[to].x + boxes[to].width);
  }
}

TEST(LayOut, DrawsDiamondsBalanced) {
  const std::vector<LayoutBox> boxes(4, {100, 40});
  const std::vector<LayoutEdge> edges{{0, 1}, {0, 2}, {1, 3}, {2, 3}};
  const GraphLayout layout = lay_out(boxes, edges);
  expect_sound(layout, boxes, edges);
  EXPECT_EQ(layout.columns, 1);
  EXPECT_LT(layout.boxes[0].y, layout.boxes[1].y);
  EXPECT_DOUBLE_EQ(layout.boxes[1].y, layout.boxes[2].y);
  EXPECT_NEAR(layout.boxes[0].x, layout.boxes[3].x, 1);
  EXPECT_NEAR(layout.boxes[0].x, (layout.boxes[1].x + layout.boxes[2].x) / 2, 1);
}

TEST(LayOut, KeepsHeavyLinesStraight) {
  // A chain with a light side branch into each of its boxes.
  std::vector<LayoutBox> boxes;
  std::vector<LayoutEdge> edges;
  for (int i = 0; i < 8; ++i) {
    boxes.insert(boxes.end(), 2, {100, 40});
    edges.push_back({2 * i + 1, 2 * i, 1});
    if (i > 0) edges.push_back({2 * i - 2, 2 * i, 1000});
  }
  const GraphLayout layout = lay_out(boxes, edges, 0.1);
  expect_sound(layout, boxes, edges);
  for (size_t i = 2; i < boxes.size(); i += 2) EXPECT_NEAR(layout.boxes[i].x, layout.boxes[i - 2].x, 12) << i;
}

TEST(LayOut, BreaksLongChainsIntoColumns) {
  const std::vector<LayoutBox> boxes(600, {120, 50});
  std::vector<LayoutEdge> edges;
  for (int32_t i = 1; i < 600; ++i) edges.push_back({i - 1, i});
  const GraphLayout layout = lay_out(boxes, edges, 1.5);
  expect_sound(layout, boxes, edges);
  EXPECT_GT(layout.columns, 8);
  EXPECT_GT(layout.width / layout.height, 0.7);
  EXPECT_LT(layout.width / layout.height, 3);
  const auto across = std::count_if(layout.lines.begin(), layout.lines.end(), [](const auto& l) { return l.across; });
  EXPECT_EQ(across, layout.columns - 1);
  for (size_t i = 1; i < boxes.size(); ++i)
    EXPECT_TRUE(layout.boxes[i].y > layout.boxes[i - 1].y || layout.boxes[i].x > layout.boxes[i - 1].x);
}

TEST(LayOut, PutsWhatIsReadLateBesideItsReader) {
  std::vector<LayoutEdge> edges;
  for (int32_t i = 1; i < 10; ++i) edges.push_back({i - 1, i});
  edges.push_back({10, 9});  // a second input, of the last one alone
  const std::vector<LayoutBox> boxes(11, {80, 40});
  const GraphLayout layout = lay_out(boxes, edges, 0.05);
  expect_sound(layout, boxes, edges);
  EXPECT_DOUBLE_EQ(layout.boxes[10].y, layout.boxes[8].y);
}

TEST(LayOut, TakesWhateverThereIs) {
  EXPECT_EQ(lay_out({}, {}).boxes.size(), 0U);
  const std::vector<LayoutBox> boxes(3, {50, 20});
  for (const std::vector<LayoutEdge>& edges : std::vector<std::vector<LayoutEdge>>{{},
                                                                                   {{0, 0}},
                                                                                   {{0, 1}, {1, 0}},
                                                                                   {{0, 1}, {1, 2}, {2, 0}},
                                                                                   {{2, 1}, {1, 0}},
                                                                                   {{0, 1, 1, true}},
                                                                                   {{0, 1}, {0, 1}}})
    expect_sound(lay_out(boxes, edges), boxes, edges);
  expect_error(ErrorCode::invalid_argument, "edge 0 -> 3 of weight 1 among 3 boxes", [&] { lay_out(boxes, {{0, 3}}); });
  expect_error(ErrorCode::invalid_argument, "of weight 0", [&] { lay_out(boxes, {{0, 1, 0}}); });
}

TEST(LayOut, KeepsRandomGraphsApart) {
  for (uint32_t round = 0; round < 60; ++round) {
    const RandomKey key{11, round, 0};
    uint64_t draws = 0;
    const auto below = [&](uint64_t n) { return static_cast<int32_t>(random_below(key, draws++, n)); };
    const int32_t count = 1 + below(70);
    std::vector<LayoutBox> boxes;
    for (int32_t i = 0; i < count; ++i) boxes.push_back({40.0 + below(200), 20.0 + below(150)});
    std::vector<LayoutEdge> edges;
    for (int32_t i = 1; i < count; ++i)
      for (int32_t k = below(4); k > 0; --k)
        edges.push_back({std::max(0, i - 1 - below(below(5) == 0 ? 60 : 4)), i, 1.0 + below(9), below(8) == 0});
    expect_sound(lay_out(boxes, edges), boxes, edges);
  }
}

TEST(GraphPage, ShowsLevelsStepsAndTheWorst) {
  const GraphPage page = sample_graph_page(20);
  const std::string html = to_html(page);
  const nlohmann::json data = data_of(html);
  ASSERT_EQ(data["levels"].size(), 4U);
  EXPECT_EQ(data["levels"][0]["nodes"].size(), 102U);
  EXPECT_EQ(data["levels"][3]["nodes"].size(), 22U);
  EXPECT_EQ(data["steps"].size(), 20U);
  EXPECT_EQ(data["programs"].size(), 1U) << "equal programs are written once";
  EXPECT_EQ(data["steps"][19]["program"], 0);
  EXPECT_THAT(data["programs"][0].get<std::string>(), HasSubstr("dim a \"rows\" 64 step 16"));
  const auto& edge = data["levels"][0]["edges"][0];
  EXPECT_EQ(edge[0], 0);
  EXPECT_EQ(edge[1], 1);
  EXPECT_EQ(edge[2], 64 * 256 * 4);
  EXPECT_EQ(edge[3], "f32[64,256]");
  // Times repeat after 17 steps and grow a little with the number.
  EXPECT_THAT(worst_steps(page), testing::ElementsAre(16, 15, 14, 13, 12, 11, 10, 9, 8, 7));
  EXPECT_THAT(worst_steps(page, 2), testing::ElementsAre(16, 15));
  EXPECT_LT(html.find("data-step=\"16\"><b>"), html.find("data-step=\"15\"><b>"));
  EXPECT_THAT(html, HasSubstr("<b>12 ms</b><span>measured</span>"));
  EXPECT_THAT(html, HasSubstr("measured time above"));
  EXPECT_THAT(html, Not(HasSubstr("id=\"coast\""))) << "no maps";
}

TEST(GraphPage, SaysWhereNothingWasMeasured) {
  GraphPage page = sample_graph_page(3);
  for (GraphStep& step : page.steps) step.seconds = 0;
  const std::string html = to_html(page);
  EXPECT_THAT(html, HasSubstr("predicted time above"));
  EXPECT_THAT(html, HasSubstr(">pred. ms<"));
  EXPECT_EQ(worst_steps(page).size(), 3U);
}

TEST(GraphPage, EscapesEverything) {
  const std::string html = to_html(sample_graph_page(2, kHostileName));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, HasSubstr("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;\xef\xbf\xbd</h1>"));
  for (const char* fetched : {"http:", "https:", "src=\"", "@import", "url("})
    EXPECT_THAT(html, Not(HasSubstr(fetched)));
  const nlohmann::json data = data_of(html);
  EXPECT_THAT(data["levels"][0]["nodes"][0]["label"].get<std::string>(), HasSubstr("</script><img src=x"));
  GraphPage hostile = sample_graph_page(2);
  for (GraphStep& step : hostile.steps)
    step.label = step.lowering = step.program = step.operators[0] = step.memory[0].text = kHostileName;
  hostile.subtitle = hostile.notes[0] = hostile.summary[0].text = hostile.levels[0].name = hostile.levels[0].caption =
      kHostileName;
  for (GraphNode& node : hostile.levels[1].nodes) node.label = node.name = node.lines[0] = kHostileName;
  EXPECT_THAT(to_html(hostile), Not(HasSubstr("<img")));
}

TEST(GraphPage, RefusesWhatNamesNothing) {
  GraphPage page = sample_graph_page(2);
  page.levels[1].edges[0].to = 99;
  expect_error(ErrorCode::invalid_argument, "rewritten: edge 0 -> 99 among", [&] { to_html(page); });
  page = sample_graph_page(2);
  page.levels[0].nodes[1].step = 2;
  expect_error(ErrorCode::invalid_argument, "imported: step 2 of 2", [&] { to_html(page); });
  EXPECT_THAT(to_html(GraphPage{}), HasSubstr("The program has no steps."));
}

}  // namespace
}  // namespace gregale::report
