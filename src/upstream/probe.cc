#include "upstream/probe.h"

#include <boost/asio/error.hpp>

#include "base/log.h"
#include "upstream/balancing/probe_status.h"

namespace gateway::upstream {
namespace {

using Checks = entity::ActiveChecks;

constexpr std::size_t input_bytes = 4096;
constexpr std::size_t longest_status_line = 2048;
constexpr std::size_t most_contexts = 64;

Finding failure_of(const Error& error) {
  if (error.code == boost::asio::error::timed_out) return {Finding::Kind::timeout, 0};
  if (error.code == boost::asio::error::operation_aborted) return {Finding::Kind::aborted, 0};
  return {Finding::Kind::tcp_failure, 0};
}

std::string request_text(const Checks& checks, const std::string& host) {
  std::string text = "GET " + checks.http_path + " HTTP/1.0\r\n";
  for (const auto& [name, value] : checks.headers) text.append(name).append(": ").append(value).append("\r\n");
  return text + "Host: " + host + "\r\n\r\n";
}

std::string without_port(const std::string& host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

}  // namespace

Task<Finding> Prober::probe(net::SocketAddress peer, std::shared_ptr<const entity::Upstream> upstream, std::string host,
                            tls::ServerCertificatePtr certificate) {
  if (aborted_) co_return Finding{Finding::Kind::aborted, 0};
  net::Stream stream(loop_, input_bytes);
  streams_.insert(&stream);
  const Finding found = co_await converse(stream, peer, upstream->health.active, host, certificate);
  co_await stream.finish();
  streams_.erase(&stream);
  co_return found;
}

void Prober::abort() noexcept {
  aborted_ = true;
  for (net::Stream* stream : streams_) stream->cancel();
}

std::shared_ptr<const tls::ClientContext> Prober::context(bool verify, const tls::ServerCertificatePtr& certificate) {
  // Certificates come and go; what is still needed is quickly made again.
  if (contexts_.size() > most_contexts) contexts_.clear();
  std::shared_ptr<const tls::ClientContext>& one = contexts_[{verify, certificate}];
  if (!one) {
    tls::ClientOptions options = trust_;
    options.verify = verify;
    if (certificate) options.certificate = certificate;
    Result<std::shared_ptr<const tls::ClientContext>> made = tls::ClientContext::make(options);
    if (made) one = std::move(*made);
    if (!made) log::error("{}", made.error().to_string());
  }
  return one;
}

Task<Finding> Prober::converse(net::Stream& stream, const net::SocketAddress& peer, const Checks& checks, const std::string& host,
                               const tls::ServerCertificatePtr& certificate) {
  const auto renew = [&] { stream.expires_after(checks.timeout); };
  renew();
  const Status connected = co_await stream.connect(peer);
  // The wheel is coarse: a connection may have been made in the last moment before its time was up.
  if (!connected || stream.timed_out()) co_return stream.timed_out() ? Finding{Finding::Kind::timeout, 0} : failure_of(connected.error());
  if (checks.kind == Checks::Kind::tcp) co_return Finding{Finding::Kind::connected, 0};

  if (checks.kind == Checks::Kind::https || checks.kind == Checks::Kind::tls) {
    const std::shared_ptr<const tls::ClientContext> speaks = context(checks.verify_certificate, certificate);
    if (!speaks) co_return Finding{Finding::Kind::aborted, 0};
    const std::string name = checks.https_sni.empty() ? without_port(host) : checks.https_sni;
    renew();
    net::Stream::Open opening = stream.open(speaks->connect(stream.socket().native_handle(), name, false, nullptr));
    const Status shaken = co_await opening;
    if (!shaken) co_return failure_of(shaken.error());
    if (checks.kind == Checks::Kind::tls) co_return Finding{Finding::Kind::connected, 0};
  }

  const std::string text = request_text(checks, host);
  renew();
  const Status sent = co_await stream.write(text);
  if (!sent) co_return failure_of(sent.error());

  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < longest_status_line) {
    renew();
    const Result<bool> more = co_await stream.more();
    line.append(stream.data());
    stream.consume(stream.data().size());
    if (!more) co_return failure_of(more.error());
    if (!*more) break;
  }
  // It took the request and closed without a word: that is no answer but a failure of the connection.
  if (line.empty()) co_return Finding{Finding::Kind::tcp_failure, 0};
  co_return Finding{Finding::Kind::answered, probe_status(line)};
}

}  // namespace gateway::upstream
