#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <memory>

namespace gateway {

/// branches * width parts that are cheap to copy and change: copies share all parts, a change copies one, and the
/// branch that leads to it. So a copy costs about `branches`, whatever the parts hold.
///
/// For what is in a snapshot: readers of the old copy never see the new one's changes. One writer; readers on any
/// thread as long as their copy is not the one written.
template <class Part, std::size_t branches, std::size_t width>
class SharedParts {
 public:
  SharedParts() = default;
  SharedParts(const SharedParts& other) : branches_(other.branches_) { other.owned_.reset(); }
  SharedParts& operator=(const SharedParts& other) {
    branches_ = other.branches_;
    owned_.reset();
    other.owned_.reset();
    return *this;
  }

  static constexpr std::size_t count = branches * width;

  /// Null when nobody has written there.
  [[nodiscard]] const Part* find(std::size_t number) const noexcept {
    const Branch* branch = branches_[number / width].get();
    return branch == nullptr ? nullptr : branch->parts[number % width].get();
  }

  /// To change: no copy made before sees what is done to it.
  Part& own(std::size_t number) {
    Branch& branch = own(branches_, owned_, number / width);
    return own(branch.parts, branch.owned, number % width);
  }

  template <class F>
  void for_each(F&& visit) const {
    for (const auto& branch : branches_) {
      if (!branch) continue;
      for (const auto& part : branch->parts) {
        if (part) visit(*part);
      }
    }
  }

 private:
  struct Branch {
    Branch() = default;
    Branch(const Branch& other) : parts(other.parts) {}
    Branch& operator=(const Branch&) = delete;

    std::array<std::shared_ptr<Part>, width> parts{};
    std::bitset<width> owned{};
  };

  template <class T, std::size_t size>
  static T& own(std::array<std::shared_ptr<T>, size>& all, std::bitset<size>& owned, std::size_t number) {
    std::shared_ptr<T>& one = all[number];
    if (!owned.test(number)) {
      one = one ? std::make_shared<T>(*one) : std::make_shared<T>();
      owned.set(number);
    }
    return *one;
  }

  std::array<std::shared_ptr<Branch>, branches> branches_{};
  // What no copy shares, which may be changed in place. Not use_count(): a reader that lets go of its copy on another
  // thread would have to be synchronised with. Copying disowns both sides, hence mutable.
  mutable std::bitset<branches> owned_{};
};

}  // namespace gateway
