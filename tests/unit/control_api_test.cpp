// What the HTTP interface offers and what openapi.json says it offers; and the small parts behind
// it.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "control/api.hpp"
#include "control/event_stream.hpp"
#include "control/leases.hpp"
#include "control/openapi.hpp"

namespace faultline {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& letter : out) letter = static_cast<char>(std::tolower(letter));
  return out;
}

TEST(ControlApi, OffersWhatOpenApiSaysAndNothingElse) {
  const Json document = Json::parse(kOpenApi);
  std::set<std::string> described;
  for (const auto& [path, item] : document["paths"].items())
    for (const auto& [method, operation] : item.items())
      if (method != "parameters")
        described.insert(method + " " + path);
  std::set<std::string> offered;
  for (const Api::Route& route : Api::routes())
    offered.insert(lower(route.method) + " " + std::string(route.pattern));
  EXPECT_EQ(described, offered);
  EXPECT_EQ(offered.size(), Api::routes().size()) << "none twice";
}

TEST(ControlApi, EveryChangeIsGuarded) {
  for (const Api::Route& route : Api::routes())
    EXPECT_EQ(route.right == Api::Right::kRead, route.method == "GET") << route.pattern;
}

TEST(ControlApi, WhoMayChange) {
  const Peer root{.user = 0, .group = 0};
  const Peer owner{.user = 7, .group = 7};
  const Peer member{.user = 9, .group = 50};
  const Peer also_member{.user = 9, .group = 9, .process = 0, .groups = {8, 50}};
  const Peer stranger{.user = 9, .group = 9, .process = 0, .groups = {8}};
  const Access with_group{.daemon_user = 7, .changers = 50};
  EXPECT_TRUE(with_group.may_change(root));
  EXPECT_TRUE(with_group.may_change(owner));
  EXPECT_TRUE(with_group.may_change(member));
  EXPECT_TRUE(with_group.may_change(also_member));
  EXPECT_FALSE(with_group.may_change(stranger));
  const Access without{.daemon_user = 7, .changers = std::nullopt};
  EXPECT_TRUE(without.may_change(root));
  EXPECT_FALSE(without.may_change(member));
}

// ---- events

TEST(ControlEvents, AreNumberedAndBounded) {
  EventLog log;
  for (std::uint64_t n = 1; n <= EventLog::kKept + 10; ++n) log.add(n * 100, "x", {{"place", n}});
  constexpr std::uint64_t kLast = EventLog::kKept + 10;
  const EventLog::Batch all = log.since(1);
  EXPECT_EQ(all.lost, 10U);
  EXPECT_EQ(all.events.size(), EventLog::kKept);
  EXPECT_EQ(all.events.front()["n"], 11);
  EXPECT_EQ(all.events.front()["t_ns"], 1'100);
  EXPECT_EQ(all.events.front()["place"], 11);
  EXPECT_EQ(all.next, kLast + 1);
  const EventLog::Batch few = log.since(20, 3);
  EXPECT_EQ(few.lost, 0U);
  EXPECT_EQ(few.events.size(), 3U);
  EXPECT_EQ(few.next, 23U);
  const EventLog::Batch none = log.since(kLast + 1);
  EXPECT_TRUE(none.events.empty());
  EXPECT_EQ(none.next, kLast + 1);
}

TEST(ControlEvents, AStreamGoesOnWhereItWas) {
  EventLog log;
  const auto count = std::make_shared<std::atomic<int>>(0);
  {
    const auto stream = EventStream::open(log, 1, count, 1);
    ASSERT_NE(stream, nullptr);
    EXPECT_EQ(EventStream::open(log, 1, count, 1), nullptr) << "one is the most";
    EXPECT_EQ(stream->next(), ":\n\n") << "so that headers leave at once";
    EXPECT_EQ(stream->next(), "");
    log.add(5, "link", {{"port", "left"}});
    EXPECT_EQ(
        stream->next(),
        "id: 1\nevent: link\ndata: {\"n\":1,\"t_ns\":5,\"kind\":\"link\",\"port\":\"left\"}\n\n");
    EXPECT_EQ(stream->next(), "");
  }
  EXPECT_EQ(*count, 0);
}

TEST(ControlEvents, AStreamIsToldWhatItMissed) {
  EventLog log;
  for (std::size_t n = 0; n < EventLog::kKept + 5; ++n) log.add(n, "x");
  const auto stream = EventStream::open(log, 1, std::make_shared<std::atomic<int>>(0), 1);
  EXPECT_TRUE(stream->next().starts_with("event: lost\ndata: {\"lost\":5}\n\nid: 6\n"));
}

// ---- leases

TEST(ControlLeases, RenewedMadeAnewAndTaken) {
  Leases leases;
  EXPECT_EQ(leases.put("a", 100, 0), Leases::Put::kMade);
  const auto first = leases.terms().at("a");
  EXPECT_EQ(leases.put("a", 200, 99), Leases::Put::kRenewed);
  EXPECT_EQ(first->end_ns(), 200U);
  EXPECT_TRUE(leases.take_lapsed(199).empty());
  EXPECT_EQ(leases.put("a", 300, 200), Leases::Put::kMade) << "it had run out";
  EXPECT_NE(leases.terms().at("a"), first);
  EXPECT_EQ(first->end_ns(), 0U) << "what hung on the first stays ended";
  EXPECT_EQ(leases.take_lapsed(300), std::vector<std::string>{"a"});
  EXPECT_FALSE(leases.remove("a"));
}

TEST(ControlLeases, AreBounded) {
  Leases leases;
  for (std::size_t n = 0; n < Leases::kMax; ++n)
    EXPECT_EQ(leases.put("l" + std::to_string(n), 100, 0), Leases::Put::kMade);
  EXPECT_EQ(leases.put("one-more", 100, 0), Leases::Put::kTooMany);
  EXPECT_EQ(leases.put("l0", 150, 0), Leases::Put::kRenewed);
  EXPECT_TRUE(leases.remove("l1"));
  EXPECT_EQ(leases.put("one-more", 100, 0), Leases::Put::kMade);
}

TEST(PolicyLease, EndsOnceAndForAll) {
  LeaseTerm term(100);
  EXPECT_TRUE(term.holds_at(99));
  EXPECT_TRUE(term.renew(120));
  EXPECT_TRUE(term.holds_at(119));
  EXPECT_FALSE(term.holds_at(120));
  EXPECT_FALSE(term.renew(500));
  EXPECT_FALSE(term.holds_at(130));
  LeaseTerm other(100);
  other.end();
  EXPECT_FALSE(other.holds_at(1));
}

}  // namespace
}  // namespace faultline
