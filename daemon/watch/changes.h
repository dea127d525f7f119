// What whoever compiles should look at again: hints, never proofs. One "look at this again" may stand for
// many events, and for none that matters; what is bounded grows coarser instead of larger.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct Changes {
  std::vector<std::string> files;        // something happened to this name; it may be there or not
  std::vector<std::string> directories;  // its entries should be looked at, not what is below them
  std::vector<std::string>
      trees;  // it should be looked at with all below it; it may be gone, or a file by now

  bool is_empty() const { return files.empty() && directories.empty() && trees.empty(); }
};

// Absolute paths throughout, without trailing slashes.
class ChangeSet {
 public:
  // More names than NAMES of one directory become that directory. Of more directories than DIRECTORIES the
  // deepest become trees at the directories above them, whether or not those are watched.
  explicit ChangeSet(std::size_t names = 64, std::size_t directories = 2048)
      : name_limit_(names), directory_limit_(directories) {}

  void add_file(const std::string& directory, std::string_view name);
  void add_directory(const std::string& directory);
  void add_tree(const std::string& directory);

  bool empty() const { return entries_.empty(); }
  // Sorted; leaves nothing.
  Changes take();

 private:
  enum class Extent { names, directory, tree };
  struct Entry {
    Extent extent = Extent::names;
    std::set<std::string, std::less<>> names;
  };

  bool is_below_tree(std::string_view directory) const;
  Entry* entry(const std::string& directory);
  void collapse();

  std::size_t name_limit_;
  std::size_t directory_limit_;
  std::map<std::string, Entry, std::less<>> entries_;  // by directory
};

}  // namespace kiln
