#include "plugins/key_auth/body_key.h"

#include "base/json.h"

#include "http/headers.h"
#include "plugin/arguments.h"
#include "plugin/request_json.h"

namespace gateway::plugins::key_auth {
namespace {

using nlohmann::json;

enum class Kind { form, json, multipart, other };

bool has_prefix(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && http::equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

Kind kind_of(std::string_view content_type) {
  if (has_prefix(content_type, "application/x-www-form-urlencoded")) return Kind::form;
  if (has_prefix(content_type, "application/json")) return Kind::json;
  if (has_prefix(content_type, "multipart/form-data")) return Kind::multipart;
  return Kind::other;
}

std::string boundary_of(std::string_view content_type) {
  const std::size_t at = content_type.find("boundary=");
  if (at == std::string_view::npos) return {};
  std::string_view value = content_type.substr(at + 9);
  value = value.substr(0, value.find(';'));
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
  return std::string(value);
}

/// Where a part lies in a multipart body, its delimiter line included.
struct Part {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string_view content;
};

// Whether a part's head has that parameter: `filename="x"` does not say `name="x"`.
bool says(std::string_view head, std::string_view wanted) {
  for (std::size_t at = head.find(wanted); at != std::string_view::npos; at = head.find(wanted, at + 1)) {
    if (at > 0 && (head[at - 1] == ' ' || head[at - 1] == ';')) return true;
  }
  return false;
}

std::optional<Part> find_part(std::string_view content_type, std::string_view body, std::string_view name, std::size_t from) {
  const std::string boundary = boundary_of(content_type);
  if (boundary.empty()) return std::nullopt;
  const std::string delimiter = "--" + boundary;
  const std::string wanted = "name=\"" + std::string(name) + "\"";
  for (std::size_t at = body.find(delimiter, from); at != std::string_view::npos;) {
    const std::size_t next = body.find("\r\n" + delimiter, at + delimiter.size());
    if (next == std::string_view::npos) return std::nullopt;
    const std::string_view part = body.substr(at, next - at);
    const std::size_t head = part.find("\r\n\r\n");
    if (head != std::string_view::npos && says(part.substr(0, head), wanted)) return Part{at, next + 2, part.substr(head + 4)};
    at = next + 2;
  }
  return std::nullopt;
}

}  // namespace

std::optional<BodyKey> find_in_body(std::string_view content_type, std::string_view body, std::string_view name) {
  std::optional<BodyKey> found;
  const auto note = [&](std::string value) {
    if (found) {
      found->duplicate = true;
    } else {
      found = BodyKey{std::move(value), false};
    }
  };
  switch (kind_of(content_type)) {
    case Kind::form: {
      http::Arena arena;
      while (const std::optional<plugin::Argument> argument = plugin::next_argument(body)) {
        if (argument->has_value && plugin::decodes_to(argument->name, name)) note(std::string(plugin::decoded(argument->value, arena)));
      }
      break;
    }
    case Kind::json: {
      const std::optional<json> document = plugin::parse_body(body);
      if (!document || !document->is_object()) break;
      const auto value = document->find(std::string(name));
      if (value == document->end()) break;
      if (value->is_string()) note(value->get<std::string>());
      if (value->is_structured()) found = BodyKey{{}, true};
      break;
    }
    case Kind::multipart: {
      std::optional<Part> part = find_part(content_type, body, name, 0);
      while (part) {
        note(std::string(part->content));
        part = find_part(content_type, body, name, part->end);
      }
      break;
    }
    case Kind::other: break;
  }
  return found;
}

std::optional<std::string> without_key(std::string_view content_type, std::string_view body, std::string_view name) {
  if (!find_in_body(content_type, body, name)) return std::nullopt;
  switch (kind_of(content_type)) {
    case Kind::form: {
      http::Arena arena;
      return std::string(plugin::without_argument(body, name, arena));
    }
    case Kind::json: {
      std::optional<json> document = plugin::parse_body(body);
      document->erase(std::string(name));
      return document->dump(-1, ' ', false, json::error_handler_t::replace);
    }
    case Kind::multipart: {
      std::string out(body);
      while (const std::optional<Part> part = find_part(content_type, out, name, 0)) out.erase(part->begin, part->end - part->begin);
      return out;
    }
    case Kind::other: break;
  }
  return std::nullopt;
}

}  // namespace gateway::plugins::key_auth
