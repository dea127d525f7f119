// Bytecode files as `kiln list` prints them: a line each, or as one JSON document that is written while the
// entries come, for there may be very many.
//
// The document, deploy/schema/list.json: {"version": 1, "entries": [{...}, ...]}; then "own_index": true if
// the daemon that was asked does not keep the cache's index.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "proto/kiln.pb.h"

namespace kiln {

using ListEntry = proto::ListReply::Entry;

// What a list is sorted by that no line tells otherwise.
enum class ListMeasure : std::uint8_t { none, size, time, cost };

struct ListLayout {
  unsigned columns = 0;  // of the terminal; 0: it is none
  bool coloured = false;
  ListMeasure measure = ListMeasure::none;
};

// "stale   /app/a.py  cpython-311", with what else there is to say behind it, and the measure before the
// path.
std::string list_line(const ListEntry& entry, const ListLayout& layout);

class ListReport {
 public:
  enum class Form { lines, json };
  using Write = std::function<void(std::string_view)>;

  // What is printed goes to WRITE, some of it at a time.
  ListReport(Form form, const ListLayout& layout, Write write);

  void add(const ListEntry& entry);
  // OWN_INDEX: the daemon that was asked has an index of its own (common/cache_keeper.h).
  void finish(bool own_index = false);
  bool is_empty() const { return empty_; }

 private:
  Form form_;
  ListLayout layout_;
  Write write_;
  std::string text_;  // not written yet
  bool empty_ = true;
};

}  // namespace kiln
