#include "daemon/image/native_stack.h"

#include <dlfcn.h>
#include <unwind.h>

#include <algorithm>

namespace kiln::image {
namespace {

struct LibrarySearch {
  std::string_view name;
  std::size_t left;
  bool found = false;
};

_Unwind_Reason_Code look_at_library(_Unwind_Context* context, void* raw) {
  auto& search = *static_cast<LibrarySearch*>(raw);
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(_Unwind_GetIP(context)), &info) != 0 && info.dli_fname != nullptr) {
    const std::string_view path = info.dli_fname;
    search.found = path.substr(path.rfind('/') + 1).starts_with(search.name);
  }
  return search.found || --search.left == 0 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

struct Search {
  const std::vector<const void*>& functions;
  std::size_t left;
  const void* evaluator = ::dlsym(RTLD_DEFAULT, "_PyEval_EvalFrameDefault");  // runs Python code
  bool found = false;
};

_Unwind_Reason_Code look(_Unwind_Context* context, void* raw) {
  auto& search = *static_cast<Search*>(raw);
  const void* function = _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(_Unwind_GetIP(context)));
  if (function == search.evaluator) return _URC_END_OF_STACK;
  search.found = std::ranges::find(search.functions, function) != search.functions.end();
  return search.found || --search.left == 0 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

bool is_within(const std::vector<const void*>& functions, std::size_t limit) {
  Search search{functions, limit};
  if (!functions.empty()) _Unwind_Backtrace(look, &search);
  return search.found;
}

bool is_within_library(std::string_view name, std::size_t limit) {
  LibrarySearch search{name, limit};
  _Unwind_Backtrace(look_at_library, &search);
  return search.found;
}

}  // namespace kiln::image
