// A directory with Python sources in which the user cannot write, while the test can. An ordinary user takes
// the permission to write away; root, who may write anywhere, sees the directory through a read-only mount,
// in a mount namespace of this test process's own.
#pragma once

#include <string>
#include <string_view>

namespace kiln::e2e {

class UnwritableTree {
 public:
  UnwritableTree();
  ~UnwritableTree();
  UnwritableTree(const UnwritableTree&) = delete;
  UnwritableTree& operator=(const UnwritableTree&) = delete;

  // False where neither way is possible: then there is nothing to be tested.
  bool works() const { return works_; }
  // Where programs see a file.
  std::string operator/(const std::string& name) const { return dir_ + "/" + name; }
  void write(const std::string& name, std::string_view content);
  void remove(const std::string& name);
  // WRITE, but the file keeps its time.
  void replace(const std::string& name, std::string_view content);

 private:
  void allow(bool writing);

  std::string dir_;    // as programs see it
  std::string store_;  // where the test writes
  bool works_ = false;
};

}  // namespace kiln::e2e
