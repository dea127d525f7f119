// Collects what a run takes from this process: the request by which the daemon picks an image, and the launch
// by which a child of that image becomes the program.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/context.h"
#include "client/interpreter_choice.h"
#include "client/python_command.h"
#include "common/launch.h"
#include "common/unique_fd.h"
#include "proto/kiln.pb.h"

namespace kiln {

proto::RunRequest make_run_request(const Context& context, const ChosenInterpreter& interpreter,
                                   const PythonCommand& command);

// Fills in what decides whether the program may have been run ahead.
void describe_launch(const Launch& launch, proto::RunRequest& request);

struct Handover {
  Launch launch;
  std::vector<int> fds;  // to pass, in the order of launch.descriptors, the working directory last; not owned
  UniqueFd cwd;
};

// Fails with Reason::descriptors when more are open than fit into a message. ARGUMENTS follow the
// interpreter in the command line. OWN_FD is Kiln's own and stays here. BLOCKED is the signal mask that the
// program shall start with.
Result<Handover> make_handover(const Context& context, const PythonCommand& command,
                               const ChosenInterpreter& interpreter, std::span<char* const> arguments,
                               std::uint64_t blocked_signals, int own_fd);

}  // namespace kiln
