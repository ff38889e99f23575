#include "app/tls_options.h"

#include <fstream>
#include <sstream>

#include "app/settings/values.h"
#include "tls/default_certificate.h"

namespace gateway::app {
namespace {

void wrong(Settings& settings, const std::string& name, const std::string& why) {
  const Value* value = settings.values.find(name);
  settings.values.errors.push_back((value != nullptr ? value->where + ": " : std::string()) + why);
}

int version_of(std::string_view name) {
  if (name == "TLSv1") return TLS1_VERSION;
  if (name == "TLSv1.1") return TLS1_1_VERSION;
  if (name == "TLSv1.2") return TLS1_2_VERSION;
  if (name == "TLSv1.3") return TLS1_3_VERSION;
  return 0;
}

// "TLSv1.2 TLSv1.3"
void read_protocols(Settings& settings, tls::ServerOptions& out) {
  std::istringstream words(settings.text("ssl_protocols"));
  int oldest = 0;
  int newest = 0;
  for (std::string word; words >> word;) {
    const int version = version_of(word);
    if (version == 0) {
      if (word == "SSLv2" || word == "SSLv3") continue;  // nginx takes the names; nobody speaks them
      return wrong(settings, "ssl_protocols", "ssl_protocols: no such protocol: '" + word + "'");
    }
    oldest = oldest == 0 ? version : std::min(oldest, version);
    newest = std::max(newest, version);
  }
  if (oldest == 0) return wrong(settings, "ssl_protocols", "ssl_protocols names no protocol");
  out.oldest = oldest;
  out.newest = newest;
}

// The ciphers of TLS 1.3 are listed apart by OpenSSL, and together by nginx's users.
void read_ciphers(Settings& settings, tls::ServerOptions& out) {
  std::istringstream list(settings.text("ssl_ciphers"));
  out.ciphers.clear();
  out.ciphersuites.clear();
  for (std::string one; std::getline(list, one, ':');) {
    std::string& kind = one.starts_with("TLS_") ? out.ciphersuites : out.ciphers;
    if (!kind.empty()) kind += ':';
    kind += one;
  }
  if (out.ciphers.empty() && out.ciphersuites.empty()) {
    wrong(settings, "ssl_ciphers", "ssl_cipher_suite = custom needs ssl_ciphers");
  }
}

}  // namespace

tls::ServerOptions tls_options(Settings& settings) {
  tls::ServerOptions out;
  const std::string suite = settings.text("ssl_cipher_suite");
  const std::string dh = settings.text("ssl_dhparam");
  if (suite == "custom") {
    read_protocols(settings, out);
    read_ciphers(settings, out);
    out.prefer_server_ciphers = settings.text("ssl_prefer_server_ciphers") == "on";
  } else if (!tls::apply_cipher_suite(suite, out)) {
    wrong(settings, "ssl_cipher_suite", "Undefined cipher suite " + suite);
  }
  if (!dh.empty() && out.dh_parameters.empty()) {
    out.dh_parameters = dh;
    if (std::ifstream file(dh); file && dh.front() == '/') {
      std::stringstream text;
      text << file.rdbuf();
      out.dh_parameters = text.str();
    }
  }
  out.tickets = settings.text("ssl_session_tickets") != "off";
  const std::optional<std::chrono::milliseconds> timeout = parse_duration(settings.text("ssl_session_timeout"));
  if (!timeout || timeout->count() <= 0) {
    wrong(settings, "ssl_session_timeout", "ssl_session_timeout is not a time: '" + settings.text("ssl_session_timeout") + "'");
  } else {
    out.session_timeout = std::chrono::duration_cast<std::chrono::seconds>(*timeout);
  }
  return out;
}

Result<tls::ServerCertificatePtr> listener_certificate(const Settings& settings, const std::string& family) {
  tls::DefaultCertificate from;
  from.certificates = split_list(settings.text(family + "ssl_cert"));
  from.keys = split_list(settings.text(family + "ssl_cert_key"));
  from.settings = family;
  from.folder = settings.prefix + "/ssl";
  if (!family.empty()) from.file = family.substr(0, family.size() - 1) + "-sluice-default";
  return tls::load_default_certificate(from);
}

}  // namespace gateway::app
