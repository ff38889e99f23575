// Forms, urlencoded and multipart, whatever their keys say: bounded work, no crash.
#include <cstdint>
#include <cstdlib>

#include "admin/call.h"
#include "schema/form.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto arguments = gateway::schema::decode_urlencoded(text)) {
    const gateway::schema::Json document = gateway::schema::document_of(*arguments);
    if (!document.is_object()) std::abort();
  }
  (void)gateway::admin::decode_multipart("multipart/form-data; boundary=b", text);
  return 0;
}
