#include "proxy/hash_input.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/uuid.h"
#include "http/path.h"
#include "plugin/arguments.h"
#include "proxy/head_writer.h"

namespace gateway::proxy {
namespace {

using From = entity::HashInput::From;

std::string_view consumer_of(const Request& request) {
  const plugin::Exchange& exchange = request.exchange;
  if (exchange.consumer) return exchange.consumer->id_text;
  return exchange.credential ? std::string_view(exchange.credential->id_text) : std::string_view{};
}

// Several lines are one list.
std::optional<std::string_view> header_of(Request& request, std::string_view name) {
  std::optional<std::string_view> all;
  for (const http::Header& header : request.head.headers) {
    if (!http::equals_ignoring_case(header.name, name)) continue;
    all = all ? join(request.arena, {*all, ", ", header.value}) : header.value;
  }
  return all;
}

std::optional<std::string_view> cookie_of(const Request& request, std::string_view name) {
  for (const http::Header& header : request.head.headers) {
    if (!http::equals_ignoring_case(header.name, "Cookie")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const std::size_t end = rest.find(';');
      std::string_view one = rest.substr(0, end);
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
      while (one.starts_with(' ')) one.remove_prefix(1);
      if (one.size() > name.size() && one.starts_with(name) && one[name.size()] == '=') return one.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

std::string_view new_cookie(Request& request, const entity::Upstream& upstream, std::string_view name) {
  char text[Uuid::text_size];
  const std::string_view value = request.head.headers.keep(Uuid::random().write(text));
  // The attribute is spelled as Kong spells it.
  request.cookie = join(request.arena, {name, "=", value, "; Path=", upstream.cookie_path, "; Same-Site=Lax; HttpOnly"});
  return value;
}

// The values in order, so that the same arguments are the same request however they are arranged.
std::optional<std::string_view> argument_of(Request& request, std::string_view name) {
  std::pmr::vector<std::string_view> values(&request.arena);
  std::string_view rest = request.head.query;
  while (const std::optional<plugin::Argument> argument = plugin::next_argument(rest)) {
    if (!plugin::decodes_to(argument->name, name)) continue;
    values.push_back(argument->has_value ? plugin::decoded(argument->value, request.arena) : std::string_view("true"));
  }
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  std::string_view all = values.front();
  for (std::size_t i = 1; i < values.size(); ++i) all = join(request.arena, {all, ",", values[i]});
  return all;
}

std::optional<std::string_view> capture_of(const Request& request, std::string_view name) {
  if (!request.match || !request.match->regex) return std::nullopt;
  const router::Captures& captures = request.match->captures;
  std::size_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool by_number = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size();
  const std::string_view found = by_number ? captures[number] : captures.named(name);
  if (found.data() == nullptr) return std::nullopt;
  return found;
}

std::optional<std::string_view> value_of(Request& request, const entity::HashInput& input, const entity::Upstream& upstream) {
  switch (input.from) {
    case From::none: return std::nullopt;
    case From::consumer: {
      const std::string_view id = consumer_of(request);
      return id.empty() ? std::nullopt : std::optional(id);
    }
    case From::ip: return request.exchange.connection().client_ip;
    case From::header: return header_of(request, input.name);
    case From::cookie: {
      const std::optional<std::string_view> sent = cookie_of(request, input.name);
      return sent ? *sent : new_cookie(request, upstream, input.name);
    }
    case From::path: return http::normalise(request.head.path, request.arena);
    case From::query_arg: return argument_of(request, input.name);
    case From::uri_capture: return capture_of(request, input.name);
  }
  return std::nullopt;
}

}  // namespace

std::string_view hash_input(Request& request, const entity::Upstream& upstream) {
  std::optional<std::string_view> value = value_of(request, upstream.hash_on, upstream);
  if (!value) value = value_of(request, upstream.hash_fallback, upstream);
  return value.value_or(std::string_view{});
}

}  // namespace gateway::proxy
