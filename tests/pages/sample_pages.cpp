// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Writes the pages of a made-up world and of made-up graphs, to be looked at or driven by a browser: sample_pages
// FOLDER
#include <cstdio>
#include <exception>
#include <string>

#include "report/sample_graph_for_tests.hpp"
#include "report/sample_report_for_tests.hpp"

int main(int argc, char** argv) {
  using namespace gregale::report;
  if (argc != 2) {
    std::fprintf(stderr, "usage: sample_pages FOLDER\n");
    return 2;
  }
  const std::string folder = argv[1];
  try {
    write_score_report(folder + "/score.html", sample_score_report());
    TrainingReport training = sample_training_report();
    write_training_report(folder + "/training.html", training);
    training.status = "finished";
    training.step = training.total_steps;
    write_training_report(folder + "/finished.html", training);
    GraphPage graph = sample_graph_page(12);
    graph.steps[3].label = graph.levels[0].nodes[4].label = graph.levels[2].nodes[4].label = kHostileName;
    write_graph_page(folder + "/graph.html", graph);
    write_graph_page(folder + "/large_graph.html", sample_graph_page(200, "1000 nodes"));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sample_pages: %s\n", error.what());
    return 1;
  }
  return 0;
}
