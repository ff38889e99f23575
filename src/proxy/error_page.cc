#include "proxy/error_page.h"

#include <fmt/format.h>

#include <cstdlib>

namespace gateway::proxy {
namespace {

enum class Type { json, plain, html, xml };

std::string escaped(std::string_view text, Type type) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (type == Type::json) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (byte < 0x20) {
        out += fmt::format("\\u{:04x}", byte);
      } else {
        out += c;
      }
    } else if (type == Type::plain) {
      out += byte < 0x20 && c != '\t' ? ' ' : c;
    } else {
      switch (c) {
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '&': out += "&amp;"; break;
        case '"': out += "&quot;"; break;
        default: out += byte < 0x20 ? ' ' : c;
      }
    }
  }
  return out;
}

constexpr std::string_view content_type_of(Type type) {
  switch (type) {
    case Type::json: return "application/json; charset=utf-8";
    case Type::plain: return "text/plain; charset=utf-8";
    case Type::html: return "text/html; charset=utf-8";
    case Type::xml: return "application/xml; charset=utf-8";
  }
  return {};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// A media type we can speak; JSON for whatever else was asked for.
Type type_for(std::string_view media) {
  using http::equals_ignoring_case;
  if (equals_ignoring_case(media, "text/html")) return Type::html;
  if (equals_ignoring_case(media, "text/plain") || equals_ignoring_case(media, "text/*")) return Type::plain;
  if (equals_ignoring_case(media, "application/xml")) return Type::xml;
  return Type::json;
}

double quality_of(std::string_view parameters) {
  const std::size_t q = parameters.find("q=");
  if (q == std::string_view::npos) return 1.0;
  const std::string number(parameters.substr(q + 2, 6));
  return std::strtod(number.c_str(), nullptr);
}

// The highest quality wins, the first of equals (RFC 9110, 12.5.1).
Type negotiated(std::string_view accept) {
  Type best = Type::json;
  double best_quality = 0;  // which says "not this one"
  while (!accept.empty()) {
    const std::size_t comma = accept.find(',');
    const std::string_view one = accept.substr(0, comma);
    accept = comma == std::string_view::npos ? std::string_view{} : accept.substr(comma + 1);
    const std::size_t semicolon = one.find(';');
    const double quality = semicolon == std::string_view::npos ? 1.0 : quality_of(one.substr(semicolon));
    if (quality > best_quality) {
      best_quality = quality;
      best = type_for(trimmed(one.substr(0, semicolon)));
    }
  }
  return best;
}

Type choose(const http::RequestHead& request, Raised raised, const Options& options) {
  if (const http::Header* accept = request.headers.find(http::Name::accept)) return negotiated(accept->value);
  if (raised == Raised::by_gateway) return Type::json;
  if (const http::Header* content = request.headers.find(http::Name::content_type)) {
    return type_for(trimmed(content->value.substr(0, content->value.find(';'))));
  }
  return type_for(options.error_default_type);
}

std::string filled(std::string_view form, const std::string& message, std::string_view id) {
  std::string out;
  std::string_view values[2] = {message, id};
  for (std::size_t used = 0; !form.empty();) {
    const std::size_t at = used < 2 ? form.find("%s") : std::string_view::npos;
    out += form.substr(0, at);
    if (at == std::string_view::npos) break;
    out += values[used++];
    form.remove_prefix(at + 2);
  }
  return out;
}

constexpr std::string_view html_form =
    "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n"
    "    <h1>Error</h1>\n    <p>%s.</p>\n    <p>request_id: %s</p>\n  </body>\n</html>\n";
constexpr std::string_view xml_form = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>%s</message>\n  <requestid>%s</requestid>\n</error>\n";
constexpr std::string_view json_form = "{\n  \"message\":\"%s\",\n  \"request_id\":\"%s\"\n}";
constexpr std::string_view plain_form = "%s\nrequest_id: %s\n";

std::string_view form_of(Type type, const ErrorTemplates& own) {
  const auto pick = [](const std::string& own_form, std::string_view built_in) { return own_form.empty() ? built_in : std::string_view(own_form); };
  switch (type) {
    case Type::json: return pick(own.json, json_form);
    case Type::plain: return pick(own.plain, plain_form);
    case Type::html: return pick(own.html, html_form);
    case Type::xml: return pick(own.xml, xml_form);
  }
  return {};
}

// Kong 3.9's table; what has no line of its own is the client's mistake or ours.
std::string_view grpc_status_of(unsigned status) {
  switch (status) {
    case 200: return "0";
    case 400: return "3";
    case 401: return "16";
    case 403: return "7";
    case 404: return "5";
    case 409: return "6";
    case 429: return "8";
    case 499: return "1";
    case 500: return "13";
    case 501: return "12";
    case 503: return "14";
    case 504: return "4";
    default: return status < 500 ? "3" : "13";
  }
}

// gRPC over HTTP/2, PROTOCOL-HTTP2.md: Status-Message is percent-encoded.
std::string percent_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7E && c != '%') {
      out += c;
    } else {
      out.append({'%', digits[byte >> 4], digits[byte & 15]});
    }
  }
  return out;
}

http::Reply grpc_error(unsigned status, std::string_view message) {
  http::Reply reply;
  reply.status = status;
  reply.content_type = "application/grpc";
  reply.headers.emplace_back("grpc-status", grpc_status_of(status));
  reply.headers.emplace_back("grpc-message", percent_encoded(message));
  return reply;
}

}  // namespace

std::string_view standard_message(unsigned status) noexcept {
  switch (status) {
    case 400: return "Bad request";
    case 404: return "Not found";
    case 405: return "Method not allowed";
    case 408: return "Request timeout";
    case 411: return "Length required";
    case 412: return "Precondition failed";
    case 413: return "Payload too large";
    case 414: return "URI too long";
    case 417: return "Expectation failed";
    case 431: return "Request header or cookie too large";
    case 500: return "An unexpected error occurred";
    case 501: return "Not implemented";
    case 502: return "An invalid response was received from the upstream server";
    case 503: return "The upstream server is currently unavailable";
    case 504: return "The upstream server is timing out";
    case 505: return "HTTP version not supported";
    default: return "An unexpected error occurred";
  }
}

std::string default_message(unsigned status) {
  switch (status) {
    case 401: return "Unauthorized";
    case 402: return "Payment required";
    case 403: return "Forbidden";
    case 406: return "Not acceptable";
    case 407: return "Proxy authentication required";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 415: return "Unsupported media type";
    case 416: return "Range not satisfiable";
    case 418: return "I'm a teapot";
    case 421: return "Misdirected request";
    case 422: return "Unprocessable entity";
    case 423: return "Locked";
    case 424: return "Failed dependency";
    case 425: return "Too early";
    case 426: return "Upgrade required";
    case 428: return "Precondition required";
    case 429: return "Too many requests";
    case 431: return "Request header fields too large";
    case 451: return "Unavailable for legal reasons";
    case 494: return "Request header or cookie too large";
    case 506: return "Variant also negotiates";
    case 507: return "Insufficient storage";
    case 508: return "Loop detected";
    case 510: return "Not extended";
    case 511: return "Network authentication required";
    case 400:
    case 404:
    case 405:
    case 408:
    case 411:
    case 412:
    case 413:
    case 414:
    case 417:
    case 500:
    case 501:
    case 502:
    case 503:
    case 504:
    case 505: return std::string(standard_message(status));
    default: return fmt::format("The upstream server responded with {}", status);
  }
}

http::Reply render_error(unsigned status, std::string_view message, std::string_view request_id, const http::RequestHead& request, Raised raised,
                         const Options& options) {
  // Kong counts as gRPC what comes over HTTP/2.
  const bool grpc = request.version == http::Version::http_2 && request.headers.value(http::Name::content_type).starts_with("application/grpc");
  if (grpc) return grpc_error(status, message);
  const Type type = choose(request, raised, options);
  http::Reply reply;
  reply.status = status;
  reply.content_type = content_type_of(type);
  reply.body = filled(form_of(type, options.error_templates), escaped(message, type), request_id);
  return reply;
}

}  // namespace gateway::proxy
