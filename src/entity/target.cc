#include "entity/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "entity/fields.h"
#include "entity/types.h"
#include "net/ip.h"

namespace gateway::entity {
namespace {

constexpr std::uint16_t default_port = 8000;

std::optional<std::uint16_t> port_of(std::string_view digits) {
  unsigned port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || port > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

bool is_host_character(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_'; }

bool is_host(std::string_view text) {
  if (!std::all_of(text.begin(), text.end(), is_host_character)) return false;
  while (true) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.back() == '-') return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_dotted_number(std::string_view text) {
  return std::count(text.begin(), text.end(), '.') == 3 && std::all_of(text.begin(), text.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

// Every group with all of its digits, as Kong writes it.
std::optional<std::string> long_form(std::string_view address) {
  const std::optional<net::IpAddress> ip = net::IpAddress::parse(address);
  if (!ip || address.find(':') == std::string_view::npos) return std::nullopt;
  std::string out = "[";
  for (std::size_t i = 0; i < 16; i += 2) {
    if (i != 0) out += ':';
    out += fmt::format("{:02x}{:02x}", ip->bytes[i], ip->bytes[i + 1]);
  }
  return out + "]";
}

Json normalise(Json& document) {
  const auto given = document.find("target");
  if (given == document.end() || !given->is_string()) return nullptr;
  if (std::optional<std::string> text = normalised_target(given->get_ref<const std::string&>())) *given = std::move(*text);
  return nullptr;
}

std::optional<Json> target_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  if (normalised_target(text)) return std::nullopt;
  return "Invalid target ('" + text + "'); not a valid hostname or ip address";
}

}  // namespace

std::optional<std::string> normalised_target(std::string_view text) {
  const auto with_port = [](const std::string& host, std::string_view digits) -> std::optional<std::string> {
    const std::optional<std::uint16_t> port = digits.empty() ? default_port : port_of(digits);
    if (!port) return std::nullopt;
    return host + ':' + std::to_string(*port);
  };
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::optional<std::string> address = long_form(text.substr(1, end - 1));
    const std::string_view rest = text.substr(end + 1);
    if (!address || (!rest.empty() && (rest.front() != ':' || rest.size() == 1))) return std::nullopt;
    return with_port(*address, rest.empty() ? rest : rest.substr(1));
  }
  if (std::count(text.begin(), text.end(), ':') > 1) {
    const std::optional<std::string> address = long_form(text);
    return address ? with_port(*address, {}) : std::nullopt;
  }
  const std::size_t colon = text.find(':');
  const std::string_view host = text.substr(0, colon);
  const std::string_view digits = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  if (colon != std::string_view::npos && digits.empty()) return std::nullopt;
  const bool good = is_dotted_number(host) ? net::IpAddress::parse(host).has_value() : is_host(host);
  return good ? with_port(std::string(host), digits) : std::nullopt;
}

TypePtr targets_type() {
  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "targets";
  type->cache_key = {"upstream", "target"};
  type->foreign = {{"upstream", "upstreams", OnDelete::cascade}};
  type->prepare = normalise;
  type->schema = std::make_shared<const Record>(std::vector<Record::Named>{
      id_field(),
      {"created_at", schema::number().timestamp().automatic().describe("When the row was made, in seconds since 1970.")},
      {"updated_at", schema::number().timestamp().automatic().describe("When the row was last written, in seconds since 1970.")},
      {"upstream", schema::foreign("upstreams").required().on_delete_cascade().describe("The upstream it belongs to.")},
      {"target", schema::string().required().rule(target_rule).describe("Its name or address, and its port.")},
      {"weight", schema::integer().default_value(100).between(0, 65535).describe("Its share of the requests; 0 takes none.")},
      tags_field(),
  });
  return type;
}

Target Target::from_json(const nlohmann::json& document) {
  Target target;
  target.id = Uuid::parse(document.value("id", "")).value_or(Uuid{});
  const auto upstream = document.find("upstream");
  if (upstream != document.end() && upstream->is_object()) target.upstream = Uuid::parse(upstream->value("id", "")).value_or(Uuid{});
  // A row from elsewhere may hold what was written before the rules were these.
  std::string text = document.value("target", "");
  if (std::optional<std::string> normal = normalised_target(text)) text = std::move(*normal);
  const std::size_t colon = text.rfind(':');
  target.name = text.substr(0, colon);
  if (colon != std::string::npos) target.port = port_of(std::string_view(text).substr(colon + 1)).value_or(default_port);
  if (const auto weight = document.find("weight"); weight != document.end() && weight->is_number()) target.weight = weight->get<unsigned>();
  if (const auto made = document.find("created_at"); made != document.end() && made->is_number()) target.created_at = made->get<double>();
  return target;
}

}  // namespace gateway::entity
