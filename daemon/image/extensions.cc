#include "daemon/image/extensions.h"

#include <Python.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/path_text.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// Extension modules of the standard library whose types do nothing visible when they are deallocated: they
// give memory back, or close descriptors, which the end of a process does as well. Not here are, among
// others, dbm (buffers), greenlet's kin, tkinter, and the modules of CPython's own tests.
constexpr std::array<std::string_view, 60> kStandardModules{"_asyncio",
                                                            "_bisect",
                                                            "_blake2",
                                                            "_bz2",
                                                            "_codecs_cn",
                                                            "_codecs_hk",
                                                            "_codecs_jp",
                                                            "_codecs_kr",
                                                            "_codecs_tw",
                                                            "_contextvars",
                                                            "_csv",
                                                            "_ctypes",
                                                            "_curses",
                                                            "_curses_panel",
                                                            "_datetime",
                                                            "_decimal",
                                                            "_elementtree",
                                                            "_hashlib",
                                                            "_heapq",
                                                            "_json",
                                                            "_lsprof",
                                                            "_lzma",
                                                            "_md5",
                                                            "_multibytecodec",
                                                            "_multiprocessing",
                                                            "_opcode",
                                                            "_pickle",
                                                            "_posixshmem",
                                                            "_posixsubprocess",
                                                            "_queue",
                                                            "_random",
                                                            "_sha1",
                                                            "_sha2",
                                                            "_sha256",
                                                            "_sha3",
                                                            "_sha512",
                                                            "_socket",
                                                            "_ssl",
                                                            "_statistics",
                                                            "_struct",
                                                            "_typing",
                                                            "_uuid",
                                                            "_zoneinfo",
                                                            "array",
                                                            "audioop",
                                                            "binascii",
                                                            "cmath",
                                                            "fcntl",
                                                            "grp",
                                                            "math",
                                                            "mmap",
                                                            "pyexpat",
                                                            "readline",
                                                            "resource",
                                                            "select",
                                                            "syslog",
                                                            "termios",
                                                            "unicodedata",
                                                            "zlib",
                                                            "_crypt"};

// Others, by the directory of their package: arrays, trees and codecs, that hold nothing but memory. What of
// them holds a file has a finalizer of Python's (numpy's NpzFile), which is looked for.
constexpr std::array<std::string_view, 16> kPackages{
    "numpy", "pandas",     "scipy", "matplotlib", "PIL",       "lxml",       "yaml",      "numexpr",
    "_yaml", "markupsafe", "regex", "mercurial",  "rapidfuzz", "kiwisolver", "contourpy", "bottleneck"};

// From 3.10 on the collector knows its objects, and whoever looks for finalizers finds connections.
bool is_harmless_sqlite(std::string_view name) {
  return name == "_sqlite3" && interpreter_state().minor >= 10;
}

bool is_harmless_standard_module(std::string_view name) {
  return std::ranges::find(kStandardModules, name) != kStandardModules.end() || is_harmless_sqlite(name);
}

// PATH: of a shared library.
bool is_harmless(std::string_view path) {
  std::string_view name = name_of(path);
  name = name.substr(0, name.find('.'));
  if (path.find("/lib-dynload/") != std::string_view::npos) return is_harmless_standard_module(name);
  return std::ranges::any_of(kPackages, [&](std::string_view package) {
    for (const std::string_view place : {"/site-packages/", "/dist-packages/"}) {
      const auto at = path.find(place);
      if (at == std::string_view::npos) continue;
      const auto rest = path.substr(at + place.size());
      if (rest.starts_with(package) && rest.substr(package.size()).starts_with('/')) return true;
    }
    return false;
  });
}

// Nothing: it cannot be told. Empty: it has none.
std::optional<std::string> file_of(PyObject* module) {
  const PythonRef file{PyModule_GetFilenameObject(module)};
  if (!file) {
    PyErr_Clear();
    return std::string();
  }
  const PythonRef path{PyUnicode_EncodeFSDefault(file.get())};
  if (path) return PyBytes_AsString(path.get());
  PyErr_Clear();
  return std::nullopt;
}

// The image's modules that were found harmless, with their names: both live as long as the image does. A
// child that removes one, and has another at its place under the same name, has loaded it again.
std::unordered_map<PyObject*, PyObject*>& judged() {
  static auto* modules = new std::unordered_map<PyObject*, PyObject*>;
  return *modules;
}

// Calls FOUND(name, module) for each module that is not judged yet and may be harmful.
template <class Function>
bool any_module(Function found) {
  PyObject* name = nullptr;
  PyObject* module = nullptr;
  Py_ssize_t position = 0;
  while (PyDict_Next(PyImport_GetModuleDict(), &position, &name, &module) != 0) {
    if (found(name, module)) return true;
  }
  return false;
}

bool may_do_harm(PyObject* module) {
  if (!PyModule_Check(module)) return false;
  const auto file = file_of(module);
  return !file || (file->ends_with(".so") && !is_harmless(*file));
}

}  // namespace

std::string note_own_extensions() {
  std::string unknown;
  any_module([&](PyObject* name, PyObject* module) {
    if (!may_do_harm(module)) {
      judged().insert_or_assign(module, name);
    } else if (unknown.empty()) {
      unknown = "the library " + file_of(module).value_or("");
    }
    return false;
  });
  return unknown;
}

bool has_unknown_extension() {
  return any_module([](PyObject* name, PyObject* module) {
    const auto known = judged().find(module);
    return (known == judged().end() || known->second != name) && may_do_harm(module);
  });
}

}  // namespace kiln::image
