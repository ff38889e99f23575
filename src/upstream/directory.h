#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/task.h"
#include "entity/target.h"
#include "entity/upstream.h"
#include "net/deadline.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "upstream/balancing/balancer.h"
#include "upstream/balancing/ejections.h"
#include "upstream/balancing/health_book.h"
#include "upstream/probe.h"

namespace gateway::upstream {

/// Looks after all upstreams of a node: knows their targets, keeps the addresses of their names fresh, sends probes, leaves
/// outliers out, and makes a new balancer whenever something of that changes which peers there are.
///
/// What is known of a peer outlives its balancers, and its target for five minutes (Kong 3.9, health across rebuilds).
/// Control thread only.
class Directory final : public HealthBook {
 public:
  /// Told of every new balancer of an upstream; null: there is no such upstream any more.
  using Publish = std::function<void(const std::string& name, std::shared_ptr<const Balancer> balancer)>;

  /// A certificate entity by its id; null: there is none.
  using Certificates = std::function<tls::ServerCertificatePtr(const Uuid& id)>;

  /// `trust`: of probes over TLS.
  Directory(net::Loop& loop, const net::Resolver::Options& dns, Publish publish, Certificates certificates, tls::ClientOptions trust = {});
  ~Directory() override;
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  // Configuration, in the order in which it was committed. What follows from it is published by flush(), or soon.
  void set_upstream(entity::Upstream upstream);
  void erase_upstream(const Uuid& id);
  void set_target(entity::Target target);
  void erase_target(const Uuid& id);
  /// Publishes now what is pending.
  void flush();
  /// Looks names up with other settings from here on, all of them soon.
  void set_dns(const net::Resolver::Options& dns);

  [[nodiscard]] std::optional<UpstreamHealth> health(const Uuid& upstream) const override;
  [[nodiscard]] std::string mark(const entity::Target& target, const std::string& address, bool healthy) override;

  /// Ends look-ups and probes; nothing is published any more. `ended` is called, soon, if that takes a while: when idle().
  void stop(std::function<void()> ended);
  /// After stop(): nothing is under way.
  [[nodiscard]] bool idle() const noexcept { return under_way_ == 0; }

 private:
  struct Address {
    net::SocketAddress address;
    unsigned weight = 0;
    std::string name;  // of a service record's target
    std::shared_ptr<PeerState> state;
  };
  struct Entry {
    entity::Target target;
    std::vector<Address> addresses;
    std::string dns;           // the kind of records, or what went wrong
    bool settled = false;      // its first look-up has ended
    bool looking = false;      // one is under way
    bool literal = false;      // an address already
    unsigned failures = 0;     // of look-ups in a row
    Steady::time_point due{};  // of the next look-up
  };
  /// One kind of probes of an upstream: of its healthy or of its unhealthy peers.
  struct Round {
    Steady::time_point due = Steady::time_point::max();
    bool running = false;
  };
  struct Known {
    std::shared_ptr<PeerState> state;
    Steady::time_point forget = Steady::time_point::max();  // max: in use
  };
  struct Managed {
    std::shared_ptr<const entity::Upstream> upstream;
    std::shared_ptr<Group> group;
    std::map<Uuid, Entry> targets;
    std::map<std::string, Known> peers;  // by host and address
    std::shared_ptr<const Balancer> balancer;
    Ejections ejections;
    Round healthy_round;
    Round unhealthy_round;
    Steady::time_point names_due{};                           // the first of the targets' look-ups, or before
    Steady::time_point look_due = Steady::time_point::max();  // of outlier detection
    std::string published;                                    // under which name; empty: not yet
    bool gone = false;
    bool dirty = false;
  };
  using ManagedPtr = std::shared_ptr<Managed>;
  struct Candidate {
    std::shared_ptr<PeerState> peer;
    std::string host;
  };
  /// A round of probes under way: those who send them take one after the other.
  struct Queue {
    ManagedPtr managed;
    std::shared_ptr<const Balancer> balancer;
    std::vector<Candidate> candidates;
    std::size_t next = 0;
    std::size_t running = 0;
    Round Managed::*round = nullptr;
  };

  void tick();
  /// A look-up or a sender of probes has ended.
  void end_one();
  void touch(const ManagedPtr& managed);
  void rebuild(const ManagedPtr& managed);
  void refresh(const ManagedPtr& managed, Steady::time_point now);
  Task<void> look_up_target(ManagedPtr managed, Uuid target);
  void found(Managed& managed, Entry& entry, const Result<net::Resolver::Answer>& answer);
  void set_addresses(Managed& managed, Entry& entry, const net::Resolver::Answer& answer);
  std::shared_ptr<PeerState> peer_of(Managed& managed, const std::string& host, const net::SocketAddress& address);
  void forget_peers(Managed& managed, Steady::time_point now);
  void schedule(Managed& managed, const entity::Upstream* before);
  void send_probes(const ManagedPtr& managed, Round Managed::*round, bool healthy, Steady::time_point now);
  Task<void> work_off(std::shared_ptr<Queue> queue);

  net::Loop& loop_;
  std::shared_ptr<net::Resolver> resolver_;  // shared with the look-ups under way
  Prober prober_;
  Publish publish_;
  Certificates certificates_;
  net::Deadline timer_;
  std::unordered_map<Uuid, ManagedPtr> upstreams_;
  std::unordered_map<Uuid, Uuid> upstream_of_;  // by target
  std::vector<ManagedPtr> dirty_;
  Steady::time_point next_cleaning_{};
  std::size_t under_way_ = 0;  // look-ups and senders of probes
  std::function<void()> ended_;
  bool flushing_ = false;
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what is posted
};

}  // namespace gateway::upstream
