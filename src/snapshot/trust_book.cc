#include "snapshot/trust_book.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "entity/upstream.h"

namespace gateway::snapshot {
namespace {

bool speaks_tls(entity::Protocol protocol) {
  return protocol == entity::Protocol::https || protocol == entity::Protocol::grpcs || protocol == entity::Protocol::tls;
}

Error missing(const std::string& what) {
  return Error{boost::system::errc::make_error_code(boost::system::errc::no_such_file_or_directory), Origin::gateway, what};
}

}  // namespace

Result<std::shared_ptr<const tls::ClientContext>> TrustBook::context_for(const entity::Service& service, const std::string& host, const Snapshot& with) {
  if (!speaks_tls(service.protocol)) return std::shared_ptr<const tls::ClientContext>();
  std::optional<Uuid> shown = service.client_certificate;
  if (const auto found = shown_.find(host); !shown && found != shown_.end()) shown = found->second;
  const bool verify = service.tls_verify.value_or(defaults_.verify);
  const unsigned depth = service.tls_verify_depth.value_or(defaults_.verify_depth);

  std::string key = verify ? "verify " + std::to_string(depth) : "trust";
  if (verify) {
    for (const Uuid& id : service.ca_certificates) key += ' ' + id.to_string();
  }
  if (shown) key += " show " + shown->to_string();
  if (const auto made = contexts_.find(key); made != contexts_.end()) {
    if (std::shared_ptr<const tls::ClientContext> context = made->second.lock()) return context;
  }

  tls::ClientOptions options = defaults_.node;
  options.verify = verify;
  options.depth = depth;
  if (verify && !service.ca_certificates.empty()) {
    options.system_authorities = false;
    options.authorities.clear();
    for (const Uuid& id : service.ca_certificates) {
      const tls::X509Ptr* authority = with.ca_certificates.find(id);
      if (authority == nullptr) return missing("ca certificate " + id.to_string() + " of service " + service.id.to_string());
      options.authorities.push_back(*authority);
    }
  }
  if (shown) {
    const tls::ServerCertificatePtr* certificate = with.certificates.find(*shown);
    if (certificate == nullptr) return missing("client certificate " + shown->to_string() + " of service " + service.id.to_string());
    options.certificate = *certificate;
  }
  Result<std::shared_ptr<const tls::ClientContext>> made = tls::ClientContext::make(options);
  if (made) {
    forget_unused();
    contexts_[std::move(key)] = *made;
  }
  return made;
}

void TrustBook::forget_unused() {
  constexpr std::size_t fewest = 64;
  if (contexts_.size() < forget_at_) return;
  std::erase_if(contexts_, [](const auto& each) { return each.second.expired(); });
  forget_at_ = std::max(fewest, 2 * contexts_.size());
}

bool TrustBook::apply(const store::Change& change) {
  if (change.entity == "certificates" || change.entity == "ca_certificates") {
    const std::size_t dropped = std::erase_if(contexts_, [id = change.id.to_string()](const auto& each) { return each.first.find(id) != std::string::npos; });
    // One that services waited for may have come.
    return dropped > 0 || !change.after.is_null();
  }
  if (change.entity != "upstreams") return false;
  // A name that changes means other services, with the same certificate too.
  std::optional<std::pair<std::string, Uuid>> before;
  if (const auto name = names_.find(change.id); name != names_.end()) {
    before.emplace(name->second, shown_.at(name->second));
    shown_.erase(name->second);
    names_.erase(name);
  }
  std::optional<std::pair<std::string, Uuid>> after;
  if (!change.after.is_null()) {
    const entity::Upstream upstream = entity::Upstream::from_json(change.after);
    if (upstream.client_certificate) {
      after.emplace(upstream.name, *upstream.client_certificate);
      shown_[upstream.name] = *upstream.client_certificate;
      names_[upstream.id] = upstream.name;
    }
  }
  return before != after;
}

}  // namespace gateway::snapshot
