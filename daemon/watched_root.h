// What the user has asked to be watched, and which of it is meant by a path.
//
// Policy and patterns are those of the files of configuration, looked at whenever something happens. What
// went before those when `kiln watch` was given, variables and options, is kept with the root and still does.
//
// Roots may nest. Where they do, the innermost decides, also by leaving something out: what it ignores is
// nobody's, however much the outer one would have taken it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

// A directory that is watched with all below it.
struct WatchedRoot {
  std::string path;                    // absolute
  std::vector<std::string> ignore;     // patterns (daemon/source_walk.h)
  std::string policy = "imported";     // or "all": what has no entry gets one, too
  std::vector<std::string> pythons;    // for "all": whose bytecode; absolute paths
  std::uint32_t umask = 0022;          // for "all": of the user who asked for it
  std::vector<std::string> variables;  // NAME=VALUE, with which its configuration is read; none: it is not

  bool keeps_all() const { return policy == "all"; }
  // PATH, absolute, is the root itself or lies below it, whether or not it is left out there.
  bool holds(std::string_view path) const;
  // It holds PATH, and leaves out neither that nor a directory on the way.
  bool covers(std::string_view path) const { return holds(path) && what_leaves_out(path).empty(); }
  // The pattern, or the name of a directory that is never looked into, by which it leaves PATH, which it
  // holds, out; empty: it does not.
  std::string_view what_leaves_out(std::string_view path) const;

  bool operator==(const WatchedRoot&) const = default;
};

// Paths are absolute and clean.
class WatchedRoots {
 public:
  void add(WatchedRoot root);  // in the place of the one with its path
  void remove(const std::string& path) { roots_.erase(path); }

  bool empty() const { return roots_.empty(); }
  std::size_t size() const { return roots_.size(); }
  // The root at PATH itself; null: there is none.
  const WatchedRoot* at(const std::string& path) const;
  // The root whose rules hold for PATH: the innermost that holds it, null if that leaves it out.
  const WatchedRoot* covering(std::string_view path) const;
  // What of the innermost root that holds PATH leaves it out, as words: "watch.ignore of /app has vendor";
  // empty: nothing does.
  std::string why_left_out(std::string_view path) const;
  // Something at PATH, or below it, may be of a root.
  bool may_hold(std::string_view path) const;
  // Some source at PATH, or below it, may be wanted by a root that keeps all.
  bool may_keep_all(std::string_view path) const;

  auto begin() const { return roots_.begin(); }
  auto end() const { return roots_.end(); }

 private:
  const WatchedRoot* innermost(std::string_view path) const;  // that holds PATH

  std::map<std::string, WatchedRoot, std::less<>> roots_;  // by path
};

}  // namespace kiln
