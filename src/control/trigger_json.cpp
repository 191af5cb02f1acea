// Telling triggers.
#include "control/trigger_json.hpp"

#include "packet/flow_key.hpp"

namespace faultline {

Json trigger_json(const Policy& policy, std::size_t index,
                  const std::vector<std::string>& port_names) {
  Json json = {{"when", policy.triggers[index].text}, {"fired_ns", nullptr}, {"packet", nullptr}};
  const Trigger& trigger = policy.board->trigger(index);
  if (!trigger.has_fired())
    return json;
  json["fired_ns"] = trigger.fired_ns() - std::min(trigger.fired_ns(), policy.zero_ns);
  const FiringPacket& packet = trigger.packet();
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
