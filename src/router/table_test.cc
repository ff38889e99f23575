#include "router/table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "router/protocol_check.h"
#include "router/test_reference.h"
#include "router/test_route.h"

namespace gateway::router {
namespace {

using entity::bit;
using entity::Protocol;
using entity::Route;

constexpr entity::Protocols web = bit(Protocol::http) | bit(Protocol::https);

Uuid number(std::uint32_t n) {
  Uuid id;
  for (int i = 0; i < 4; ++i) id.bytes[static_cast<std::size_t>(15 - i)] = static_cast<std::uint8_t>(n >> (8 * i));
  return id;
}

struct Ask {
  std::string method = "GET";
  std::string host = "example.com";
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers{};
  bool tls = false;
  std::string sni{};
  std::uint16_t port = 8000;
  bool websocket = false;
};

struct TableTest : testing::Test {
  Table table{Flavour::traditional_compatible};
  Table traditional{Flavour::traditional};
  std::uint32_t next = 1;

  void add(std::string name, const Spec& spec) {
    Route route = spec.route();
    if (route.id.is_nil()) route.id = number(next++);
    route.name = std::move(name);
    const auto shared = std::make_shared<const Route>(std::move(route));
    table.set(shared);
    traditional.set(shared);
  }

  template <class F>
  static auto with(const Table& table, const Ask& ask, F&& use) {
    http::Arena arena;
    http::Headers headers(arena);
    for (const auto& [name, value] : ask.headers) headers.add(name, value);
    return use(table.match({ask.method, ask.host, ask.path, ask.sni, ask.tls, ask.port, headers, ask.tls, ask.websocket}));
  }
  static std::string winner(const Table& table, const Ask& ask) {
    return with(table, ask, [](const auto& match) { return match ? match->route->name : std::string("none"); });
  }
  // Asks both flavours, which mostly agree.
  std::string winner(const Ask& ask) const {
    const std::string one = winner(table, ask);
    const std::string other = winner(traditional, ask);
    return one == other ? one : one + " but traditional " + other;
  }
};

TEST_F(TableTest, AnEmptyTableMatchesNothing) { EXPECT_EQ(winner({}), "none"); }

TEST_F(TableTest, APrefixMatchesWithoutRegardToSegments) {
  add("foo", {.paths = {"/foo"}});
  EXPECT_EQ(winner({.path = "/foo"}), "foo");
  EXPECT_EQ(winner({.path = "/foo/bar"}), "foo");
  EXPECT_EQ(winner({.path = "/foobar"}), "foo");
  EXPECT_EQ(winner({.path = "/fo"}), "none");
  EXPECT_EQ(winner({.path = "/Foo"}), "none");
}

TEST_F(TableTest, TheLongestPrefixWins) {
  add("root", {.paths = {"/"}});
  add("a", {.paths = {"/a"}});
  add("a/b", {.paths = {"/a/b"}});
  EXPECT_EQ(winner({.path = "/a/b/c"}), "a/b");
  EXPECT_EQ(winner({.path = "/a/c"}), "a");
  EXPECT_EQ(winner({.path = "/x"}), "root");
}

TEST_F(TableTest, PrefixesBeyondTheSummaryAreFoundToo) {
  const std::string long_path = "/" + std::string(62, 'x');
  add("62", {.paths = {long_path.substr(0, 62)}});
  add("63", {.paths = {long_path}});
  add("300", {.paths = {"/" + std::string(299, 'x')}});
  EXPECT_EQ(winner({.path = long_path.substr(0, 62)}), "62");
  EXPECT_EQ(winner({.path = long_path}), "63");
  EXPECT_EQ(winner({.path = "/" + std::string(298, 'x')}), "63");
  EXPECT_EQ(winner({.path = "/" + std::string(500, 'x')}), "300");
}

TEST_F(TableTest, ARegularExpressionIsAnchoredAtTheStartAndBeatsPrefixes) {
  add("prefix", {.paths = {"/users/1234567"}});
  add("regex", {.paths = {"~/users/\\d+"}});
  EXPECT_EQ(winner({.path = "/users/1234567"}), "regex");
  EXPECT_EQ(winner({.path = "/users/12x"}), "regex");
  EXPECT_EQ(winner({.path = "/a/users/12"}), "none");
}

TEST_F(TableTest, AmongRegularExpressionsThePriorityDecides) {
  add("low", {.paths = {"~/a/.*"}, .regex_priority = 1});
  add("high", {.paths = {"~/a.*"}, .regex_priority = 5});
  EXPECT_EQ(winner({.path = "/a/b"}), "high");
}

TEST_F(TableTest, APatternWithAlternativesIsFoundByEachOfThem) {
  add("either", {.paths = {"~/one$|/two$"}});
  add("inside", {.paths = {"~/in/(a|b)$"}});
  add("optional", {.paths = {"~/opt?$"}});
  add("escaped", {.paths = {"~/file\\.txt$"}});
  EXPECT_EQ(winner({.path = "/one"}), "either");
  EXPECT_EQ(winner({.path = "/two"}), "either");
  EXPECT_EQ(winner({.path = "/in/b"}), "inside");
  EXPECT_EQ(winner({.path = "/op"}), "optional");
  EXPECT_EQ(winner({.path = "/file.txt"}), "escaped");
  EXPECT_EQ(winner({.path = "/file-txt"}), "none");
}

TEST_F(TableTest, APatternThatDoesNotCompileNeverMatchesButItsRouteMay) {
  add("broken", {.paths = {"~/a(", "/b"}});
  EXPECT_EQ(winner({.path = "/a("}), "none");
  EXPECT_EQ(winner({.path = "/b"}), "broken");
  EXPECT_EQ(table.size(), 1U);
}

TEST_F(TableTest, ARegularExpressionThatRunsAwayIsCutShort) {
  add("evil", {.paths = {"~/(a+)+$"}});
  EXPECT_EQ(winner({.path = "/" + std::string(60, 'a') + "!"}), "none");
}

TEST_F(TableTest, AnExactHostMatchesWithAnyPort) {
  add("host", {.hosts = {"a.com"}});
  EXPECT_EQ(winner({.host = "a.com"}), "host");
  EXPECT_EQ(winner({.host = "a.com:9999"}), "host");
  EXPECT_EQ(winner({.host = "b.com"}), "none");
  EXPECT_EQ(winner({.host = "A.com"}), "none");
  EXPECT_EQ(winner({.host = ""}), "none");
}

TEST_F(TableTest, AHostWithAPortNeedsThatPort) {
  add("host", {.hosts = {"a.com:8000"}});
  EXPECT_EQ(winner({.host = "a.com:8000"}), "host");
  EXPECT_EQ(winner({.host = "a.com:8001"}), "none");
}

TEST_F(TableTest, AHostWithoutPortMeansTheListenersOrTheSchemesPort) {
  add("8000", {.hosts = {"a.com:8000"}});
  add("80", {.hosts = {"a.com:80"}});
  add("443", {.hosts = {"a.com:443"}});
  EXPECT_EQ(winner(table, {.host = "a.com"}), "8000");
  EXPECT_EQ(winner(traditional, {.host = "a.com"}), "80");
  EXPECT_EQ(winner(traditional, {.host = "a.com", .tls = true}), "443");
}

TEST_F(TableTest, WildcardHostsMatchAtEitherEnd) {
  add("left", {.hosts = {"*.a.com"}});
  add("right", {.hosts = {"b.*"}});
  add("port", {.hosts = {"*.c.com:81"}});
  EXPECT_EQ(winner({.host = "x.a.com"}), "left");
  EXPECT_EQ(winner({.host = "x.y.a.com:80"}), "left");
  EXPECT_EQ(winner({.host = "a.com"}), "none");
  EXPECT_EQ(winner({.host = "b.org"}), "right");
  EXPECT_EQ(winner({.host = "x.c.com:81"}), "port");
  EXPECT_EQ(winner({.host = "x.c.com:82"}), "none");
  EXPECT_EQ(winner({.host = ".a.com"}), "left but traditional none");
}

TEST_F(TableTest, APlainHostBeatsAWildcard) {
  add("wild", {.hosts = {"*.a.com"}});
  add("plain", {.hosts = {"x.a.com"}});
  EXPECT_EQ(winner({.host = "x.a.com"}), "plain");
}

TEST_F(TableTest, InTraditionalAWildcardWithAPortBeatsAPlainHost) {
  add("wild", {.hosts = {"*.a.com:81"}});
  add("plain", {.hosts = {"x.a.com"}});
  EXPECT_EQ(winner({.host = "x.a.com:81"}), "plain but traditional wild");
}

TEST_F(TableTest, AWildcardHostLosesAgainstAPathExceptInTraditional) {
  add("wild", {.hosts = {"*.a.com"}});
  add("path", {.paths = {"/p"}});
  EXPECT_EQ(winner({.host = "x.a.com", .path = "/p"}), "path but traditional wild");
}

TEST_F(TableTest, MoreAttributesWin) {
  add("host", {.hosts = {"a.com"}});
  add("path and method", {.paths = {"/p"}, .methods = {"GET"}});
  EXPECT_EQ(winner({.host = "a.com", .path = "/p"}), "path and method");
  EXPECT_EQ(winner({.method = "POST", .host = "a.com", .path = "/p"}), "host");
}

TEST_F(TableTest, MethodsAreExactAndMayBeUnusual) {
  add("get", {.methods = {"GET"}});
  add("purge", {.methods = {"PURGE"}});
  EXPECT_EQ(winner({.method = "GET"}), "get");
  EXPECT_EQ(winner({.method = "PURGE"}), "purge");
  EXPECT_EQ(winner({.method = "BREW"}), "none");
  EXPECT_EQ(winner({.method = "get"}), "none");
}

TEST_F(TableTest, HeadersMustAllBePresentWithOneOfTheirValues) {
  add("both", {.headers = {{"x-a", {"1", "2"}}, {"x-b", {"Three"}}}});
  add("one", {.headers = {{"x-a", {"1"}}}});
  EXPECT_EQ(winner({.headers = {{"X-A", "1"}}}), "one");
  EXPECT_EQ(winner({.headers = {{"X-A", "2"}}}), "none");
  EXPECT_EQ(winner({.headers = {{"X-A", "2"}, {"x-b", "tHREE"}}}), "both");
  EXPECT_EQ(winner({.headers = {{"X-A", "9"}, {"X-A", "1"}, {"x-b", "three"}}}), "both");
}

TEST_F(TableTest, AHeaderValueMayBeARegularExpressionOnLowerCase) {
  add("regex", {.headers = {{"x-a", {"~*b.r$"}}}});
  EXPECT_EQ(winner({.headers = {{"x-a", "fooBAR"}}}), "regex");
  EXPECT_EQ(winner({.headers = {{"x-a", "bare"}}}), "none");
}

TEST_F(TableTest, AmongSeveralValuesARegularExpressionIsLiteralInTraditional) {
  add("regex", {.headers = {{"x-a", {"~*b.r$", "other"}}}});
  EXPECT_EQ(winner({.headers = {{"x-a", "bar"}}}), "regex but traditional none");
  EXPECT_EQ(winner({.headers = {{"x-a", "other"}}}), "regex");
}

TEST_F(TableTest, HeadersAfterTheHundredthAreNotLookedAt) {
  add("header", {.headers = {{"x-a", {"1"}}}});
  Ask ask;
  for (int i = 0; i < 99; ++i) ask.headers.emplace_back("x-" + std::to_string(i), "1");
  ask.headers.emplace_back("x-a", "1");
  EXPECT_EQ(winner(ask), "header");
  ask.headers.insert(ask.headers.begin(), {"x-z", "1"});
  EXPECT_EQ(winner(ask), "none");
}

TEST_F(TableTest, RoutesForWebSocketsTakeNothingElseAndGoFirst) {
  add("all", {.created_at = 1, .paths = {"/chat"}});
  add("ws", {.created_at = 2, .protocols = bit(Protocol::ws), .paths = {"/chat"}});
  add("wss", {.created_at = 2, .protocols = bit(Protocol::wss), .paths = {"/chat"}});
  add("longer", {.created_at = 2, .paths = {"/chat/room"}});
  for (const Table* each : {&table, &traditional}) {
    EXPECT_EQ(winner(*each, {.path = "/chat", .websocket = true}), "ws");
    EXPECT_EQ(winner(*each, {.path = "/chat", .tls = true, .websocket = true}), "wss");
    EXPECT_EQ(winner(*each, {.path = "/chat"}), "all");
    EXPECT_EQ(winner(*each, {.path = "/chat/room", .websocket = true}), "longer") << "only all else being equal";
  }
}

TEST_F(TableTest, SnisCountOnlyOverTls) {
  add("sni", {.snis = {"a.com."}});
  EXPECT_EQ(winner({}), "sni");
  EXPECT_EQ(winner({.tls = true, .sni = "a.com"}), "sni");
  EXPECT_EQ(winner({.tls = true, .sni = "b.com"}), "none");
  EXPECT_EQ(winner({.tls = true}), "none");
}

TEST_F(TableTest, EqualRoutesAreToldApartByIdOrInTraditionalByAge) {
  add("old", {.created_at = 1, .paths = {"/a"}});
  add("new", {.created_at = 2, .paths = {"/a"}});
  EXPECT_EQ(winner({.path = "/a"}), "new but traditional old");
}

TEST_F(TableTest, AHostKeepsWorkingWhileItsRoutesComeAndGo) {
  add("one", {.id = number(1), .hosts = {"a.com"}, .paths = {"/one"}});
  add("two", {.id = number(2), .hosts = {"a.com"}, .paths = {"/two"}});
  EXPECT_EQ(winner({.host = "a.com", .path = "/one"}), "one");
  EXPECT_EQ(winner({.host = "a.com", .path = "/two"}), "two");
  table.erase(number(1));
  traditional.erase(number(1));
  EXPECT_EQ(winner({.host = "a.com", .path = "/one"}), "none");
  EXPECT_EQ(winner({.host = "a.com", .path = "/two"}), "two");
  add("three", {.id = number(2), .hosts = {"a.com"}, .paths = {"/three"}});
  EXPECT_EQ(winner({.host = "a.com", .path = "/two"}), "none");
  EXPECT_EQ(winner({.host = "a.com", .path = "/three"}), "three");
}

TEST_F(TableTest, OnlyRoutesForHttpTakePart) {
  add("tcp", {.protocols = bit(Protocol::tcp), .paths = {"/"}});
  EXPECT_EQ(winner({}), "none");
  EXPECT_EQ(table.size(), 0U);
  add("grpc", {.protocols = bit(Protocol::grpc), .paths = {"/"}});
  EXPECT_EQ(winner({}), "grpc");
}

TEST_F(TableTest, ARouteForHttpsMatchesPlainRequestsToo) {
  add("https", {.protocols = bit(Protocol::https), .paths = {"/"}});
  EXPECT_EQ(winner({}), "https");
}

TEST_F(TableTest, SettingARouteAgainReplacesIt) {
  add("before", {.id = number(7), .hosts = {"a.com"}, .paths = {"/a", "~/b"}});
  add("after", {.id = number(7), .paths = {"/c"}});
  EXPECT_EQ(table.size(), 1U);
  EXPECT_EQ(winner({.host = "a.com", .path = "/a"}), "none");
  EXPECT_EQ(winner({.path = "/c"}), "after");
  table.erase(number(7));
  EXPECT_EQ(winner(table, {.path = "/c"}), "none");
  EXPECT_EQ(table.size(), 0U);
  table.erase(number(7));
}

TEST_F(TableTest, ACopyIsNotAffectedByChangesToTheOther) {
  for (int i = 0; i < 2000; ++i) add("r" + std::to_string(i), {.paths = {"/p" + std::to_string(i) + "/"}});
  const Table old = table;
  table.erase(number(1));
  add("new", {.id = number(2), .paths = {"/new"}});
  EXPECT_EQ(winner(old, {.path = "/p0/"}), "r0");
  EXPECT_EQ(winner(old, {.path = "/p1/"}), "r1");
  EXPECT_EQ(winner(old, {.path = "/new"}), "none");
  EXPECT_EQ(old.size(), 2000U);
  EXPECT_EQ(winner(table, {.path = "/p0/"}), "none");
  EXPECT_EQ(winner(table, {.path = "/p1/"}), "none");
  EXPECT_EQ(winner(table, {.path = "/new"}), "new");
  EXPECT_EQ(winner(table, {.path = "/p1999/"}), "r1999");
  EXPECT_EQ(table.size(), 1999U);
}

TEST_F(TableTest, ReadersOfAnOldCopyDoNotNoticeTheWriter) {
  for (int i = 0; i < 500; ++i) add("r", {.paths = {"~/p" + std::to_string(i) + "/\\d"}});
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  const Table old = table;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      for (int n = 0; !stop; n = (n + 1) % 500) {
        if (winner(old, {.path = "/p" + std::to_string(n) + "/5"}) != "r") ++wrong;
      }
    });
  }
  for (std::uint32_t i = 0; i < 500; ++i) table.erase(number(i + 1));
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(table.size(), 0U);
}

TEST_F(TableTest, AMatchTellsWhatMatched) {
  add("prefix", {.paths = {"/foo"}});
  add("regex", {.paths = {"~/u/(?<id>\\d+)/(x)?"}});
  add("host", {.hosts = {"a.com"}});
  with(table, {.path = "/foo/bar"}, [](const auto& match) {
    ASSERT_TRUE(match);
    EXPECT_EQ(match->matched_path, "/foo");
    EXPECT_TRUE(match->path_matched);
    EXPECT_FALSE(match->regex);
  });
  with(table, {.path = "/u/42/rest"}, [](const auto& match) {
    ASSERT_TRUE(match);
    EXPECT_TRUE(match->regex);
    EXPECT_EQ(match->matched_path, "/u/42/");
    EXPECT_EQ(match->captures[0], "/u/42/");
    EXPECT_EQ(match->captures[1], "42");
    EXPECT_EQ(match->captures[2], "");
    EXPECT_EQ(match->captures.named("id"), "42");
    EXPECT_EQ(match->captures.named("no"), "");
  });
  with(table, {.host = "a.com", .path = "/any"}, [](const auto& match) {
    ASSERT_TRUE(match);
    EXPECT_FALSE(match->path_matched);
    EXPECT_EQ(match->matched_path, "");
  });
}

TEST(SplitPort, TakesOffOnlyWhatIsAPort) {
  EXPECT_EQ(split_port("a.com:80").port, 80);
  EXPECT_EQ(split_port("a.com:80").host, "a.com");
  EXPECT_EQ(split_port("a.com:").host, "a.com");
  EXPECT_EQ(split_port("a.com:x").host, "a.com:x");
  EXPECT_EQ(split_port("a.com:70000").host, "a.com:70000");
  EXPECT_EQ(split_port("[::1]").host, "[::1]");
  EXPECT_EQ(split_port("[::1]:81").host, "[::1]");
  EXPECT_EQ(split_port("[::1]:81").port, 81);
}

TEST(LiteralLead, IsWhatEveryMatchBeginsWith) {
  for (const auto& [pattern, lead] : std::vector<std::pair<std::string, std::string>>{{"/foo/\\d+", "/foo/"},
                                                                                      {"/foo?", "/fo"},
                                                                                      {"/a\\.b.", "/a.b"},
                                                                                      {"/a|/b", ""},
                                                                                      {"/a/(b|c)", "/a/"},
                                                                                      {"/a[|(]b|c", ""},
                                                                                      {"/a[|(]b", "/a"},
                                                                                      {"/a(?i:b|c)", ""},
                                                                                      {"/a(?<n>b|c)", "/a"},
                                                                                      {"/a{2}", "/"},
                                                                                      {"(?i)/a", ""},
                                                                                      {"/a\\Qb|c\\E", ""},
                                                                                      {"/a\\+b+", "/a+"},
                                                                                      {"/plain", "/plain"},
                                                                                      {"/a\\\\b|c", ""},
                                                                                      {"/a(b))|c", ""}}) {
    EXPECT_EQ(literal_lead(pattern), lead) << pattern;
  }
}

TEST(Passage, DependsOnProtocolsSchemeAndContentType) {
  const auto of = [](entity::Protocols protocols, Arrival arrival) { return passage(Spec{.protocols = protocols}.route(), arrival); };
  constexpr std::string_view grpc = "application/grpc+proto";
  EXPECT_EQ(of(bit(Protocol::https), {}), Passage::needs_https);
  EXPECT_EQ(of(bit(Protocol::https), {.https = true}), Passage::allowed);
  EXPECT_EQ(of(web, {}), Passage::allowed);
  EXPECT_EQ(of(bit(Protocol::http), {.https = true}), Passage::allowed);
  EXPECT_EQ(of(bit(Protocol::grpc), {.content_type = "text/plain"}), Passage::needs_grpc);
  EXPECT_EQ(of(bit(Protocol::grpc), {.content_type = grpc}), Passage::needs_http2);
  EXPECT_EQ(of(bit(Protocol::grpc), {.http2 = true, .content_type = grpc}), Passage::allowed);
  EXPECT_EQ(of(bit(Protocol::grpcs), {}), Passage::needs_grpc);
  EXPECT_EQ(of(bit(Protocol::grpcs), {.http2 = true, .content_type = grpc}), Passage::needs_grpcs);
  EXPECT_EQ(of(bit(Protocol::grpcs), {.https = true, .http2 = true, .content_type = grpc}), Passage::allowed);
  EXPECT_EQ(of(bit(Protocol::grpc) | bit(Protocol::grpcs), {.http2 = true, .content_type = grpc}), Passage::allowed);
}

/// Draws routes and requests from so few words that they meet often.
struct Dice {
  std::mt19937 random;
  std::uint32_t operator()(std::uint32_t sides) { return random() % sides; }
  template <class T>
  T pick(const std::vector<T>& from) {
    return from[(*this)(static_cast<std::uint32_t>(from.size()))];
  }
  std::vector<std::string> some(const std::vector<std::string>& from) {
    std::vector<std::string> out;
    for (std::uint32_t n = (*this)(3); n != 0; --n) out.push_back(pick(from));
    return out;
  }

  Route route() {
    static const std::vector<std::string> hosts = {"a.com", "b.com", "a.com:81", "*.a.com", "*.com", "a.*", "x.*", "*.com:81", "x.a.com"};
    static const std::vector<std::string> paths = {
        "/", "/a", "/a/", "/a/b", "/ab", "/b", "~/a", "~/a/\\w", "~/(a|b)", "~/a|/b", "~/a.?b$", "/" + std::string(70, 'l'), "~/.*b"};
    Route route = Spec{.id = number((*this)(40)), .created_at = (*this)(4), .regex_priority = (*this)(3)}.route();
    if ((*this)(10) == 0) route.protocols = bit(Protocol::tcp);
    if ((*this)(2) != 0) route.hosts = some(hosts);
    if ((*this)(3) != 0) route.paths = some(paths);
    if ((*this)(4) == 0) route.methods = some({"GET", "POST", "PURGE"});
    if ((*this)(4) == 0) route.snis = some({"a.com", "b.com"});
    if ((*this)(3) == 0) route.headers.push_back({"x-a", {pick<std::string>({"1", "2", "~*[12]"})}});
    if ((*this)(5) == 0) route.headers.push_back({"x-b", {pick<std::string>({"1", "2"})}});
    return route;
  }
  Ask ask() {
    Ask ask{.method = pick<std::string>({"GET", "POST", "PURGE", "BREW"}),
            .host = pick<std::string>({"a.com", "b.com", "x.a.com", "a.com:81", "x.a.com:81", "x.org", "", "a.org:82", ".com"}),
            .path = pick<std::string>({"/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/axb", "/b", "/c", "/" + std::string(90, 'l')}),
            .tls = (*this)(2) == 0,
            .sni = pick<std::string>({"a.com", "b.com", "c.com", ""}),
            .port = pick<std::uint16_t>({80, 81})};
    if ((*this)(2) == 0) ask.headers.emplace_back("x-a", pick<std::string>({"1", "2", "3"}));
    if ((*this)(2) == 0) ask.headers.emplace_back("x-b", pick<std::string>({"1", "2", "3"}));
    return ask;
  }
};

class AgainstReference : public testing::TestWithParam<Flavour> {};

TEST_P(AgainstReference, TheTableAnswersAsTryingEveryRouteWould) {
  Dice dice{std::mt19937(20240607)};
  int matched = 0;
  for (int round = 0; round < 60; ++round) {
    Table table(GetParam());
    Reference reference(GetParam());
    for (int change = 0; change < 40; ++change) {
      if (dice(4) == 0) {
        const Uuid id = number(dice(40));
        table.erase(id);
        reference.erase(id);
      } else {
        const auto route = std::make_shared<const Route>(dice.route());
        table = Table(table);  // as the writer does: every change is made to a copy
        table.set(route);
        reference.set(route);
      }
      for (int i = 0; i < 10; ++i) {
        const Ask ask = dice.ask();
        http::Arena arena;
        http::Headers headers(arena);
        for (const auto& [name, value] : ask.headers) headers.add(name, value);
        const Query query{ask.method, ask.host, ask.path, ask.sni, ask.tls, ask.port, headers};
        const auto found = table.match(query);
        const auto expected = reference.match(query);
        ASSERT_EQ(found.has_value(), expected.has_value()) << ask.method << ' ' << ask.host << ' ' << ask.path;
        if (!found) continue;
        ++matched;
        ASSERT_EQ(found->route, expected->first) << ask.method << ' ' << ask.host << ' ' << ask.path;
        if (!expected->second.starts_with('~')) {
          ASSERT_EQ(found->matched_path, expected->second);
        }
      }
    }
  }
  EXPECT_GT(matched, 5000);
}

INSTANTIATE_TEST_SUITE_P(Flavours, AgainstReference, testing::Values(Flavour::traditional_compatible, Flavour::traditional),
                         [](const auto& flavour) { return flavour.param == Flavour::traditional ? "Traditional" : "Compatible"; });

}  // namespace
}  // namespace gateway::router
