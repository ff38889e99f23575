#include "router/crowd.h"

#include <algorithm>

namespace gateway::router {
namespace {

constexpr std::size_t most_in_chunk = 256;

bool better(const Entry* a, const Entry* b) noexcept { return outranks(*a, *b); }

}  // namespace

std::shared_ptr<const Crowd::Chunk> Crowd::chunk_of(std::vector<const Entry*> entries) {
  Chunk chunk{std::move(entries)};
  for (const Entry* entry : chunk.entries) {
    chunk.methods |= entry->methods == 0 ? std::uint16_t{0xFFFF} : entry->methods;
  }
  return std::make_shared<const Chunk>(std::move(chunk));
}

// The first chunk that does not end before the entry's place; the last when all do.
std::size_t Crowd::number_for(const Entry& entry) const {
  const auto ends_before = [](const auto& chunk, const Entry* wanted) { return outranks(*chunk->entries.back(), *wanted); };
  const auto at = std::lower_bound(chunks_.begin(), chunks_.end(), &entry, ends_before);
  return static_cast<std::size_t>(std::min(at - chunks_.begin(), chunks_.end() - chunks_.begin() - 1));
}

void Crowd::add(const Entry& entry) {
  ++size_;
  if (chunks_.empty()) return chunks_.push_back(chunk_of({&entry}));
  const std::size_t number = number_for(entry);
  std::vector<const Entry*> entries;
  entries.reserve(chunks_[number]->entries.size() + 1);
  entries = chunks_[number]->entries;
  entries.insert(std::upper_bound(entries.begin(), entries.end(), &entry, better), &entry);
  if (entries.size() > most_in_chunk) {
    const auto middle = entries.begin() + static_cast<std::ptrdiff_t>(entries.size() / 2);
    chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(number + 1), chunk_of({middle, entries.end()}));
    entries.erase(middle, entries.end());
  }
  chunks_[number] = chunk_of(std::move(entries));
}

void Crowd::remove(const Entry& entry) {
  // Entries of one route may rank alike and lie on both sides of a border.
  for (std::size_t number = number_for(entry); number < chunks_.size(); ++number) {
    std::vector<const Entry*> entries = chunks_[number]->entries;
    if (std::erase(entries, &entry) == 0) continue;
    --size_;
    if (entries.empty()) {
      chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(number));
    } else {
      chunks_[number] = chunk_of(std::move(entries));
    }
    return;
  }
}

}  // namespace gateway::router
