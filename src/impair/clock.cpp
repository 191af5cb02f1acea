// clock: a node whose clock is wrong, as far as the wire can tell. What it says about its time is
// rewritten, each time-stamp at its own value, and what others say back to it of what it said is
// made what it was: NTP and PTP. Or nothing is rewritten, and one direction takes longer.
//
// What happens in turn: stamps are read and noted when a packet is decided on, bytes change later.
// An edit carries where the law began, or the stamp that is to be written.
#include <fmt/format.h>

#include "impair/clock.hpp"
#include "impair/clock_pairs.hpp"
#include "impair/edits.hpp"
#include "packet/udp_payload.hpp"

namespace faultline {
namespace {

/// Too large for the parameters themselves, so kept by the policy.
struct ClockParameters {
  const WrongClock* clock = nullptr;
};

/// Of the node: where its law began in each protocol's time, and when it began to be late.
struct ClockStart {
  std::uint64_t began_ns = 0;  ///< when the rule was enabled, plus one
  std::uint64_t ntp = 0;       ///< the first stamp it sent
  std::uint64_t ptp_ns = 0;    ///< T1
  std::uint64_t late_ns = 0;
  bool has_ntp = false;
  bool has_ptp = false;
  bool is_late = false;
  ClockRole role = ClockRole::kByItself;  ///< found out
};
static_assert(sizeof(ClockStart) <= ScopeState::kBytes);

/// What an edit does.
enum class Rewrite : std::uint64_t { kNtpSpoken, kNtpOrigin, kPtpStamp, kPtpCorrection, kAnnounce };

/// Which way a packet goes, seen from the lie.
struct Way {
  bool tells = false;    ///< it carries the node's time to who is to believe it
  bool returns = false;  ///< it may say back what was told
};

/// Between whom a packet goes.
struct Ends {
  bool from = false;  ///< the node
  bool to = false;    ///< to it, and not from it
};

Ends ends_of(const WrongClock& clock, const Asked& asked, std::uint8_t i) noexcept {
  const NodeMask bit = NodeMask{1} << clock.node;
  const bool from = (asked.sources[i] & bit) != 0;
  return {from, !from && (asked.destinations[i] & bit) != 0};
}

Way way_of(ClockRole role, const Ends& ends) noexcept {
  switch (role) {
    case ClockRole::kByItself:
      return {};
    case ClockRole::kSource:
      return {ends.from, ends.to};
    case ClockRole::kVictim:
      return {ends.to, false};
  }
  return {};
}

ClockStart& start_of(Asked& asked) noexcept {
  ClockStart& start = asked.common->as<ClockStart>();
  if (start.began_ns != asked.begins_ns + 1)
    start = {.began_ns = asked.begins_ns + 1};
  return start;
}

/// Whether messages of this type come from those who tell the time.
bool comes_from_a_source(PtpType type) noexcept {
  return type == PtpType::kSync || type == PtpType::kFollowUp || type == PtpType::kDelayResp ||
         type == PtpType::kAnnounce;
}

/// A packet about time: one of the two, or neither.
struct TimePacket {
  std::optional<NtpPacket> ntp;
  std::optional<PtpMessage> ptp;

  bool is_there() const noexcept { return ntp.has_value() || ptp.has_value(); }
};

TimePacket read_time(const WrongClock& clock, const Asked& asked, std::uint8_t i) noexcept {
  const FrameFields& fields = (*asked.fields)[i];
  TimePacket packet;
  if (clock.ntp)
    packet.ntp = read_ntp(asked.frames[i], fields);
  if (clock.ptp && !packet.ntp)
    packet.ptp = read_ptp(asked.frames[i], fields);
  return packet;
}

/// What the node is, if this packet tells it where nothing did so far. It is one thing until the
/// rule is enabled again: half a lie to it and half a lie by it would be two.
ClockRole role_with(const WrongClock& clock, ClockRole known, const TimePacket& packet,
                    const Ends& ends) noexcept {
  if (clock.role != ClockRole::kByItself)
    return clock.role;
  if (known != ClockRole::kByItself || (!ends.from && !ends.to))
    return known;
  const bool tells = packet.ntp ? tells_time(packet.ntp->mode)
                                : packet.ptp && comes_from_a_source(packet.ptp->type);
  if (!tells)
    return known;
  return ends.from ? ClockRole::kSource : ClockRole::kVictim;
}

/// Learns from the packet, where it is left to that.
ClockRole role_of(const WrongClock& clock, Asked& asked, const TimePacket& packet,
                  const Ends& ends) noexcept {
  if (clock.role != ClockRole::kByItself)
    return clock.role;
  ClockStart& start = start_of(asked);
  start.role = role_with(clock, start.role, packet, ends);
  return start.role;
}

/// One packet that tells the time, and what comes of it.
struct Telling {
  const WrongClock& clock;
  Asked& asked;
  JudgedBurst& burst;
  ImpairmentTally& tally;
  std::uint8_t i;
  ClockRole role;
  bool is_ptp;

  /// Where account is kept of who told whom; null: nowhere.
  ToldPair* pair() const noexcept {
    if (asked.clocks == nullptr)
      return nullptr;
    ToldPair* known = asked.clocks->of_told((*asked.fields)[i].key, is_ptp);
    if (known != nullptr) {
      known->rule_slot = asked.rule_slot;
      known->role = role;
    }
    return known;
  }
  void plan(Rewrite rewrite, std::uint64_t value) const noexcept {
    plan_edit(asked, burst, i, value, static_cast<std::uint64_t>(rewrite));
  }
  /// Its stamps, the last of which is off by so much.
  void rewrite(Rewrite rewrite, std::uint64_t value, std::int64_t off_ns) const noexcept {
    plan(rewrite, value);
    if (ToldPair* known = pair()) {
      known->first_ns = known->rewritten == 0 ? off_ns : known->first_ns;
      known->last_ns = off_ns;
      known->is_shifted = true;
      ++known->rewritten;
    }
  }
  void give_up() const noexcept {
    ++tally.unrewritable;
    if (ToldPair* known = pair())
      ++known->unrewritable;
  }
  /// It cannot be rewritten validly.
  void hold_back() const noexcept {
    if (!clock.drops_authenticated) {
      give_up();
      return;
    }
    burst.reason[i] = DropReason::kReject;
    if (ToldPair* known = pair())
      ++known->dropped;
  }
};

void hold_back(const WrongClock& clock, JudgedBurst& burst, ImpairmentTally& tally,
               std::uint8_t i) noexcept {
  if (clock.drops_authenticated)
    burst.reason[i] = DropReason::kReject;
  else
    ++tally.unrewritable;
}

void plan(const Asked& asked, JudgedBurst& burst, std::uint8_t i, Rewrite rewrite,
          std::uint64_t value) noexcept {
  plan_edit(asked, burst, i, value, static_cast<std::uint64_t>(rewrite));
}

// --- NTP -----------------------------------------------------------------------------------------

std::uint64_t first_stamp(const NtpPacket& packet) noexcept {
  if (packet.transmit != 0)
    return packet.transmit;
  return packet.receive != 0 ? packet.receive : packet.reference;
}

/// 2^-32 s in ns, to the nearest.
std::int64_t ns_of(std::int64_t ticks) noexcept {
  const Int128 scaled = static_cast<Int128>(ticks) * static_cast<Int128>(kNsPerSecond);
  return static_cast<std::int64_t>((scaled + (Int128{1} << 31)) >> 32);
}

void tell_ntp(const Telling& telling, const NtpPacket& packet) noexcept {
  if (packet.trailer != NtpTrailer::kOpen) {
    telling.hold_back();
    return;
  }
  const WrongClock& clock = telling.clock;
  Asked& asked = telling.asked;
  ClockStart& start = start_of(asked);
  if (!start.has_ntp && first_stamp(packet) != 0) {
    start.ntp = first_stamp(packet);
    start.has_ntp = true;
  }
  const std::int64_t off =
      clock.ntp_law.off_by(static_cast<std::int64_t>(first_stamp(packet) - start.ntp));
  telling.rewrite(Rewrite::kNtpSpoken, start.ntp, ns_of(off));
  if (telling.role == ClockRole::kVictim || packet.mode == NtpMode::kBroadcast || !clock.shifts())
    return;
  ClockMemory& memory = asked.state[telling.i]->as<ClockMemory>();
  memory.begin(start.began_ns);
  // Interleaved modes send back when a packet was received (RFC 9769), symmetric ones also when one
  // was sent.
  for (const std::uint64_t stamp :
       {packet.receive, is_symmetric(packet.mode) ? packet.transmit : std::uint64_t{0}})
    if (stamp != 0)
      memory.note(told(clock.ntp_law, start.ntp, stamp), stamp);
}

void return_ntp(const WrongClock& clock, const NtpPacket& packet, Asked& asked, JudgedBurst& burst,
                ImpairmentTally& tally, std::uint8_t i) noexcept {
  if (packet.origin == 0 || (packet.mode != NtpMode::kClient && !is_symmetric(packet.mode)))
    return;
  const ClockStart& start = start_of(asked);
  ClockMemory& memory = asked.state[i]->as<ClockMemory>();
  memory.begin(start.began_ns);
  const auto origin = memory.original(clock.ntp_law, start.ntp, packet.origin);
  if (!origin || *origin == packet.origin)
    return;
  if (packet.trailer != NtpTrailer::kOpen)
    hold_back(clock, burst, tally, i);
  else
    plan(asked, burst, i, Rewrite::kNtpOrigin, *origin);
}

void edit_spoken(const WrongClock& clock, const NtpPacket& packet, std::uint64_t start,
                 EditFrame& frame) noexcept {
  const auto shift = [&](NtpField field, std::uint64_t stamp) {
    put_ntp(frame, field, told(clock.ntp_law, start, stamp));
  };
  shift(NtpField::kReference, packet.reference);
  if (packet.mode != NtpMode::kBroadcast)
    shift(NtpField::kReceive, packet.receive);
  shift(NtpField::kTransmit, packet.transmit);
  const NtpFaults& header = clock.header;
  if (header.stratum)
    put_ntp(frame, NtpField::kStratum, *header.stratum);
  if (header.root_delay)
    put_ntp(frame, NtpField::kRootDelay, *header.root_delay);
  if (header.root_dispersion)
    put_ntp(frame, NtpField::kRootDispersion, *header.root_dispersion);
  const bool kisses = header.kiss != 0 && packet.mode == NtpMode::kServer;
  if (kisses) {
    put_ntp(frame, NtpField::kStratum, std::uint8_t{0});
    put_ntp(frame, NtpField::kReferenceId, header.kiss);
  }
  if (header.leap)
    put_ntp_leap(frame, *header.leap);
  else if (kisses)
    put_ntp_leap(frame, NtpLeap::kUnsynchronised);
}

// --- PTP -----------------------------------------------------------------------------------------

std::int64_t off_by(const WrongClock& clock, const PtpMessage& message,
                    std::uint64_t start_ns) noexcept {
  return clock.ptp_law.off_by(static_cast<std::int64_t>(message.stamp.total_ns() - start_ns));
}

std::optional<std::int64_t> correction_of(const PtpMessage& message, std::int64_t off) noexcept {
  return corrected(message.correction, message.type == PtpType::kDelayResp ? -off : off);
}

void tell_announce(const Telling& telling, const PtpMessage& message) noexcept {
  const WrongClock& clock = telling.clock;
  if (clock.drops_announce)
    telling.burst.reason[telling.i] = DropReason::kReject;
  else if (clock.announces && message.authenticated)
    hold_back(clock, telling.burst, telling.tally, telling.i);
  else if (clock.announces)
    telling.plan(Rewrite::kAnnounce, 0);
}

void tell_ptp(const Telling& telling, const PtpMessage& message) noexcept {
  const WrongClock& clock = telling.clock;
  if (message.type == PtpType::kAnnounce) {
    tell_announce(telling, message);
    return;
  }
  if (!tells_time(message) || !clock.shifts())
    return;
  if (message.authenticated && !(clock.corrects && clock.allows_mutable)) {
    telling.hold_back();
    return;
  }
  ClockStart& start = start_of(telling.asked);
  if (!start.has_ptp && message.type != PtpType::kDelayResp) {
    start.ptp_ns = message.stamp.total_ns();
    start.has_ptp = true;
  }
  const std::uint64_t start_ns = start.has_ptp ? start.ptp_ns : message.stamp.total_ns();
  const std::int64_t off = off_by(clock, message, start_ns);
  if (clock.corrects ? correction_of(message, off).has_value()
                     : shifted(message.stamp, off).has_value())
    telling.rewrite(clock.corrects ? Rewrite::kPtpCorrection : Rewrite::kPtpStamp, start_ns, off);
  else
    telling.give_up();
}

void edit_ptp(const WrongClock& clock, const Edit& edit, EditFrame& frame) noexcept {
  const auto message = read_ptp({frame.bytes(), frame.length()}, frame.fields());
  if (!message)
    return;
  const auto rewrite = static_cast<Rewrite>(edit.first);
  if (rewrite == Rewrite::kAnnounce) {
    put_ptp_announce(frame, *message, clock.announce);
    return;
  }
  const std::int64_t off = off_by(clock, *message, edit.draw);
  if (rewrite == Rewrite::kPtpCorrection)
    put_ptp_correction(frame, *message, correction_of(*message, off).value_or(message->correction));
  else
    put_ptp_stamp(frame, *message, shifted(message->stamp, off).value_or(message->stamp));
}

// --- both ----------------------------------------------------------------------------------------

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const WrongClock& clock = *parameters.as<ClockParameters>().clock;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const TimePacket packet = read_time(clock, asked, i);
    if (!packet.is_there() || burst.piece[i] != Piece::kWhole)
      continue;
    const Ends ends = ends_of(clock, asked, i);
    const ClockRole role = role_of(clock, asked, packet, ends);
    const Way way = way_of(role, ends);
    const Telling telling{clock, asked, burst, tally, i, role, packet.ptp.has_value()};
    if (way.tells && packet.ptp)
      tell_ptp(telling, *packet.ptp);
    else if (way.tells && tells_time(packet.ntp->mode))
      tell_ntp(telling, *packet.ntp);
    else if (way.returns && packet.ntp)
      return_ntp(clock, *packet.ntp, asked, burst, tally, i);
  }
}

void edit(const Edit& edit, EditFrame& frame) noexcept {
  const WrongClock& clock = *edit.impairment->parameters.as<ClockParameters>().clock;
  const auto rewrite = static_cast<Rewrite>(edit.first);
  if (rewrite == Rewrite::kNtpSpoken || rewrite == Rewrite::kNtpOrigin) {
    const auto packet = read_ntp({frame.bytes(), frame.length()}, frame.fields());
    if (!packet)
      return;  // an edit before this one has cut it
    if (rewrite == Rewrite::kNtpSpoken)
      edit_spoken(clock, *packet, edit.draw, frame);
    else
      put_ntp(frame, NtpField::kOrigin, edit.draw);
  } else {
    edit_ptp(clock, edit, frame);
  }
  frame.settle(ChecksumCare::kFix);
}

/// Whether a packet's way takes part in what its ends find out of their clocks.
bool is_timed(const TimePacket& packet) noexcept {
  return packet.ntp || (packet.ptp && (packet.ptp->type == PtpType::kSync ||
                                       packet.ptp->type == PtpType::kDelayReq));
}

/// Whether a packet between these ends goes the way that is to take longer.
bool goes_late(const WrongClock& clock, ClockRole role, const Ends& ends) noexcept {
  if (role == ClockRole::kByItself)
    return false;
  const bool towards_node = clock.asymmetry.ahead == (role == ClockRole::kSource);
  return towards_node ? ends.to : ends.from;
}

/// Keeps account of a packet that is late on purpose, a question or what it is answered.
void note_late(Asked& asked, const TimePacket& packet, ClockRole role, std::uint8_t i) noexcept {
  if (asked.clocks == nullptr)
    return;
  const FlowKey& key = (*asked.fields)[i].key;
  const bool asks = packet.ntp && packet.ntp->mode == NtpMode::kClient;
  ToldPair* pair =
      asks ? asked.clocks->of_asked(key) : asked.clocks->of_told(key, packet.ptp.has_value());
  if (pair == nullptr)
    return;
  (asks ? pair->asked_late : pair->is_shifted) = true;
  pair->rule_slot = asked.rule_slot;
  pair->role = role;
  ++pair->late;
}

/// One direction later than the other, by what is asked for as soon as the ramp allows it.
void decide_late(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                 const Selection& selection, ImpairmentTally&) noexcept {
  const WrongClock& clock = *parameters.as<ClockParameters>().clock;
  const ClockAsymmetry& asymmetry = clock.asymmetry;
  for (std::uint32_t turn = 0; turn < selection.count; ++turn) {
    const std::uint8_t i = selection.position[turn];
    const TimePacket packet = read_time(clock, asked, i);
    const Ends ends = ends_of(clock, asked, i);
    const ClockRole role = role_of(clock, asked, packet, ends);
    if (!is_timed(packet) || !goes_late(clock, role, ends))
      continue;
    std::uint64_t late_ns = asymmetry.delay_ns;
    if (asymmetry.ramp_ns != 0) {
      ClockStart& start = start_of(asked);
      if (!start.is_late)
        start.late_ns = burst.time_ns[i];
      start.is_late = true;
      const std::uint64_t since_ns = burst.time_ns[i] - std::min(burst.time_ns[i], start.late_ns);
      const auto grown_ns = static_cast<Uint128>(since_ns) * asymmetry.ramp_ns / kNsPerSecond;
      if (grown_ns < late_ns)
        late_ns = static_cast<std::uint64_t>(grown_ns);
    }
    burst.time_ns[i] += late_ns;
    if (late_ns > 0)
      note_late(asked, packet, role, i);
  }
}

std::string_view word_of(const Way& way) {
  return way.tells ? "tells the node's time" : way.returns ? "answers the node" : "goes by";
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst&,
                    std::uint8_t i) {
  const WrongClock& clock = *parameters.as<ClockParameters>().clock;
  const TimePacket packet = read_time(clock, asked, i);
  const auto& start = asked.common->as<ClockStart>();
  const Ends ends = ends_of(clock, asked, i);
  const ClockRole known = start.began_ns == asked.begins_ns + 1 ? start.role : ClockRole::kByItself;
  const std::string_view word = word_of(way_of(role_with(clock, known, packet, ends), ends));
  if (packet.ntp)
    return {{},
            {},
            fmt::format("NTP mode {}{}, {}", static_cast<int>(packet.ntp->mode),
                        packet.ntp->trailer == NtpTrailer::kOpen ? "" : ", authenticated", word)};
  if (packet.ptp)
    return {{},
            {},
            fmt::format("PTP type {}{}, {}", static_cast<int>(packet.ptp->type),
                        packet.ptp->authenticated ? ", authenticated" : "", word)};
  return {{}, {}, "not about time"};
}

CompiledImpairment compiled_of(std::shared_ptr<const WrongClock> clock) {
  const WrongClock& wrong = *clock;
  const bool learns = wrong.role == ClockRole::kByItself;
  CompiledImpairment compiled{.parameters = Parameters::from(ClockParameters{&wrong}),
                              .explain = explain,
                              .tables = std::move(clock),
                              .tells_time = true,
                              .shares_paths = true};
  if (wrong.asymmetry.wanted) {
    compiled.decide = decide_late;
    compiled.adds_ns = wrong.asymmetry.delay_ns;
    compiled.delays = true;
    compiled.breaks_order = true;
    compiled.owns_scope = learns || wrong.asymmetry.ramp_ns != 0;
    return compiled;
  }
  compiled.decide = decide;
  compiled.edit = edit;
  compiled.drops = wrong.drops_authenticated || wrong.drops_announce;
  const bool remembers = wrong.ntp && wrong.role != ClockRole::kVictim;
  if (remembers) {
    compiled.scope = Per::kPair;
    compiled.state_bytes = sizeof(ClockMemory);
  }
  compiled.owns_scope = learns || remembers || wrong.ntp_law.has_start();
  return compiled;
}

std::optional<CompiledImpairment> compile(const ConfigNode& node, const CompileContext& context,
                                          Problems& problems) {
  const std::size_t before = problems.size();
  auto clock = std::make_shared<const WrongClock>(read_clock(node, context, problems));
  if (problems.size() != before)
    return std::nullopt;
  const LinkEnd wrong = LinkEnd::node(clock->node);
  CompiledImpairment compiled = compiled_of(std::move(clock));
  compiled.nodes = *context.nodes;
  compiled.links = {*context.nodes, {{wrong, LinkEnd::anybody()}, {LinkEnd::anybody(), wrong}}};
  return compiled;
}

}  // namespace

extern const ImpairmentModel kModel_clock;
const ImpairmentModel kModel_clock{"clock", "", "", true, compile};

}  // namespace faultline
