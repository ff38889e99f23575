// Bodies of the Admin API, whatever their type says and their keys look like: bounded work, no crash.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "admin/call.h"
#include "schema/form.h"

namespace {

using gateway::admin::Call;

void read(std::string_view type, std::string_view body) {
  gateway::http::Arena arena;
  gateway::http::RequestHead head(arena);
  head.headers.add("Content-Type", type);
  Call call;
  call.method = "POST";
  (void)gateway::admin::read_body(head, body, call);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto arguments = gateway::schema::decode_urlencoded(text)) {
    const gateway::Json document = gateway::schema::document_of(*arguments);
    if (!document.is_object()) std::abort();
  }
  read("application/x-www-form-urlencoded", text);
  read("application/json", text);
  read("multipart/form-data; boundary=b", text);
  // And a type of the client's choice before the body.
  const std::size_t line = text.find('\n');
  if (line != std::string_view::npos) read("multipart/form-data" + std::string(text.substr(0, line)), text.substr(line + 1));
  return 0;
}
