#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace gateway {

/// Coroutine frames come from free lists of the running thread, by size class: a request's handful of
/// tasks then costs no malloc. A frame freed on another thread simply joins that thread's lists.
struct PooledFrame {
  static void* operator new(std::size_t size) { return frame_pool().take(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { frame_pool().give(frame, size); }

 private:
  class Pool {
   public:
    ~Pool() {
      for (Slot*& head : lists_) {
        while (head != nullptr) {
          Slot* next = head->next;
          ::operator delete(head);
          head = next;
        }
      }
    }
    void* take(std::size_t size) {
      const std::size_t index = class_of(size);
      if (index >= classes) return ::operator new(size);
      if (Slot* slot = lists_[index]; slot != nullptr) {
        lists_[index] = slot->next;
        --counts_[index];
        return slot;
      }
      return ::operator new((index + 1) * granule);
    }
    void give(void* frame, std::size_t size) noexcept {
      const std::size_t index = class_of(size);
      if (index >= classes || counts_[index] == keep) {
        ::operator delete(frame);
        return;
      }
      lists_[index] = new (frame) Slot{lists_[index]};
      ++counts_[index];
    }

   private:
    struct Slot {
      Slot* next;
    };
    static constexpr std::size_t granule = 64;
    static constexpr std::size_t classes = 64;  // up to 4 KiB; larger frames are rare and go to malloc
    static constexpr unsigned keep = 1024;      // per class: what a burst leaves behind goes back to malloc
    static std::size_t class_of(std::size_t size) noexcept { return (size - 1) / granule; }
    std::array<Slot*, classes> lists_{};
    std::array<unsigned, classes> counts_{};
  };

  static Pool& frame_pool() {
    static thread_local Pool pool;
    return pool;
  }
};

}  // namespace gateway
