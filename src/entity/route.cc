#include "entity/route.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "base/ascii.h"
#include "entity/fields.h"
#include "entity/types.h"
#include "http/path.h"
#include "net/ip.h"

namespace gateway::entity {
namespace {

using schema::Check;

bool is_upper_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool has_one_wildcard_at_most(std::string_view text) { return std::count(text.begin(), text.end(), '*') <= 1; }

bool is_host_header(std::string_view text) {
  return text.size() == 4 && (text[0] | 32) == 'h' && (text[1] | 32) == 'o' && (text[2] | 32) == 's' && (text[3] | 32) == 't';
}

// Hosts may be "*.a", "a.*" or plain, with a port behind.
std::optional<Json> host_pattern_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  std::string plain = text;
  if (const std::size_t star = plain.find('*'); star != std::string::npos) plain[star] = 'a';
  const std::size_t colon = plain.rfind(':');
  const bool bare_ipv6 = std::count(plain.begin(), plain.end(), ':') > 1 && plain.front() != '[';
  if (colon != std::string::npos && !bare_ipv6 && (plain.front() != '[' || plain[colon - 1] == ']')) {
    const std::string_view port = std::string_view(plain).substr(colon + 1);
    const bool digits = !port.empty() && port.size() <= 5 && std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || std::stoul(std::string(port)) > 65535) return "invalid value: " + text;
    plain.resize(colon);
  }
  static const Field host = host_text();
  if (host.complaint(Json(plain))) return "invalid value: " + text;
  return std::nullopt;
}

std::optional<std::string> regex_complaint(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_ANCHORED, &error, &offset, nullptr);
  if (code != nullptr) {
    pcre2_code_free(code);
    return std::nullopt;
  }
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return "invalid regex: '" + pattern + "' (PCRE returned: " + reinterpret_cast<const char*>(text) + ")";
}

std::optional<Json> route_path_rule(const Json& value) {
  const std::string& text = value.get_ref<const std::string&>();
  if (text.starts_with('~')) {
    if (std::optional<std::string> wrong = escape_complaint(text)) return *wrong;
    if (std::optional<std::string> wrong = regex_complaint(text.substr(1))) return *wrong;
    return std::nullopt;
  }
  static const Field path = path_text();
  if (std::optional<Json> wrong = path.complaint(value)) return wrong;
  if (const std::string normal = http::normalised(text); normal != text) return "non-normalized path, consider use '" + normal + "' instead";
  return std::nullopt;
}

std::optional<Json> ip_or_cidr_rule(const Json& value) {
  net::CidrSet set;
  if (set.add(value.get_ref<const std::string&>())) return std::nullopt;
  return "invalid ip or cidr range: '" + value.get<std::string>() + "'";
}

Field address_field() {
  return schema::set_of(schema::record_of(
      Record({{"ip", schema::string().rule(ip_or_cidr_rule).describe("An address or a network.")}, {"port", port_number().describe("A port.")}},
             {Check::at_least_one_of({"ip", "port"})})));
}

bool is_set(const Json& document, const char* field) {
  const auto found = document.find(field);
  return found != document.end() && !found->is_null() && !(found->is_structured() && found->empty());
}

bool has_protocol(const Json& document, std::initializer_list<const char*> wanted) {
  const auto found = document.find("protocols");
  if (found == document.end() || !found->is_array()) return false;
  return std::any_of(found->begin(), found->end(),
                     [&](const Json& each) { return std::any_of(wanted.begin(), wanted.end(), [&](const char* name) { return each == name; }); });
}

void must_set(const Json& document, Json& errors, std::initializer_list<const char*> fields, const std::string& when) {
  std::string names;
  for (const char* field : fields) {
    if (is_set(document, field)) return;
    names += (names.empty() ? "'" : ", '") + std::string(field) + "'";
  }
  errors["@entity"].push_back("must set one of " + names + " when 'protocols' is " + when);
}

void must_not_set(const Json& document, Json& errors, std::initializer_list<const char*> fields, const std::string& when) {
  for (const char* field : fields) {
    if (is_set(document, field)) errors[field] = "cannot set '" + std::string(field) + "' when 'protocols' is " + when;
  }
}

// What a route must and must not say, by the family of its protocols (Kong 3.9, routes subschemas).
void check_family(const Json& document, Json& errors) {
  if (errors.contains("protocols")) return;
  if (has_protocol(document, {"http", "https"})) {
    must_not_set(document, errors, {"sources", "destinations"}, "'http' or 'https'");
    if (has_protocol(document, {"https"})) {
      must_set(document, errors, {"methods", "hosts", "headers", "paths", "snis"}, "'https'");
    } else {
      must_set(document, errors, {"methods", "hosts", "headers", "paths"}, "'http'");
    }
  } else if (has_protocol(document, {"ws", "wss"})) {
    must_not_set(document, errors, {"methods", "sources", "destinations"}, "'ws' or 'wss'");
    if (has_protocol(document, {"wss"})) {
      must_set(document, errors, {"hosts", "headers", "paths", "snis"}, "'wss'");
    } else {
      must_set(document, errors, {"hosts", "headers", "paths"}, "'ws'");
    }
  } else if (has_protocol(document, {"grpc", "grpcs"})) {
    must_not_set(document, errors, {"methods", "sources", "destinations"}, "'grpc' or 'grpcs'");
    if (document.value("strip_path", false)) errors["strip_path"] = "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'";
    if (has_protocol(document, {"grpcs"})) {
      must_set(document, errors, {"hosts", "headers", "paths", "snis"}, "'grpcs'");
    } else {
      must_set(document, errors, {"hosts", "headers", "paths"}, "'grpc'");
    }
  } else {
    must_not_set(document, errors, {"methods", "hosts", "paths", "headers"}, "'tcp', 'tls', 'tls_passthrough' or 'udp'");
    if (has_protocol(document, {"tls_passthrough"})) {
      if (!is_set(document, "snis")) errors["@entity"].push_back("must set snis when 'protocols' is 'tls_passthrough'");
    } else {
      must_set(document, errors, {"sources", "destinations", "snis"}, "'tcp', 'tls' or 'udp'");
    }
  }
}

// Kong's grpc family has another default.
Json default_strip_path(Json& document) {
  const auto protocols = document.find("protocols");
  const bool grpc =
      protocols != document.end() && protocols->is_array() && !protocols->empty() && (protocols->front() == "grpc" || protocols->front() == "grpcs");
  if (grpc && !document.contains("strip_path")) document["strip_path"] = false;
  return nullptr;
}

std::vector<std::string> texts(const Json& document, const char* field) {
  const auto found = document.find(field);
  return found != document.end() && found->is_array() ? found->get<std::vector<std::string>>() : std::vector<std::string>();
}

std::vector<Endpoint> endpoints(const Json& document, const char* field) {
  std::vector<Endpoint> out;
  const auto found = document.find(field);
  if (found == document.end() || !found->is_array()) return out;
  for (const Json& each : *found) {
    Endpoint& one = out.emplace_back();
    if (is_set(each, "ip")) one.ip = each["ip"].get<std::string>();
    if (is_set(each, "port")) one.port = each["port"].get<std::uint16_t>();
  }
  return out;
}

}  // namespace

Protocols protocols_of(const Json& document) {
  static constexpr std::pair<const char*, Protocol> names[] = {{"http", Protocol::http},
                                                               {"https", Protocol::https},
                                                               {"grpc", Protocol::grpc},
                                                               {"grpcs", Protocol::grpcs},
                                                               {"tcp", Protocol::tcp},
                                                               {"tls", Protocol::tls},
                                                               {"tls_passthrough", Protocol::tls_passthrough},
                                                               {"udp", Protocol::udp},
                                                               {"ws", Protocol::ws},
                                                               {"wss", Protocol::wss}};
  Protocols bits = 0;
  for (const auto& [name, protocol] : names) {
    if (has_protocol(document, {name})) bits |= bit(protocol);
  }
  return bits;
}

TypePtr routes_type(RouteRules rules) {
  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "routes";
  type->endpoint_key = "name";
  type->unique = {"name"};
  type->foreign = {{"service", "services", OnDelete::restrict}};
  type->prepare = default_strip_path;
  Field host = schema::string()
                   .match_all({{"^[^*]*%*?[^*]*$", has_one_wildcard_at_most, "invalid wildcard: must have at most one wildcard"}})
                   .match_any({{"^%*%.", [](std::string_view text) { return text.starts_with("*."); }, ""},
                               {"%.%*$",
                                [](std::string_view text) {
                                  const std::size_t colon = text.rfind(':');
                                  return text.substr(0, colon).ends_with(".*");
                                },
                                ""},
                               {"^[^*]*$", [](std::string_view text) { return text.find('*') == std::string_view::npos; }, ""}},
                              "invalid wildcard: must be placed at leftmost or rightmost label")
                   .rule(host_pattern_rule);
  Field path = schema::string()
                   .match_any({{"^/", [](std::string_view text) { return text.starts_with('/'); }, ""},
                               {"^~/", [](std::string_view text) { return text.starts_with("~/"); }, ""}},
                              "should start with: / (fixed path) or ~/ (regex path)")
                   .match_none({{"//", [](std::string_view text) { return text.find("//") != std::string_view::npos; }, "must not have empty segments"}})
                   .rule(route_path_rule);
  Field header =
      schema::string().match_none({{"^[Hh][Oo][Ss][Tt]$", is_host_header, "cannot contain 'host' header, which must be specified in the 'hosts' attribute"}});
  header.rule([inner = header_name_text()](const Json& value) { return inner.complaint(value); });
  Field sni = rules == RouteRules::traditional ? sni_text() : wildcard_sni_text();

  type->schema = std::make_shared<const Record>(
      std::vector<Record::Named>{
          id_field(),
          created_at_field(),
          updated_at_field(),
          {"name", name_text().unique().describe("A name by which the route can be addressed.")},
          {"protocols", schema::set_of(protocol_text())
                            .required()
                            .min_length(1)
                            .exclusive_subsets({{"http", "https"}, {"tcp", "tls", "udp"}, {"tls_passthrough"}, {"grpc", "grpcs"}})
                            .unlisted_subset({"ws", "wss"})
                            .default_value({"http", "https"})
                            .describe("The protocols it takes requests of.")},
          {"https_redirect_status_code", schema::integer()
                                             .required()
                                             .one_of({426, 301, 302, 307, 308})
                                             .default_value(426)
                                             .describe("The answer to a request over http where only https is allowed.")},
          {"strip_path", schema::boolean().required().default_value(true).describe("Whether the path that matched is taken off before forwarding.")},
          {"preserve_host", schema::boolean().required().default_value(false).describe("Whether the client's Host goes upstream.")},
          {"request_buffering", schema::boolean().required().default_value(true).describe("Whether request bodies may be gathered first.")},
          {"response_buffering", schema::boolean().required().default_value(true).describe("Whether response bodies may be gathered first.")},
          tags_field(),
          {"service", schema::foreign("services").describe("Where its requests go.")},
          {"snis", schema::set_of(sni).describe("TLS server names it takes requests for.")},
          {"sources", address_field().describe("Where connections of a stream route may come from.")},
          {"destinations", address_field().describe("What connections of a stream route may be made to.")},
          {"methods", schema::set_of(schema::string().match({"^%u+$", is_upper_word, ""})).describe("Methods it takes.")},
          {"hosts", schema::array_of(host).describe("Hosts it takes, one wildcard each at most.")},
          {"paths", schema::array_of(path).describe("Prefixes of paths it takes; with ~ in front, regular expressions.")},
          {"headers", schema::map_of(header, schema::array_of(schema::string())).describe("Headers and their values that must be there.")},
          {"regex_priority", schema::integer().default_value(0).describe("Which of several matching expressions goes first.")},
          {"path_handling", schema::string().default_value("v0").one_of({"v0", "v1"}).describe("How the service's path and the request's are joined.")},
      },
      std::vector<Check>{
          Check::conditional("protocols", schema::set_of(schema::string().not_one_of({"grpcs", "https", "tls", "tls_passthrough"}).unlisted({"wss"})), "snis",
                             Field(schema::Type::set).exact_length(0),
                             "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"),
          Check::custom({"path_handling"}, [](const Json&, Json&) {}),
          Check::custom(
              {"id", "protocols", "snis", "sources", "destinations", "methods", "hosts", "paths", "headers", "expression", "regex_priority", "priority"},
              check_family, true),
      });
  return type;
}

Route Route::from_json(const nlohmann::json& document) {
  Route route;
  route.id = Uuid::parse(document.value("id", "")).value_or(Uuid{});
  if (is_set(document, "name")) route.name = document["name"].get<std::string>();
  route.created_at = is_set(document, "created_at") ? document["created_at"].get<std::int64_t>() : 0;
  route.protocols = protocols_of(document);
  route.hosts = texts(document, "hosts");
  route.paths = texts(document, "paths");
  route.methods = texts(document, "methods");
  route.snis = texts(document, "snis");
  route.sources = endpoints(document, "sources");
  route.destinations = endpoints(document, "destinations");
  if (is_set(document, "headers")) {
    for (const auto& [name, values] : document["headers"].items()) route.headers.emplace_back(lower_case(name), values.get<std::vector<std::string>>());
  }
  route.regex_priority = is_set(document, "regex_priority") ? document["regex_priority"].get<std::int64_t>() : 0;
  route.https_redirect_status_code = document.value("https_redirect_status_code", 426U);
  route.strip_path = document.value("strip_path", true);
  route.preserve_host = document.value("preserve_host", false);
  route.request_buffering = document.value("request_buffering", true);
  route.response_buffering = document.value("response_buffering", true);
  route.path_handling = is_set(document, "path_handling") && document["path_handling"] == "v1" ? PathHandling::v1 : PathHandling::v0;
  route.document = write_json(document);
  if (is_set(document, "service")) route.service = Uuid::parse(document["service"].value("id", ""));
  return route;
}

}  // namespace gateway::entity
