// What the capture reader and writer promise, in bytes: tables of files built by hand, truncation
// at every byte, and round trips. Whether packets mean anything is never looked at here.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "record/capture_reader.hpp"
#include "record/capture_writer.hpp"

namespace faultline {
namespace {

enum class Order { kLittle, kBig };

/// Bytes of a file, put together field by field in one byte order.
class FileBytes {
 public:
  explicit FileBytes(Order order) : order_(order) {}

  FileBytes& u16(std::uint16_t value) { return put(value, 2); }
  FileBytes& u32(std::uint32_t value) { return put(value, 4); }
  FileBytes& u64(std::uint64_t value) { return put(value, 8); }
  FileBytes& raw(std::string_view bytes) {
    text_ += bytes;
    return *this;
  }
  FileBytes& padded(std::string_view bytes) {
    text_ += bytes;
    text_.append((4 - bytes.size() % 4) % 4, '\0');
    return *this;
  }
  FileBytes& option(std::uint16_t code, std::string_view value) {
    return u16(code).u16(static_cast<std::uint16_t>(value.size())).padded(value);
  }
  /// A pcapng block around a body in the same order.
  FileBytes& block(std::uint32_t type, const FileBytes& body) {
    const auto length = static_cast<std::uint32_t>(body.text_.size() + 12);
    return u32(type).u32(length).raw(body.text_).u32(length);
  }
  FileBytes body() const { return FileBytes(order_); }
  const std::string& text() const { return text_; }
  Order order() const { return order_; }

  // The blocks and records most tests need.
  FileBytes& section() {
    return block(0x0a0d0d0a, body().u32(0x1a2b3c4d).u16(1).u16(0).u64(~std::uint64_t{0}));
  }
  FileBytes& interface(const FileBytes& options, std::uint16_t link_type = 1,
                       std::uint32_t snap_length = 0) {
    return block(1, body().u16(link_type).u16(0).u32(snap_length).raw(options.text_));
  }
  FileBytes& enhanced(std::uint32_t interface, std::uint64_t ticks, std::string_view data,
                      std::uint32_t original_bytes) {
    return block(6, body()
                        .u32(interface)
                        .u32(static_cast<std::uint32_t>(ticks >> 32))
                        .u32(static_cast<std::uint32_t>(ticks))
                        .u32(static_cast<std::uint32_t>(data.size()))
                        .u32(original_bytes)
                        .padded(data));
  }
  FileBytes& pcap_header(std::uint32_t magic, std::uint32_t link_type = 1) {
    return u32(magic).u16(2).u16(4).u32(0).u32(0).u32(262144).u32(link_type);
  }
  FileBytes& pcap_record(std::uint32_t seconds, std::uint32_t fraction, std::string_view data,
                         std::uint32_t original_bytes) {
    return u32(seconds)
        .u32(fraction)
        .u32(static_cast<std::uint32_t>(data.size()))
        .u32(original_bytes)
        .raw(data);
  }

 private:
  FileBytes& put(std::uint64_t value, unsigned size_bytes) {
    for (unsigned i = 0; i < size_bytes; ++i) {
      const unsigned place = order_ == Order::kLittle ? i : size_bytes - 1 - i;
      text_ += static_cast<char>(value >> (8 * place) & 0xff);
    }
    return *this;
  }

  Order order_;
  std::string text_;
};

struct Seen {
  std::uint64_t time_ns;
  std::uint32_t interface;
  std::uint32_t original_length_bytes;
  std::string bytes;
  friend bool operator==(const Seen&, const Seen&) = default;
};

void PrintTo(const Seen& seen, std::ostream* out) {
  *out << "{" << seen.time_ns << "ns #" << seen.interface << " " << seen.bytes.size() << "/"
       << seen.original_length_bytes << " '" << seen.bytes << "'}";
}

struct Outcome {
  std::vector<Seen> packets;
  std::vector<CaptureInterface> interfaces;
  std::string error;  ///< empty if the file was read to its end
};

class RecordCapture : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "record_capture_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    for (const std::string& path : paths_) std::remove(path.c_str());
    ::rmdir(folder_.c_str());
  }

  std::string path(const std::string& name) {
    paths_.push_back(folder_ + "/" + name);
    return paths_.back();
  }
  std::string store(const std::string& bytes) {
    std::string where = folder_ + "/in";
    if (paths_.empty() || paths_.front() != where)
      paths_.insert(paths_.begin(), where);
    std::ofstream(where, std::ios::binary | std::ios::trunc) << bytes;
    return where;
  }
  static std::string load(const std::string& where) {
    std::ifstream file(where, std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
  }
  const std::string& folder() const { return folder_; }

  static Outcome read_path(const std::string& where) {
    Outcome outcome;
    auto reader = CaptureReader::open(where);
    if (!reader) {
      outcome.error = reader.error().at(0).message;
      EXPECT_EQ(reader.error().at(0).file, where);
      EXPECT_EQ(reader.error().at(0).line, 0U);
      return outcome;
    }
    CapturedPacket packet;
    auto more = reader->next(packet);
    for (; more && *more; more = reader->next(packet)) {
      const auto* data = reinterpret_cast<const char*>(packet.bytes.data());
      outcome.packets.push_back({packet.time_ns, packet.interface, packet.original_length_bytes,
                                 std::string(data, packet.bytes.size())});
    }
    EXPECT_EQ(reader->packets_read(), outcome.packets.size());
    outcome.interfaces = reader->interfaces();
    const auto again = reader->next(packet);
    EXPECT_EQ(again.has_value(), more.has_value());
    if (!more) {
      outcome.error = more.error().at(0).message;
      EXPECT_EQ(more.error().at(0).file, where);
      EXPECT_EQ(again.error().at(0).message, outcome.error);
    } else if (again) {
      EXPECT_FALSE(*again);
    }
    return outcome;
  }
  Outcome read(const FileBytes& file) { return read_path(store(file.text())); }
  Outcome read(const std::string& bytes) { return read_path(store(bytes)); }

 private:
  std::string folder_;
  std::vector<std::string> paths_;
};

CapturedPacket packet_of(std::uint64_t time_ns, std::uint32_t interface, std::string_view bytes) {
  CapturedPacket packet;
  packet.time_ns = time_ns;
  packet.interface = interface;
  packet.original_length_bytes = static_cast<std::uint32_t>(bytes.size());
  packet.bytes = std::as_bytes(std::span(bytes.data(), bytes.size()));
  return packet;
}

constexpr Order kOrders[] = {Order::kLittle, Order::kBig};
constexpr std::uint32_t kMicro = 0xa1b2c3d4;
constexpr std::uint32_t kNano = 0xa1b23c4d;

// ---- classic pcap

TEST_F(RecordCapture, PcapInBothOrdersAndResolutions) {
  for (const Order order : kOrders) {
    FileBytes micro(order);
    micro.pcap_header(kMicro).pcap_record(7, 999'999, "abc", 3).pcap_record(5, 1, "", 60);
    const std::vector<Seen> expected{{7'999'999'000, 0, 3, "abc"}, {5'000'001'000, 0, 60, ""}};
    const Outcome outcome = read(micro);
    EXPECT_EQ(outcome.packets, expected);
    EXPECT_EQ(outcome.error, "");
    ASSERT_EQ(outcome.interfaces.size(), 1U);
    EXPECT_EQ(outcome.interfaces[0].snap_length, 262144U);

    FileBytes nano(order);
    nano.pcap_header(kNano).pcap_record(0xffff'ffff, 0xffff'ffff, "x", 9);
    const std::vector<Seen> latest{{4'294'967'295 * 1'000'000'000U + 4'294'967'295, 0, 9, "x"}};
    EXPECT_EQ(read(nano).packets, latest);
  }
}

/// libpcap's "modified" format: interface index, protocol and packet type behind the lengths.
TEST_F(RecordCapture, PcapModifiedInBothOrders) {
  for (const Order order : kOrders) {
    FileBytes file(order);
    file.pcap_header(0xa1b2cd34);
    for (const std::string_view data : {std::string_view("abc"), std::string_view("")})
      file.u32(7)
          .u32(5)
          .u32(static_cast<std::uint32_t>(data.size()))
          .u32(60)
          .raw("iiiippt.")
          .raw(data);
    const std::vector<Seen> expected{{7'000'005'000, 0, 60, "abc"}, {7'000'005'000, 0, 60, ""}};
    EXPECT_EQ(read(file).packets, expected);
    EXPECT_EQ(read(file).error, "");
    EXPECT_NE(read(file.text().substr(0, file.text().size() - 1)).error, "");
  }
}

TEST_F(RecordCapture, PcapFrameCheckBitsOfTheLinkTypeAreMasked) {
  FileBytes file(Order::kBig);
  file.pcap_header(kMicro, 0x4400'0001).pcap_record(1, 0, "frame+fcs", 9);
  EXPECT_EQ(read(file).packets.size(), 1U);
}

TEST_F(RecordCapture, PcapOriginalLengthIsNeverBelowTheCaptured) {
  FileBytes file(Order::kLittle);
  file.pcap_header(kMicro).pcap_record(1, 0, "abcdef", 2);
  EXPECT_EQ(read(file).packets.at(0).original_length_bytes, 6U);
}

TEST_F(RecordCapture, LinkTypesAreRefusedByName) {
  const struct {
    std::uint16_t link_type;
    std::string text;
  } kCases[] = {{0, "NULL (0)"},           {12, "RAW (12)"},
                {101, "RAW (101)"},        {105, "IEEE802_11 (105)"},
                {127, "RADIOTAP (127)"},   {113, "LINUX_SLL (113)"},
                {276, "LINUX_SLL2 (276)"}, {147, "USER0 (147)"},
                {162, "USER15 (162)"},     {999, "999"}};
  for (const auto& row : kCases) {
    for (const Order order : kOrders) {
      const std::string message = "link type " + row.text + " is not Ethernet";
      FileBytes pcap(order);
      pcap.pcap_header(kMicro, row.link_type);
      EXPECT_EQ(CaptureReader::open(store(pcap.text())).error().at(0).message, message);

      // pcapng: only once a packet comes from there.
      FileBytes quiet(order);
      quiet.section().interface(quiet.body(), 1).interface(quiet.body(), row.link_type);
      quiet.enhanced(0, 1, "abcd", 4);
      EXPECT_EQ(read(quiet).error, "");
      FileBytes loud = quiet;
      loud.enhanced(1, 2, "abcd", 4);
      const Outcome outcome = read(loud);
      EXPECT_EQ(outcome.packets.size(), 1U);
      EXPECT_EQ(outcome.error, message + " (packet 2 at byte " +
                                   std::to_string(quiet.text().size()) + ", interface 1)");
    }
  }
}

TEST_F(RecordCapture, PcapLengthsOverTheBoundAndOtherVersionsAreRefused) {
  FileBytes file(Order::kLittle);
  file.pcap_header(kMicro).pcap_record(1, 0, "a", 1).u32(1).u32(0).u32(0xffff'ffff).u32(60);
  EXPECT_EQ(read(file).error, "packet 2 at byte 41: captured length of 4294967295 bytes");
  FileBytes old(Order::kLittle);
  old.u32(kMicro).u16(2).u16(1).u32(0).u32(0).u32(96).u32(1);
  EXPECT_EQ(read(old).error, "pcap version 2.1 is not known");
}

// ---- pcapng

TEST_F(RecordCapture, PcapngBlocksOfEveryKindInBothOrders) {
  for (const Order order : kOrders) {
    FileBytes file(order);
    file.section();
    file.block(0x0bad, file.body().raw("skip"));
    file.interface(file.body().option(2, "left").option(9, "\x09").option(0, ""), 1, 5);
    file.interface(file.body().option(2, std::string_view("right\0", 6)).option(1, "note"));
    file.enhanced(0, 1'234'567'890'123, "abcde", 60);
    file.block(4, file.body());  // a name resolution block
    file.enhanced(1, 0x1'0000'0002, "xy", 2);
    file.block(3, file.body().u32(9).padded("12345"));  // simple: cut by interface 0's snap length
    file.block(2, file.body().u16(1).u16(77).u32(0).u32(3).u32(1).u32(1).padded("o"));
    const std::vector<Seen> expected{{1'234'567'890'123, 0, 60, "abcde"},
                                     {0x1'0000'0002 * std::uint64_t{1000}, 1, 2, "xy"},
                                     {0x1'0000'0002 * std::uint64_t{1000}, 0, 9, "12345"},
                                     {3'000, 1, 1, "o"}};
    const Outcome outcome = read(file);
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.packets, expected);
    ASSERT_EQ(outcome.interfaces.size(), 2U);
    EXPECT_EQ(outcome.interfaces[0].name, "left");
    EXPECT_EQ(outcome.interfaces[0].snap_length, 5U);
    EXPECT_EQ(outcome.interfaces[1].name, "right");
  }
}

TEST_F(RecordCapture, PcapngSectionsCountTheirInterfacesAnew) {
  FileBytes first(Order::kLittle);
  first.section().interface(first.body().option(2, "a")).enhanced(0, 1, "1", 1);
  FileBytes second(Order::kBig);
  second.section().interface(second.body().option(2, "b")).interface(second.body().option(2, "c"));
  second.enhanced(1, 2, "2", 1).enhanced(0, 3, "3", 1);
  const Outcome outcome = read(first.text() + second.text() + first.text());
  const std::vector<Seen> expected{
      {1'000, 0, 1, "1"}, {2'000, 2, 1, "2"}, {3'000, 1, 1, "3"}, {1'000, 3, 1, "1"}};
  EXPECT_EQ(outcome.packets, expected);
  EXPECT_EQ(outcome.interfaces.size(), 4U);

  FileBytes lost(Order::kBig);
  lost.section().enhanced(0, 1, "x", 1);
  EXPECT_EQ(read(first.text() + lost.text()).error, "packet 2 at byte " +
                                                        std::to_string(first.text().size() + 28) +
                                                        ": interface 0 is not described");
}

TEST_F(RecordCapture, PcapngTimeResolutionsAndOffsets) {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  constexpr const char* kUnfit = ": its time does not fit";
  const struct {
    int resolution;  ///< if_tsresol, or -1 for none
    std::int64_t offset_seconds;
    std::uint64_t ticks;
    std::uint64_t time_ns;
    const char* error;
  } kCases[] = {{-1, 0, 1'500'000, 1'500'000'000, ""},
                {0, 0, 3, 3'000'000'000, ""},
                {3, 0, 3, 3'000'000, ""},
                {9, 0, kMax, kMax, ""},
                {10, 0, 19, 1, ""},
                {12, 0, 1'999, 1, ""},
                {19, 0, kMax, 1'844'674'407, ""},
                {0x80, 0, 2, 2'000'000'000, ""},
                {0x80 | 10, 0, 1'025, 1'000'976'562, ""},
                {0x80 | 30, 0, 1, 0, ""},
                {0x80 | 32, 0, 0x1'8000'0000, 1'500'000'000, ""},
                {0x80 | 63, 0, kMax, 1'999'999'999, ""},
                {9, 5, 1, 5'000'000'001, ""},
                {9, -5, 5'000'000'001, 1, ""},
                {9, -5, 4'999'999'999, 0, kUnfit},
                {0, 0, kMax, 0, kUnfit},
                {6, 0, kMax, 0, kUnfit},
                {9, 1, kMax, 0, kUnfit},
                {9, INT64_MAX, 0, 0, kUnfit},
                {9, INT64_MIN, kMax, 0, kUnfit}};
  for (const auto& row : kCases) {
    for (const Order order : kOrders) {
      FileBytes file(order);
      FileBytes options = file.body();
      if (row.resolution >= 0)
        options.option(9, std::string(1, static_cast<char>(row.resolution)));
      if (row.offset_seconds != 0)
        options.u16(14).u16(8).u64(static_cast<std::uint64_t>(row.offset_seconds));
      file.section().interface(options);
      const std::size_t start = file.text().size();
      file.enhanced(0, row.ticks, "abcd", 4);
      const Outcome outcome = read(file);
      if (*row.error != '\0') {
        EXPECT_EQ(outcome.error, "packet 1 at byte " + std::to_string(start) + row.error);
      } else {
        ASSERT_EQ(outcome.packets.size(), 1U) << outcome.error;
        EXPECT_EQ(outcome.packets[0].time_ns, row.time_ns) << row.resolution;
      }
    }
  }
}

TEST_F(RecordCapture, PcapngThatContradictsItselfIsRefused) {
  const FileBytes none(Order::kLittle);
  const auto with = [&](auto add) {
    FileBytes file(Order::kLittle);
    file.section();
    file.interface(none);
    add(file);
    return read(file).error;
  };
  const std::string packet = "packet 1 at byte 48: ";
  const std::string block = "block at byte 48: ";
  EXPECT_EQ(with([](FileBytes& f) { f.enhanced(1, 0, "x", 1); }),
            packet + "interface 1 is not described");
  EXPECT_EQ(with([](FileBytes& f) {
              f.block(6, f.body().u32(0).u32(0).u32(0).u32(5).u32(5).padded("four"));
            }),
            packet + "captured length of 5 bytes");
  EXPECT_EQ(with([](FileBytes& f) { f.block(3, f.body().u32(0xffff'ffff).padded("four")); }),
            packet + "captured length of 4294967295 bytes");
  EXPECT_EQ(with([](FileBytes& f) { f.block(6, f.body().u32(0).u32(0)); }),
            block + "length of 20 bytes");
  EXPECT_EQ(with([](FileBytes& f) { f.u32(9).u32(8).u32(8); }), block + "length of 8 bytes");
  EXPECT_EQ(with([](FileBytes& f) { f.u32(9).u32(13).raw("12345"); }),
            block + "length of 13 bytes");
  EXPECT_EQ(with([](FileBytes& f) { f.u32(9).u32(0x0100'0004).raw("1234"); }),
            block + "length of 16777220 bytes");
  EXPECT_EQ(with([](FileBytes& f) { f.u32(9).u32(12).u32(16); }),
            block + "lengths differ: 12 and 16 bytes");
  EXPECT_EQ(with([&](FileBytes& f) { f.interface(none.body().u16(2).u16(9).raw("12345678")); }),
            block + "option 2 of an interface runs past its block");
  EXPECT_EQ(with([&](FileBytes& f) { f.interface(none.body().option(9, "ab")); }),
            block + "if_tsresol of 2 bytes");
  EXPECT_EQ(with([&](FileBytes& f) { f.interface(none.body().option(9, "\x14")); }),
            block + "if_tsresol 0x14");
  EXPECT_EQ(with([&](FileBytes& f) { f.interface(none.body().option(9, "\xc0")); }),
            block + "if_tsresol 0xc0");
  EXPECT_EQ(with([&](FileBytes& f) { f.interface(none.body().option(14, "abcd")); }),
            block + "if_tsoffset of 4 bytes");
  EXPECT_EQ(with([&](FileBytes& f) {
              f.interface(none.body().option(2, std::string(kInterfaceNameBytesMax + 1, 'n')));
            }),
            block + "interface name of 256 bytes");
  EXPECT_EQ(with([](FileBytes& f) { f.block(0x0a0d0d0a, f.body().u32(0).u32(1).u64(0)); }),
            block + "section header without the byte-order magic 1a2b3c4d");
  EXPECT_EQ(with([](FileBytes& f) {
              f.block(0x0a0d0d0a, f.body().u32(0x1a2b3c4d).u16(2).u16(0).u64(0));
            }),
            block + "pcapng version 2.0 is not known");
}

TEST_F(RecordCapture, BlocksUpToTheBoundAreReadAndPacketsUpToTheirs) {
  FileBytes file(Order::kLittle);
  file.section().interface(file.body());
  file.block(0x0bad, file.body().raw(std::string(kCaptureBlockBytesMax - 12, 'u')));
  const std::string largest(kCapturedBytesMax, 'p');
  file.enhanced(0, 1, largest, 300'000);
  const std::size_t start = file.text().size();
  file.enhanced(0, 1, largest + "p", 300'000);
  const Outcome outcome = read(file);
  ASSERT_EQ(outcome.packets.size(), 1U);
  EXPECT_EQ(outcome.packets[0].bytes, largest);
  EXPECT_EQ(outcome.error,
            "packet 2 at byte " + std::to_string(start) + ": captured length of 262145 bytes");
}

// ---- files that are no captures, or not whole

TEST_F(RecordCapture, WhatIsNoCaptureHasItsOwnMessage) {
  EXPECT_EQ(read_path(folder() + "/absent").error, "no such file");
  EXPECT_EQ(read_path(folder()).error, "is a directory");
  EXPECT_EQ(read_path(store("text") + "/below").error, "cannot be opened: Not a directory");
  EXPECT_EQ(read(std::string()).error, "is empty");
  EXPECT_EQ(read(std::string("abc")).error, "is not a capture, it holds 3 bytes");
  EXPECT_EQ(read(std::string("\x7f"
                             "ELF...."))
                .error,
            "is not a capture, it begins with 7f454c46");
  EXPECT_EQ(read(std::string("\x1f\x8b\x08\x00", 4)).error, "is compressed");
  EXPECT_EQ(read(std::string("\x28\xb5\x2f\xfd")).error, "is compressed");
}

TEST_F(RecordCapture, UnreadableFile) {
  const std::string where = store("text");
  ::chmod(where.c_str(), 0);
  // Root reads everything, so root is somebody else for a moment.
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const std::string error = read_path(where).error;
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(error, "cannot be opened: Permission denied");
}

TEST_F(RecordCapture, PcapCutAtEveryByteDeliversWhatIsWhole) {
  for (const Order order : kOrders) {
    FileBytes file(order);
    file.pcap_header(kNano);
    std::vector<std::size_t> ends{file.text().size()};
    for (const std::string_view data : {"first", "", "the third packet"}) {
      file.pcap_record(1, 2, data, 60);
      ends.push_back(file.text().size());
    }
    for (std::size_t cut = 4; cut <= file.text().size(); ++cut) {
      const Outcome outcome = read(file.text().substr(0, cut));
      const auto whole =
          static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), cut) - ends.begin());
      if (whole == 0) {
        EXPECT_EQ(outcome.error, "cut short in the file's header");
        continue;
      }
      ASSERT_EQ(outcome.packets.size(), whole - 1) << cut;
      const std::string message = "cut short in packet " + std::to_string(whole) + " at byte " +
                                  std::to_string(ends[whole - 1]);
      EXPECT_EQ(outcome.error, ends[whole - 1] == cut ? "" : message) << cut;
    }
  }
}

TEST_F(RecordCapture, PcapngCutAtEveryByteDeliversWhatIsWhole) {
  for (const Order order : kOrders) {
    FileBytes file(order);
    struct Piece {
      std::size_t end;
      std::size_t packets;
    };
    std::vector<Piece> pieces{{0, 0}};
    const auto piece_ends = [&](std::size_t packets) {
      pieces.push_back({file.text().size(), pieces.back().packets + packets});
    };
    file.section();
    piece_ends(0);
    file.interface(file.body().option(2, "left").option(9, "\x09").option(0, ""));
    piece_ends(0);
    file.enhanced(0, 1, "first", 60);
    piece_ends(1);
    file.block(0x0bad, file.body().padded("custom"));
    piece_ends(0);
    file.block(3, file.body().u32(6).padded("simple"));
    piece_ends(1);
    file.section();
    piece_ends(0);
    for (std::size_t cut = 4; cut <= file.text().size(); ++cut) {
      const Outcome outcome = read(file.text().substr(0, cut));
      std::size_t last = 0;
      while (last + 1 < pieces.size() && pieces[last + 1].end <= cut) ++last;
      const auto [end, packets] = pieces[last];
      ASSERT_EQ(outcome.packets.size(), packets) << cut;
      // Which kind of block was cut can be told once its type is there.
      const bool packet = cut < end + 4 || pieces[last + 1].packets > packets;
      const std::string place = " at byte " + std::to_string(end);
      std::string message = packet ? "cut short in packet " + std::to_string(packets + 1) + place
                                   : "cut short after packet " + std::to_string(packets) + place;
      if (last == 0)
        message = "cut short in the file's header";
      EXPECT_EQ(outcome.error, cut == end ? "" : message) << cut;
    }
  }
}

TEST_F(RecordCapture, EveryByteChangedIsReadWithoutHarm) {
  FileBytes file(Order::kLittle);
  file.section();
  file.interface(file.body().option(2, "left").option(9, "\x09").option(0, ""));
  file.enhanced(0, 1, "first", 60).block(3, file.body().u32(6).padded("simple"));
  for (std::size_t at = 0; at < file.text().size(); ++at) {
    for (const unsigned value : {0x00U, 0x01U, 0x7fU, 0x80U, 0xffU}) {
      std::string bytes = file.text();
      bytes[at] = static_cast<char>(value);
      EXPECT_LE(read(bytes).packets.size(), 2U);
    }
  }
}

TEST_F(RecordCapture, StandardInputIsReadAndStaysOpen) {
  FileBytes file(Order::kLittle);
  file.pcap_header(kMicro).pcap_record(1, 0, "abc", 3);
  const int kept = ::dup(STDIN_FILENO);
  const int input = ::open(store(file.text()).c_str(), O_RDONLY);
  ASSERT_GE(::dup2(input, STDIN_FILENO), 0);
  EXPECT_EQ(read_path("-").packets.size(), 1U);
  EXPECT_GE(::fcntl(STDIN_FILENO, F_GETFD), 0);
  ::close(input);
  if (kept >= 0) {
    ::dup2(kept, STDIN_FILENO);
    ::close(kept);
  }
}

// ---- the writer

TEST_F(RecordCapture, WriterIsExactToTheByte) {
  const std::string where = path("out.pcapng");
  auto writer = CaptureWriter::create(where, {"left", "p2"});
  ASSERT_TRUE(writer);
  writer->write(packet_of(0x0102'0304'0506'0708, 1, "abcde"), "rule=wan");
  CapturedPacket cut = packet_of(1, 0, "");
  cut.original_length_bytes = 60;
  writer->write(cut);
  EXPECT_TRUE(writer->ok());
  ASSERT_TRUE(writer->close());
  ASSERT_TRUE(writer->close());

  FileBytes expected(Order::kLittle);
  expected.block(0x0a0d0d0a, expected.body()
                                 .u32(0x1a2b3c4d)
                                 .u16(1)
                                 .u16(0)
                                 .u64(~std::uint64_t{0})
                                 .option(4, "faultline")
                                 .option(0, ""));
  expected.interface(expected.body().option(2, "left").option(9, "\x09").option(0, ""));
  expected.interface(expected.body().option(2, "p2").option(9, "\x09").option(0, ""));
  expected.block(6, expected.body()
                        .u32(1)
                        .u32(0x0102'0304)
                        .u32(0x0506'0708)
                        .u32(5)
                        .u32(5)
                        .padded("abcde")
                        .option(1, "rule=wan")
                        .option(0, ""));
  expected.enhanced(0, 1, "", 60);
  EXPECT_EQ(load(where), expected.text());
}

TEST_F(RecordCapture, RoundTripOverManyBuffers) {
  const std::string where = path("out.pcapng");
  auto writer = CaptureWriter::create(where, {"left", "right", ""});
  ASSERT_TRUE(writer);
  std::vector<Seen> expected;
  std::uint64_t state = 1;
  for (std::uint32_t i = 0; i < 5'000; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const std::size_t size_bytes =
        i % 1'000 == 999 ? kCapturedBytesMax - i % 4 : (state >> 33) % 1'600;
    const std::string data(size_bytes, static_cast<char>(state >> 40));
    // Times run backwards here and there; a reader returns them as they stand.
    CapturedPacket packet = packet_of(state >> 1, i % 3, data);
    packet.original_length_bytes += i % 2;
    expected.push_back({packet.time_ns, packet.interface, packet.original_length_bytes, data});
    writer->write(packet, std::string_view("comment").substr(0, i % 8));
  }
  ASSERT_TRUE(writer->close());
  const Outcome outcome = read_path(where);
  EXPECT_EQ(outcome.error, "");
  EXPECT_TRUE(outcome.packets == expected);
  ASSERT_EQ(outcome.interfaces.size(), 3U);
  EXPECT_EQ(outcome.interfaces[1].name, "right");
  EXPECT_EQ(outcome.interfaces[2].name, "");
}

TEST_F(RecordCapture, LongCommentsAreCutBetweenCharacters) {
  std::string comment(65'534, 'c');
  comment += "\xc3\xa4\xc3\xa4";  // two characters of two bytes; the first would end at 65,536
  const std::string where = path("out.pcapng");
  auto writer = CaptureWriter::create(where, {});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->close());
  const std::size_t header_bytes = load(where).size();

  writer = CaptureWriter::create(where, {"a"});
  writer->write(packet_of(1, 0, "x"), comment);
  ASSERT_TRUE(writer->close());
  FileBytes option(Order::kLittle);
  option.option(1, comment.substr(0, 65'534)).option(0, "");
  const std::string bytes = load(where);
  EXPECT_NE(bytes.find(option.text(), header_bytes), std::string::npos);
  EXPECT_EQ(read_path(where).packets.size(), 1U);
}

TEST_F(RecordCapture, PathsThatCannotBeWritten) {
  const auto message = [](const std::string& where) {
    const auto writer = CaptureWriter::create(where, {"left"});
    EXPECT_FALSE(writer);
    EXPECT_EQ(writer.error().at(0).file, where);
    return writer.error().at(0).message;
  };
  EXPECT_EQ(message(folder()), "cannot be opened for writing: Is a directory");
  EXPECT_EQ(message(folder() + "/absent/out"),
            "cannot be opened for writing: No such file or directory");
}

TEST_F(RecordCapture, FullDiskIsToldByCloseAndByOk) {
  if (::access("/dev/full", W_OK) != 0)
    GTEST_SKIP() << "no /dev/full here";
  auto writer = CaptureWriter::create("/dev/full", {"left"});
  ASSERT_TRUE(writer);
  const std::string large(kCapturedBytesMax, 'x');
  for (int i = 0; i < 3; ++i) writer->write(packet_of(1, 0, large));
  EXPECT_FALSE(writer->ok());
  for (int i = 0; i < 2; ++i) {
    const auto closed = writer->close();
    ASSERT_FALSE(closed);
    EXPECT_EQ(closed.error().at(0).message, "cannot be written: No space left on device");
    EXPECT_EQ(closed.error().at(0).file, "/dev/full");
  }
}

TEST_F(RecordCapture, ClosedPipeIsAnErrorAndNoSignal) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int kept = ::dup(STDOUT_FILENO);
  ::dup2(ends[1], STDOUT_FILENO);
  ::close(ends[0]);
  ::close(ends[1]);
  auto writer = CaptureWriter::create("-", {"left"});
  const auto closed = writer->close();
  const bool still_open = ::fcntl(STDOUT_FILENO, F_GETFD) >= 0;
  ::dup2(kept, STDOUT_FILENO);
  ::close(kept);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().at(0).message, "cannot be written: Broken pipe");
  EXPECT_EQ(closed.error().at(0).file, "-");
  EXPECT_TRUE(still_open);
}

TEST_F(RecordCapture, WriterLeftUnclosedStillFlushes) {
  const std::string where = path("out.pcapng");
  {
    auto writer = CaptureWriter::create(where, {"left"});
    ASSERT_TRUE(writer);
    CaptureWriter moved = std::move(*writer);
    moved.write(packet_of(1, 0, "abc"));
  }
  EXPECT_EQ(read_path(where).packets.size(), 1U);
}

using RecordCaptureDeathTest = RecordCapture;

TEST_F(RecordCaptureDeathTest, AnInterfaceThatIsNotThereIsABrokenInvariant) {
  auto writer = CaptureWriter::create("/dev/null", {"left"});
  ASSERT_TRUE(writer);
  EXPECT_DEATH(writer->write(packet_of(1, 1, "abc")), "broken invariant");
}

}  // namespace
}  // namespace faultline
