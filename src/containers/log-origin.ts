import { hostname } from "node:os";
import type { LogOrigin, ShippingPlan } from "../runtime/mod.ts";
import { commandOf } from "./config-merge.ts";
import { chosenAttributes } from "./log-attributes.ts";
import { type LogPlan, planLog } from "./log-config.ts";
import { formatTag } from "./log-tag.ts";
import type { ContainerRecord } from "./record.ts";

/** What a shipped line says of its container, as it is called now. */
export function originOf(record: ContainerRecord, plan: LogPlan): LogOrigin {
  const facts = {
    id: record.id,
    name: record.name,
    imageId: record.imageId,
    imageName: record.config.Image,
    command: commandOf(record.config).join(" "),
    hostname: hostname(),
  };
  return {
    containerId: record.id,
    containerName: record.name,
    imageId: facts.imageId,
    imageName: facts.imageName,
    command: facts.command,
    createdNs: record.createdAtNs,
    hostname: facts.hostname,
    tag: formatTag(plan.tagTemplate, facts),
    attributes: chosenAttributes(plan.options, record.config.Labels ?? {}, record.config.Env ?? []),
  };
}

/** undefined for a log that stays here. */
export function shippingPlanOf(record: ContainerRecord): ShippingPlan | undefined {
  const plan = planLog(record.hostConfig.LogConfig);
  if (plan.shipping === undefined) return undefined;
  return { ...plan.shipping, origin: originOf(record, plan) };
}

/** What `logs --details` shows: json-file's attributes, its tag among them, and the journal's. */
export function shownAttributes(record: ContainerRecord): Readonly<Record<string, string>> {
  const plan = planLog(record.hostConfig.LogConfig);
  if (plan.type !== "json-file" && plan.type !== "journald") return {};
  const { attributes, tag } = originOf(record, plan);
  return plan.type === "json-file" && tag !== "" ? { ...attributes, tag } : attributes;
}
