// `kiln explain run`: how a run would be served if it came now, and why. Nothing is run.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <variant>

#include "client/interpreter_choice.h"
#include "common/result.h"
#include "proto/kiln.pb.h"

namespace kiln {

// A command that gets the arguments of `kiln run`, and tells how such a run would be served.
struct RunInquiry {
  const char* command;  // "explain run"
  const char* help;
  std::span<const std::string_view> options;
  std::function<Result<proto::ExplainRunReply>(const ChosenInterpreter&, std::span<char* const>)> ask;
};

// ARGUMENTS: --json, if wanted, and those of `kiln run`. Prints the answer, and returns it; or the exit code.
std::variant<int, proto::ExplainRunReply> tell_of_run(const RunInquiry& inquiry, std::span<char*> arguments);

// ARGUMENTS: those of `kiln run`, with --json before them where that is wanted.
int explain_run_command(std::span<char*> arguments);

}  // namespace kiln
