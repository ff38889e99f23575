#include "admin/writer.h"

namespace gateway::admin {

Task<Result<store::Outcome>> Writer::write(std::vector<store::Write> writes) {
  auto work = [this, &writes] { return store_.write(writes); };
  Result<store::Outcome> outcome = co_await pool_.run(work);
  if (outcome && std::holds_alternative<std::vector<store::Change>>(*outcome)) changed_(std::get<std::vector<store::Change>>(*outcome));
  co_return outcome;
}

void Writer::leave() {
  if (waiting_.empty()) {
    busy_ = false;
    return;
  }
  const std::coroutine_handle<> next = waiting_.front();
  waiting_.pop_front();
  // Through the loop: resumed from here, a long queue would be a deep stack.
  Executor::current()->post([next] { next.resume(); });
}

}  // namespace gateway::admin
