#include "common/image_channel.h"

#include "common/fields.h"

namespace kiln {

std::string encode_image_greeting(const ImageGreeting& greeting) {
  FieldWriter out;
  out.bytes(greeting.build_id);
  out.bytes(greeting.reason);
  out.bytes(greeting.detail);
  out.bytes(greeting.version);
  out.bytes(greeting.tag);
  out.number(greeting.magic);
  out.number(greeting.pid);
  out.number(greeting.whole_environment);
  out.list(greeting.reads);
  out.list(greeting.inputs);
  return out.take();
}

Result<ImageGreeting> decode_image_greeting(std::string_view message) {
  FieldReader in(message);
  ImageGreeting greeting;
  greeting.build_id = in.bytes();
  greeting.reason = in.bytes();
  greeting.detail = in.bytes();
  greeting.version = in.bytes();
  greeting.tag = in.bytes();
  greeting.magic = in.number();
  greeting.pid = in.number();
  greeting.whole_environment = in.number();
  greeting.reads = in.list();
  greeting.inputs = in.list();
  if (!in.done()) return Error{Reason::protocol, "malformed greeting of an image", {}};
  return greeting;
}

std::string encode_image_report(const ImageReport& report) {
  FieldWriter out;
  out.number(report.served);
  out.number(report.running);
  out.number(report.same_imports ? 1 : 0);
  out.bytes(report.run.entry);
  out.paths(report.run.imported);
  out.paths(report.run.uncached.paths);
  out.number(report.run.uncached.umask);
  out.number(report.run.uncached.optimize);
  out.number(report.run.imports_hash);
  return out.take();
}

Result<ImageReport> decode_image_report(std::string_view message) {
  FieldReader in(message);
  ImageReport report;
  report.served = in.number();
  report.running = in.number();
  const std::uint64_t same_imports = in.number();
  report.same_imports = same_imports == 1;
  report.run.entry = in.bytes();
  report.run.imported = in.paths();
  report.run.uncached.paths = in.paths();
  report.run.uncached.umask = in.number();
  report.run.uncached.optimize = in.number();
  report.run.imports_hash = in.number();
  if (!in.done() || same_imports > 1) return Error{Reason::protocol, "malformed report of an image", {}};
  return report;
}

}  // namespace kiln
