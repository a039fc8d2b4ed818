// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/graph_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "gregale/error.hpp"

namespace gregale::report {
namespace {

constexpr double kBetweenBoxes = 26, kBetweenLines = 14, kBetweenLayers = 46, kBetweenColumns = 150;
constexpr int kOrderSweeps = 10, kPositionSweeps = 24;

/// A box, or a place where a line passes a layer.
struct Item {
  int32_t box = -1;  ///< -1: of a line
  int layer = 0;
  double width = 0, height = 0;
  double x = 0;      ///< of the middle
  double order = 0;  ///< its place among the layer's items
  struct End {
    int32_t item = 0;
    double weight = 1;
  };
  std::vector<End> above, below;
};

class Layout {
 public:
  Layout(const std::vector<LayoutBox>& boxes, const std::vector<LayoutEdge>& edges, double aspect)
      : boxes_(boxes), edges_(edges), aspect_(aspect) {
    const auto count = static_cast<int32_t>(boxes.size());
    for (const auto& [from, to, weight, loose] : edges)
      GREGALE_CHECK(from >= 0 && from < count && to >= 0 && to < count && weight > 0, invalid_argument,
                    "[lay_out] edge {} -> {} of weight {} among {} boxes", from, to, weight, count);
  }

  GraphLayout run() {
    GraphLayout best;
    if (boxes_.empty()) return best;
    find_layers();
    double least = std::numeric_limits<double>::infinity();
    int before = 0;
    for (const int columns : {1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40}) {
      if (columns > 1 && columns > layers_ / 3) break;
      result_ = GraphLayout();
      result_.boxes.resize(boxes_.size());
      result_.lines.resize(edges_.size());
      break_into_columns(columns);
      if (result_.columns == before) continue;
      before = result_.columns;
      double left = 0;
      for (int c = 0; c < result_.columns; ++c) left += place_column(c, left) + kBetweenColumns;
      result_.width = left - kBetweenColumns;
      draw_rest();
      const double side = std::max(result_.width / aspect_, result_.height);  // of the screen that shows all of it
      if (side < least) {
        least = side;
        best = result_;
      } else if (side > 1.5 * least) {
        break;
      }
    }
    return best;
  }

 private:
  // --- layers ---

  void find_layers() {
    const size_t n = boxes_.size();
    std::vector<std::vector<int32_t>> targets(n);
    std::vector<int> missing(n, 0);
    for (const auto& [from, to, weight, loose] : edges_)
      if (from != to) {
        targets[static_cast<size_t>(from)].push_back(to);
        ++missing[static_cast<size_t>(to)];
      }
    layer_.assign(n, 0);
    std::vector<int32_t> order;
    std::vector<bool> done(n, false);
    const auto take = [&](size_t i) {
      done[i] = true;
      order.push_back(static_cast<int32_t>(i));
    };
    for (size_t i = 0; i < n; ++i)
      if (missing[i] == 0) take(i);
    for (size_t next = 0; next < n; ++next) {
      if (next == order.size())  // a cycle: begun with its first box
        take(static_cast<size_t>(std::find(done.begin(), done.end(), false) - done.begin()));
      const auto at = static_cast<size_t>(order[next]);
      for (const int32_t t : targets[at]) {
        const auto to = static_cast<size_t>(t);
        if (done[to]) continue;
        layer_[to] = std::max(layer_[to], layer_[at] + 1);
        if (--missing[to] == 0) take(to);
      }
    }
    for (auto at = order.rbegin(); at != order.rend(); ++at) {  // near to who reads it
      int latest = std::numeric_limits<int>::max();
      for (const int32_t t : targets[static_cast<size_t>(*at)])
        latest = std::min(latest, layer_[static_cast<size_t>(t)]);
      if (latest != std::numeric_limits<int>::max())
        layer_[static_cast<size_t>(*at)] = std::max(layer_[static_cast<size_t>(*at)], latest - 1);
    }
    layers_ = 1 + *std::max_element(layer_.begin(), layer_.end());
  }

  /// Where the layers are broken: about equal heights, where few lines pass.
  void break_into_columns(int columns) {
    std::vector<double> height(static_cast<size_t>(layers_), 0), passing(height.size() + 1, 0);
    for (size_t i = 0; i < boxes_.size(); ++i) {
      const auto l = static_cast<size_t>(layer_[i]);
      height[l] = std::max(height[l], boxes_[i].height);
    }
    for (const auto& [from, to, weight, loose] : edges_)  // a line passes the borders before layers first + 1 .. last
      if (layer_of(from) < layer_of(to)) {
        passing[static_cast<size_t>(layer_of(from)) + 1] += 1;
        passing[static_cast<size_t>(layer_of(to)) + 1] -= 1;
      }
    for (size_t l = 1; l < passing.size(); ++l) passing[l] += passing[l - 1];
    double total = 0;
    for (const double h : height) total += h + kBetweenLayers;
    const double each = total / columns;
    begins_ = {0};
    double begun = 0, reached = 0;
    size_t l = 0;
    while (l < height.size()) {
      // The cheapest border between 0.8 and 1.2 of a column's height; what is left may be another 1.3.
      if (total - begun < 1.3 * each) break;
      size_t best = 0;
      double fewest = std::numeric_limits<double>::infinity();
      for (; l < height.size(); ++l) {
        const double filled = (reached - begun) / each;
        if (filled > 1.2 && best > 0) break;
        const double cost = passing[l] * (1 + 2 * std::abs(filled - 1));
        if (filled > 0.8 && cost < fewest) {
          fewest = cost;
          best = l;
        }
        reached += height[l] + kBetweenLayers;
      }
      if (best == 0) break;
      begins_.push_back(static_cast<int>(best));
      begun = 0;
      for (size_t i = 0; i < best; ++i) begun += height[i] + kBetweenLayers;
      reached = begun;
      l = best;
    }
    result_.columns = static_cast<int>(begins_.size());
    begins_.push_back(layers_);
  }

  int layer_of(int32_t box) const { return layer_[static_cast<size_t>(box)]; }
  int column_of(int32_t box) const {
    const auto after = std::upper_bound(begins_.begin(), begins_.end(), layer_of(box));
    return static_cast<int>(after - begins_.begin()) - 1;
  }

  // --- one column ---

  double place_column(int column, double left) {
    items_.clear();
    const int first = begins_[static_cast<size_t>(column)], last = begins_[static_cast<size_t>(column) + 1];
    rows_.assign(static_cast<size_t>(last - first), {});
    std::vector<int32_t> item_of(boxes_.size(), -1);
    const auto add = [&](Item item) {
      item.layer -= first;
      auto& row = rows_[static_cast<size_t>(item.layer)];
      row.push_back(static_cast<int32_t>(items_.size()));
      items_.push_back(std::move(item));
      return row.back();
    };
    for (size_t i = 0; i < boxes_.size(); ++i)
      if (layer_[i] >= first && layer_[i] < last)
        item_of[i] = add({static_cast<int32_t>(i), layer_[i], boxes_[i].width, boxes_[i].height, 0, 0, {}, {}});
    struct Chain {
      size_t edge;
      std::vector<int32_t> items;
    };
    std::vector<Chain> chains;
    for (size_t e = 0; e < edges_.size(); ++e) {
      const auto [from, to, weight, loose] = edges_[e];
      const int32_t source = item_of[static_cast<size_t>(from)], target = item_of[static_cast<size_t>(to)];
      if (source < 0 || target < 0 || layer_of(from) >= layer_of(to) || loose) continue;
      Chain chain{e, {source}};
      for (int l = layer_of(from) + 1; l < layer_of(to); ++l) chain.items.push_back(add({-1, l, 0, 0, 0, 0, {}, {}}));
      chain.items.push_back(target);
      for (size_t i = 0; i + 1 < chain.items.size(); ++i) {
        items_[static_cast<size_t>(chain.items[i])].below.push_back({chain.items[i + 1], weight});
        items_[static_cast<size_t>(chain.items[i + 1])].above.push_back({chain.items[i], weight});
      }
      chains.push_back(std::move(chain));
    }
    order_rows();
    place_rows();
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const Item& item : items_) {
      low = std::min(low, item.x - item.width / 2);
      high = std::max(high, item.x + item.width / 2);
    }
    std::vector<double> top(rows_.size(), 0), tall(rows_.size(), 0);
    double y = 0;
    for (size_t r = 0; r < rows_.size(); ++r) {
      for (const int32_t i : rows_[r]) tall[r] = std::max(tall[r], items_[static_cast<size_t>(i)].height);
      top[r] = y;
      y += tall[r] + kBetweenLayers;
    }
    result_.height = std::max(result_.height, y - kBetweenLayers);
    for (Item& item : items_) {
      item.x += left - low;
      if (item.box < 0) continue;
      const auto r = static_cast<size_t>(item.layer);
      result_.boxes[static_cast<size_t>(item.box)] = {item.x - item.width / 2, top[r] + (tall[r] - item.height) / 2};
    }
    for (const Chain& chain : chains) {
      GraphLayout::Line& line = result_.lines[chain.edge];
      const Item &source = at(chain.items.front()), &target = at(chain.items.back());
      const double y_source = result_.boxes[static_cast<size_t>(source.box)].y + source.height;
      line.points.push_back({port(source, source.below, chain.items[1]), y_source});
      for (size_t i = 1; i + 1 < chain.items.size(); ++i) {
        const Item& item = at(chain.items[i]);
        const auto r = static_cast<size_t>(item.layer);
        line.points.push_back({item.x, top[r]});
        line.points.push_back({item.x, top[r] + tall[r]});
      }
      line.points.push_back({port(target, target.above, chain.items[chain.items.size() - 2]),
                             result_.boxes[static_cast<size_t>(target.box)].y});
    }
    return high - low;
  }

  Item& at(int32_t i) { return items_[static_cast<size_t>(i)]; }

  /// Where a line meets its box: side by side in the order of their other ends.
  double port(const Item& item, const std::vector<Item::End>& ends, int32_t end) {
    double before = 0, same = 0;
    for (const auto& [e, weight] : ends) {
      before += at(e).order < at(end).order;
      same += at(e).order == at(end).order;
    }
    const double place = (before + same / 2) / static_cast<double>(ends.size()) - 0.5;
    return item.x + place * std::min(0.7 * item.width, 26.0 * static_cast<double>(ends.size()));
  }

  void order_rows() {
    const auto number = [&](std::vector<int32_t>& row) {
      for (size_t i = 0; i < row.size(); ++i) at(row[i]).order = static_cast<double>(i);
    };
    for (auto& row : rows_) number(row);
    const auto sort_by = [&](std::vector<int32_t>& row, bool above) {
      std::vector<std::pair<double, int32_t>> keys;
      for (const int32_t i : row) {
        const std::vector<Item::End>& ends = above ? at(i).above : at(i).below;
        double sum = 0;
        for (const auto& [e, weight] : ends)
          sum += (at(e).order + 0.5) / static_cast<double>(rows_[static_cast<size_t>(at(e).layer)].size());
        keys.emplace_back(ends.empty() ? (at(i).order + 0.5) / static_cast<double>(row.size())
                                       : sum / static_cast<double>(ends.size()),
                          i);
      }
      std::stable_sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      for (size_t i = 0; i < row.size(); ++i) row[i] = keys[i].second;
      number(row);
    };
    for (int sweep = 0; sweep < kOrderSweeps; ++sweep) {
      if (sweep % 2 == 0)
        for (size_t r = 1; r < rows_.size(); ++r) sort_by(rows_[r], true);
      else
        for (size_t r = rows_.size() - 1; r-- > 0;) sort_by(rows_[r], false);
    }
  }

  // --- positions within an order ---

  double distance(const Item& a, const Item& b) const {
    return (a.width + b.width) / 2 + (a.box < 0 || b.box < 0 ? kBetweenLines : kBetweenBoxes);
  }

  /// As near to the wished places as the order allows: isotonic regression, by pooling neighbours.
  void settle(const std::vector<int32_t>& row, const std::vector<double>& wish, const std::vector<double>& weight) {
    struct Block {
      double sum, weight;
      size_t size;
    };
    std::vector<Block> blocks;
    std::vector<double> offset(row.size(), 0);
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) offset[i] = offset[i - 1] + distance(at(row[i - 1]), at(row[i]));
      blocks.push_back({weight[i] * (wish[i] - offset[i]), weight[i], 1});
      while (blocks.size() > 1) {
        const Block &b = blocks.back(), &a = blocks[blocks.size() - 2];
        if (a.sum / a.weight <= b.sum / b.weight) break;
        const Block merged{a.sum + b.sum, a.weight + b.weight, a.size + b.size};
        blocks.pop_back();
        blocks.back() = merged;
      }
    }
    size_t i = 0;
    for (const Block& b : blocks)
      for (size_t k = 0; k < b.size; ++k, ++i) at(row[i]).x = b.sum / b.weight + offset[i];
  }

  void place_rows() {
    for (const auto& row : rows_) settle(row, std::vector<double>(row.size(), 0), std::vector<double>(row.size(), 1));
    for (int sweep = 0; sweep < kPositionSweeps; ++sweep) {
      const bool down = sweep % 2 == 0;
      for (size_t k = 0; k < rows_.size(); ++k) {
        const auto& row = rows_[down ? k : rows_.size() - 1 - k];
        std::vector<double> wish, weight;
        for (const int32_t i : row) {
          const std::vector<Item::End>& ends = down ? at(i).above : at(i).below;
          double sum = 0, heft = 0;
          for (const auto& [e, w] : ends) {
            sum += w * at(e).x;
            heft += w;
          }
          // Long lines want to be straight more than boxes want to be near.
          const bool line = at(i).box < 0 && ends.size() == 1 && at(ends[0].item).box < 0;
          wish.push_back(ends.empty() ? at(i).x : sum / heft);
          weight.push_back(ends.empty() ? 1e-3 : line ? 4 * heft : heft);
        }
        settle(row, wish, weight);
      }
    }
  }

  // --- loose lines, those between columns, and those that close a cycle ---

  void draw_rest() {
    for (size_t e = 0; e < edges_.size(); ++e) {
      GraphLayout::Line& line = result_.lines[e];
      if (!line.points.empty()) continue;
      const auto from = static_cast<size_t>(edges_[e].from), to = static_cast<size_t>(edges_[e].to);
      const Point &a = result_.boxes[from], &b = result_.boxes[to];
      if (edges_[e].loose && layer_of(edges_[e].from) < layer_of(edges_[e].to) &&
          column_of(edges_[e].from) == column_of(edges_[e].to)) {
        line.points = {{a.x + boxes_[from].width / 2, a.y + boxes_[from].height}, {b.x + boxes_[to].width / 2, b.y}};
        continue;
      }
      line.across = true;
      line.points = {{a.x + boxes_[from].width, a.y + boxes_[from].height / 2}, {b.x, b.y + boxes_[to].height / 2}};
    }
  }

  const std::vector<LayoutBox>& boxes_;
  const std::vector<LayoutEdge>& edges_;
  double aspect_;
  int layers_ = 0;
  std::vector<int> layer_;
  std::vector<int> begins_;  ///< the first layer of every column, and the end
  std::vector<Item> items_;  ///< of the column at hand
  std::vector<std::vector<int32_t>> rows_;
  GraphLayout result_;
};

}  // namespace

GraphLayout lay_out(const std::vector<LayoutBox>& boxes, const std::vector<LayoutEdge>& edges, double aspect) {
  return Layout(boxes, edges, aspect).run();
}

}  // namespace gregale::report
