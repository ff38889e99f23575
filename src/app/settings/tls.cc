#include "app/settings/tls.h"

#include <charconv>
#include <iterator>

namespace gateway::app {
namespace {

constexpr std::size_t most_authorities = 5000;

class Reader {
 public:
  Reader(Values& values, const std::string& prefix) : values_(values), prefix_(prefix) {}

  const std::string& text(const std::string& name) { return values_.by_name[name].text; }
  void wrong(const std::string& name, const std::string& why) { values_.errors.push_back(values_.by_name[name].where + ": " + why); }

  bool flag(const std::string& name) {
    const std::string& given = text(name);
    if (given == "on" || given == "true") return true;
    if (!given.empty() && given != "off" && given != "false") wrong(name, name + " is not a boolean: '" + given + "'");
    return false;
  }

  tls::Versions versions(const std::string& name) {
    const Result<tls::Versions> parsed = tls::parse_versions(text(name));
    if (parsed) return *parsed;
    wrong(name, name + ": " + parsed.error().doing);
    return {};
  }

  std::string ciphers(const std::string& name, const std::string& otherwise) {
    if (text(name).empty()) return otherwise;
    const Status known = tls::check_ciphers(text(name));
    if (!known) wrong(name, name + ": " + known.error().doing);
    return text(name);
  }

  unsigned depth(const std::string& name) {
    const std::string& given = text(name);
    unsigned value = 0;
    const auto parsed = std::from_chars(given.data(), given.data() + given.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != given.data() + given.size() || value > 100) {
      wrong(name, name + " must be an integer between 0 and 100: '" + given + "'");
    }
    return value;
  }

  tls::CipherSuite suite() {
    const std::string& name = text("ssl_cipher_suite");
    std::optional<tls::CipherSuite> known = tls::find_cipher_suite(name);
    if (known) return *known;
    if (name != "custom") wrong("ssl_cipher_suite", "Undefined cipher suite " + name);
    // What nginx does without a list.
    return {versions("ssl_protocols"), ciphers("ssl_ciphers", "HIGH:!aNULL:!MD5"), flag("ssl_prefer_server_ciphers"), ""};
  }

  KeyPtr dh_parameters(const tls::CipherSuite& suite) {
    const std::string& given = suite.dh_parameters.empty() ? text("ssl_dhparam") : suite.dh_parameters;
    if (given.empty()) return nullptr;
    Result<KeyPtr> read = tls::read_dh_parameters(given);
    if (read) return std::move(*read);
    wrong("ssl_dhparam", "ssl_dhparam: failed loading certificate from " + given + ": " + read.error().doing);
    return nullptr;
  }

  tls::DefaultCertificate certificate(const std::string& settings, const std::string& file, bool used) {
    tls::DefaultCertificate out;
    out.settings = settings;
    out.folder = prefix_ + "/ssl";
    out.file = file;
    out.certificates = split_list(text(settings + "ssl_cert"));
    out.keys = split_list(text(settings + "ssl_cert_key"));
    if (used && !(out.certificates.empty() && out.keys.empty())) {
      const auto loaded = tls::load_default_certificate(out);
      if (!loaded) wrong(settings + (out.certificates.empty() ? "ssl_cert_key" : "ssl_cert"), loaded.error().doing);
    }
    return out;
  }

  tls::ServerCertificatePtr client_certificate() {
    if (!flag("client_ssl")) return nullptr;
    tls::DefaultCertificate from;
    from.settings = "client_";
    from.certificates = split_list(text("client_ssl_cert"));
    from.keys = split_list(text("client_ssl_cert_key"));
    if (from.certificates.empty()) {
      wrong("client_ssl", "client_ssl_cert must be specified");
      return nullptr;
    }
    Result<tls::ServerCertificatePtr> loaded = tls::load_default_certificate(from);
    if (loaded) return std::move(*loaded);
    wrong("client_ssl_cert", loaded.error().doing);
    return nullptr;
  }

  Trust trust(const std::string& name) {
    Trust out;
    for (const std::string& each : split_list(text(name))) {
      if (each == "system") {
        out.system = true;
        continue;
      }
      const std::optional<std::string> pem = tls::pem_of_setting(each);
      Result<std::vector<X509Ptr>> read = std::vector<X509Ptr>();
      if (pem) read = read_certificates(*pem, most_authorities);
      if (pem && read) {
        std::move(read->begin(), read->end(), std::back_inserter(out.authorities));
      } else {
        const std::string told = each.find("-----") == std::string::npos ? each : "the text given";
        wrong(name, name + ": failed loading certificate from " + told + (pem ? ": " + read.error().doing : ""));
      }
    }
    return out;
  }

  std::chrono::seconds seconds(const std::string& name) {
    const std::optional<std::chrono::milliseconds> parsed = parse_duration(text(name));
    if (!parsed) wrong(name, name + " is not a time: '" + text(name) + "'");
    return std::chrono::duration_cast<std::chrono::seconds>(parsed.value_or(std::chrono::milliseconds(0)));
  }

  std::uint64_t size(const std::string& name) {
    const std::optional<std::uint64_t> parsed = parse_size(text(name));
    if (!parsed) wrong(name, name + " is not a size: '" + text(name) + "'");
    return parsed.value_or(0);
  }

 private:
  Values& values_;
  const std::string& prefix_;
};

}  // namespace

TlsSettings read_tls(Values& values, const std::string& prefix, const TlsListeners& listeners) {
  Reader read(values, prefix);
  TlsSettings out;
  out.suite = read.suite();
  out.dh_parameters = read.dh_parameters(out.suite);
  out.session_tickets = read.flag("ssl_session_tickets");
  out.session_timeout = read.seconds("ssl_session_timeout");
  out.session_cache_bytes = read.size("ssl_session_cache_size");
  out.proxy_certificate = read.certificate("", "sluice-default", listeners.proxy);
  out.admin_certificate = read.certificate("admin_", "admin-sluice-default", listeners.admin);
  out.status_certificate = read.certificate("status_", "status-sluice-default", listeners.status);

  out.trust = read.trust("lua_ssl_trusted_certificate");
  out.trust.verify_depth = read.depth("lua_ssl_verify_depth");
  out.versions = read.versions("lua_ssl_protocols");

  out.client_certificate = read.client_certificate();
  out.verify_services = read.flag("upstream_ssl_verify");
  // nginx would trust nobody then, and every check would fail.
  out.service_trust = read.text("upstream_ssl_trusted_certificate").empty() ? out.trust : read.trust("upstream_ssl_trusted_certificate");
  out.service_trust.verify_depth = read.depth("upstream_ssl_verify_depth");
  out.service_versions = read.versions("upstream_ssl_protocols");
  out.service_ciphers = read.ciphers("upstream_ssl_ciphers", "DEFAULT");
  return out;
}

}  // namespace gateway::app
