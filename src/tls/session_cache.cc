#include "tls/session_cache.h"

#include <openssl/crypto.h>

#include <utility>

namespace gateway::tls {
namespace {

// What a session takes besides its own bytes: nodes of the list and of the index, and what the allocator adds.
constexpr std::size_t overhead = 192;

void wipe(std::string& text) { OPENSSL_cleanse(text.data(), text.size()); }

}  // namespace

SessionCache::~SessionCache() {
  for (Shard& shard : shards_) {
    for (Entry& entry : shard.oldest_first) wipe(entry.session);
  }
}

void SessionCache::Shard::erase(std::list<Entry>::iterator entry) {
  bytes -= entry->id.size() + entry->session.size() + overhead;
  wipe(entry->session);
  by_id.erase(entry->id);
  oldest_first.erase(entry);
}

void SessionCache::add(std::string_view id, std::string session) {
  const std::size_t size = id.size() + session.size() + overhead;
  const std::size_t most = max_bytes_ / shards;
  Shard& shard = shard_of(id);
  const std::lock_guard lock(shard.mutex);
  if (const auto before = shard.by_id.find(id); before != shard.by_id.end()) shard.erase(before->second);
  if (size > most) return wipe(session);
  while (shard.bytes + size > most) shard.erase(shard.oldest_first.begin());
  shard.oldest_first.push_back({std::string(id), std::move(session)});
  const auto entry = std::prev(shard.oldest_first.end());
  shard.by_id.emplace(entry->id, entry);
  shard.bytes += size;
}

std::string SessionCache::find(std::string_view id) {
  Shard& shard = shard_of(id);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_id.find(id);
  return found == shard.by_id.end() ? std::string() : found->second->session;
}

void SessionCache::remove(std::string_view id) {
  Shard& shard = shard_of(id);
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.by_id.find(id); found != shard.by_id.end()) shard.erase(found->second);
}

std::size_t SessionCache::size() {
  std::size_t sum = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.by_id.size();
  }
  return sum;
}

}  // namespace gateway::tls
