#include "daemon/image/thread_pool.h"

#include <Python.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "daemon/image/descriptor_layout.h"
#include "daemon/image/fence.h"
#include "daemon/image/look.h"
#include "daemon/image/python_aside.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/takeover.h"

namespace kiln::image {
namespace {

// One for each process: the table has one pool.
PyMethodDef* starter = nullptr;  // null: none was postponed
PyCFunction start = nullptr;     // what it did
long threads = 0;
pid_t postponed_by = 0;

PyObject* start_anew(PyObject* self, PyObject* arguments) {
  stop_at_fence("starts threads");
  return start(self, arguments);
}

// With threads, as it believes that there are some, the C library holds its locks while it forks: a program
// that is stopped there could do no more.
void before_fork() {
  if (!is_fence_open()) stop_at_fence("starts a process");
}

PythonRef native_function(PyObject* module, const char* name) {
  PythonRef function = attribute(module, name);
  return function && PyCFunction_Check(function.get()) != 0 ? std::move(function) : PythonRef{};
}

}  // namespace

bool postpone_threads(const ThreadPool& pool) {
  if (starter != nullptr) return postponed_by == ::getpid();
  PyObject* module = PyDict_GetItemString(PyImport_GetModuleDict(), pool.module);
  const PythonRef count = native_function(module, pool.count);
  const PythonRef function = native_function(module, pool.start);
  if (!count || !function || PyCFunction_GetFlags(function.get()) != METH_VARARGS) return false;
  const PythonRef number{PyObject_CallObject(count.get(), nullptr)};
  threads = number && PyLong_Check(number.get()) != 0 ? PyLong_AsLong(number.get()) : 0;
  PyErr_Clear();
  if (threads <= 0 || ::pthread_atfork(before_fork, nullptr, nullptr) != 0) return false;
  starter = reinterpret_cast<NativeFunction*>(function.get())->method;
  start = starter->ml_meth;
  starter->ml_meth = start_anew;
  postponed_by = ::getpid();
  return true;
}

bool may_start_threads() {
  return starter == nullptr || postponed_by != ::getpid();
}

void start_postponed_threads(std::uint64_t blocked) {
  if (starter == nullptr) return;
  starter->ml_meth = start;
  starter = nullptr;
  const PythonAside aside;
  const PythonRef arguments{Py_BuildValue("(l)", threads)};
  sigset_t all;
  sigfillset(&all);
  release_signals(blocked);
  const PythonRef former{arguments ? start(nullptr, arguments.get()) : nullptr};
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  PyErr_Clear();
}

}  // namespace kiln::image
