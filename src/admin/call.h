#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include "base/json.h"

#include "http/message.h"
#include "schema/form.h"

namespace gateway::admin {

/// A request to the Admin API, taken apart.
struct Call {
  std::string method;             ///< HEAD is handled as GET
  std::vector<std::string> path;  ///< segments, percent-decoded; a trailing slash is gone
  std::string raw_path;           ///< as it came, without query
  std::string host;               ///< of the client's Host header
  schema::Arguments query;
  Json body = Json::object();  ///< of POST, PUT and PATCH
  bool body_is_text = false;   ///< values came as text and want converting

  /// The first argument of that name; nullopt when there is none.
  [[nodiscard]] std::optional<std::string> argument(std::string_view name) const;
};

/// What is wrong with a body, as the whole answer.
struct Unreadable {
  http::Reply reply;
};

/// Reads a body by its Content-Type: JSON, form or multipart (Kong 3.9 Admin API, request bodies).
[[nodiscard]] std::optional<Unreadable> read_body(const http::RequestHead& head, std::string_view body, Call& call);

/// Parts of multipart/form-data as a document: nullopt when it is malformed.
[[nodiscard]] std::optional<Json> decode_multipart(std::string_view content_type, std::string_view body);

}  // namespace gateway::admin
