// Telling triggers.
#include "control/trigger_json.hpp"

#include "packet/flow_key.hpp"

namespace faultline {
namespace {

std::uint64_t since_zero(const Policy& policy, std::uint64_t time_ns) {
  return time_ns - std::min(time_ns, policy.zero_ns);
}

}  // namespace

Json trigger_json(const Policy& policy, std::size_t index,
                  const std::vector<std::string>& port_names) {
  const Trigger& trigger = policy.board->trigger(index);
  // The last firing may be overwritten while it is read, but then there is another one.
  std::optional<Firing> last = trigger.last();
  while (!last && trigger.firings() > 0) last = trigger.last();
  Json json = {
      {"when", policy.triggers[index].text}, {"firings", trigger.firings()}, {"first_ns", nullptr}};
  if (last)
    json["first_ns"] = since_zero(policy, trigger.first_ns());
  json.update(firing_json(policy, last, port_names));
  return json;
}

Json firing_json(const Policy& policy, const std::optional<Firing>& firing,
                 const std::vector<std::string>& port_names) {
  Json json = {{"fired_ns", nullptr}, {"packet", nullptr}};
  if (!firing)
    return json;
  json["fired_ns"] = since_zero(policy, firing->at_ns);
  const FiringPacket& packet = firing->packet;
  if (!packet.is_known)
    return json;
  const PathProgram& path = policy.paths[packet.path_id];
  json["packet"] = {{"port", port_names[path.ingress]},
                    {"to", port_names[path.egress]},
                    {"flow", to_text(packet.flow)},
                    {"packet_in_flow", packet.packet_in_flow},
                    {"length", packet.length_bytes}};
  return json;
}

Json triggers_json(const Policy& policy, const std::vector<std::string>& port_names) {
  Json all = Json::array();
  for (std::size_t index = 0; index < policy.triggers.size(); ++index)
    all.push_back(trigger_json(policy, index, port_names));
  return all;
}

}  // namespace faultline
