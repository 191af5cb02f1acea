// What an impairment is to the rest of the house: a kind, a way to read its parameters from a
// scenario, and a function that decides for a burst. Each lives in one source file and is found
// through the registry, which the build generates from the list of words in meson.build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/config.hpp"
#include "base/dice.hpp"
#include "impair/backlog.hpp"
#include "impair/burst.hpp"
#include "impair/served_pool.hpp"
#include "packet/edit.hpp"
#include "packet/node_table.hpp"
#include "packet/tcp_segment.hpp"

namespace faultline {

struct FrameSchedule;
class ClockPairs;

/// An impairment's parameters, compiled: a small trivially copyable struct of its own, as bytes, so
/// that a policy is one flat object.
class Parameters {
 public:
  static constexpr std::size_t kBytes = 128;

  template <typename T>
  static Parameters from(const T& value) noexcept {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kBytes && alignof(T) <= 16);
    Parameters parameters;
    std::memcpy(parameters.bytes_, &value, sizeof value);
    return parameters;
  }
  template <typename T>
  const T& as() const noexcept {
    return *reinterpret_cast<const T*>(bytes_);
  }

 private:
  alignas(16) std::byte bytes_[kBytes]{};
};

/// Who shares an impairment's state: a rule's `per:`.
enum class Per : std::uint8_t { kRule, kFlow, kSource, kDestination, kPair };

/// An impairment's memory for one scope, owned by a worker. All zero at first; it outlives a change
/// of policy as long as rule, position and model stay. Only as many bytes of it may be touched as
/// the impairment's `state_bytes` say.
class ScopeState {
 public:
  static constexpr std::size_t kBytes = 64;

  template <typename T>
  T& as() noexcept {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kBytes && alignof(T) <= 8);
    return *reinterpret_cast<T*>(bytes_);
  }

 private:
  alignas(8) std::byte bytes_[kBytes]{};
};

/// What an impairment is told about the packets of a burst beside the burst itself: for each its
/// scope, and the numbers by which its dice are thrown. Indexed as the burst.
struct Asked {
  PerPacket<ScopeState*> state;           ///< of the packet's scope; only with state_bytes
  PerPacket<std::uint64_t> scope;         ///< the scope's identity: the dice of chains
  PerPacket<std::uint64_t> step;          ///< a chain's index: with `per: flow` the packet's number
                                          ///< in its flow, else its match_number
  PerPacket<std::uint64_t> match_number;  ///< among the matches of rule and scope, from 1
  PerPacket<std::uint64_t> identity;      ///< by the rule's `draw:` the dice of memoryless models
  PerPacket<std::uint64_t> number;        ///< likewise
  PerPacket<std::uint64_t> entered_ns;    ///< the packet's own time when the rule took it up
  const PerPacket<FrameFields>* fields = nullptr;  ///< what the frames said on arrival
  const PerPacket<TcpPlace>* tcp = nullptr;        ///< with follows_tcp, as of their arrival
  PerPacket<NodeMask> sources;       ///< nodes that the packet comes from; where it asks for nodes
  PerPacket<NodeMask> destinations;  ///< likewise, that it goes to
  PerPacket<std::span<const std::uint8_t>> frames;  ///< likewise, the frame's first bytes
  ScopeState* common = nullptr;                     ///< with shares_paths: one for all packets
  const CompiledImpairment* self = nullptr;         ///< the one asked, for edits and answers
  std::uint16_t rule_slot = 0;                      ///< likewise
  std::uint64_t begins_ns = 0;                      ///< when the rule was enabled
  std::uint64_t zero_ns = 0;                        ///< time zero: processes in time count from it
  BacklogPool* backlog = nullptr;                   ///< the queues of all scopes of this worker
  ServedPool* served = nullptr;                     ///< likewise, of those that are served
  ClockPairs* clocks = nullptr;  ///< with tells_time, who told whom the time; null: nobody counts
};

/// What an impairment counts beside the fates it gives.
struct ImpairmentTally {
  std::uint64_t clamped = 0;       ///< packets whose time the order of their scope pushed back
  std::uint64_t undecided = 0;     ///< chain states drawn from the stationary law for want of an
                                   ///< outcome
  std::uint64_t cut = 0;           ///< delays that came out negative and became zero
  std::uint64_t reordered = 0;     ///< packets sent early or late on purpose
  std::uint64_t unrewritable = 0;  ///< packets that could not be changed validly, and pass
};

/// Decides on the packets of a served queue (the ServedQueue that the state begins with) whose turn
/// has come by `now_ns`. Returns when the next one is to leave, or to be decided on: not before
/// that must the queue be looked at again. UINT64_MAX: it is empty.
using ServeFunction = std::uint64_t (*)(ScopeState& state, ServedPool& pool, std::uint64_t zero_ns,
                                        std::uint64_t now_ns) noexcept;

/// Changes the bytes of a packet as was noted when it was decided.
using EditFunction = void (*)(const Edit& edit, EditFrame& frame) noexcept;

/// Makes entry `copy` of the burst, so far an image of entry `of`, the `which`th copy (from 1).
using CopiedFunction = void (*)(const Asked& asked, JudgedBurst& burst, std::uint8_t of,
                                std::uint8_t copy, std::uint32_t which) noexcept;

/// Writes into `out` the frame that answers `frame`. Returns its length; 0: there is no answer.
using AnswerFunction = std::uint32_t (*)(const Parameters& parameters, const EditFrame& frame,
                                         std::uint64_t what, std::span<std::uint8_t> out) noexcept;
/// What an answer takes at most.
inline constexpr std::uint32_t kAnswerBytesMax = 1'518;

/// Whether the link that the impairment is about is down, so long after its rule was enabled.
using LinkDownFunction = bool (*)(const Parameters& parameters, std::uint64_t since_ns) noexcept;

using DecideFunction = void (*)(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
                                const Selection& selection, ImpairmentTally& tally) noexcept;

/// Why one packet got its fate, for `explain`. Uniform numbers in [0, 1).
struct Explanation {
  std::optional<double> draw;
  std::optional<double> threshold;
  std::string state;  ///< "bad", "burst 2 of 5", …; may be empty
};

/// Tells about packet `i` what decide would do with it now. Changes no state.
using ExplainFunction = Explanation (*)(const Parameters& parameters, const Asked& asked,
                                        const JudgedBurst& burst, std::uint8_t i);

/// The share of packets that a loss model takes in the long run.
struct LossShare {
  double rate = 0;
  /// How much more the share found in a run varies than if losses were independent:
  /// 1 + 2·Σ ρ_k over the autocorrelations ρ_k of the losses, (1+ρ)/(1−ρ) where ρ_k = ρᵏ.
  double variance_factor = 1;
  /// Losses that a scope may be short of in the long run, as it does not begin as it goes on.
  double settling = 0;
};

/// The law of the delays that an impairment gives, and how many of them tell as much as
/// independent ones.
struct DelayShape {
  double packets = 1;          ///< that tell as much as an independent one
  std::uint64_t apart_ns = 0;  ///< delays so far apart are as good as independent
  /// P(delay ≤ delay_ns) of independent delays; null: not known.
  double (*share_within)(const Parameters& parameters, std::uint64_t delay_ns) = nullptr;
};

/// In how much of time, or of packets, a delay is not the one asked for.
struct DelayReview {
  double waiting = 0;  ///< of time: `order: keep` has packets wait for those before them
  double cut = 0;      ///< of packets: the law gives less than nothing, which becomes nothing
};
/// `knots`: how long to look, in knots of the field; 10 µs a knot or so.
using ReviewFunction = DelayReview (*)(const Parameters& parameters, std::uint64_t knots);

/// What an impairment may know while its parameters are read.
struct CompileContext {
  std::uint64_t seed = 0;
  std::string_view rule_name;
  std::uint32_t index = 0;  ///< of the impairment within its rule, from 0
  Per per = Per::kRule;
  bool delay_before = false;                 ///< a `delay:` stands somewhere before it
  std::string_view kind_before;              ///< of the impairment before it; empty for the first
  const ConfigNode* queue_behind = nullptr;  ///< the value of a `queue:` right behind it
  /// How long faultline itself keeps a packet: none in virtual time. Absent: not known.
  std::optional<std::uint64_t> own_latency_ns = 0;
  /// Of the scenario, which may have none.
  const std::shared_ptr<const NodeTable>* nodes = nullptr;
};

struct CompiledImpairment {
  std::string_view model;  ///< filled in by compile_impairment
  Parameters parameters;
  DecideFunction decide = nullptr;  ///< null: nothing to ask
  ServeFunction serve = nullptr;    ///< null: no packet waits to be served
  EditFunction edit = nullptr;      ///< null: it changes no bytes
  AnswerFunction answer = nullptr;  ///< null: it answers nothing
  CopiedFunction copied = nullptr;  ///< null: copies are as their packet
  ExplainFunction explain = nullptr;
  std::optional<Dice> fate{};                     ///< without memory: whose number decides
  LinkDownFunction link_is_down = nullptr;        ///< null: it takes no link down
  std::shared_ptr<const FrameSchedule> schedule;  ///< null: it sends no frames of its own
  std::shared_ptr<const void> tables;             ///< keeps alive what the parameters point to
  std::shared_ptr<const CompiledImpairment> reverse{};  ///< a step of its own behind this one
  DropReason served_drop = DropReason::kQueue;          ///< of what is dropped when it is served
  std::optional<Per> scope;                             ///< another scope than the rule's `per:`
  std::optional<LinkSet> links;                         ///< its rule is only about their packets
  bool spares_tcp_acks = false;                         ///< and not about TCP without data
  std::shared_ptr<const NodeTable> nodes;  ///< it reads sources and destinations by these
  std::uint64_t adds_ns = 0;               ///< the most it may add to a packet's time
  bool uses_dice = false;                  ///< reads identity and number
  std::uint32_t state_bytes = 0;           ///< of a scope's state; 0: it reads none
  bool holds_backlog = false;              ///< its state begins with a BacklogList
  bool uses_step = false;                  ///< reads step
  bool uses_match_number = false;          ///< reads match_number
  bool follows_tcp = false;                ///< reads tcp
  bool tells_time = false;                 ///< what packets say of the time is watched for it
  bool delays = false;                     ///< may advance a packet's time
  std::uint32_t copies = 0;                ///< it may make of one packet
  bool damages = false;                    ///< its edits are counted as corruption
  bool drops = false;                      ///< may end a packet's life
  bool cuts = false;                       ///< nothing of its rule gets through while it holds
  bool owns_scope = false;       ///< one worker must see all packets of the scope, in order
  bool shares_paths = false;     ///< its states are the same for all paths of its rule; a queue
                                 ///< among them is a GatedQueue
  bool breaks_order = false;     ///< packets of its scope may overtake each other
  bool counts_in_order = false;  ///< counts packets of its scope in the order in which they reach
                                 ///< its rule: all of them come to that at their own times
  bool needs_order = false;      ///< judges packets of its scope in the order of their times
  bool reads_frames = true;      ///< asks more of a frame than its length; from the model
  bool releases_on_arrival = false;       ///< what waits to be served may leave because others came
  bool adds_unbounded = false;            ///< no bound but the hold's on what it adds
  std::uint64_t passes_bps = 0;           ///< no more goes on from a scope; 0: as much as comes
  std::optional<std::uint64_t> usual_ns;  ///< what 999 packets of 1,000 get less than; else adds_ns
  ReviewFunction review = nullptr;        ///< null: the delay is as asked
  std::optional<LossShare> loss;          ///< absent: not a loss, or it depends on the traffic
  std::optional<DelayShape> delay_shape{};  ///< absent: no delay, or it depends on the traffic
};

struct ImpairmentModel {
  std::string_view kind;    ///< the key in a scenario: "loss"
  std::string_view model;   ///< the value of `model:`; empty where the kind has just one
  std::string_view alias;   ///< another word for `model:`; may be empty
  bool is_default = false;  ///< taken when `model:` is left out
  /// Reads the value of the key (a scalar or a mapping). Reports every problem and then returns
  /// nothing.
  std::optional<CompiledImpairment> (*compile)(const ConfigNode& node,
                                               const CompileContext& context, Problems& problems);
  bool blind = false;  ///< asks nothing of a frame but its length
};

/// All models, in the order of the list in meson.build.
std::span<const ImpairmentModel* const> impairment_registry() noexcept;

/// `context`, completed by what stands before and behind item `context.index` of a rule's list.
CompileContext context_of(CompileContext context, const ConfigNode& impair);

/// The compiled form of one item of a rule's `impair:` list, `{KIND: VALUE}`.
/// Errors: not one key, unknown kind or model (with the nearest), kinds and models that are not yet
/// supported (by name), and whatever the model finds wrong.
std::optional<CompiledImpairment> compile_impairment(const ConfigNode& item,
                                                     const CompileContext& context,
                                                     std::string_view* kind, Problems& problems);

}  // namespace faultline
