#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/keyed_hash.h"

namespace gateway::tls {

/// Sessions of clients that come back without a ticket: by session id in TLS 1.2, and with a reference to a session in TLS 1.3
/// where tickets are off. Shared by the workers, since nobody knows which of them a client meets next.
///
/// Bounded by bytes; the oldest go first. Any thread; a look-up holds one of several locks. What is in it opens what clients
/// say: it is wiped when it goes.
class SessionCache {
 public:
  explicit SessionCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  ~SessionCache();
  SessionCache(const SessionCache&) = delete;
  SessionCache& operator=(const SessionCache&) = delete;

  /// `session` as OpenSSL writes it; replaces what is there under that id. One too large for its share is not kept.
  void add(std::string_view id, std::string session);
  /// Empty: there is none. Whether it is still good, OpenSSL sees by the time in it.
  [[nodiscard]] std::string find(std::string_view id);
  void remove(std::string_view id);

  [[nodiscard]] std::size_t size();
  [[nodiscard]] std::size_t max_bytes() const noexcept { return max_bytes_; }

 private:
  static constexpr std::size_t shards = 16;
  struct Entry {
    std::string id;
    std::string session;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::list<Entry> oldest_first;
    std::unordered_map<std::string_view, std::list<Entry>::iterator> by_id;  // views of the ids in the list
    std::size_t bytes = 0;

    void erase(std::list<Entry>::iterator entry);
  };
  [[nodiscard]] Shard& shard_of(std::string_view id) { return shards_[hash_(id).low % shards]; }

  std::size_t max_bytes_;
  KeyedHash hash_ = KeyedHash::random();
  std::array<Shard, shards> shards_;
};

}  // namespace gateway::tls
