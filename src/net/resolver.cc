#include "net/resolver.h"

#include <ares.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <coroutine>
#include <cstring>
#include <fstream>
#include <limits>
#include <list>
#include <map>
#include <sstream>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "net/ip.h"

namespace gateway::net {
namespace {

// Of the DNS protocol; <arpa/nameser.h> has them as macros.
constexpr int class_internet = 1;
constexpr int type_a = 1;
constexpr int type_aaaa = 28;

/// c-ares' states as error codes, worded as Kong words them where it has a wording.
class DnsCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "dns"; }
  [[nodiscard]] std::string message(int status) const override {
    switch (status) {
      case ARES_ENOTFOUND: return "dns server error: 3 name error";
      case ARES_ENODATA: return "dns client error: 101 empty record received";
      case ARES_ESERVFAIL: return "dns server error: 2 server failure";
      default: return ares_strerror(status);
    }
  }
};

const DnsCategory& dns_category() noexcept {
  static const DnsCategory category;
  return category;
}

boost::system::error_code to_code(int status) noexcept {
  if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION) return boost::asio::error::operation_aborted;
  // c-ares tells "refused" also when every server answered SERVFAIL or REFUSED: no server could tell.
  if (status == ARES_ECONNREFUSED) status = ARES_ESERVFAIL;
  return {status, dns_category()};
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// Names are compared without regard to case in place: lowering a copy would allocate per request.
struct NameHash {
  std::size_t operator()(std::string_view name) const noexcept {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(lower(c))) * 0x100000001b3U;
    return hash;
  }
};
struct NameEqual {
  bool operator()(std::string_view a, std::string_view b) const noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
  }
};

/// Services may name IPv6 addresses in brackets, as in URLs.
std::optional<IpAddress> literal(std::string_view host) noexcept {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return IpAddress::parse(host);
}

/// Names that never exist, and that servers are not to be asked for (RFC 6761, 6.4).
bool is_invalid(std::string_view name) noexcept {
  if (name.ends_with('.')) name.remove_suffix(1);
  constexpr std::string_view top = ".invalid";
  return name.size() >= top.size() && NameEqual{}(name.substr(name.size() - top.size()), top);
}

std::string server_list(const std::vector<std::string>& servers) {
  std::string list;
  for (const std::string& server : servers) {
    if (!list.empty()) list += ',';
    const std::optional<IpAddress> ip = IpAddress::parse(server);
    list += ip && !ip->is_v4() ? '[' + server + ']' : server;
  }
  return list;
}

void init_library() {
  // Static initialisation is what makes it once, whatever the thread.
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  if (status != ARES_SUCCESS) log::error("starting the DNS library: {}", ares_strerror(status));
}

}  // namespace

class Resolver::Impl : public std::enable_shared_from_this<Resolver::Impl> {
 public:
  Impl(Loop& loop, const Options& options);
  void start();
  void close() noexcept;
  void cancel();

  struct Waiter;
  struct Entry;

  [[nodiscard]] Entry* find(std::string_view name) {
    const auto found = names_.find(name);
    return found == names_.end() ? nullptr : found->second;
  }
  Entry& add(std::string_view name);
  void touch(Entry& entry);
  void query(Entry& entry);

  /// A coroutine that waits for an entry's query. Leaves its list when its frame is destroyed.
  struct Waiter {
    Waiter(Entry& entry, std::uint16_t wanted_port) : waits_for(&entry), port(wanted_port) {}
    ~Waiter() { unlink(); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept {
      handle = waiting;
      link_to(waits_for->waiters);
    }
    void await_resume() const noexcept {}

    void link_to(Waiter*& list) noexcept {
      next = list;
      if (next != nullptr) next->link = &next;
      link = &list;
      list = this;
    }
    void unlink() noexcept {
      if (link == nullptr) return;
      *link = next;
      if (next != nullptr) next->link = link;
      link = nullptr;
    }

    Entry* waits_for;
    std::uint16_t port;
    std::coroutine_handle<> handle;
    Waiter* next = nullptr;
    Waiter** link = nullptr;  // what points at us; null: in no list
    // Kept here, for the entry may be gone when the waiter runs.
    boost::system::error_code error;
    SocketAddress address;
  };

  struct Entry {
    Impl* owner = nullptr;
    std::string name;
    std::vector<IpAddress> addresses;  // empty: failed, or never answered
    boost::system::error_code error;
    Steady::time_point expires;  // of addresses or error
    Steady::time_point stale_until;
    std::size_t turn = 0;
    std::size_t type = 0;  // index into types_ of the query under way
    bool querying = false;
    bool pinned = false;
    Waiter* waiters = nullptr;
    std::list<Entry>::iterator place;  // in cache_, unless pinned

    SocketAddress next_address(std::uint16_t port) noexcept { return addresses[turn++ % addresses.size()].with_port(port); }
  };

 private:
  using Descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;
  using Timer = boost::asio::basic_waitable_timer<Steady, boost::asio::wait_traits<Steady>, boost::asio::io_context::executor_type>;

  /// A socket of c-ares, watched through a descriptor of our own: c-ares closes its own at once, while a wait must
  /// have ended before its descriptor is closed (see Stream::finish).
  struct Socket {
    Socket(boost::asio::io_context& io, int descriptor) : number(descriptor), watched(io) {
      // Unwatched, it times out.
      boost::system::error_code error;
      watched.assign(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0), error);
      if (error) log::warn("watching a DNS socket: {}", error.message());
    }
    const int number;  // of c-ares; its key
    Descriptor watched;
    bool closed = false;
    bool wants_read = false, wants_write = false;
    bool reading = false, writing = false;
  };

  using Sockets = std::map<ares_socket_t, std::shared_ptr<Socket>>;

  void read_hosts(const std::string& path);
  void pin(std::string_view name, std::vector<IpAddress> v4, std::vector<IpAddress> v6);
  void evict();

  static void on_socket(void* self, ares_socket_t descriptor, int readable, int writable);
  static void on_answer(void* entry, int status, int timeouts, unsigned char* answer, int size);
  void watch(const std::shared_ptr<Socket>& socket);
  void ready(const std::shared_ptr<Socket>& socket, bool reading, const boost::system::error_code& error);
  void drop(Sockets::iterator closed);
  void process(ares_socket_t readable, ares_socket_t writable);
  void arm_timer();
  void ask(Entry& entry);
  int take(Entry& entry, const unsigned char* answer, int size);
  void fail(Entry& entry, int status);
  void complete(Entry& entry);
  void resume_ready();
  void resume_soon();

  Loop& loop_;
  const Options options_;
  std::vector<int> types_;
  Timer timer_;
  ares_channel channel_ = nullptr;
  int channel_status_ = ARES_ENOTINITIALIZED;
  Sockets sockets_;
  std::list<Entry> pinned_;  // of the hosts file
  std::list<Entry> cache_;   // most recently used first
  std::unordered_map<std::string_view, Entry*, NameHash, NameEqual> names_;
  Waiter* ready_ = nullptr;
  bool resuming_soon_ = false;
};

Resolver::Impl::Impl(Loop& loop, const Options& options) : loop_(loop), options_(options), timer_(loop.io()) {
  for (const std::string& type : options.order) {
    if (type == "A") types_.push_back(type_a);
    if (type == "AAAA") types_.push_back(type_aaaa);
  }
  if (types_.empty()) types_ = {type_a, type_aaaa};

  pin("localhost", {*IpAddress::parse("127.0.0.1")}, {*IpAddress::parse("::1")});
  if (!options.hosts_file.empty()) read_hosts(options.hosts_file);
}

void Resolver::Impl::start() {
  init_library();
  ares_options settings{};
  settings.flags = ARES_FLAG_NOALIASES;
  settings.timeout = static_cast<int>(options_.timeout.count());
  settings.tries = static_cast<int>(options_.attempts);
  settings.sock_state_cb = &Impl::on_socket;
  settings.sock_state_cb_data = this;
  channel_status_ = ares_init_options(&channel_, &settings, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
  if (channel_status_ == ARES_SUCCESS && !options_.servers.empty()) {
    channel_status_ = ares_set_servers_ports_csv(channel_, server_list(options_.servers).c_str());
  }
  if (channel_status_ != ARES_SUCCESS) log::error("setting up DNS: {}", ares_strerror(channel_status_));
}

void Resolver::Impl::close() noexcept {
  // Waiters must not find the lists they are in when their frames are destroyed later.
  const auto forget = [](Waiter*& list) {
    while (list != nullptr) list->unlink();
  };
  for (Entry& entry : cache_) forget(entry.waiters);
  forget(ready_);
  if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
  while (!sockets_.empty()) drop(sockets_.begin());
  timer_.cancel();
}

void Resolver::Impl::cancel() {
  if (channel_ == nullptr) return;
  ares_cancel(channel_);
  arm_timer();
  resume_soon();
}

// ---- names ----

void Resolver::Impl::pin(std::string_view name, std::vector<IpAddress> v4, std::vector<IpAddress> v6) {
  for (const int type : types_) {
    std::vector<IpAddress>& addresses = type == type_a ? v4 : v6;
    if (addresses.empty()) continue;
    Entry& entry = pinned_.emplace_back();
    entry.owner = this;
    entry.name = name;
    entry.pinned = true;
    entry.addresses = std::move(addresses);
    entry.expires = Steady::time_point::max();
    names_.emplace(entry.name, &entry);
    return;
  }
}

void Resolver::Impl::read_hosts(const std::string& path) {
  struct Addresses {
    std::vector<IpAddress> v4, v6;
  };
  std::unordered_map<std::string, Addresses, NameHash, NameEqual> hosts;
  std::ifstream file(path);
  std::string text;
  while (std::getline(file, text)) {
    std::istringstream words(text.substr(0, text.find('#')));
    std::string word;
    if (!(words >> word)) continue;
    const std::optional<IpAddress> ip = IpAddress::parse(word);
    if (!ip) continue;
    while (words >> word) {
      Addresses& of_name = hosts[word];
      std::vector<IpAddress>& known = ip->is_v4() ? of_name.v4 : of_name.v6;
      if (std::find(known.begin(), known.end(), *ip) == known.end()) known.push_back(*ip);
    }
  }
  for (auto& [name, addresses] : hosts) {
    if (find(name) == nullptr) pin(name, std::move(addresses.v4), std::move(addresses.v6));
  }
}

Resolver::Impl::Entry& Resolver::Impl::add(std::string_view name) {
  evict();
  Entry& entry = cache_.emplace_front();
  entry.owner = this;
  entry.name = name;
  names_.emplace(entry.name, &entry);
  entry.place = cache_.begin();
  return entry;
}

void Resolver::Impl::touch(Entry& entry) {
  if (!entry.pinned) cache_.splice(cache_.begin(), cache_, entry.place);
}

void Resolver::Impl::evict() {
  // From the least recently used on. An entry with a query under way is c-ares' argument and stays.
  for (auto it = cache_.end(); it != cache_.begin() && cache_.size() >= std::max<std::size_t>(options_.cache_size, 1);) {
    --it;
    if (it->querying) continue;
    names_.erase(it->name);
    it = cache_.erase(it);
  }
}

// ---- queries ----

void Resolver::Impl::query(Entry& entry) {
  if (entry.querying) return;
  if (is_invalid(entry.name)) return fail(entry, ARES_ENOTFOUND);
  if (channel_status_ != ARES_SUCCESS) return fail(entry, channel_status_);
  entry.querying = true;
  entry.type = 0;
  ask(entry);
  arm_timer();
  resume_soon();  // sending may have ended other queries
}

void Resolver::Impl::ask(Entry& entry) { ares_search(channel_, entry.name.c_str(), class_internet, types_[entry.type], &Impl::on_answer, &entry); }

void Resolver::Impl::on_answer(void* argument, int status, int /*timeouts*/, unsigned char* answer, int size) {
  Entry& entry = *static_cast<Entry*>(argument);
  Impl& self = *entry.owner;
  if (status == ARES_EDESTRUCTION) return;
  if (status == ARES_SUCCESS) status = self.take(entry, answer, size);
  if (status == ARES_ENODATA && entry.type + 1 < self.types_.size()) {
    ++entry.type;
    return self.ask(entry);
  }
  entry.querying = false;
  if (status != ARES_SUCCESS) self.fail(entry, status);
  self.complete(entry);
}

int Resolver::Impl::take(Entry& entry, const unsigned char* answer, int size) {
  constexpr std::size_t most = 64;
  std::vector<IpAddress> addresses;
  int ttl = std::numeric_limits<int>::max();
  int count = most;
  if (types_[entry.type] == type_a) {
    std::array<ares_addrttl, most> found;
    const int status = ares_parse_a_reply(answer, size, nullptr, found.data(), &count);
    if (status != ARES_SUCCESS) return status;
    for (int i = 0; i < count; ++i) {
      addresses.push_back(IpAddress::from_v4(&found[static_cast<std::size_t>(i)].ipaddr));
      ttl = std::min(ttl, found[static_cast<std::size_t>(i)].ttl);
    }
  } else {
    std::array<ares_addr6ttl, most> found;
    const int status = ares_parse_aaaa_reply(answer, size, nullptr, found.data(), &count);
    if (status != ARES_SUCCESS) return status;
    for (int i = 0; i < count; ++i) {
      IpAddress& address = addresses.emplace_back();
      std::memcpy(address.bytes.data(), &found[static_cast<std::size_t>(i)].ip6addr, address.bytes.size());
      ttl = std::min(ttl, found[static_cast<std::size_t>(i)].ttl);
    }
  }
  if (addresses.empty()) return ARES_ENODATA;

  // At least a second: an answer that expires at once would make each request a query.
  const std::chrono::seconds valid = options_.valid_ttl.value_or(std::chrono::seconds(std::max(ttl, 1)));
  entry.addresses = std::move(addresses);
  entry.error.clear();
  entry.expires = Steady::now() + valid;
  entry.stale_until = entry.expires + options_.stale_ttl;
  return ARES_SUCCESS;
}

void Resolver::Impl::fail(Entry& entry, int status) {
  const Steady::time_point now = Steady::now();
  entry.error = to_code(status);
  const bool aborted = entry.error == boost::asio::error::operation_aborted;
  // A server that cannot be reached is no reason to forget what it said; that the name is gone is one.
  const bool gone = status == ARES_ENOTFOUND || status == ARES_ENODATA;
  entry.expires = aborted ? now : now + (gone ? options_.not_found_ttl : options_.error_ttl);
  if (gone || now >= entry.stale_until) entry.addresses.clear();
}

void Resolver::Impl::complete(Entry& entry) {
  while (entry.waiters != nullptr) {
    Waiter& waiter = *entry.waiters;
    waiter.unlink();
    if (entry.addresses.empty()) {
      waiter.error = entry.error;
    } else {
      waiter.address = entry.next_address(waiter.port);
    }
    waiter.link_to(ready_);
  }
}

/// Nobody runs inside a call of c-ares: what they do next may well come back to it, or end us.
void Resolver::Impl::resume_ready() {
  const std::shared_ptr<Impl> alive = shared_from_this();
  while (ready_ != nullptr) {
    Waiter& waiter = *ready_;
    waiter.unlink();
    waiter.handle.resume();
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

// ---- sockets and time ----

void Resolver::Impl::on_socket(void* argument, ares_socket_t descriptor, int readable, int writable) {
  Impl& self = *static_cast<Impl*>(argument);
  if (readable == 0 && writable == 0) {
    self.drop(self.sockets_.find(descriptor));
    return;
  }
  std::shared_ptr<Socket>& socket = self.sockets_[descriptor];
  if (!socket) socket = std::make_shared<Socket>(self.loop_.io(), descriptor);
  socket->wants_read = readable != 0;
  socket->wants_write = writable != 0;
  self.watch(socket);
}

void Resolver::Impl::watch(const std::shared_ptr<Socket>& socket) {
  const auto wait_for = [this, &socket](Descriptor::wait_type what, bool reading) {
    socket->watched.async_wait(what, [weak = weak_from_this(), socket, reading](const boost::system::error_code& error) {
      if (const std::shared_ptr<Impl> self = weak.lock()) self->ready(socket, reading, error);
    });
  };
  if (socket->wants_read && !socket->reading) {
    socket->reading = true;
    wait_for(Descriptor::wait_read, true);
  }
  if (socket->wants_write && !socket->writing) {
    socket->writing = true;
    wait_for(Descriptor::wait_write, false);
  }
}

void Resolver::Impl::ready(const std::shared_ptr<Socket>& socket, bool reading, const boost::system::error_code& error) {
  // Closed: its number may be another socket's by now.
  if (socket->closed || error == boost::asio::error::operation_aborted) return;
  (reading ? socket->reading : socket->writing) = false;
  const bool wanted = reading ? socket->wants_read : socket->wants_write;
  if (wanted) process(reading ? socket->number : ARES_SOCKET_BAD, reading ? ARES_SOCKET_BAD : socket->number);
  if (!socket->closed) watch(socket);
  resume_ready();
}

void Resolver::Impl::drop(Sockets::iterator closed) {
  if (closed == sockets_.end()) return;
  boost::system::error_code ignored;
  closed->second->closed = true;
  closed->second->watched.cancel(ignored);
  sockets_.erase(closed);
}

void Resolver::Impl::process(ares_socket_t readable, ares_socket_t writable) {
  ares_process_fd(channel_, readable, writable);
  arm_timer();
}

void Resolver::Impl::arm_timer() {
  timeval room{};
  const timeval* next = ares_timeout(channel_, nullptr, &room);
  if (next == nullptr) {
    timer_.cancel();
    return;
  }
  // One millisecond more, or rounding would wake us just before c-ares sees the time as come.
  timer_.expires_after(std::chrono::seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec) + std::chrono::milliseconds(1));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<Impl> self = weak.lock();
    if (error || !self) return;
    self->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    self->resume_ready();
  });
}

// ---- the door ----

Resolver::Resolver(Loop& loop, const Options& options) : impl_(std::make_shared<Impl>(loop, options)) { impl_->start(); }

Resolver::~Resolver() { impl_->close(); }

void Resolver::cancel() { impl_->cancel(); }

bool Resolver::is_name_error(const Error& error) noexcept {
  if (error.code.category() != dns_category()) return false;
  const int status = error.code.value();
  return status == ARES_ENOTFOUND || status == ARES_ENODATA;
}

Task<Result<SocketAddress>> Resolver::resolve(const std::string& host, std::uint16_t port) {
  const Steady::time_point now = Steady::now();
  Impl::Entry* entry = impl_->find(host);
  if (entry == nullptr) {
    if (const std::optional<IpAddress> ip = literal(host)) co_return ip->with_port(port);
    entry = &impl_->add(host);
  } else {
    impl_->touch(*entry);
    if (!entry->addresses.empty() && (now < entry->expires || now < entry->stale_until)) {
      const SocketAddress address = entry->next_address(port);
      if (now >= entry->expires) impl_->query(*entry);
      co_return address;
    }
    if (entry->addresses.empty() && !entry->querying && now < entry->expires) {
      co_return Error{entry->error, Origin::upstream, "resolving " + host};
    }
  }

  impl_->query(*entry);
  if (!entry->querying) {
    // Ended at once: the name is malformed, or no server is usable.
    if (entry->addresses.empty()) co_return Error{entry->error, Origin::upstream, "resolving " + host};
    co_return entry->next_address(port);
  }
  Impl::Waiter waiter(*entry, port);
  co_await waiter;
  if (waiter.error) co_return Error{waiter.error, Origin::upstream, "resolving " + host};
  co_return waiter.address;
}

}  // namespace gateway::net
