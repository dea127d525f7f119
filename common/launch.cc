#include "common/launch.h"

#include <csignal>

#include "common/fields.h"

namespace kiln {

std::string encode_launch(const Launch& launch) {
  FieldWriter out;
  out.number(static_cast<std::uint64_t>(launch.kind));
  out.bytes(launch.target);
  out.list(launch.arguments);
  out.list(launch.command_line);
  out.bytes(launch.name);
  out.list(launch.environment);
  out.number(launch.descriptors.size());
  for (const int fd : launch.descriptors) out.number(static_cast<std::uint64_t>(fd));
  out.number(launch.umask);
  out.number(launch.ignored_signals);
  out.number(launch.blocked_signals);
  for (const std::uint64_t limit : launch.soft_limits) out.number(limit);
  out.bytes(launch.affinity);
  out.bytes(launch.host);
  out.number(static_cast<std::uint64_t>(static_cast<std::int64_t>(launch.oom_score_adj)));
  out.number(static_cast<std::uint32_t>(launch.process_group));
  return out.take();
}

Result<Launch> decode_launch(std::string_view payload) {
  FieldReader in(payload);
  Launch launch;
  const std::uint64_t kind = in.number();
  launch.kind = static_cast<TargetKind>(kind);
  launch.target = in.bytes();
  launch.arguments = in.list();
  launch.command_line = in.list();
  launch.name = in.bytes();
  launch.environment = in.list();
  const std::uint64_t count = in.number();
  for (std::uint64_t i = 0; in.ok() && i < count; ++i)
    launch.descriptors.push_back(static_cast<int>(in.number()));
  launch.umask = static_cast<std::uint32_t>(in.number());
  launch.ignored_signals = in.number();
  launch.blocked_signals = in.number();
  for (std::uint64_t& limit : launch.soft_limits) limit = in.number();
  launch.affinity = in.bytes();
  launch.host = in.bytes();
  launch.oom_score_adj = static_cast<std::int32_t>(static_cast<std::int64_t>(in.number()));
  launch.process_group = static_cast<std::int32_t>(in.number());
  if (!in.done() || kind > static_cast<std::uint64_t>(TargetKind::command)) {
    return Error{Reason::protocol, "malformed launch", {}};
  }
  for (const int fd : launch.descriptors) {
    if (fd < 0) return Error{Reason::protocol, "negative descriptor in a launch", {}};
  }
  return launch;
}

std::string encode_ready(const Ready& ready) {
  FieldWriter out;
  out.number(static_cast<std::uint64_t>(ready.pid));
  out.number(static_cast<std::uint64_t>(ready.image));
  out.number(ready.is_ahead ? 1 : 0);
  return out.take();
}

Result<Ready> decode_ready(std::string_view payload) {
  FieldReader in(payload);
  Ready ready;
  ready.pid = static_cast<std::int32_t>(in.number());
  ready.image = static_cast<std::int32_t>(in.number());
  const std::uint64_t is_ahead = in.number();
  ready.is_ahead = is_ahead == 1;
  if (!in.done() || ready.pid <= 0 || ready.image <= 0 || is_ahead > 1)
    return Error{Reason::protocol, "malformed ready", {}};
  return ready;
}

std::string encode_ended(int wait_status) {
  FieldWriter out;
  out.number(static_cast<std::uint32_t>(wait_status));
  return out.take();
}

Result<int> decode_ended(std::string_view payload) {
  FieldReader in(payload);
  const auto status = static_cast<int>(in.number());
  if (!in.done()) return Error{Reason::protocol, "malformed ended", {}};
  return status;
}

std::string encode_stopped(int signal) {
  FieldWriter out;
  out.number(static_cast<std::uint32_t>(signal));
  return out.take();
}

Result<int> decode_stopped(std::string_view payload) {
  FieldReader in(payload);
  const auto signal = static_cast<int>(in.number());
  if (!in.done() || signal <= 0 || signal >= NSIG) return Error{Reason::protocol, "malformed stopped", {}};
  return signal;
}

std::string encode_refused(const Error& error) {
  FieldWriter out;
  out.bytes(word(error.reason));
  out.bytes(error.message);
  return out.take();
}

Error decode_refused(std::string_view payload) {
  FieldReader in(payload);
  const auto reason = reason_from_word(in.bytes());
  std::string message = in.bytes();
  if (!in.done() || !reason) return Error{Reason::protocol, "malformed refusal", {}};
  return Error{*reason, std::move(message), {}};
}

}  // namespace kiln
