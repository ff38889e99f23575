#include "app/dns_view.h"

#include <coroutine>
#include <utility>

#include "net/deadline.h"

namespace gateway::app {
namespace {

using Names = std::vector<admin::DnsName>;

/// Shared by the one who waits and the workers that answer; changed on the home thread alone. Nothing in it belongs to a
/// thread: the last to let go of it may be a worker that ends without having answered.
struct Gathering {
  explicit Gathering(std::size_t workers) : names(workers), missing(workers) {}

  void end() {
    if (const std::coroutine_handle<> one = std::exchange(waiting, nullptr)) one.resume();
  }

  std::vector<Names> names;
  std::size_t missing;
  std::coroutine_handle<> waiting;
};

/// Ends the waiting when it takes too long.
struct Patience {
  std::shared_ptr<Gathering> gathering;
  net::Loop& home;
};

struct End {
  bool await_ready() const noexcept { return gathering->missing == 0; }
  void await_suspend(std::coroutine_handle<> waiting) const noexcept { gathering->waiting = waiting; }
  void await_resume() const noexcept {}
  Gathering* gathering;
};

Names names_of(const net::Resolver& resolver) {
  Names names;
  for (net::Resolver::Line& line : resolver.lines()) {
    admin::DnsName& one = names.emplace_back();
    one.name = std::move(line.name);
    one.type = std::move(line.type);
    one.addresses = std::move(line.addresses);
    one.error = std::move(line.error);
    one.ttl_left = line.ttl_left;
    one.stale = line.stale;
    one.hosts_file = line.hosts_file;
    one.runs = line.runs;
    one.hits = line.hits;
    one.stale_hits = line.stale_hits;
    one.queries = line.queries;
    one.failures = line.failures;
  }
  return names;
}

}  // namespace

Task<std::vector<Names>> names_known(net::Loop& home, const std::vector<std::unique_ptr<proxy::Worker>>& workers, std::chrono::milliseconds longest) {
  const auto gathering = std::make_shared<Gathering>(workers.size());
  for (std::size_t i = 0; i < workers.size(); ++i) {
    proxy::Worker& worker = *workers[i];
    net::Loop& back = home;
    worker.executor().post([gathering, i, &worker, &back]() mutable {
      Names names = names_of(worker.resolver());
      back.post([gathering = std::move(gathering), i, names = std::move(names)]() mutable {
        gathering->names[i] = std::move(names);
        if (--gathering->missing == 0) gathering->end();
      });
    });
  }
  Patience patience{gathering, home};
  const auto lost = [](void* owner) {
    // Not at once: the deadline lives in the coroutine that would go on.
    Patience& lost = *static_cast<Patience*>(owner);
    lost.home.post([gathering = lost.gathering] { gathering->end(); });
  };
  net::Deadline deadline(home.deadlines(), lost, &patience);
  deadline.set(longest);
  co_await End{gathering.get()};
  co_return std::move(gathering->names);
}

}  // namespace gateway::app
