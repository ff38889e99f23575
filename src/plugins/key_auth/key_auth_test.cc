#include "plugins/key_auth/key_auth.h"

#include "plugin/testing.h"
#include "plugins/key_auth/body_key.h"

namespace gateway::plugins::key_auth {
namespace {

using nlohmann::json;
using plugin::Flow;
using plugin::testing::Bench;
using plugin::testing::FakeBody;

constexpr const char* ann = "00000000-0000-0000-0000-000000000001";
constexpr const char* guest = "00000000-0000-0000-0000-000000000002";
constexpr const char* key_id = "00000000-0000-0000-0000-000000000011";

class KeyAuth : public testing::Test {
 protected:
  KeyAuth() {
    bench.add_consumer(ann, "ann", "c-ann");
    bench.add_consumer(guest, "guest");
    bench.population.rows["keyauth_credentials"] = {{{"id", key_id}, {"key", "secret"}, {"consumer", {{"id", ann}}}, {"ttl", nullptr}}};
  }
  Flow ask(json config) {
    plugin = bench.make(type(), std::move(config));
    return bench.access(*plugin);
  }
  void body(std::string content_type, std::string text) {
    reader = std::make_unique<FakeBody>(std::move(text));
    bench.head.headers.set(http::Name::content_type, bench.head.headers.keep(content_type));
    bench.exchange->body = reader.get();
  }
  static void expect_refusal(Flow flow, std::string_view message, std::string_view challenge = "Key") {
    ASSERT_TRUE(flow.replies());
    EXPECT_EQ(flow.get().status, 401U);
    EXPECT_EQ(flow.get().body, message);
    EXPECT_TRUE(flow.get().negotiate);
    ASSERT_EQ(flow.get().headers.size(), 1U);
    EXPECT_EQ(flow.get().headers[0], (std::pair<std::string, std::string>("WWW-Authenticate", challenge)));
  }
  void expect_ann() {
    ASSERT_TRUE(bench.exchange->consumer);
    EXPECT_EQ(bench.exchange->consumer->username, "ann");
    EXPECT_EQ(bench.header("X-Consumer-ID"), ann);
    EXPECT_EQ(bench.header("X-Consumer-Username"), "ann");
    EXPECT_EQ(bench.header("X-Consumer-Custom-ID"), "c-ann");
    EXPECT_EQ(bench.header("X-Credential-Identifier"), key_id);
  }

  Bench bench;
  std::unique_ptr<FakeBody> reader;
  std::unique_ptr<plugin::Plugin> plugin;
};

TEST_F(KeyAuth, TakesAKeyFromAHeaderAndNamesTheConsumerToTheUpstream) {
  bench.head.headers.add("ApiKey", "secret");
  bench.head.headers.add("X-Consumer-ID", "spoofed");
  bench.head.headers.add("X-Anonymous-Consumer", "true");
  EXPECT_FALSE(ask(json::object()).replies());
  expect_ann();
  EXPECT_EQ(bench.head.headers.count("X-Consumer-ID"), 1U);
  EXPECT_EQ(bench.head.headers.find("X-Anonymous-Consumer"), nullptr);
  EXPECT_EQ(bench.header("apikey"), "secret");
}

TEST_F(KeyAuth, DoesNotWaitForWhatTheWorkerKnows) {
  bench.head.headers.add("apikey", "secret");
  EXPECT_FALSE(ask(json::object()).replies());
  const int loads = bench.population.loads;
  plugin::Step again = plugin->access(*bench.exchange);
  EXPECT_FALSE(again.waits());
  EXPECT_FALSE(again.take().replies());
  EXPECT_EQ(bench.population.loads, loads);
}

TEST_F(KeyAuth, TakesAKeyFromTheQuery) {
  bench.request("GET", "/?a=1&api%6bey=se%63ret&b=2");
  EXPECT_FALSE(ask(json::object()).replies());
  expect_ann();
  EXPECT_EQ(bench.exchange->upstream_query, "a=1&api%6bey=se%63ret&b=2");
}

TEST_F(KeyAuth, TreatsDashesAndUnderscoresInHeaderNamesAlike) {
  bench.head.headers.add("x-my-key", "secret");
  EXPECT_FALSE(ask({{"key_names", {"x_my_key"}}}).replies());
}

TEST_F(KeyAuth, RefusesARequestWithoutAKey) { expect_refusal(ask(json::object()), "No API key found in request"); }

TEST_F(KeyAuth, NamesTheRealmInTheChallenge) { expect_refusal(ask({{"realm", "re"}}), "No API key found in request", "Key realm=\"re\""); }

TEST_F(KeyAuth, RefusesAnUnknownKey) {
  bench.head.headers.add("apikey", "bad");
  expect_refusal(ask(json::object()), "Unauthorized");
}

TEST_F(KeyAuth, TakesAnEmptyKeyForNone) {
  bench.request("GET", "/?apikey=&other=secret");
  expect_refusal(ask({{"key_names", {"apikey", "other"}}}), "No API key found in request");
}

TEST_F(KeyAuth, PassesOverAnArgumentWithoutAValue) {
  bench.request("GET", "/?apikey&other=secret");
  EXPECT_FALSE(ask({{"key_names", {"apikey", "other"}}}).replies());
}

TEST_F(KeyAuth, RefusesTwoKeysUnderOneName) {
  bench.request("GET", "/?apikey=a&apikey=b");
  expect_refusal(ask(json::object()), "Duplicate API key found");
  bench.request("GET", "/");
  bench.head.headers.add("apikey", "secret");
  bench.head.headers.add("apikey", "secret");
  expect_refusal(ask(json::object()), "Duplicate API key found");
}

TEST_F(KeyAuth, LetsTheFirstNamePresentDecide) {
  bench.head.headers.add("first", "bad");
  bench.head.headers.add("second", "secret");
  expect_refusal(ask({{"key_names", {"first", "second"}}}), "Unauthorized");
}

TEST_F(KeyAuth, LooksOnlyWhereItIsTold) {
  bench.request("GET", "/?apikey=secret");
  expect_refusal(ask({{"key_in_query", false}}), "No API key found in request");
  bench.request("GET", "/");
  bench.head.headers.add("apikey", "secret");
  expect_refusal(ask({{"key_in_header", false}}), "No API key found in request");
  bench.request("POST", "/");
  body("application/json", R"({"apikey":"secret"})");
  expect_refusal(ask(json::object()), "No API key found in request");
  EXPECT_EQ(reader->reads, 0);
}

TEST_F(KeyAuth, HidesTheKeyFromTheUpstreamEverywhere) {
  bench.request("POST", "/?a=1&apikey=secret&b=%20");
  bench.head.headers.add("APIKEY", "secret");
  body("application/x-www-form-urlencoded", "x=1&apikey=secret&y=2");
  EXPECT_FALSE(ask({{"hide_credentials", true}, {"key_in_body", true}}).replies());
  expect_ann();
  EXPECT_EQ(bench.head.headers.find("apikey"), nullptr);
  EXPECT_EQ(bench.exchange->upstream_query, "a=1&b=%20");
  EXPECT_EQ(reader->text, "x=1&y=2");
}

TEST_F(KeyAuth, TakesAKeyFromABody) {
  for (const auto& [content_type, text] : std::vector<std::pair<std::string, std::string>>{
           {"application/x-www-form-urlencoded", "b=2&apikey=secret"},
           {"application/json; charset=utf-8", R"({"b":2,"apikey":"secret"})"},
           {"multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=\"apikey\"\r\n\r\nsecret\r\n--XX--\r\n"}}) {
    bench.request("POST", "/");
    body(content_type, text);
    EXPECT_FALSE(ask({{"key_in_body", true}}).replies()) << content_type;
    expect_ann();
    EXPECT_EQ(reader->text, text);
  }
}

TEST_F(KeyAuth, TakesABodyItCannotReadForOneWithoutAKey) {
  bench.request("POST", "/");
  body("application/json", "{");
  expect_refusal(ask({{"key_in_body", true}}), "No API key found in request");
  body("text/plain", "apikey=secret");
  expect_refusal(ask({{"key_in_body", true}}), "No API key found in request");
  reader->too_large = true;
  expect_refusal(ask({{"key_in_body", true}}), "No API key found in request");
}

TEST_F(KeyAuth, LeavesPreflightRequestsAloneWhenTold) {
  bench.request("OPTIONS", "/");
  EXPECT_FALSE(ask({{"run_on_preflight", false}}).replies());
  expect_refusal(ask(json::object()), "No API key found in request");
}

TEST_F(KeyAuth, LetsRequestsPassAsTheAnonymousConsumer) {
  for (const char* name : {"guest", guest}) {
    bench.request("GET", "/");
    bench.head.headers.add("X-Credential-Identifier", "spoofed");
    bench.head.headers.add("X-Consumer-Custom-ID", "spoofed");
    EXPECT_FALSE(ask({{"anonymous", name}}).replies());
    EXPECT_TRUE(bench.exchange->anonymous);
    EXPECT_EQ(bench.exchange->credential, nullptr);
    EXPECT_EQ(bench.header("X-Consumer-Username"), "guest");
    EXPECT_EQ(bench.header("X-Anonymous-Consumer"), "true");
    EXPECT_EQ(bench.head.headers.find("X-Credential-Identifier"), nullptr);
    EXPECT_EQ(bench.head.headers.find("X-Consumer-Custom-ID"), nullptr);
  }
}

TEST_F(KeyAuth, TakesAUsernameThatLooksLikeAnId) {
  bench.add_consumer("00000000-0000-0000-0000-000000000003", "00000000-0000-0000-0000-0000000000ff");
  EXPECT_FALSE(ask({{"anonymous", "00000000-0000-0000-0000-0000000000ff"}}).replies());
}

TEST_F(KeyAuth, FailsWhenThereIsNoAnonymousConsumer) {
  Flow flow = ask({{"anonymous", "nobody"}});
  ASSERT_TRUE(flow.replies());
  EXPECT_EQ(flow.get().status, 500U);
  EXPECT_EQ(flow.get().body, "An unexpected error occurred");
  EXPECT_TRUE(flow.get().headers.empty());
}

TEST_F(KeyAuth, WithAnAnonymousConsumerRestsWhenAnotherPluginHasAuthenticated) {
  bench.exchange->credential = std::make_shared<plugin::Credential>();
  bench.head.headers.add("apikey", "bad");
  EXPECT_FALSE(ask({{"anonymous", "guest"}}).replies());
  EXPECT_FALSE(bench.exchange->anonymous);
}

TEST_F(KeyAuth, WithoutOneAsksForAKeyEvenThen) {
  bench.exchange->credential = std::make_shared<plugin::Credential>();
  expect_refusal(ask(json::object()), "No API key found in request");
}

TEST_F(KeyAuth, RefusesAKeyThatHasExpiredThoughItIsStillKnown) {
  bench.population.rows["keyauth_credentials"][0]["ttl"] = 10;
  bench.head.headers.add("apikey", "secret");
  EXPECT_FALSE(ask(json::object()).replies());
  bench.now += std::chrono::seconds(11);
  expect_refusal(bench.access(*plugin), "Unauthorized");
}

TEST_F(KeyAuth, RefusesAKeyWhoseConsumerIsGone) {
  bench.head.headers.add("apikey", "secret");
  EXPECT_FALSE(ask(json::object()).replies());
  bench.population.rows["consumers"].clear();
  bench.population.forget();
  expect_refusal(bench.access(*plugin), "Unauthorized");
}

TEST_F(KeyAuth, FailsWhenTheDatastoreDoes) {
  bench.head.headers.add("apikey", "secret");
  bench.population.broken = true;
  Flow flow = ask(json::object());
  ASSERT_TRUE(flow.replies());
  EXPECT_EQ(flow.get().status, 500U);
  EXPECT_EQ(flow.get().body, "An unexpected error occurred");
}

TEST_F(KeyAuth, LetsNoOneInByAKeyThatWasNeverGiven) {
  bench.population.rows["keyauth_credentials"].clear();
  bench.head.headers.add("apikey", "secret");
  expect_refusal(ask(json::object()), "Unauthorized");
}

TEST(KeyAuthSettings, AreChecked) {
  EXPECT_EQ(plugin::testing::complaints(type(), {{"key_names", {"a b"}}}),
            json({{"config", {{"key_names", {"bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'"}}}}}));
  EXPECT_EQ(plugin::testing::complaints(type(), {{"key_names", "x"}}), json({{"config", {{"key_names", "expected an array"}}}}));
  EXPECT_EQ(plugin::testing::complaints(type(), {{"unknown", 1}}), json({{"config", {{"unknown", "unknown field"}}}}));
}

TEST(BodyKey, IsNotAFileOfThatName) {
  const std::string text = "--XX\r\nContent-Disposition: form-data; name=\"a\"; filename=\"apikey\"\r\n\r\nsecret\r\n--XX--\r\n";
  EXPECT_FALSE(find_in_body("multipart/form-data; boundary=XX", text, "apikey"));
}

TEST(BodyKey, IsADuplicateWhenItIsAList) {
  const auto found = find_in_body("application/json", R"({"apikey":["a"]})", "apikey");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->duplicate);
  EXPECT_FALSE(find_in_body("application/json", R"({"apikey":true})", "apikey"));
}

TEST(BodyKey, GoesFromEveryKindOfBody) {
  EXPECT_EQ(without_key("application/json", R"({"a":1,"apikey":"s"})", "apikey"), R"({"a":1})");
  EXPECT_EQ(without_key("application/x-www-form-urlencoded", "a=1&apikey=s", "apikey"), "a=1");
  const std::string kept = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
  const std::string key = "--XX\r\nContent-Disposition: form-data; name=\"apikey\"\r\n\r\ns\r\n";
  EXPECT_EQ(without_key("multipart/form-data; boundary=XX", kept + key + "--XX--\r\n", "apikey"), kept + "--XX--\r\n");
  EXPECT_FALSE(without_key("application/json", R"({"a":1})", "apikey"));
}

}  // namespace
}  // namespace gateway::plugins::key_auth
