#include "http/headers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/ascii.h"

namespace gateway::http {
namespace {

std::string upper_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return out;
}

TEST(HeaderName, IsRecognisedInAnySpelling) {
  for (auto id = static_cast<unsigned>(Name::other) + 1; id <= static_cast<unsigned>(Name::x_real_ip); ++id) {
    const auto name = static_cast<Name>(id);
    EXPECT_EQ(classify(spelling(name)), name) << spelling(name);
    EXPECT_EQ(classify(upper_case(spelling(name))), name) << spelling(name);
    EXPECT_EQ(classify(lower_case(spelling(name))), name) << spelling(name);
  }
}

TEST(HeaderName, IsNotMistakenForALikeOne) {
  for (auto id = static_cast<unsigned>(Name::other) + 1; id <= static_cast<unsigned>(Name::x_real_ip); ++id) {
    const std::string_view known = spelling(static_cast<Name>(id));
    for (std::size_t i = 0; i < known.size(); ++i) {
      std::string like(known);
      like[i] = like[i] == 'q' ? 'z' : 'q';
      EXPECT_NE(classify(like), static_cast<Name>(id)) << like;
      like[i] = static_cast<char>(known[i] ^ 0x40);  // no letter of another case
      EXPECT_NE(classify(like), static_cast<Name>(id)) << like;
    }
  }
  for (const char* other : {"", "a", "TE ", "@ccept", "X-Forwarded-Whatever-Else", "Hos", "Hostt", "\xC8ost"}) EXPECT_EQ(classify(other), Name::other) << other;
}

TEST(Headers, OfUnknownNamesAreFoundSetAndRemovedInAnySpelling) {
  Arena arena;
  Headers headers(arena);
  EXPECT_EQ(headers.find("X-Thing"), nullptr);
  EXPECT_EQ(headers.remove("X-Thing"), 0U);
  headers.add("X-Thing", "1");
  headers.add("x-thing", "2");
  headers.add("X-Other", "3");
  EXPECT_EQ(headers.count("X-THING"), 2U);
  EXPECT_EQ(headers.value("x-tHING"), "1");
  headers.set("X-THING", "4");
  EXPECT_EQ(headers.count("x-thing"), 1U);
  EXPECT_EQ(headers.value("X-Thing"), "4");
  headers.set("X-New", "5");
  EXPECT_EQ(headers.value("x-new"), "5");
  EXPECT_EQ(headers.remove("x-other"), 1U);
  EXPECT_EQ(headers.find("X-Other"), nullptr);
  headers.clear();
  EXPECT_EQ(headers.find("X-Thing"), nullptr);
  headers.set("X-Thing", "6");
  EXPECT_EQ(headers.value("X-Thing"), "6");
}

TEST(Headers, SetAllAtOnceReplaceWhatIsThere) {
  Arena arena;
  Headers headers(arena);
  const Header both[] = {{"X-One", "1"}, {spelling(Name::via), "2", Name::via}};
  headers.set_all(both);
  ASSERT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers.value("x-one"), "1");
  EXPECT_EQ(headers.value(Name::via), "2");

  Headers others(arena);
  others.add("X-Two", "3");
  others.add(Name::date, "4");
  headers.set_all(others);
  EXPECT_EQ(headers.size(), 4U);

  headers.add("x-two", "5");
  others.set("X-Two", "6");
  others.add("X-Three", "7");
  headers.set_all(others);
  EXPECT_EQ(headers.size(), 5U);
  EXPECT_EQ(headers.count("X-Two"), 1U);
  EXPECT_EQ((headers.begin() + 2)->value, "6");
  EXPECT_EQ((headers.begin() + 4)->value, "7");
}

TEST(Headers, CopiesGoOnByThemselves) {
  Arena arena;
  Headers headers(arena);
  for (int i = 0; i < 10; ++i) headers.add("X-Thing", "1");
  Headers copy(headers);
  copy.set("X-Thing", "2");
  EXPECT_EQ(headers.size(), 10U);
  EXPECT_EQ(copy.size(), 1U);
  copy = headers;
  EXPECT_EQ(copy.count("x-thing"), 10U);
  headers.erase_if([](const Header&) { return true; });
  EXPECT_TRUE(headers.empty());
  EXPECT_EQ(copy.value("X-Thing"), "1");
}

// Names that look alike to whatever is asked before they are compared.
TEST(Headers, OfManyNamesAreNotMistakenForEachOther) {
  Arena arena;
  Headers headers(arena);
  for (int i = 0; i < 300; ++i) headers.add(headers.keep("X-Name-" + std::to_string(i)), headers.keep(std::to_string(i)));
  for (int i = 0; i < 300; ++i) EXPECT_EQ(headers.value("x-name-" + std::to_string(i)), std::to_string(i));
  EXPECT_EQ(headers.find("x-name-300"), nullptr);
  for (int i = 0; i < 300; i += 2) EXPECT_EQ(headers.remove("X-NAME-" + std::to_string(i)), 1U);
  EXPECT_EQ(headers.size(), 150U);
}

}  // namespace
}  // namespace gateway::http
