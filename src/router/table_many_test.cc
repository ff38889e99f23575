#include <gtest/gtest.h>

#include <array>
#include <random>

#include "router/required_text.h"
#include "router/table.h"
#include "router/test_reference.h"
#include "router/test_route.h"

// Sets of routes that differ in one thing only, so many that the table has to find its way among them by that thing.

namespace gateway::router {
namespace {

using entity::Route;

Uuid number(std::uint32_t n) {
  Uuid id;
  for (int i = 0; i < 4; ++i) id.bytes[static_cast<std::size_t>(15 - i)] = static_cast<std::uint8_t>(n >> (8 * i));
  return id;
}

/// A table beside a reference: what is set in one is set in the other, and both are asked.
class Pair {
 public:
  explicit Pair(Flavour flavour) : table_(flavour), reference_(flavour) {}

  void set(const Spec& spec) {
    const auto route = std::make_shared<const Route>(spec.route());
    table_ = Table(table_);  // as the writer does: every change is made to a copy
    table_.set(route);
    reference_.set(route);
  }
  void erase(const Uuid& id) {
    table_ = Table(table_);
    table_.erase(id);
    reference_.erase(id);
  }

  struct Ask {
    std::string method = "GET";
    std::string host = "example.com";
    std::string path = "/";
    std::vector<std::pair<std::string, std::string>> headers{};
  };
  /// True when something matched.
  bool agree(const Ask& ask) const {
    http::Arena arena;
    http::Headers headers(arena);
    for (const auto& [name, value] : ask.headers) headers.add(name, value);
    const Query query{ask.method, ask.host, ask.path, {}, false, 8000, headers};
    const auto found = table_.match(query);
    const auto expected = reference_.match(query);
    EXPECT_EQ(found.has_value(), expected.has_value()) << ask.method << ' ' << ask.host << ' ' << ask.path;
    if (found && expected) {
      EXPECT_EQ(found->route->id.to_string(), expected->first->id.to_string()) << ask.method << ' ' << ask.host << ' ' << ask.path;
    }
    return found.has_value();
  }

 private:
  Table table_;
  Reference reference_;
};

class ManyRoutes : public testing::TestWithParam<Flavour> {
 protected:
  Pair routes{GetParam()};
  std::mt19937 random{7};
  std::uint32_t dice(std::uint32_t sides) { return random() % sides; }
};

TEST_P(ManyRoutes, WithAHeaderOfTheirOwn) {
  for (std::uint32_t i = 0; i < 400; ++i) {
    routes.set({.id = number(i), .headers = {{"x-" + std::to_string(i), {i % 2 == 0 ? "yes" : "~*^y"}}}});
  }
  int matched = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string one = "x-" + std::to_string(dice(450));
    const std::string other = "x-" + std::to_string(dice(450));
    matched += routes.agree({.headers = {{"accept", "*/*"}, {one, "yes"}, {other, "no"}, {one, "yes"}}}) ? 1 : 0;
    if (i % 3 == 0) routes.erase(number(dice(400)));
  }
  EXPECT_GT(matched, 150);
  EXPECT_FALSE(routes.agree({}));
}

TEST_P(ManyRoutes, WithAPatternThatEndsInATextOfItsOwn) {
  for (std::uint32_t i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    const std::array<std::string, 3> paths = {"~/users/\\d+/item" + n + "$", "~/users/[a-z]+/x" + n + "-(a|b)?", "~/users/.*" + n};
    routes.set({.id = number(i), .paths = {paths[i % 3]}, .regex_priority = i % 5});
  }
  int matched = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(dice(320));
    const std::string path = dice(2) == 0 ? "/users/7/item" + n : "/users/me/x" + n + "-b/item" + n + "/item" + n;
    matched += routes.agree({.path = path}) ? 1 : 0;
    if (i % 3 == 0) routes.erase(number(dice(300)));
  }
  EXPECT_GT(matched, 150);
}

TEST_P(ManyRoutes, WithMoreTextsInOnePathThanAreKeptApart) {
  std::string all = "/a";
  for (std::uint32_t i = 100; i < 300; ++i) {
    const std::string text = "-t" + std::to_string(i);
    routes.set({.id = number(i), .paths = {"~/a.*" + text}});
    all += text;
  }
  EXPECT_TRUE(routes.agree({.path = all}));
  EXPECT_FALSE(routes.agree({.path = "/a-t99"}));
}

TEST_P(ManyRoutes, ThatAreAllAlike) {
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const std::string method = i % 7 == 0 ? "POST" : "GET";
    routes.set({.id = number(i), .created_at = dice(50), .hosts = {"example.com"}, .paths = {"/"}, .methods = {method}});
  }
  for (int i = 0; i < 900; ++i) {
    routes.erase(number(dice(1000)));
    if (i % 20 != 0) continue;
    EXPECT_TRUE(routes.agree({.method = i % 40 == 0 ? "GET" : "POST"}));
  }
  EXPECT_FALSE(routes.agree({.method = "PUT"}));
  for (std::uint32_t i = 0; i < 1000; ++i) routes.erase(number(i));
  EXPECT_FALSE(routes.agree({}));
}

INSTANTIATE_TEST_SUITE_P(Flavours, ManyRoutes, testing::Values(Flavour::traditional_compatible, Flavour::traditional),
                         [](const auto& flavour) { return flavour.param == Flavour::traditional ? "Traditional" : "Compatible"; });

TEST(RequiredText, IsWhatEveryMatchHasBehindItsLead) {
  using Case = std::pair<std::string, std::string>;
  for (const auto& [pattern, text] : std::initializer_list<Case>{{"/users/\\d+/orders", "/orders"},
                                                                 {"/users/\\d+/orders$", "/orders"},
                                                                 {"/only/a/lead", ""},
                                                                 {"/u/(?<id>\\w+)/a/.*/longer", "/longer"},
                                                                 {"/u/(a|b)/same/.*/more", "/same/"},
                                                                 {"/u/.*/abcd/.*/wxyz", "/abcd/"},
                                                                 {"/u/.*/abcd.*/wxyz", "/wxyz"},
                                                                 {"/u/\\d+/ab?cd", "cd"},
                                                                 {"/u/\\d+/ab*", "/a"},
                                                                 {"/u/\\d+/a{2}bc", "bc"},
                                                                 {"/u/\\d+/a{2,}3", "3"},
                                                                 {"/u/\\d+\\.json", ".json"},
                                                                 {"/u/[^/]+/orders", "/orders"},
                                                                 {"/u/[]x]+/orders", "/orders"},
                                                                 {"/u/[\\]]+/orders", "/orders"},
                                                                 {"(x)/abcd", "/abcd"},
                                                                 {"/u/\\d+/orders|/b", ""},
                                                                 {"/u/\\d+/(?:orders|b)", "/"},
                                                                 {"/u/\\d+(/orders)?", ""},
                                                                 {"(?i)/u/\\d+/orders", ""},
                                                                 {"/u/\\d+(?i)/orders", ""},
                                                                 {"/u/\\d+(?i:/orders)/x", ""},
                                                                 {"(*UTF)/u/\\d+/orders", ""},
                                                                 {"/u/\\d+/\\x41bcd", ""},
                                                                 {"/u/\\d+/\\Qa|b\\E", ""},
                                                                 {"/u/\\p{Lu}bcde", ""},
                                                                 {"/u/[[:alpha:]]+/orders", ""},
                                                                 {"/u/\\d+/orders(", ""},
                                                                 {"/u/\\d+/orders)", ""},
                                                                 {"/u/\\d+/orders\\", ""},
                                                                 {"/u/[a/orders", ""},
                                                                 {"/u/\\d+/a{orders", ""},
                                                                 {"(?#/comment)/orders", ""},
                                                                 {"/u/(?=.*x)/orders", "/orders"},
                                                                 {"/u/(?(1)a|b)/orders", ""}}) {
    EXPECT_EQ(required_text(pattern), text) << pattern;
  }
}

TEST(RequiredText, IsInEveryMatchOfRandomPatterns) {
  std::mt19937 random(3);
  const std::vector<std::string> parts = {"/a",   "b",   "c?", "d*", "e+", "\\d", ".", "(f|g)", "(?:h)?", "[ij]",
                                          "k{2}", "\\.", "^",  "$",  "|",  "(",   ")", "\\w+",  "{",      "}"};
  const std::string alphabet = "/abcdefghijk1.{}";
  int matched = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string pattern = "/";
    for (std::uint32_t n = 1 + random() % 7; n != 0; --n) pattern += parts[random() % parts.size()];
    const auto regex = Regex::compile(pattern, Regex::Anchor::start, 10'000);
    if (!regex) continue;
    const std::string text = required_text(pattern);
    const std::string lead = literal_lead(pattern);
    for (int i = 0; i < 10; ++i) {
      std::string subject = "/";
      for (std::uint32_t n = random() % 9; n != 0; --n) subject += alphabet[random() % alphabet.size()];
      if (!regex->match(subject, nullptr)) continue;
      ++matched;
      ASSERT_TRUE(subject.starts_with(lead)) << pattern << ' ' << subject;
      ASSERT_NE(subject.find(text, lead.size()), std::string::npos) << pattern << ' ' << subject << ' ' << text;
    }
  }
  EXPECT_GT(matched, 1000);
}

}  // namespace
}  // namespace gateway::router
