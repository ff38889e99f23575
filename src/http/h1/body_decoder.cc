#include "http/h1/body_decoder.h"

#include <algorithm>
#include <cstring>

#include "http/h1/syntax.h"

namespace gateway::http::h1 {
namespace {

// What extensions and trailers may take in all: they carry little, and cost us without carrying a body.
constexpr std::size_t max_framing_bytes = 16384;
constexpr unsigned max_size_digits = 15;  // well below overflow
// From here on a piece is worth a system call of its own.
constexpr std::size_t fair_piece_bytes = 4096;

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

BodyDecoder::BodyDecoder(const Framing& framing, Headers* trailers)
    : step_(framing.kind == Framing::Kind::chunked ? Step::size_first : Step::length), left_(framing.length), trailers_(trailers) {
  if (step_ == Step::size_first) left_ = 0;
}

BodyDecoder::Fed BodyDecoder::feed(std::string_view input) {
  Fed fed;
  if (step_ == Step::broken) {
    fed.state = State::malformed;
    return fed;
  }
  if (step_ == Step::length) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
    left_ -= part;
    fed = {part, input.substr(0, part), left_ == 0 ? State::done : part > 0 ? State::data : State::need_more};
    return fed;
  }
  while (fed.consumed < input.size()) {
    if (step_ == Step::end) break;
    if (step_ == Step::data) {
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - fed.consumed));
      fed.payload = input.substr(fed.consumed, part);
      fed.consumed += part;
      left_ -= part;
      if (left_ == 0) step_ = Step::data_return;
      fed.state = State::data;
      return fed;
    }
    if (!framing_byte(input[fed.consumed++])) {
      step_ = Step::broken;
      fed.state = State::malformed;
      return fed;
    }
  }
  fed.state = step_ == Step::end ? State::done : State::need_more;
  return fed;
}

BodyDecoder::Fed BodyDecoder::gather(char* input, std::size_t size) {
  Fed all = feed({input, size});
  while (all.state == State::data && all.consumed < size) {
    BodyDecoder ahead = *this;
    const Fed next = ahead.feed({input + all.consumed, size - all.consumed});
    if (!next.payload.empty() && all.payload.size() >= fair_piece_bytes) break;
    *this = std::move(ahead);
    if (next.state == State::malformed) break;  // what came before it is whole; the next call tells
    char* const end = input + (all.payload.data() - input) + all.payload.size();
    if (!next.payload.empty()) std::memmove(end, next.payload.data(), next.payload.size());
    all.payload = {all.payload.data(), all.payload.size() + next.payload.size()};
    all.consumed += next.consumed;
    if (next.state == State::done) all.state = State::done;
    if (next.state != State::data) break;
  }
  return all;
}

bool BodyDecoder::framing_byte(char c) {
  switch (step_) {
    case Step::size_first:
      left_ = 0;
      digits_ = 0;
      if (hex_value(c) < 0) return false;
      step_ = Step::size;
      [[fallthrough]];
    case Step::size:
      if (const int value = hex_value(c); value >= 0) {
        left_ = left_ << 4 | static_cast<unsigned>(value);
        return ++digits_ <= max_size_digits;
      }
      if (c == '\r') {
        step_ = Step::size_feed;
        return true;
      }
      if (c != ';') return false;
      step_ = Step::extension;
      return true;
    case Step::extension:
      if (c == '\r') {
        step_ = Step::size_feed;
        return true;
      }
      return (static_cast<unsigned char>(c) >= 0x20 || c == '\t') && c != 0x7F && ++framing_bytes_ <= max_framing_bytes;
    case Step::size_feed: step_ = left_ > 0 ? Step::data : Step::trailer; return c == '\n';
    case Step::data_return: step_ = Step::data_feed; return c == '\r';
    case Step::data_feed: step_ = Step::size_first; return c == '\n';
    case Step::trailer:
      if (c == '\r') {
        step_ = Step::trailer_feed;
        return true;
      }
      line_ += c;
      return c != '\n' && ++framing_bytes_ <= max_framing_bytes;
    case Step::trailer_feed: return c == '\n' && trailer_line();
    case Step::length:
    case Step::data:
    case Step::end:
    case Step::broken: break;
  }
  return false;
}

bool BodyDecoder::trailer_line() {
  if (line_.empty()) {
    step_ = Step::end;
    return true;
  }
  Header field;
  if (!parse_header_line(line_, field)) return false;
  if (trailers_ != nullptr && may_be_trailer(field)) trailers_->add({trailers_->keep(field.name), trailers_->keep(field.value), Name::other});
  line_.clear();
  step_ = Step::trailer;
  return true;
}

}  // namespace gateway::http::h1
