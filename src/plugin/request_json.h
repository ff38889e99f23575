#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "http/headers.h"

namespace gateway::plugin {

// What a request holds, as JSON shows it: log records and echoed requests agree on this. What comes more than
// once is a list.

enum class Secrets { shown, hidden };

/// By lower-case names. `hidden` covers the values of Authorization and Proxy-Authorization.
[[nodiscard]] nlohmann::json headers_json(const http::Headers& headers, Secrets secrets);

/// Of a query string or a form; an argument without a value is `true`.
[[nodiscard]] nlohmann::json arguments_json(std::string_view arguments, http::Arena& arena);

/// nullopt: no JSON, or nested deeper than anyone does in earnest (writing it again takes stack).
[[nodiscard]] std::optional<nlohmann::json> parse_body(std::string_view body);

/// What a form or a JSON body says; nullopt for others, and for JSON that is none.
[[nodiscard]] std::optional<nlohmann::json> body_json(std::string_view content_type, std::string_view body, http::Arena& arena);

/// An authority's host: lower case, without the port. An IPv6 address keeps its brackets.
[[nodiscard]] std::string host_of(std::string_view authority);

}  // namespace gateway::plugin
