#include "daemon/image/start_config.h"

#include <Python.h>
#include <dlfcn.h>
#include <link.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cwchar>
#include <span>

#include "daemon/image/interpreter_state.h"

namespace kiln::image {
namespace {

// PyWideStringList
struct WideList {
  Py_ssize_t length;
  wchar_t** items;
};

// Offsets in PyConfig (Include/cpython/initconfig.h). 0: it has no such member.
struct Layout {
  std::size_t argv;
  std::size_t site_import;
  std::size_t orig_argv;
  std::size_t run;  // run_command, run_module, run_filename
  std::size_t sys_path_0;
};
constexpr int kOldest = 8;
constexpr std::array<Layout, 6> kLayouts{{{96, 152, 0, 328, 0},         // 3.8
                                          {96, 152, 376, 336, 0},       // 3.9
                                          {104, 152, 88, 352, 0},       // 3.10
                                          {120, 168, 104, 384, 0},      // 3.11
                                          {128, 176, 112, 392, 0},      // 3.12
                                          {128, 176, 112, 400, 424}}};  // 3.13
constexpr std::size_t kConfigOf38 = 176;  // in PyInterpreterState: there is no function that returns it

// What was found; null: it was not.
struct Found {
  WideList* argv = nullptr;
  WideList* orig_argv = nullptr;
  wchar_t** run = nullptr;         // three of them
  WideList* original = nullptr;    // behind Py_GetArgcArgv
  wchar_t** sys_path_0 = nullptr;  // of subinterpreters since 3.12.1
};
Found found;

template <class Function>
Function symbol(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
}

// Whether there is such a string at AT, which may be no address at all.
bool is_text(const wchar_t* at, const std::string& text) {
  const wchar_t* const expected = Py_DecodeLocale(text.c_str(), nullptr);  // stays: this is done once
  if (expected == nullptr) return false;
  std::vector<wchar_t> seen(std::wcslen(expected) + 1);
  const std::size_t size = seen.size() * sizeof(wchar_t);
  const iovec to{seen.data(), size};
  const iovec from{const_cast<wchar_t*>(at), size};
  return ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) == static_cast<ssize_t>(size) &&
         std::equal(seen.begin(), seen.end(), expected);
}

// Of the main interpreter.
char* config_of(int minor) {
  const auto config = symbol<char* (*)()>("_Py_GetConfig");
  if (config != nullptr) return config();
  const auto interpreter = symbol<char* (*)()>("PyInterpreterState_Main");
  return minor == kOldest && interpreter != nullptr ? interpreter() + kConfigOf38 : nullptr;
}

void find_config(int minor, const std::string& script, bool with_site) {
  char* const config = config_of(minor);
  if (config == nullptr) return;
  const Layout& layout = kLayouts[static_cast<std::size_t>(minor - kOldest)];
  auto* const argv = reinterpret_cast<WideList*>(config + layout.argv);
  auto* const site_import = reinterpret_cast<int*>(config + layout.site_import);
  wchar_t* first = nullptr;
  const iovec to{&first, sizeof first};
  const iovec from{argv->items, sizeof first};
  if (argv->length != 1 || *site_import != 0 ||
      ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) != sizeof first || !is_text(first, script))
    return;
  found.argv = argv;
  *site_import = with_site ? 1 : 0;
  found.run = reinterpret_cast<wchar_t**>(config + layout.run);
  if (layout.orig_argv != 0) found.orig_argv = reinterpret_cast<WideList*>(config + layout.orig_argv);
  if (layout.sys_path_0 != 0) found.sys_path_0 = reinterpret_cast<wchar_t**>(config + layout.sys_path_0);
}

// 3.12.1 and later keep it in front of the main interpreter, in one structure with that.
void find_path_of_3_12(const std::string& directory) {
  const auto interpreter = symbol<wchar_t** (*)()>("PyInterpreterState_Main");
  if (interpreter != nullptr && is_text(interpreter()[-1], directory)) found.sys_path_0 = interpreter() - 1;
}

struct Search {
  std::uintptr_t near;  // an address in the module that is searched
  WideList wanted;
  std::vector<WideList*> seen;
};

bool holds(const dl_phdr_info& module, const ElfW(Phdr) & part, std::uintptr_t address) {
  return part.p_type == PT_LOAD && address - (module.dlpi_addr + part.p_vaddr) < part.p_memsz;
}

int search_module(dl_phdr_info* module, std::size_t, void* argument) {
  auto& search = *static_cast<Search*>(argument);
  const std::span parts(module->dlpi_phdr, module->dlpi_phnum);
  if (std::ranges::none_of(parts, [&](const auto& part) { return holds(*module, part, search.near); }))
    return 0;
  for (const auto& part : parts) {
    if (part.p_type != PT_LOAD || (part.p_flags & PF_W) == 0) continue;
    const std::uintptr_t begin = (module->dlpi_addr + part.p_vaddr + 7) & ~std::uintptr_t{7};
    const std::uintptr_t end = module->dlpi_addr + part.p_vaddr + part.p_memsz;
    for (std::uintptr_t at = begin; at + sizeof(WideList) <= end; at += sizeof(void*)) {
      auto* const list = reinterpret_cast<WideList*>(at);
      if (list->length == search.wanted.length && list->items == search.wanted.items)
        search.seen.push_back(list);
    }
  }
  return 1;
}

// A variable of its own, by what it holds: no two can.
void find_original() {
  const auto get = symbol<void (*)(int*, wchar_t***)>("Py_GetArgcArgv");
  if (get == nullptr) return;
  int count = 0;
  Search search{reinterpret_cast<std::uintptr_t>(get), {}, {}};
  get(&count, &search.wanted.items);
  search.wanted.length = count;
  if (count == 0) return;
  ::dl_iterate_phdr(search_module, &search);
  if (search.seen.size() == 1) found.original = search.seen[0];
}

// The former strings are the image's; nobody lets go of them.
void set_list(WideList* list, const std::vector<std::string>& texts) {
  if (list == nullptr) return;
  auto** const items = static_cast<wchar_t**>(::malloc((texts.size() + 1) * sizeof(wchar_t*)));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    items[i] = Py_DecodeLocale(texts[i].c_str(), nullptr);
    if (items[i] == nullptr) return;
  }
  items[texts.size()] = nullptr;
  *list = {static_cast<Py_ssize_t>(texts.size()), items};
}

}  // namespace

void find_start_config(const std::string& script, bool with_site) {
  const int minor = interpreter_state().minor;
  if (minor < kOldest || minor >= kOldest + static_cast<int>(kLayouts.size())) return;
  find_config(minor, script, with_site);
  if (minor == 12) find_path_of_3_12(script.substr(0, script.rfind('/')));
  find_original();
  if (found.sys_path_0 != nullptr) *found.sys_path_0 = nullptr;  // a run may have none
  auto* const no_site = symbol<int*>("Py_NoSiteFlag");
  if (no_site != nullptr && with_site) *no_site = 0;
}

void change_start_arguments(const std::vector<std::string>& arguments,
                            const std::vector<std::string>& command_line) {
  set_list(found.argv, arguments);
  set_list(found.orig_argv, command_line);
  set_list(found.original, command_line);
}

void change_start_target(TargetKind kind, const std::string& target) {
  if (found.run == nullptr) return;
  std::fill_n(found.run, 3, nullptr);
  found.run[2 - static_cast<int>(kind)] = Py_DecodeLocale(target.c_str(), nullptr);
}

void change_start_path(const std::string& path) {
  if (found.sys_path_0 != nullptr) *found.sys_path_0 = Py_DecodeLocale(path.c_str(), nullptr);
}

}  // namespace kiln::image
