#include "snapshot/publisher.h"

#include "base/log.h"

namespace gateway::snapshot {
Publisher::Publisher(Executor& control, router::Flavour flavour, std::vector<plugin::PluginType> types, const plugin::Services& services, ServiceTrust trust)
    : control_(control),
      working_{0, router::Table(flavour), {}, {}},
      chains_(types, services, [this](const Uuid& route) { return service_of(route); }),
      stream_chains_(
          std::move(types), services, [this](const Uuid& route) { return service_of(route); }, entity::stream_protocols),
      trust_(std::move(trust)) {
  working_.streams = router::StreamTable(flavour);
}

std::optional<Uuid> Publisher::service_of(const Uuid& route) const {
  const auto found = routes_.find(route);
  return found == routes_.end() ? std::nullopt : found->second->service;
}

std::shared_ptr<const Upstream> Publisher::make_upstream(entity::Service service) {
  Upstream upstream;
  upstream.host_header = entity::host_header(service.protocol, service.host, service.port);
  std::string_view address = service.host;
  if (address.size() > 2 && address.front() == '[') address = address.substr(1, address.size() - 2);
  upstream.literal = net::SocketAddress::from_ip(address, service.port);
  Result<std::shared_ptr<const tls::ClientContext>> context = trust_.context_for(service, working_);
  if (context) {
    upstream.tls = std::move(*context);
  } else {
    upstream.unusable = true;
    log::error("service {} gets no requests: {}", service.name.empty() ? service.id.to_string() : service.name, context.error().to_string());
  }
  upstream.service = std::move(service);
  if (upstream.tls && !upstream.service.client_certificate) add_elsewhere(upstream);
  return std::make_shared<const Upstream>(std::move(upstream));
}

// A service that has no certificate of its own shows that of the upstream its requests go to, wherever a plugin sends them.
void Publisher::add_elsewhere(Upstream& upstream) {
  for (const auto& [host, rows] : chains_.detours()) {
    Result<std::shared_ptr<const tls::ClientContext>> context = trust_.context_for(upstream.service, host, working_);
    if (!context) {
      log::error("requests that go to {} show what others show: {}", host, context.error().to_string());
    } else if (*context != upstream.tls) {
      upstream.tls_elsewhere.emplace(host, std::move(*context));
    }
  }
}

// Certificates change seldom: all services are looked at then.
void Publisher::trust_again() {
  std::vector<entity::Service> concerned;
  working_.upstreams.for_each([&](const Uuid& /*id*/, const std::shared_ptr<const Upstream>& each) {
    if (each->tls || each->unusable) concerned.push_back(each->service);
  });
  for (entity::Service& service : concerned) {
    const Uuid id = service.id;
    working_.upstreams.set(id, make_upstream(std::move(service)));
  }
}

Status Publisher::load(store::Store& store, const entity::Catalog& catalog) {
  for (const char* name : {"certificates", "snis", "ca_certificates", "upstreams", "services", "routes", "plugins"}) {
    const entity::Type* type = catalog.find(name);
    store::PageRequest request;
    request.size = 1000;
    for (bool more = true; more;) {
      Result<store::Page> page = store.page(*type, request);
      if (!page) return page.error();
      for (const Json& row : page->rows) {
        if (type->name == "plugins" && !chains_.knows(row.value("name", ""))) {
          return Error{boost::system::errc::make_error_code(boost::system::errc::not_supported), Origin::gateway,
                       row.value("name", "") + " plugin is in use but not enabled"};
        }
        store::Change change;
        change.entity = name;
        change.id = Uuid::parse(row.value("id", "")).value_or(Uuid{});
        change.after = row;
        apply(change);
      }
      request.after = page->next;
      more = page->next.has_value();
    }
  }
  publish();
  return {};
}

void Publisher::changed(const std::vector<store::Change>& changes) {
  for (const store::Change& change : changes) apply(change);
  publish_soon();
}

void Publisher::set_balancer(const std::string& name, std::shared_ptr<const upstream::Balancer> balancer) {
  if (balancer) {
    working_.balancers.set(name, std::move(balancer));
  } else {
    working_.balancers.erase(name);
  }
  publish_soon();
}

tls::ServerCertificatePtr Publisher::certificate(const Uuid& id) const {
  const tls::ServerCertificatePtr* found = working_.certificates.find(id);
  return found == nullptr ? nullptr : *found;
}

void Publisher::publish_soon() {
  if (publishing_) return;
  publishing_ = true;
  control_.post([this] { publish(); });
}

void Publisher::publish() {
  publishing_ = false;
  ++working_.version;
  if (chains_.detours_changed()) trust_again();
  working_.chains = chains_.chains();
  working_.stream_chains = stream_chains_.chains();
  // The last worker to let go must not be the one to free it: that is work for the control thread. What it is posted
  // with owns it, since at the end of the process nobody runs that any more.
  const SnapshotPtr next(new Snapshot(working_),
                         [control = &control_](const Snapshot* old) { control->post([owned = std::shared_ptr<const Snapshot>(old)] {}); });
  for (const Subscriber& subscriber : subscribers_) subscriber(next);
}

void Publisher::apply(const store::Change& change) {
  const bool gone = change.after.is_null();
  if (change.entity == "services") {
    gone ? erase_service(change.id) : set_service(change.after);
  } else if (change.entity == "routes") {
    gone ? erase_route(change.id) : set_route(change.after);
  } else if (change.entity == "plugins") {
    gone ? erase_plugin(change.id) : set_plugin(change.after);
  } else {
    certificates_.apply(change, working_);
    if (trust_.apply(change)) trust_again();
  }
}

void Publisher::set_plugin(const Json& document) {
  const auto row = entity::PluginConfig::from_json(document);
  chains_.set(row);
  stream_chains_.set(row);
}

void Publisher::erase_plugin(const Uuid& id) {
  chains_.erase(id);
  stream_chains_.erase(id);
}

void Publisher::route_changed(const Uuid& id) {
  chains_.route_changed(id);
  stream_chains_.route_changed(id);
}

void Publisher::set_service(const Json& document) {
  std::shared_ptr<const Upstream> upstream = make_upstream(entity::Service::from_json(document));
  const Uuid id = upstream->service.id;
  const std::shared_ptr<const Upstream>* before = working_.upstreams.find(id);
  const bool was_enabled = before == nullptr || (*before)->service.enabled;
  const bool enabled = upstream->service.enabled;
  working_.upstreams.set(id, std::move(upstream));
  if (enabled == was_enabled) return;
  if (const auto found = routes_of_service_.find(id); found != routes_of_service_.end()) {
    for (const Uuid& one : found->second) route(routes_.at(one));
  }
}

void Publisher::erase_service(const Uuid& id) {
  working_.upstreams.erase(id);
  routes_of_service_.erase(id);
}

void Publisher::set_route(const Json& document) {
  auto next = std::make_shared<const entity::Route>(entity::Route::from_json(document));
  if (const auto found = routes_.find(next->id); found != routes_.end() && found->second->service) {
    routes_of_service_[*found->second->service].erase(next->id);
  }
  routes_[next->id] = next;
  if (next->service) routes_of_service_[*next->service].insert(next->id);
  route(next);
  route_changed(next->id);
}

void Publisher::erase_route(const Uuid& id) {
  const auto found = routes_.find(id);
  if (found == routes_.end()) return;
  if (found->second->service) routes_of_service_[*found->second->service].erase(id);
  routes_.erase(found);
  working_.routes.erase(id);
  working_.streams.erase(id);
  route_changed(id);
}

// Routes of a disabled service do not exist for requests (Kong 3.9, services.enabled).
void Publisher::route(const std::shared_ptr<const entity::Route>& route) {
  const std::shared_ptr<const Upstream>* upstream = route->service ? working_.upstreams.find(*route->service) : nullptr;
  if (upstream != nullptr && !(*upstream)->service.enabled) {
    working_.routes.erase(route->id);
    working_.streams.erase(route->id);
  } else {
    working_.routes.set(route);
    working_.streams.set(route);
  }
}

}  // namespace gateway::snapshot
