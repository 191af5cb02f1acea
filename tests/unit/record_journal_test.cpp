// The journal from ring to file and back: codes, digests, loss, damage and comparing.
#include "record/journal_compare.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "base/dice.hpp"
#include "record/journal_writer.hpp"

namespace faultline {
namespace {

std::string place_for(const std::string& name) {
  return ::testing::TempDir() + "journal_" + name + std::to_string(getpid());
}

FlowKey flow_key(std::uint8_t last) {
  FlowKey key;
  key.kind = FlowKind::kIpv4;
  key.ethertype = kEthertypeIpv4;
  key.protocol = kProtocolUdp;
  key.source = {10, 0, 0, last};
  key.destination = {10, 0, 1, last};
  key.source_port = 1000;
  key.destination_port = 2000;
  return key;
}

JournalNames names() {
  return {{"left", "right"}, {{"wan", hash_name("wan"), {"loss", "delay"}}}};
}

/// Everything that was told, in words.
class Heard final : public JournalVisitor {
 public:
  void hit(std::uint8_t, const JournalLine& line) override {
    hits.push_back(line.hit);
    connections.push_back(line.connection);
  }
  void digest(const JournalDigest& digest, const FlowKey&, const JournalNames&) override {
    digests.push_back(digest);
  }
  void lost(std::uint64_t count) override { missing += count; }
  std::vector<JournalHit> hits;
  std::vector<FlowConnection> connections;  ///< by hit
  std::vector<JournalDigest> digests;
  std::uint64_t missing = 0;
};

/// Raw records as a worker puts them there.
class Records {
 public:
  template <typename Record>
  Records& put(const Record& record) {
    const std::size_t at = words.size();
    words.resize(at + words_of<Record>());
    put_record(&words[at], record);
    return *this;
  }
  std::vector<std::uint64_t> words;
};

JournalFlow flow_at(std::uint32_t place, std::uint8_t last) {
  JournalFlow flow;
  flow.place = place;
  flow.egress = 1;
  flow.key = flow_key(last);
  return flow;
}

/// The same flow, from another port of its client's, as the `ordinal`-th connection.
JournalFlow connection_at(std::uint32_t place, std::uint16_t port, std::uint32_t ordinal,
                          std::uint64_t before = 0) {
  JournalFlow flow = flow_at(place, 1);
  flow.key.source_port = port;
  flow.role = Role::kRequest;
  flow.ordinal = ordinal;
  flow.before = before;
  return flow;
}

JournalHitRecord hit_of(std::uint32_t place, std::uint64_t number, std::uint64_t delay_ns,
                        DropReason reason = DropReason::kNone) {
  JournalHitRecord hit;
  hit.place = place;
  hit.number = number;
  hit.delay_ns = delay_ns;
  hit.reason = reason;
  hit.step = reason == DropReason::kNone ? 1 : 0;
  hit.length_bytes = 98;
  hit.hash = static_cast<std::uint32_t>(number * 77 + place);
  return hit;
}

JournalHead head_at(std::uint64_t arrival_ns, std::uint32_t sequence) {
  JournalHead head;
  head.egress = 1;
  head.arrival_ns = arrival_ns;
  head.sequence = sequence;
  return head;
}

/// Writes a file with the encoder's bytes in one chunk.
void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file << kJournalMagic;
  const auto chunk = [&](JournalChunk kind, std::string_view text) {
    JournalChunkHead head{.kind = kind};
    head.bytes = static_cast<std::uint32_t>(text.size());
    head.check = journal_check(text);
    file.write(reinterpret_cast<const char*>(&head), sizeof head);
    file << text;
  };
  chunk(JournalChunk::kNames, names_text(1, names(), nullptr));
  chunk(JournalChunk::kRecords, bytes);
}

std::string encoded(const Records& records) {
  const JournalNames named = names();
  JournalEncoder encoder([&](std::uint64_t) { return &named; });
  encoder.encode(records.words);
  encoder.end();
  return encoder.bytes().text();
}

Records two_flows(std::uint64_t later_ns = 0) {
  Records records;
  JournalAdopted adopted;
  adopted.generation = 1;
  adopted.zero_ns = 1'000;
  records.put(adopted).put(flow_at(7, 1)).put(flow_at(9, 2)).put(head_at(5'000, 40));
  for (std::uint64_t number = 1; number <= 20; ++number) {
    JournalHitRecord hit = hit_of(number % 2 != 0 ? 7 : 9, (number + 1) / 2, 10'000'000);
    hit.behind = static_cast<std::uint8_t>(number);
    records.put(hit);
  }
  records.put(head_at(2'000'005'000 + later_ns, 400));
  records.put(hit_of(7, 500, 0, DropReason::kLoss));
  return records;
}

TEST(Journal, SaysWhatWasPut) {
  const std::string path = place_for("said");
  write_file(path, encoded(two_flows()));
  Result<JournalReader> reader = JournalReader::open(path);
  ASSERT_TRUE(reader.has_value());
  Heard heard;
  EXPECT_EQ(reader->read(heard), JournalEnd::kCut);
  ASSERT_EQ(heard.hits.size(), 21U);
  EXPECT_EQ(heard.hits[3].number, 2U);
  EXPECT_EQ(heard.hits[3].sequence, 44U);
  EXPECT_EQ(heard.hits[3].arrival_ns, 5'000U);
  EXPECT_EQ(heard.hits[3].release_ns, 10'005'000U);
  EXPECT_EQ(heard.hits[3].place, 9U);
  EXPECT_EQ(heard.hits.back().fate, JournalFate::kDropped);
  EXPECT_EQ(heard.hits.back().number, 500U);
  EXPECT_EQ(heard.hits.back().arrival_ns, 2'000'005'000U);
  // Two flows in the first second, one in the third.
  ASSERT_EQ(heard.digests.size(), 3U);
  EXPECT_EQ(heard.digests[0].second, 0U);
  EXPECT_EQ(heard.digests[0].hits, 10U);
  EXPECT_EQ(heard.digests[2].second, 2U);
  EXPECT_EQ(heard.digests[2].hits, 1U);
  std::remove(path.c_str());
}

TEST(Journal, IsSmall) {
  // 9 bytes: code, flow, sequence and hash, where the rest is as it was.
  Records more = two_flows();
  const std::size_t before = encoded(two_flows()).size();
  for (std::uint64_t number = 501; number <= 600; ++number) {
    JournalHitRecord hit = hit_of(7, number, 0, DropReason::kLoss);
    hit.behind = 1;
    more.put(hit);
  }
  EXPECT_LE(encoded(more).size() - before, 100U * 9);
}

TEST(Journal, PutsTogetherWhatWaited) {
  Records records;
  records.put(flow_at(7, 1)).put(head_at(5'000, 40));
  JournalTouch touch;
  touch.hit = hit_of(7, 3, 100);
  touch.hit.kind = JournalRecord::kTouch;
  touch.fate = JournalFate::kAside;
  touch.release_ns = 5'100;
  records.put(touch);
  records.put(flow_at(7, 2));  // another flow takes its place meanwhile
  JournalTouch later;
  later.hit.kind = JournalRecord::kTouch;
  later.hit.number = 3;
  later.hit.delay_ns = 900;
  later.fate = JournalFate::kAside;
  later.flags = JournalTouch::kWaited;
  records.put(later);
  later.hit.slot = kNoSlot;
  later.hit.delay_ns = 0;
  later.fate = JournalFate::kSent;
  later.release_ns = 6'000;
  records.put(later);
  const std::string path = place_for("waited");
  write_file(path, encoded(records));
  Result<JournalReader> reader = JournalReader::open(path);
  ASSERT_TRUE(reader.has_value());
  Heard heard;
  reader->read(heard);
  ASSERT_EQ(heard.hits.size(), 2U);
  for (const JournalHit& hit : heard.hits) {
    EXPECT_EQ(hit.release_ns, 6'000U);
    EXPECT_EQ(hit.hash, touch.hit.hash);
    EXPECT_EQ(hit.number, 3U);
  }
  EXPECT_EQ(heard.hits[0].delay_ns, 100U);
  EXPECT_EQ(heard.hits[1].delay_ns, 900U);
  std::remove(path.c_str());
}

TEST(Journal, CountsWhatNobodyKnows) {
  // A packet that waited when the journal began.
  Records records;
  JournalTouch touch;
  touch.hit = hit_of(kNoFlowPlace, 3, 100);
  touch.hit.kind = JournalRecord::kTouch;
  touch.fate = JournalFate::kAside;
  touch.flags = JournalTouch::kWaited;
  records.put(head_at(5'000, 40)).put(touch);
  touch.hit.slot = kNoSlot;
  touch.fate = JournalFate::kSent;
  records.put(touch);
  JournalEncoder encoder([](std::uint64_t) { return nullptr; });
  encoder.encode(records.words);
  EXPECT_EQ(encoder.hits(), 0U);
  EXPECT_EQ(encoder.forgotten(), 1U);
  EXPECT_EQ(encoder.unfinished(), 0U);
}

TEST(Journal, ComparesPacketsAndDice) {
  const std::string first = place_for("first");
  const std::string second = place_for("second");
  write_file(first, encoded(two_flows()));
  write_file(second, encoded(two_flows(999)));  // elsewhere in time, met by the same
  auto compared = compare_journals(first, second);
  ASSERT_TRUE(compared.has_value());
  EXPECT_TRUE(compared->same());
  EXPECT_EQ(compared->flows_same, 2U);

  Records other = two_flows();
  JournalHitRecord hit = hit_of(9, 11, 10'000'000);
  other.put(hit);  // a packet that only this one has
  write_file(second, encoded(other));
  compared = compare_journals(first, second);
  ASSERT_TRUE(compared.has_value());
  EXPECT_EQ(compared->second_only, 1U);
  EXPECT_EQ(compared->flows_same, 1U);
  ASSERT_EQ(compared->differences.size(), 1U);
  EXPECT_EQ(compared->differences[0].flow, "udp 10.0.0.2:1000 > 10.0.1.2:2000");
  EXPECT_EQ(compared->differences[0].second, "wan/delay delay 10000000 ns");
  std::remove(first.c_str());
  std::remove(second.c_str());
}

/// Two connections of ten packets each on one pair of ports.
Records two_connections(std::uint16_t port, std::uint64_t before, std::uint64_t delay_ns = 100) {
  Records records;
  JournalAdopted adopted;
  adopted.generation = 1;
  records.put(adopted).put(connection_at(7, port, 1, before)).put(head_at(5'000, 40));
  for (std::uint64_t number = 1; number <= 20; ++number) {
    if (number == 11)
      records.put(connection_at(7, port, 2, before + 10));
    JournalHitRecord hit = hit_of(7, before + number, number == 15 ? delay_ns : 100);
    hit.hash += port;
    records.put(hit);
  }
  return records;
}

TEST(Journal, SaysWhichConnection) {
  const std::string path = place_for("connection");
  Records records = two_connections(1'000, 3);
  records.put(flow_at(7, 1)).put(hit_of(7, 1, 100));  // nobody's, in the same place
  write_file(path, encoded(records));
  Result<JournalReader> reader = JournalReader::open(path);
  ASSERT_TRUE(reader.has_value());
  Heard heard;
  reader->read(heard);
  ASSERT_EQ(heard.connections.size(), 21U);
  EXPECT_EQ(heard.connections[9], (FlowConnection{3, 1, Role::kRequest}));
  EXPECT_EQ(heard.connections[10], (FlowConnection{13, 2, Role::kRequest}));
  EXPECT_FALSE(heard.connections[20].known());
  std::remove(path.c_str());
}

TEST(Journal, FindsFlowsByConnection) {
  const std::string first = place_for("first");
  const std::string second = place_for("second");
  write_file(first, encoded(two_connections(1'000, 0)));
  write_file(second, encoded(two_connections(2'000, 4)));  // begun later, from another port
  auto compared = compare_journals(first, second);
  ASSERT_TRUE(compared.has_value());
  EXPECT_TRUE(compared->same());
  EXPECT_EQ(compared->connections_same, 2U);
  EXPECT_EQ(compared->connection_hits, 20U);

  // Whatever its length: with the same dice only another packet meets no delay.
  write_file(second, encoded(two_connections(2'000, 4, 0)));
  for (const bool same_dice : {false, true}) {
    compared = compare_journals(first, second, {.same_dice = same_dice});
    ASSERT_TRUE(compared.has_value());
    EXPECT_EQ(compared->fates, same_dice ? 0U : 1U);
    EXPECT_EQ(compared->packets, same_dice ? 1U : 0U);
    EXPECT_EQ(compared->connections_different, 1U);
    ASSERT_EQ(compared->differences.size(), 1U);
    EXPECT_EQ(compared->differences[0].number, 5U);
    EXPECT_EQ(compared->differences[0].flow,
              "udp 10.0.0.1:* > 10.0.1.1:2000 (connection 2, request)");
  }

  // On the same ports the hash decides.
  write_file(second, encoded(two_connections(1'000, 0, 0)));
  compared = compare_journals(first, second, {.same_dice = true});
  ASSERT_TRUE(compared.has_value());
  EXPECT_EQ(compared->fates, 1U);
  std::remove(first.c_str());
  std::remove(second.c_str());
}

TEST(Journal, CountsWhatFindsNoRoom) {
  RecordRing ring(256);
  std::uint64_t put = 0;
  while (std::uint64_t* place = ring.reserve(16)) {
    for (std::uint64_t word = 0; word < 16; ++word) place[word] = put << 8 | 1;
    ring.commit(place + 16);
    ++put;
  }
  EXPECT_EQ(put, 16U);
  std::size_t taken = 0;
  for (auto words = ring.take(); !words.empty(); words = ring.take()) taken += words.size();
  EXPECT_EQ(taken, 256U);
  EXPECT_NE(ring.reserve(16), nullptr);
}

TEST(Journal, BelievesNothing) {
  // Chunks whose check is right and whose records are not.
  const std::string bytes = encoded(two_flows()) + encoded(two_connections(1'000, 3));
  const std::string path = place_for("believes");
  std::mt19937_64 dice(5);
  for (int turn = 0; turn < 500; ++turn) {
    std::string damaged = bytes;
    for (std::uint64_t times = 1 + dice() % 4; times > 0; --times)
      damaged[dice() % damaged.size()] = static_cast<char>(dice());
    if (dice() % 3 == 0)
      damaged.resize(dice() % damaged.size());
    write_file(path, damaged);
    Result<JournalReader> reader = JournalReader::open(path);
    ASSERT_TRUE(reader.has_value());
    Heard heard;
    EXPECT_NE(reader->read(heard), JournalEnd::kClosed);
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace faultline
