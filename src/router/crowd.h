#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "router/compiled_route.h"

namespace gateway::router {

/// Entries filed under one key, best first.
///
/// Kept in chunks that copies share: where many thousand routes differ in nothing the table files them by, a change
/// still copies one chunk and the list of chunks, not all entries.
class Crowd {
 public:
  void add(const Entry& entry);
  void remove(const Entry& entry);
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// There must be one.
  [[nodiscard]] const Entry* front() const noexcept { return chunks_.front()->entries.front(); }

  /// Hands out entries in order until `visit` answers true. Chunks with none for this method are passed over.
  template <class Visit>
  void visit(std::uint16_t method, Visit&& visit) const {
    for (const auto& chunk : chunks_) {
      if ((chunk->methods & method) == 0) continue;
      for (const Entry* entry : chunk->entries) {
        if (visit(*entry)) return;
      }
    }
  }

 private:
  struct Chunk {
    std::vector<const Entry*> entries;
    std::uint16_t methods = 0;  // of any entry
  };
  using Chunks = std::vector<std::shared_ptr<const Chunk>>;

  [[nodiscard]] std::size_t number_for(const Entry& entry) const;
  static std::shared_ptr<const Chunk> chunk_of(std::vector<const Entry*> entries);

  Chunks chunks_;  // none is empty
  std::size_t size_ = 0;
};

}  // namespace gateway::router
