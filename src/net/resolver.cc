#include "net/resolver.h"

#include <ares.h>

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>
#include <coroutine>
#include <list>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "net/dns_cache.h"
#include "net/dns_channel.h"
#include "net/dns_error.h"
#include "net/ip.h"

namespace gateway::net {
namespace {

using Code = boost::system::error_code;
using Found = std::shared_ptr<const DnsAddresses>;

constexpr std::chrono::milliseconds for_good = std::chrono::years(10);
constexpr std::chrono::seconds longest_ttl = std::chrono::years(10);
constexpr std::size_t most_targets = 64;     // of one SRV answer
constexpr unsigned deepest = 8;              // names that lead to one another
constexpr std::size_t most_addresses = 512;  // of one name, whatever its targets have

/// Services may name IPv6 addresses in brackets, as in URLs.
std::optional<IpAddress> literal(std::string_view host) noexcept {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return IpAddress::parse(host);
}

/// Names that never exist, and that servers are not to be asked for (RFC 6761, 6.4).
bool is_invalid(std::string_view name) noexcept {
  name = without_last_dot(name);
  constexpr std::string_view top = ".invalid";
  return name.size() >= top.size() && DnsNameEqual{}(name.substr(name.size() - top.size()), top);
}

/// Types to ask for, one after the other. "LAST" is nullopt.
std::vector<std::optional<DnsType>> read_order(const std::vector<std::string>& words) {
  std::vector<std::optional<DnsType>> order;
  for (const std::string& word : words) {
    if (word == "LAST") order.emplace_back(std::nullopt);
    for (const DnsType type : {DnsType::a, DnsType::aaaa, DnsType::srv, DnsType::cname}) {
      if (word == name_of(type)) order.emplace_back(type);
    }
  }
  if (std::none_of(order.begin(), order.end(), [](const auto& type) { return type.has_value(); })) order.insert(order.end(), {DnsType::a, DnsType::aaaa});
  return order;
}

}  // namespace

class Resolver::Impl : public std::enable_shared_from_this<Resolver::Impl> {
 public:
  Impl(Loop& loop, const Options& options);
  void start();
  void close() noexcept;
  void cancel();

  [[nodiscard]] DnsCache& cache() noexcept { return cache_; }
  /// Starts a look-up, unless one is under way. It may have ended on return.
  void look_up(DnsEntry& entry);

  /// Waits for the end of an entry's look-up.
  struct Waiter : Waiting {
    explicit Waiter(DnsEntry& entry) : waits_for(entry) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept {
      handle = waiting;
      link_to(waits_for.waiters);
    }
    void await_resume() const noexcept {}
    /// Soon, with operation_aborted.
    void give_up() noexcept;

    DnsEntry& waits_for;
    std::weak_ptr<Impl> resolver;  // of one that may give up
    // Kept here, for the entry may be gone when the waiter runs.
    Code error;
    Found found;
    DnsAddresses::One picked;
    Steady::time_point expires;
    bool each_time = false;
  };

 private:
  /// What is known after asking for one type, or for one target.
  struct Step {
    Code error;
    Found found;
    Steady::time_point expires = Steady::time_point::max();  // sooner than by `found` where a target says so
    bool each_time = false;
  };
  /// The coroutine of a look-up. Owned here, so that none is left behind when the resolver goes.
  struct LookUp {
    DnsEntry& entry;
    std::optional<Task<void>> task;
    std::list<LookUp>::iterator place;
  };

  Task<void> run(LookUp& self);
  Task<Step> ask(DnsEntry& entry, DnsType type);
  Task<Step> gather(DnsEntry& entry, const DnsFindings& findings);
  Task<Step> follow(DnsEntry& entry, const std::string& target);
  DnsEntry& target_of(const DnsEntry& entry, const std::string& target);
  [[nodiscard]] std::chrono::seconds ttl_of(const DnsFindings& findings) const noexcept {
    return std::min(options_.valid_ttl.value_or(std::chrono::seconds(findings.ttl)), longest_ttl);
  }
  void succeed(DnsEntry& entry, Step& step, DnsType type);
  void fail(DnsEntry& entry, const Code& error, std::chrono::seconds remember, bool gone);
  void complete(DnsEntry& entry);
  void resume_ready();
  void resume_soon();

  Loop& loop_;
  const Options options_;
  const std::vector<std::optional<DnsType>> order_;
  DnsCache cache_;
  std::shared_ptr<DnsChannel> channel_;
  std::list<LookUp> look_ups_;
  std::list<LookUp> ended_;
  Waiting* ready_ = nullptr;
  bool resuming_soon_ = false;
};

Resolver::Impl::Impl(Loop& loop, const Options& options) : loop_(loop), options_(options), order_(read_order(options.order)), cache_(options.cache_size) {
  std::vector<DnsType> prefer;
  for (const std::optional<DnsType>& type : order_) {
    if (type == DnsType::a || type == DnsType::aaaa) prefer.push_back(*type);
  }
  if (prefer.empty()) prefer = {DnsType::a, DnsType::aaaa};
  cache_.pin_hosts(options.hosts_file, prefer);
}

void Resolver::Impl::start() {
  const DnsChannel::Options settings{options_.servers, options_.resolv_conf, options_.timeout, options_.attempts};
  channel_ = std::make_shared<DnsChannel>(loop_, settings, ready_, [weak = weak_from_this()] {
    if (const std::shared_ptr<Impl> self = weak.lock()) self->resume_ready();
  });
}

void Resolver::Impl::close() noexcept {
  channel_->close();
  // Waiters must not find the lists they are in when their frames are destroyed later.
  const auto forget = [](Waiting*& list) {
    while (list != nullptr) list->unlink();
  };
  for (DnsEntry& entry : cache_.names()) forget(entry.waiters);
  forget(ready_);
  look_ups_.clear();
}

void Resolver::Impl::cancel() {
  channel_->cancel();
  resume_soon();
}

// ---- look-ups ----

void Resolver::Impl::look_up(DnsEntry& entry) {
  if (entry.busy) return;
  ++entry.counts.queries;
  if (is_invalid(entry.name)) return fail(entry, dns_error(ARES_ENOTFOUND), options_.not_found_ttl, true);
  if (channel_->broken()) return fail(entry, channel_->broken(), options_.error_ttl, false);
  entry.busy = true;
  LookUp& started = look_ups_.emplace_back(LookUp{entry, std::nullopt, {}});
  started.place = std::prev(look_ups_.end());
  started.task.emplace(run(started));
  started.task->await_suspend(std::noop_coroutine()).resume();
  resume_soon();  // asking may have ended other questions
}

Task<void> Resolver::Impl::run(LookUp& self) {
  DnsEntry& entry = self.entry;
  Code error = dns_error(ARES_ENODATA);
  bool failed = false;
  bool missing = false;
  std::array<DnsType, 5> asked{};
  std::size_t count = 0;
  for (const std::optional<DnsType>& each : order_) {
    const std::optional<DnsType> type = each ? each : entry.last_type;
    if (!type || count == asked.size() || std::find(asked.begin(), asked.begin() + count, *type) != asked.begin() + count) continue;
    asked[count++] = *type;
    Step step = co_await ask(entry, *type);
    if (step.found != nullptr) {
      succeed(entry, step, *type);
      error.clear();
      break;
    }
    error = step.error;
    missing = missing || is_no_such_name(error);
    if (is_no_such_name(error) || is_empty_answer(error)) continue;
    failed = true;
    // Servers that do not answer: what they would say of another type might not be what they say of this one.
    if (!is_server_failure(error) && error != dns_recursion()) break;
  }
  if (error) {
    const bool gone = missing && !failed;
    const bool aborted = error == boost::asio::error::operation_aborted;
    fail(entry, error, aborted ? std::chrono::seconds(0) : failed ? options_.error_ttl : options_.not_found_ttl, gone);
  }
  entry.busy = false;
  complete(entry);
  // Not destroyed while it runs.
  ended_.splice(ended_.end(), look_ups_, self.place);
}

/// Asks for one type of a name and follows what the answer leads to.
Task<Resolver::Impl::Step> Resolver::Impl::ask(DnsEntry& entry, DnsType type) {
  DnsChannel::Question question(*channel_, entry.name, type);
  co_await question;
  Step step;
  step.error = question.error;
  if (step.error) co_return step;
  const DnsFindings findings = find_records(question.message, type);
  if (findings.records.empty() && findings.alias.empty()) {
    step.error = dns_error(ARES_ENODATA);
    co_return step;
  }
  const bool addresses = type == DnsType::a || type == DnsType::aaaa;
  if (addresses && !findings.records.empty()) {
    auto found = std::make_shared<DnsAddresses>();
    found->type = type;
    found->ttl = ttl_of(findings);
    for (const DnsRecord* record : findings.records) found->list.push_back({record->ip, 0, 0});
    step.found = std::move(found);
    co_return step;
  }
  // Names to ask in their turn. A record that names itself leads nowhere (Kubernetes makes such SRV records).
  DnsFindings onward = findings;
  const DnsNameEqual same;
  std::erase_if(onward.records, [&](const DnsRecord* record) { return same(record->target, question.message.question); });
  if (same(onward.alias, question.message.question)) onward.alias.clear();
  if (onward.records.empty() && onward.alias.empty()) {
    step.error = dns_recursion();
    co_return step;
  }
  if (onward.records.size() > most_targets) onward.records.resize(most_targets);
  Step gathered = co_await gather(entry, onward);
  co_return gathered;
}

/// The addresses of an alias, or of all targets of SRV records.
Task<Resolver::Impl::Step> Resolver::Impl::gather(DnsEntry& entry, const DnsFindings& findings) {
  Step step;
  auto found = std::make_shared<DnsAddresses>();
  found->ttl = ttl_of(findings);
  const auto take = [&](const Step& of_target, const DnsRecord* record) {
    if (of_target.found == nullptr) {
      step.error = of_target.error;
      return;
    }
    found->type = record != nullptr ? DnsType::srv : of_target.found->type;
    step.expires = std::min(step.expires, of_target.expires);
    step.each_time = step.each_time || of_target.each_time;
    for (DnsAddresses::One one : of_target.found->list) {
      if (record != nullptr) one.weight = std::max<unsigned>(record->weight, 1);
      if (record != nullptr && one.port == 0) one.port = record->port;
      if (record != nullptr && !literal(record->target)) one.name = record->target;
      if (found->list.size() < most_addresses) found->list.push_back(one);
    }
  };
  // All are asked for at once, then waited for in turn.
  const Steady::time_point now = Steady::now();
  for (const DnsRecord* record : findings.records) {
    if (literal(record->target)) continue;
    DnsEntry& next = target_of(entry, record->target);
    if (next.is_due(now) && next.depth <= deepest) look_up(next);
  }
  for (const DnsRecord* record : findings.records) {
    const Step of_target = co_await follow(entry, record->target);
    take(of_target, record);
    if (of_target.error == boost::asio::error::operation_aborted) co_return of_target;
  }
  if (findings.records.empty()) {
    const Step of_target = co_await follow(entry, findings.alias);
    take(of_target, nullptr);
  }
  if (!found->list.empty()) {
    step.error.clear();
    step.found = std::move(found);
  }
  co_return step;
}

/// The entry of a name that an answer about `entry` leads to. Such names are absolute: the search list is not for them.
DnsEntry& Resolver::Impl::target_of(const DnsEntry& entry, const std::string& target) {
  const std::string name = target + '.';
  DnsEntry* next = cache_.find(name);
  if (next == nullptr) next = &cache_.add(name);
  if (!next->busy) next->depth = entry.depth + 1;
  cache_.touch(*next);
  return *next;
}

/// The addresses of a name that an answer about `entry` leads to.
Task<Resolver::Impl::Step> Resolver::Impl::follow(DnsEntry& entry, const std::string& target) {
  Step step;
  if (const std::optional<IpAddress> ip = literal(target)) {
    auto found = std::make_shared<DnsAddresses>();
    found->type = ip->is_v4() ? DnsType::a : DnsType::aaaa;
    found->list.push_back({*ip, 0, 0});
    step.found = std::move(found);
    co_return step;
  }
  DnsEntry& next = target_of(entry, target);
  ++next.counts.runs;
  const Steady::time_point now = Steady::now();
  if (next.is_due(now) || next.busy) {
    // Whoever is waited for by the one it would wait for waits for itself.
    bool circle = next.depth > deepest;
    for (const DnsEntry* each = &next; each != nullptr; each = each->waits_for) circle = circle || each == &entry;
    if (circle) {
      step.error = dns_recursion();
      co_return step;
    }
    look_up(next);
    if (next.busy) {
      Waiter waiter(next);
      entry.waits_for = &next;
      co_await waiter;
      entry.waits_for = nullptr;
      step.error = waiter.found != nullptr ? Code() : waiter.error;
      step.found = waiter.found;
      step.expires = waiter.expires;
      step.each_time = waiter.each_time;
      co_return step;
    }
  } else if (next.found != nullptr) {
    ++next.counts.hits;
  }
  step.error = next.found != nullptr ? Code() : next.error;
  step.found = next.found;
  step.expires = next.expires;
  step.each_time = next.each_time;
  co_return step;
}

// ---- their ends ----

void Resolver::Impl::succeed(DnsEntry& entry, Step& step, DnsType type) {
  const Steady::time_point now = Steady::now();
  entry.expires = std::min(now + step.found->ttl, step.expires);
  entry.stale_until = entry.expires + std::min(options_.stale_ttl, longest_ttl);
  entry.each_time = step.each_time || step.found->ttl.count() == 0;
  entry.last_type = type;
  entry.error.clear();
  entry.set_found(std::move(step.found));
}

void Resolver::Impl::fail(DnsEntry& entry, const Code& error, std::chrono::seconds remember, bool gone) {
  const Steady::time_point now = Steady::now();
  ++entry.counts.failures;
  entry.error = error;
  entry.last_type.reset();
  // A server that cannot be reached, or has nothing to say, is no reason to forget what it said; that the name is gone is one.
  if (gone || now >= entry.stale_until) entry.set_found(nullptr);
  entry.expires = now + std::min(remember, longest_ttl);
  if (entry.found != nullptr) entry.expires = std::min(entry.expires, entry.stale_until);
}

void Resolver::Impl::complete(DnsEntry& entry) {
  while (entry.waiters != nullptr) {
    Waiter& waiter = *static_cast<Waiter*>(entry.waiters);
    waiter.error = entry.error;
    waiter.found = entry.found;
    waiter.expires = entry.expires;
    waiter.each_time = entry.each_time;
    if (entry.found != nullptr) waiter.picked = entry.pick();
    waiter.link_to(ready_);
  }
}

void Resolver::Impl::Waiter::give_up() noexcept {
  const std::shared_ptr<Impl> impl = resolver.lock();
  if (!impl) return;
  error = boost::asio::error::operation_aborted;
  found = nullptr;
  link_to(impl->ready_);
  impl->resume_soon();
}

/// Nobody runs inside a call of c-ares: what they do next may well come back to it, or end us.
void Resolver::Impl::resume_ready() {
  const std::shared_ptr<Impl> alive = shared_from_this();
  while (ready_ != nullptr) {
    Waiting& waiting = *ready_;
    waiting.unlink();
    waiting.handle.resume();
    ended_.clear();
  }
}

void Resolver::Impl::resume_soon() {
  if (ready_ == nullptr || resuming_soon_) return;
  resuming_soon_ = true;
  loop_.post([weak = weak_from_this()] {
    if (const std::shared_ptr<Impl> self = weak.lock()) {
      self->resuming_soon_ = false;
      self->resume_ready();
    }
  });
}

// ---- the door ----

Resolver::Resolver(Loop& loop, const Options& options) : impl_(std::make_shared<Impl>(loop, options)) { impl_->start(); }

Resolver::~Resolver() { impl_->close(); }

void Resolver::cancel() { impl_->cancel(); }

bool Resolver::is_name_error(const Error& error) noexcept { return is_no_such_name(error.code) || is_empty_answer(error.code); }

Task<Result<SocketAddress>> Resolver::resolve(const std::string& host, std::uint16_t port, Undertaking* waiting) {
  const auto with_port = [port](const DnsAddresses::One& one) { return one.ip.with_port(one.port != 0 ? one.port : port); };
  const Steady::time_point now = Steady::now();
  DnsEntry* entry = impl_->cache().find(host);
  if (entry == nullptr) {
    if (const std::optional<IpAddress> ip = literal(host)) co_return ip->with_port(port);
    entry = &impl_->cache().add(host);
  } else {
    impl_->cache().touch(*entry);
  }
  ++entry->counts.runs;
  if (entry->is_fresh(now)) {
    ++entry->counts.hits;
    co_return with_port(entry->pick());
  }
  if (entry->is_stale(now)) {
    ++entry->counts.stale;
    const SocketAddress address = with_port(entry->pick());
    if (entry->is_due(now)) impl_->look_up(*entry);
    co_return address;
  }
  if (entry->has_failed(now)) co_return Error{entry->error, Origin::upstream, "resolving " + host};

  impl_->look_up(*entry);
  if (!entry->busy) {
    // Ended at once: the name cannot be, or no server is usable.
    if (entry->found == nullptr) co_return Error{entry->error, Origin::upstream, "resolving " + host};
    co_return with_port(entry->pick());
  }
  Impl::Waiter waiter(*entry);
  if (waiting != nullptr) {
    if (waiting->cancelled()) co_return Error{boost::asio::error::operation_aborted, Origin::upstream, "resolving " + host};
    waiter.resolver = impl_;
    waiting->begin(&waiter, [](void* self) noexcept { static_cast<Impl::Waiter*>(self)->give_up(); });
  }
  co_await waiter;
  if (waiting != nullptr) waiting->over();
  if (waiter.found == nullptr) co_return Error{waiter.error, Origin::upstream, "resolving " + host};
  co_return with_port(waiter.picked);
}

Task<Result<Resolver::Answer>> Resolver::resolve_all(const std::string& host, std::uint16_t port) {
  Answer answer;
  DnsEntry* entry = impl_->cache().find(host);
  if (entry == nullptr) {
    if (const std::optional<IpAddress> ip = literal(host)) {
      answer.records.push_back({ip->with_port(port), 0});
      answer.ttl = for_good;
      co_return answer;
    }
    entry = &impl_->cache().add(host);
  } else {
    impl_->cache().touch(*entry);
  }
  ++entry->counts.runs;
  Found found = entry->found;
  Code error = entry->error;
  Steady::time_point expires = entry->expires;
  bool each_time = entry->each_time;
  const Steady::time_point now = Steady::now();
  if (entry->is_fresh(now)) {
    ++entry->counts.hits;
  } else if (entry->is_due(now) || entry->busy) {
    impl_->look_up(*entry);
    if (entry->busy) {
      Impl::Waiter waiter(*entry);
      co_await waiter;
      found = waiter.found;
      error = waiter.error;
      expires = waiter.expires;
      each_time = waiter.each_time;
    } else {
      found = entry->found;
      error = entry->error;
      expires = entry->expires;
      each_time = entry->each_time;
    }
  }
  if (found == nullptr) co_return Error{error, Origin::upstream, "resolving " + host};
  for (const DnsAddresses::One& one : found->list) answer.records.push_back({one.ip.with_port(one.port != 0 ? one.port : port), one.weight, one.name});
  answer.srv = found->type == DnsType::srv;
  if (expires == Steady::time_point::max()) {
    answer.ttl = for_good;
  } else if (!each_time || error) {
    answer.ttl = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(expires - Steady::now()), std::chrono::milliseconds(1));
  }
  co_return answer;
}

std::vector<Resolver::Line> Resolver::lines() const {
  const Steady::time_point now = Steady::now();
  std::vector<Line> lines;
  const auto add = [&](const DnsEntry& entry) {
    Line& line = lines.emplace_back();
    line.name = entry.name;
    line.hosts_file = entry.pinned;
    if (entry.error) line.error = entry.error.message();
    const std::chrono::milliseconds left = entry.pinned ? for_good : std::chrono::duration_cast<std::chrono::milliseconds>(entry.expires - now);
    line.ttl_left = std::max(left, std::chrono::milliseconds(0));
    line.runs = entry.counts.runs;
    line.hits = entry.counts.hits;
    line.stale_hits = entry.counts.stale;
    line.queries = entry.counts.queries;
    line.failures = entry.counts.failures;
    if (entry.found == nullptr) return;
    line.type = name_of(entry.found->type);
    line.stale = !entry.pinned && (entry.error || now >= entry.expires);
    for (const DnsAddresses::One& one : entry.found->list) {
      line.addresses.push_back(one.port != 0 ? one.ip.with_port(one.port).to_string() : one.ip.to_string());
    }
  };
  for (const DnsEntry& entry : impl_->cache().hosts()) add(entry);
  for (const DnsEntry& entry : impl_->cache().names()) add(entry);
  return lines;
}

}  // namespace gateway::net
