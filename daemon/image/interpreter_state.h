// What an image looks up once in its own interpreter, so that a child need not: the objects that set-up and
// exit use, held by reference whatever the program does to the modules they came from.
#pragma once

#include <array>
#include <string>

#include "common/result.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {

using CollectionCounts = std::array<long long, 3>;

struct InterpreterState {
  int minor = 0;          // 8 to 13
  int optimize = 0;       // -O
  std::string cache_tag;  // cpython-311; empty: it keeps no bytecode
  bool unbuffered = false;
  bool adds_script_dir = true;  // neither -I nor -P: sys.path[0] was put in by Python
  PythonRef open;               // io.open
  PythonRef text_io_wrapper;
  PythonRef string_io;
  PythonRef marshal_loads;
  PythonRef fix_filename;  // _imp._fix_co_filename
  PythonRef environment;   // posix.environ, the dict behind os.environ
  PythonRef stream_encoding;
  PythonRef stream_errors;
  PythonRef source_loader;      // importlib's SourceFileLoader
  PythonRef sourceless_loader;  // and SourcelessFileLoader
  PythonRef builtin_importer;
  PythonRef get_profile;  // sys.getprofile
  PythonRef get_trace;    // sys.gettrace
  PythonRef get_tool;     // sys.monitoring.get_tool, from 3.12 on
  PythonRef signal;       // _signal.signal
  PythonRef ignore;       // _signal.SIG_IGN
  PythonRef gc_objects;   // gc.get_objects
  PythonRef gc_stats;     // gc.get_stats
  PythonRef gc_frozen;    // gc.get_freeze_count
  PythonRef gc_debug;     // gc.get_debug
  PythonRef gc_callbacks;
  PythonRef gc_is_enabled;
  PythonRef gc_enable;
  PythonRef gc_disable;
  bool audited = false;           // an audit hook was added
  bool plain_path_hooks = false;  // sys.path_hooks are Python's own two: zip files, directories
  PythonRef io_base;              // io.IOBase's C base, _io._IOBase
  PythonRef weak_reference;
  PyObject* main_dict = nullptr;  // borrowed: a reference would keep __main__ from being finalized
  // When the image was complete:
  CollectionCounts collections{};  // of the collector's generations, the youngest first
  long long frozen_objects = 0;    // gc.get_freeze_count(): not 0 in 3.12
};

// Borrowed; the state lives as long as the process.
InterpreterState& interpreter_state();

// Fills it in. Fails with Reason::interpreter where something is not as Kiln knows it.
Result<void> read_interpreter_state();

// Lets go of everything: what we hold would be finalized later than it should.
void release_interpreter_state();

// Notes what the collector has done so far: what a run makes is in its younger generations until it does more
// (finalizers.cc). Nothing is collected or frozen here, for that would change the order of finalization.
Result<void> note_collector_state();

CollectionCounts count_collections();

long long count_frozen_objects();

// The pending Python error as one line of text; clears it.
std::string take_python_error();

}  // namespace kiln::image
