#include "daemon/image/known_step.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <span>

#include "daemon/image/interpreter_state.h"
#include "daemon/image/look.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// A field's default is computed when it is needed: it is not compared with the present time.
bool has_computed_default() {
  const PythonRef value = own_attribute(self_of("_check_fix_default_value").get(), "default");
  const PythonRef type =
      PythonRef::borrowed(value ? reinterpret_cast<PyObject*>(Py_TYPE(value.get())) : nullptr);
  return is_text(attribute(type.get(), "__name__").get(), "function");
}

// Nobody holds a generator of the module random but the one that it makes just now, as when the module is
// imported once more, or another time: of those only the last one is seeded anew.
bool is_only_generator() {
  PyObject* module = PyDict_GetItemString(PyImport_GetModuleDict(), "_random");
  const PythonRef type = attribute(module, "Random");
  if (!type) return false;
  Py_ssize_t count = 0;
  for (int generation = 0; generation < 3; ++generation) {
    const PythonRef objects{PyObject_CallFunction(interpreter_state().gc_objects.get(), "i", generation)};
    for (Py_ssize_t i = 0; objects && i < PyList_Size(objects.get()); ++i) {
      PyObject* object = PyList_GetItem(objects.get(), i);
      count += PyType_IsSubtype(Py_TYPE(object), reinterpret_cast<PyTypeObject*>(type.get())) != 0 ? 1 : 0;
    }
  }
  PyErr_Clear();
  return count == 1;
}

constexpr std::string_view kThreadId =
    "(lambda i: object() if i is None or i < 257 else i)(sys.modules['threading']._main_thread._native_id)";

constexpr Generator kRandom{"random", "_inst", "_random", "Random"};
constexpr Generator kSympy{"sympy.core.random", "rng", "_random", "Random"};
constexpr Generator kNumpy{"numpy.random.mtrand", "_rand", "numpy.random.mtrand", "RandomState"};

constexpr ThreadPool kNumexpr{"numexpr.interpreter", "_get_num_threads", "_set_num_threads"};

constexpr std::array kKnownSteps{
    KnownStep{.effect = Effect::clock,
              .module = "logging",
              .function = "<module>",
              .within = "logging",
              .reset = "m = sys.modules['logging']\n"
                       "m._startTime = time.time() if isinstance(m._startTime, float) else time.time_ns()\n",
              .reason = "the time from which relativeCreated counts",
              .replaces = "sys.modules['logging']._startTime"},
    KnownStep{Effect::clock, "dateutil.parser._parser", "__init__", "dateutil.parser._parser",
              "i = sys.modules['dateutil.parser._parser'].DEFAULTPARSER.info\n"
              "i._year = time.localtime().tm_year\n"
              "i._century = i._year // 100 * 100\n",
              "the year by which the default parser completes those of two digits"},
    KnownStep{.effect = Effect::random,
              .module = "random",
              .within = "random",
              .reset = "sys.modules['random']._inst.seed()\n",
              .reason = "the state of the module's own generator",
              .holds = is_only_generator,
              .seeds = &kRandom},
    KnownStep{.effect = Effect::random,
              .module = "random",
              .within = "sympy.core.random",
              .reset = "sys.modules['sympy.core.random'].rng.seed()\n",
              .reason = "the state of sympy's own generator",
              .seeds = &kSympy},
    KnownStep{
        Effect::random, "random", "", "sympy.core.symbol",
        "d = sys.modules['sympy.core.symbol'].Dummy\n"
        "d._prng.seed()\n"
        "b = d._base_dummy_index\n"
        "d._base_dummy_index = d._prng.randint(b, b + 8 * 10**6)\n",
        "where numbering of the dummies starts: those that were made by the import keep theirs, and stay "
        "before those that the program makes"},
    KnownStep{Effect::random, "random", "", "sympy.ntheory.ecm",
              "sys.modules['sympy.ntheory.ecm'].rgen.seed()\n",
              "the state of a generator that is seeded before each use"},
    KnownStep{.effect = Effect::draw,
              .module = "random",
              .within = "asgiref.local",
              .reason = "a part of the name of an attribute, by which objects of one process are told apart",
              .within_function = "__init__"},
    KnownStep{Effect::clock, "django.utils.timezone", "now", "django.db.models.fields", "",
              "the time with which a default that is fixed would be compared", "_check_fix_default_value",
              has_computed_default},
    KnownStep{Effect::clock, "django.utils.timezone", "now", "django.contrib.auth.checks", "",
              "the defaults of a user that is made to look at two attributes, and thrown away",
              "check_user_model"},
    KnownStep{Effect::random, "random", "", "sympy.ntheory.qs",
              "sys.modules['sympy.ntheory.qs'].rgen.seed()\n",
              "the state of a generator that is seeded before each use"},
    KnownStep{Effect::random, "secrets", "<module>", "secrets", "",
              "the state that SystemRandom has of its base class, and never uses"},
    KnownStep{.effect = Effect::random,
              .module = "multiprocessing.process",
              .function = "__init__",
              .within = "multiprocessing.process",
              .reset = "m = sys.modules['multiprocessing.process']\n"
                       "m._current_process._config['authkey'] = m.AuthenticationString(os.urandom(32))\n",
              .reason = "the key of the main process, handed to children that it starts",
              .replaces = "sys.modules['multiprocessing.process']._current_process._config['authkey']",
              .holds_own = "sys.modules['multiprocessing.process']._current_process._config"},
    KnownStep{.effect = Effect::random,
              .module = "random",
              .function = "getrandbits",
              .within = "numpy.random",
              .reset = "sys.modules['numpy.random'].seed()\n",
              .reason = "the state of numpy's global legacy generator",
              .seeds = &kNumpy},
    KnownStep{Effect::thread_id, "threading", "_set_native_id", "threading", "",
              "the main thread's id, which every child renews"},
    KnownStep{Effect::any, "platform", "from_subprocess", "", "",
              "runs `uname -p`, which says the same in every run"},
    KnownStep{.effect = Effect::thread,
              .module = "numexpr.utils",
              .function = "set_num_threads",
              .within = "numexpr",
              .reason = "threads that wait for work, none of which is done before a step is taken",
              .starts = &kNumexpr},
    KnownStep{Effect::process_id, "numexpr.utils", "set_num_threads", "numexpr", "",
              "the id by which it tells a fork, in which it has to start its threads"},
    KnownStep{Effect::descriptor, "selectors", "_can_use", "selectors", "",
              "an epoll descriptor, closed at once: does the kernel have them?"},
};

std::string_view package_of(std::string_view module) {
  return module.substr(0, module.find('.'));
}

// A part of the same package, the module that takes the step, and what imports.
bool may_lie_between(const PythonFrame& frame, const KnownStep& step) {
  constexpr std::array<std::string_view, 3> kImporting{"importlib._bootstrap",
                                                       "importlib._bootstrap_external", "secrets"};
  return package_of(frame.module) == package_of(step.within) || frame.module == step.module ||
         frame.module.starts_with("_frozen_importlib") ||
         std::ranges::find(kImporting, frame.module) != kImporting.end();
}

constexpr KnownStep kTrusted{.reason = "images.trust names a module within which it is taken"};

std::vector<std::string>& trusted() {
  static auto* patterns = new std::vector<std::string>;
  return *patterns;
}

bool is_trusted(const std::vector<PythonFrame>& stack) {
  return std::ranges::any_of(stack, [](const PythonFrame& frame) {
    return std::ranges::any_of(trusted(), [&](const std::string& pattern) {
      return ::fnmatch(pattern.c_str(), frame.module.c_str(), 0) == 0;
    });
  });
}

// importlib.util.LazyLoader, which executes a module when it is first used. CALLERS: of the module's code.
bool is_lazy_load(std::span<const PythonFrame> callers) {
  const auto caller = std::ranges::find_if(
      callers, [](const PythonFrame& frame) { return !frame.module.starts_with("importlib._bootstrap"); });
  return caller != callers.end() && caller->module == "importlib.util" &&
         caller->function == "__getattribute__";
}

// Not by reload(), nor of a copy beside the one that the resets find.
bool is_first_import(const PythonFrame& frame, std::span<const PythonFrame> callers) {
  PyObject* module = PyDict_GetItemString(PyImport_GetModuleDict(), frame.module.c_str());
  if (module == nullptr || PyModule_Check(module) == 0 || PyModule_GetDict(module) != frame.globals)
    return false;
  if (is_lazy_load(callers)) return true;
  const PythonRef spec = attribute(module, "__spec__");
  return attribute(spec.get(), "_initializing").get() == Py_True;
}

bool matches(const KnownStep& step, const std::vector<PythonFrame>& stack) {
  // Whatever is done within this function.
  if (step.effect == Effect::any) {
    return std::ranges::any_of(stack, [&](const PythonFrame& frame) {
      return frame.module == step.module && frame.function == step.function;
    });
  }
  if (stack.empty() || stack[0].module != step.module) return false;
  if (!step.function.empty() && stack[0].function != step.function) return false;
  for (std::size_t i = 0; i < stack.size(); ++i) {
    const PythonFrame& frame = stack[i];
    if (frame.module == step.within && frame.function == step.within_function)
      return (frame.function != "<module>" || is_first_import(frame, std::span(stack).subspan(i + 1))) &&
             (step.holds == nullptr || step.holds());
    if (!may_lie_between(frame, step)) return false;
  }
  return false;
}

}  // namespace

void trust_modules(std::vector<std::string> patterns) {
  trusted() = std::move(patterns);
}

const KnownStep* find_known_step(Effect effect, const std::vector<PythonFrame>& stack) {
  if (effect != Effect::any && is_trusted(stack)) return &kTrusted;
  const auto found = std::ranges::find_if(
      kKnownSteps, [&](const KnownStep& step) { return step.effect == effect && matches(step, stack); });
  return found == kKnownSteps.end() ? nullptr : &*found;
}

const KnownStep* seeded_at_start() {
  if (PyDict_GetItemString(PyImport_GetModuleDict(), "random") == nullptr) return nullptr;
  return std::ranges::find(kKnownSteps, &kRandom, &KnownStep::seeds);
}

PythonRef value_of(const std::string& expression) {
  const PythonRef globals{PyDict_New()};
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  PyDict_SetItemString(globals.get(), "sys", PyDict_GetItemString(PyImport_GetModuleDict(), "sys"));
  const PythonRef code{Py_CompileString(expression.c_str(), "<kiln>", Py_eval_input)};
  PythonRef value{code ? PyEval_EvalCode(code.get(), globals.get(), globals.get()) : nullptr};
  PyErr_Clear();
  return value;
}

bool is_kept_elsewhere(const std::vector<std::string_view>& replaced) {
  // Its owner has one, and the call another. Small integers are everybody's.
  const auto is_kept = [&](std::string_view object) {
    return value_of("sys.getrefcount(" + std::string(object) + ") > 2").get() == Py_True;
  };
  return std::ranges::any_of(replaced, is_kept) || is_kept(kThreadId);
}

Result<void> make_up_for(const std::vector<std::string>& resets) {
  if (resets.empty()) return {};
  const PythonRef globals{PyDict_New()};
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  PyObject* modules = PyImport_GetModuleDict();
  for (const char* name : {"sys", "os", "time"}) {
    PyObject* module = PyDict_GetItemString(modules, name);
    if (module != nullptr) PyDict_SetItemString(globals.get(), name, module);
  }
  for (const std::string& reset : resets) {
    const PythonRef code{Py_CompileString(reset.c_str(), "<kiln>", Py_file_input)};
    const PythonRef done{code ? PyEval_EvalCode(code.get(), globals.get(), globals.get()) : nullptr};
    if (!done) return Error{Reason::setup, take_python_error(), {}};
  }
  return {};
}

}  // namespace kiln::image
