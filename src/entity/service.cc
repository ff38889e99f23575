#include "entity/service.h"

#include <charconv>

#include "entity/fields.h"
#include "entity/types.h"

namespace gateway::entity {
namespace {

using schema::Check;

// `url` is a shorthand for four fields, and wins over them (Kong 3.9, services).
Json take_url(Json& document) {
  const auto given = document.find("url");
  if (given == document.end()) return nullptr;
  const Json url = *given;
  document.erase(given);
  if (url.is_null()) return nullptr;
  if (!url.is_string()) return {{"url", "expected a string"}};

  std::string_view rest = url.get_ref<const std::string&>();
  Json protocol;
  if (const std::size_t colon = rest.find("://"); colon != std::string_view::npos) {
    protocol = std::string(rest.substr(0, colon));
    rest.remove_prefix(colon + 3);
  }
  const bool has_authority = !protocol.is_null() || rest.starts_with("//");
  if (protocol.is_null() && has_authority) rest.remove_prefix(2);
  rest = rest.substr(0, rest.find_first_of("?#"));
  const std::size_t slash = has_authority ? rest.find('/') : 0;
  std::string_view authority = has_authority ? rest.substr(0, slash) : std::string_view{};
  const std::string_view path = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);

  Json port;
  const std::size_t bracket = authority.rfind(']');
  if (const std::size_t colon = authority.rfind(':'); colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    std::int64_t number = 0;
    const std::string_view digits = authority.substr(colon + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size()) port = number;
    authority = authority.substr(0, colon);
  }
  if (authority.size() > 2 && authority.front() == '[' && authority.back() == ']') authority = authority.substr(1, authority.size() - 2);

  if (protocol.is_null()) protocol = port == 443 ? "https" : "http";
  if (port.is_null()) port = protocol == "https" || protocol == "wss" ? 443 : 80;
  document["protocol"] = protocol;
  document["host"] = authority.empty() ? Json() : Json(std::string(authority));
  document["port"] = port;
  document["path"] = path.empty() ? Json() : Json(std::string(path));
  return nullptr;
}

Check null_unless_tls(const char* field) {
  return Check::conditional("protocol", schema::string().not_one_of({"https", "tls"}).unlisted({"wss"}), field, schema::string().equal_to(nullptr));
}

// A WebSocket begins as a request: towards the service it is HTTP.
Protocol protocol_of(const std::string& name) {
  if (name == "https" || name == "wss") return Protocol::https;
  if (name == "grpc") return Protocol::grpc;
  if (name == "grpcs") return Protocol::grpcs;
  if (name == "tcp") return Protocol::tcp;
  if (name == "tls") return Protocol::tls;
  if (name == "tls_passthrough") return Protocol::tls_passthrough;
  if (name == "udp") return Protocol::udp;
  return Protocol::http;
}

}  // namespace

TypePtr services_type() {
  auto type = std::make_shared<Type>();
  type->name = type->collection = type->nested = "services";
  type->endpoint_key = "name";
  type->unique = {"name"};
  type->foreign = {{"client_certificate", "certificates", OnDelete::restrict}};
  type->prepare = take_url;
  type->schema = std::make_shared<const Record>(
      std::vector<Record::Named>{
          id_field(),
          created_at_field(),
          updated_at_field(),
          {"name", name_text().unique().describe("A name by which the service can be addressed.")},
          {"retries", schema::integer().default_value(5).between(0, 32767).describe("How often a failed request is tried again.")},
          {"protocol", protocol_text().required().default_value("http").describe("How the gateway talks to the service.")},
          {"host", host_text().required().describe("The service's host: a name or an address, or the name of an upstream.")},
          {"port", port_number().required().default_value(80).describe("The service's port.")},
          {"path", path_text().describe("What comes before the path of each request.")},
          {"connect_timeout", timeout_number().default_value(60000).describe("Milliseconds a connection may take to be made.")},
          {"write_timeout", timeout_number().default_value(60000).describe("Milliseconds between two writes to the service.")},
          {"read_timeout", timeout_number().default_value(60000).describe("Milliseconds between two reads from the service.")},
          tags_field(),
          {"client_certificate", schema::foreign("certificates").describe("The certificate shown to the service.")},
          {"tls_verify", schema::boolean().describe("Whether the service's certificate is checked.")},
          {"tls_verify_depth", schema::integer().default_value(nullptr).between(0, 64).describe("How long its chain of certificates may be.")},
          {"ca_certificates", schema::array_of(schema::string().uuid()).describe("The authorities its certificate may come from.")},
          {"http2", schema::boolean().shown_when_set().describe("Whether the service is spoken to over HTTP/2; gRPC always is.")},
          {"enabled", schema::boolean().required().default_value(true).describe("A disabled service's routes do not exist.")},
      },
      std::vector<Check>{
          Check::conditional("protocol", schema::string().one_of({"tcp", "tls", "udp", "grpc", "grpcs"}), "path", schema::string().equal_to(nullptr)),
          null_unless_tls("client_certificate"),
          null_unless_tls("tls_verify"),
          null_unless_tls("tls_verify_depth"),
          null_unless_tls("ca_certificates"),
      });
  return type;
}

std::string host_header(Protocol protocol, std::string_view host, std::uint16_t port) {
  const bool bare_ipv6 = host.find(':') != std::string_view::npos && host.front() != '[';
  std::string header;
  if (bare_ipv6) header += '[';
  header += host;
  if (bare_ipv6) header += ']';
  const bool clear = protocol == Protocol::http || protocol == Protocol::grpc;
  const bool secured = protocol == Protocol::https || protocol == Protocol::grpcs;
  const bool usual = (clear && port == 80) || (secured && port == 443);
  return usual ? header : header + ':' + std::to_string(port);
}

Service Service::from_json(const nlohmann::json& document) {
  const auto text = [&](const char* name) {
    const auto found = document.find(name);
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto number = [&](const char* name, std::int64_t otherwise) {
    const auto found = document.find(name);
    return found != document.end() && found->is_number() ? found->get<std::int64_t>() : otherwise;
  };
  Service service;
  service.id = Uuid::parse(text("id")).value_or(Uuid{});
  service.name = text("name");
  service.protocol = protocol_of(text("protocol"));
  service.host = text("host");
  service.port = static_cast<std::uint16_t>(number("port", 80));
  service.path = text("path");
  const Json& http2 = schema::at_path(document, "http2");
  service.http2 = service.protocol == Protocol::grpc || service.protocol == Protocol::grpcs || (http2.is_boolean() && http2.get<bool>());
  service.retries = static_cast<unsigned>(number("retries", 5));
  service.connect_timeout = std::chrono::milliseconds(number("connect_timeout", 60000));
  service.write_timeout = std::chrono::milliseconds(number("write_timeout", 60000));
  service.read_timeout = std::chrono::milliseconds(number("read_timeout", 60000));
  service.enabled = document.value("enabled", true);
  if (const Json& id = schema::at_path(document, "client_certificate.id"); id.is_string()) {
    service.client_certificate = Uuid::parse(id.get_ref<const std::string&>());
  }
  if (const Json& verify = schema::at_path(document, "tls_verify"); verify.is_boolean()) service.tls_verify = verify.get<bool>();
  if (const std::int64_t depth = number("tls_verify_depth", -1); depth >= 0) service.tls_verify_depth = static_cast<unsigned>(depth);
  if (const Json& authorities = schema::at_path(document, "ca_certificates"); authorities.is_array()) {
    for (const Json& each : authorities) {
      const std::optional<Uuid> id = each.is_string() ? Uuid::parse(each.get_ref<const std::string&>()) : std::nullopt;
      if (id) service.ca_certificates.push_back(*id);
    }
  }
  Json shown = document;
  if (shown.value("http2", Json()).is_null()) shown.erase("http2");  // a field of ours, seen where it is used
  service.document = write_json(shown);
  return service;
}

}  // namespace gateway::entity
