#include "client/interpreter_check.h"

#include "client/connection.h"
#include "client/interpreter_choice.h"

namespace kiln {

// To compile nothing is to ask just this.
Result<void> check_is_interpreter(const std::string& path, const std::string& given) {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  request.mutable_precompile()->add_python(path);
  request.mutable_precompile()->add_optimize(0);
  request.mutable_precompile()->set_check(true);
  TRY_VOID(connection.send(std::move(request)));
  proto::PrecompileEvent event;
  while (!event.has_summary()) event = TRY(connection.receive()).precompile();
  const auto& summary = event.summary();
  if (summary.failure_reason() != word(Reason::interpreter)) return {};
  return Error{Reason::interpreter, summary.failure(), use_another_interpreter(given)};
}

}  // namespace kiln
