// delay with `order: keep`: nothing overtakes, and the law of the delay is still the one asked for.
// Clamping independent draws cannot do that. Jitter is a smooth stationary field in time instead, a
// function of seed, rule, scope and time alone:
//
//   X(t) = Σ B₃(t/h − k)·N(k) / ‖B₃(phase)‖,   N(k) standard normal, one a knot, h apart,
//   d(t) = F⁻¹(Φ(X(t))),                        so d(t) has the law F at every instant, and
//   R(t) = sup over s ≤ t of s + d(s),          the release: monotone, so order is kept.
//
// B₃ is the cubic B-spline (I. J. Schoenberg, 1946). R is found on a grid of h/64 and is linear in
// between. Where d falls slower than time runs, R(t) = t + d(t); the spacing is chosen so that it
// nearly always does.
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "impair/delay_law.hpp"

namespace faultline {
namespace {

constexpr std::uint64_t kGridAKnot = 64;

/// Four weights of unit norm for each phase of the grid between two knots.
struct SplineWeights {
  std::array<std::array<double, 4>, kGridAKnot> at;

  SplineWeights() {
    for (std::uint64_t step = 0; step < kGridAKnot; ++step) {
      const double f = static_cast<double>(step) / static_cast<double>(kGridAKnot);
      const double g = 1 - f;
      const std::array<double, 4> spline{g * g * g, 3 * f * f * f - 6 * f * f + 4,
                                         3 * g * g * g - 6 * g * g + 4, f * f * f};
      double square = 0;
      for (const double weight : spline) square += weight * weight;
      const double norm = std::sqrt(square);
      for (std::size_t i = 0; i < 4; ++i) at[step][i] = spline[i] / norm;
    }
  }
};

const SplineWeights kWeights;

/// Grid points are counted from time zero; the field has no beginning.
using GridPoint = std::int64_t;

/// X at a grid point.
double field(const DelayLaw& law, std::uint64_t scope, GridPoint point) noexcept {
  const std::int64_t knot = point >> 6;
  const auto& weights = kWeights.at[static_cast<std::size_t>(point & 63)];
  double sum = 0;
  for (std::int64_t i = 0; i < 4; ++i)
    sum += weights[static_cast<std::size_t>(i)] *
           standard_normal(law.knot_dice.uniform(scope, static_cast<std::uint64_t>(knot - 1 + i)));
  return sum;
}

/// R at a grid point, in ns since time zero, and how it came about.
struct Release {
  std::int64_t at_ns = 0;
  std::int64_t own_ns = 0;  ///< t + d(t): R where nothing before is later
  bool cut = false;
};

/// What a scope caches: the release at grid points `point` and `point` + 1.
struct Field {
  DelayFloor floor;
  std::uint64_t fingerprint = 0;
  GridPoint point = 0;
  std::int64_t here_ns = 0;
  std::int64_t there_ns = 0;
  bool known = false;
  bool clamped_here = false;
  bool clamped_there = false;
  bool cut_here = false;
};
static_assert(sizeof(Field) <= ScopeState::kBytes);

class FieldWalk {
 public:
  FieldWalk(const DelayLaw& law, std::uint64_t scope, const FlowDelay& flow, Field& field) noexcept
      : law_(law), scope_(scope), flow_(flow), field_(field) {
    if (field_.fingerprint != law.fingerprint) {
      field_.fingerprint = law.fingerprint;
      field_.known = false;
    }
  }

  /// Moves the cache to the grid cell of `since_zero_ns`.
  void go_to(std::uint64_t since_zero_ns) noexcept {
    const auto point = static_cast<GridPoint>(since_zero_ns / law_.grid_ns);
    if (field_.known && point == field_.point)
      return;
    if (!field_.known || point < field_.point ||
        static_cast<std::uint64_t>(point - field_.point) > law_.look_back + 1) {
      // From so far back that nothing before can matter any more.
      field_.point = point - static_cast<GridPoint>(law_.look_back) - 1;
      const Release first = own(field_.point);
      set_there(first);
      field_.here_ns = field_.there_ns;
      field_.point -= 1;
      field_.known = true;
    }
    while (field_.point < point) advance();
  }

  /// R(t), linear between the grid points.
  std::uint64_t release_ns(std::uint64_t since_zero_ns) const noexcept {
    const std::uint64_t into_ns = since_zero_ns % law_.grid_ns;
    const auto rise = static_cast<Int128>(field_.there_ns - field_.here_ns);
    return static_cast<std::uint64_t>(
        field_.here_ns + static_cast<std::int64_t>(rise * static_cast<Int128>(into_ns) /
                                                   static_cast<Int128>(law_.grid_ns)));
  }

 private:
  Release own(GridPoint point) const noexcept {
    const DelayGiven given = delay_with(law_, flow_, law_.gaussian->at(field(law_, scope_, point)));
    Release release;
    release.own_ns =
        point * static_cast<std::int64_t>(law_.grid_ns) + static_cast<std::int64_t>(given.delay_ns);
    release.at_ns = release.own_ns;
    release.cut = given.cut;
    return release;
  }

  void set_there(const Release& release) noexcept {
    field_.there_ns = release.at_ns;
    field_.clamped_there = release.at_ns > release.own_ns;
  }

  void advance() noexcept {
    ++field_.point;
    field_.here_ns = field_.there_ns;
    field_.clamped_here = field_.clamped_there;
    Release next = own(field_.point + 1);
    next.at_ns = std::max(next.own_ns, field_.here_ns);
    field_.cut_here = next.cut;
    set_there(next);
  }

  const DelayLaw& law_;
  std::uint64_t scope_;
  FlowDelay flow_;
  Field& field_;
};

const DelayLaw& law_of(const Parameters& parameters) noexcept {
  return *parameters.as<const DelayLaw*>();
}

void decide(const Parameters& parameters, Asked& asked, JudgedBurst& burst,
            const Selection& selection, ImpairmentTally& tally) noexcept {
  const DelayLaw& law = law_of(parameters);
  for_each_scope_run(asked, selection, [&](std::uint32_t first, std::uint32_t end) {
    const std::uint8_t head = selection.position[first];
    Field& state = asked.state[head]->as<Field>();
    state.floor.meet(law.fingerprint);
    FieldWalk walk(law, asked.scope[head], delay_of_flow(law, burst.identity[head]), state);
    for (std::uint32_t turn = first; turn < end; ++turn) {
      const std::uint8_t i = selection.position[turn];
      const std::uint64_t since_zero_ns = burst.time_ns[i] - asked.zero_ns;
      walk.go_to(since_zero_ns);
      const std::uint64_t wanted_ns = asked.zero_ns + walk.release_ns(since_zero_ns);
      const std::uint64_t given_ns = state.floor.give(wanted_ns);
      tally.clamped += given_ns > wanted_ns || state.clamped_here || state.clamped_there ? 1 : 0;
      tally.cut += state.cut_here ? 1 : 0;
      burst.time_ns[i] = given_ns;
    }
  });
}

Explanation explain(const Parameters& parameters, const Asked& asked, const JudgedBurst& burst,
                    std::uint8_t i) {
  const DelayLaw& law = law_of(parameters);
  const std::uint64_t since_zero_ns = burst.time_ns[i] - asked.zero_ns;
  const auto point = static_cast<GridPoint>(since_zero_ns / law.grid_ns);
  return {{}, {}, fmt::format("field {:.6f}", field(law, asked.scope[i], point))};
}

DelayReview review(const Parameters& parameters, std::uint64_t knots) {
  const DelayLaw& law = law_of(parameters);
  return {clamped_share(law, knots), cut_share(law)};
}

}  // namespace

CompiledImpairment compile_field_delay(SharedLaw law) {
  const FlowDelay most = most_of_flows(*law);
  const std::uint64_t longest_ns = delay_with(*law, most, law->gaussian->at(8)).delay_ns;
  CompiledImpairment compiled{
      .parameters = Parameters::from(law.get()),
      .decide = decide,
      .explain = explain,
      .adds_ns = longest_ns,
      .state_bytes = sizeof(Field),
      .delays = true,
      .breaks_order = law->per_flow(),
      .usual_ns = delay_with(*law, most, law->gaussian->at(3.0902)).delay_ns,
      .review = law->per_flow() ? nullptr : review};
  // ∫ρ over the field's autocorrelation ρ is 1/∫B₃² = 315/151 knots.
  constexpr std::uint64_t kGridApart = kGridAKnot * 315 / 151;
  if (!law->per_flow())
    compiled.delay_shape = DelayShape{.apart_ns = law->grid_ns * kGridApart};
  if (law->per_flow())
    compiled.scope = Per::kFlow;
  compiled.tables = std::move(law);
  return compiled;
}

double clamped_share(const DelayLaw& law, std::uint64_t knots) {
  Field state;
  FieldWalk walk(law, 0, delay_of_flow(law, 0), state);
  std::uint64_t clamped = 0;
  const std::uint64_t points = knots * kGridAKnot;
  for (std::uint64_t point = 0; point < points; ++point) {
    walk.go_to(point * law.grid_ns);
    clamped += state.clamped_here ? 1 : 0;
  }
  return static_cast<double>(clamped) / static_cast<double>(points);
}

}  // namespace faultline
