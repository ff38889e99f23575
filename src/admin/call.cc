#include "admin/call.h"

#include <algorithm>

#include "admin/answers.h"

namespace gateway::admin {
namespace {

constexpr std::string_view unsupported_page =
    "<html>\r\n<head><title>415 Unsupported Media Type</title></head>\r\n<body>\r\n"
    "<center><h1>415 Unsupported Media Type</h1></center>\r\n</body>\r\n</html>\r\n";

// A document as deep as this means nothing to any schema, and parsers recurse.
constexpr int max_json_depth = 64;

Unreadable unsupported() {
  http::Reply reply;
  reply.status = 415;
  reply.content_type = "text/html; charset=UTF-8";
  reply.body = unsupported_page;
  return {std::move(reply)};
}

bool has_prefix(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && http::equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The value of `name` in a header's parameters: `form-data; name="x"`.
std::string_view parameter(std::string_view header, std::string_view name) {
  std::size_t at = header.find(';');
  while (at != std::string_view::npos) {
    header.remove_prefix(at + 1);
    const std::string_view one = trimmed(header.substr(0, header.find(';')));
    const std::size_t equals = one.find('=');
    if (equals != std::string_view::npos && http::equals_ignoring_case(trimmed(one.substr(0, equals)), name)) {
      std::string_view value = trimmed(one.substr(equals + 1));
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      return value;
    }
    at = header.find(';');
  }
  return {};
}

struct Part {
  std::string name;
  std::string content_type;
  std::string_view content;
};

bool parse_part(std::string_view text, Part& part) {
  const std::size_t end = text.starts_with("\r\n") ? 0 : text.find("\r\n\r\n");
  if (end == std::string_view::npos) return false;
  std::string_view head = text.substr(0, end);
  part.content = text.substr(end + (text.starts_with("\r\n") ? 2 : 4));
  while (!head.empty()) {
    const std::size_t line_end = head.find("\r\n");
    const std::string_view line = head.substr(0, line_end);
    head = line_end == std::string_view::npos ? std::string_view{} : head.substr(line_end + 2);
    if (has_prefix(line, "content-disposition:")) part.name = std::string(parameter(line, "name"));
    if (has_prefix(line, "content-type:")) part.content_type = std::string(trimmed(line.substr(13)));
  }
  return !part.name.empty();
}

}  // namespace

std::optional<std::string> Call::argument(std::string_view name) const {
  const auto found = std::find_if(query.begin(), query.end(), [&](const auto& each) { return each.first == name; });
  return found == query.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Json> decode_multipart(std::string_view content_type, std::string_view body) {
  const std::string_view boundary = parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 200) return std::nullopt;
  const std::string delimiter = "--" + std::string(boundary);
  std::vector<std::pair<std::string, Json>> parts;
  std::size_t at = body.find(delimiter);
  for (std::size_t count = 0; at != std::string_view::npos; ++count) {
    body.remove_prefix(at + delimiter.size());
    if (body.starts_with("--")) return schema::document_of(std::move(parts));
    if (!body.starts_with("\r\n") || count == schema::max_arguments) return std::nullopt;
    body.remove_prefix(2);
    at = body.find("\r\n" + delimiter);
    if (at == std::string_view::npos) return std::nullopt;
    Part part;
    if (!parse_part(body.substr(0, at), part)) return std::nullopt;
    Json value = std::string(part.content);
    if (has_prefix(part.content_type, "application/json")) {
      value = parse_json(part.content, max_json_depth);
      if (value.is_discarded()) return std::nullopt;
    }
    parts.emplace_back(std::move(part.name), std::move(value));
    at += 2;
  }
  return std::nullopt;
}

std::optional<Unreadable> read_body(const http::RequestHead& head, std::string_view body, Call& call) {
  if (call.method != "POST" && call.method != "PUT" && call.method != "PATCH") return std::nullopt;
  const http::Header* type = head.headers.find(http::Name::content_type);
  if (type == nullptr) {
    if (body.empty()) return std::nullopt;
    return unsupported();
  }
  if (has_prefix(type->value, "application/json")) {
    Json document = parse_json(body, max_json_depth);
    if (document.is_discarded()) return Unreadable{message(400, "Cannot parse JSON body")};
    call.body = std::move(document);
    return std::nullopt;
  }
  call.body_is_text = true;
  if (has_prefix(type->value, "application/x-www-form-urlencoded")) {
    const std::optional<schema::Arguments> arguments = schema::decode_urlencoded(body);
    if (!arguments) return Unreadable{message(400, "Too many arguments")};
    call.body = schema::document_of(*arguments);
    return std::nullopt;
  }
  if (has_prefix(type->value, "multipart/form-data")) {
    std::optional<Json> document = decode_multipart(type->value, body);
    if (!document) return Unreadable{message(400, "Cannot parse multipart body")};
    call.body = std::move(*document);
    return std::nullopt;
  }
  return unsupported();
}

}  // namespace gateway::admin
