// `kiln gc`: shrinks the store to its limit, and says what was removed and what is left.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "client/command.h"
#include "client/connection.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/quantity.h"

namespace kiln {
namespace {

namespace json = boost::json;

std::string check_size(const std::string& text) {
  return parse_bytes(text) ? std::string() : "not a size such as 500MB or 2GiB: " + text;
}

Result<proto::GcReply> collect(std::optional<std::uint64_t> limit) {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  auto& gc = *request.mutable_gc();
  if (limit) gc.set_limit(*limit);
  TRY_VOID(connection.send(std::move(request)));
  return TRY(connection.receive()).gc();
}

json::object to_json(const proto::GcReply& done) {
  return {{"objects", done.objects()},
          {"bytes", done.bytes()},
          {"removed_objects", done.removed_objects()},
          {"removed_bytes", done.removed_bytes()}};
}

std::string amount(std::uint64_t objects, std::uint64_t bytes) {
  return count_text(objects) + (objects == 1 ? " object, " : " objects, ") + bytes_text(bytes);
}

void print_line(const proto::GcReply& done) {
  std::printf("store: %s; removed %s\n", amount(done.objects(), done.bytes()).c_str(),
              amount(done.removed_objects(), done.removed_bytes()).c_str());
}

}  // namespace

int gc_command(std::span<char*> arguments) {
  CLI::App app("Removes the longest unused objects of the store until it is within its limit", "kiln gc");
  std::string limit;
  bool as_json = false;
  app.add_option("--limit", limit, "instead of the configured store.limit: 500MB, 2GiB, 0 for all")
      ->type_name("SIZE")
      ->check(check_size);
  app.add_flag("--json", as_json, "one JSON document (keys objects, bytes, removed_objects, removed_bytes)");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto done = collect(parse_bytes(limit));
  if (!done) {
    print_error(done.error());
    return exit_code(done.error());
  }
  if (as_json) {
    std::printf("%s\n", json_text(to_json(*done)).c_str());
  } else {
    print_line(*done);
  }
  return kExitDone;
}

}  // namespace kiln
