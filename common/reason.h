// Why a run was not served warm, and why a request failed: one small enum, its words and its wording in one
// place. The word is what KILN_LOG=1, `kiln stats` and `kiln explain run` print; scripts may rely on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kiln {

enum class Reason : std::uint8_t {
  served,  // not a failure: the run went through an image
  // The client decided by itself.
  disabled,
  no_target,
  option,
  usage,
  orphaned,
  session,
  traced,
  secure,
  init,
  supervised,
  instrumented,
  limited,
  descriptors,
  timer,
  sandboxed,
  unshared,
  interpreter_missing,
  interpreter_script,
  not_python,
  streams,
  command_encoding,
  // No image yet.
  no_daemon,
  daemon_unreachable,
  no_image,
  image_starting,
  image_failed,
  build_mismatch,
  // The daemon or the image refused.
  interpreter,
  self_test,
  startup_code,
  namespace_differs,
  overloaded,
  shutting_down,
  images_disabled,
  config,
  protocol,
  foreign_user,
  // The child could not become the program.
  target_missing,
  target_unreadable,
  compile_error,
  compile_warning,
  source_encoding,
  source_form,
  bad_pyc,
  setup,
  image_lost,
  // Failures of other requests.
  not_found,
  already_running,
  system,
  timeout,
  internal,
};

// The word for a reason: "no-daemon". Stable.
std::string_view word(Reason reason);
// One sentence for people, without a full stop: "no daemon was running; one was started for the next run".
std::string_view wording(Reason reason);
// The reason that WORD names, if any: what comes over a socket is text.
std::optional<Reason> reason_from_word(std::string_view word);

}  // namespace kiln
