// What `kiln precompile` says: lines while it goes on, or one JSON document in the end.
#pragma once

#include <boost/json/array.hpp>
#include <string>

#include "client/precompile_hints.h"
#include "client/progress.h"
#include "common/result.h"
#include "proto/kiln.pb.h"

namespace kiln {

// "src/a.py:3:7: SyntaxError: invalid syntax", without a line where there is none; with the cache tag in
// brackets where several interpreters compile.
std::string error_line(const proto::PrecompileEvent::Error& error);

// "compiled 12, restored 3, fresh 30, errors 1 in 0.42 s": compiled, fresh and errors always, the rest where
// it is not 0.
std::string summary_line(const proto::PrecompileEvent::Summary& summary);

// "left out 2 directories named .git, node_modules"; empty: none were.
std::string left_out_line(const proto::PrecompileEvent::Summary& summary);

class PrecompileReport {
 public:
  enum class Form { lines, errors_only, json };

  PrecompileReport(Form form, bool check);
  ~PrecompileReport() { progress_.clear(); }  // of a connection that was lost no bar stays on the screen

  void add(const proto::PrecompileEvent& event);
  // The last of it. A failure of the request as a whole is the caller's to print.
  void finish(const proto::PrecompileEvent::Summary& summary);

 private:
  void print(const std::string& text);

  Form form_;
  bool check_;
  Progress progress_;
  PrecompileHints hints_;
  boost::json::array errors_;
  boost::json::array warnings_;
  boost::json::array stale_;
};

}  // namespace kiln
