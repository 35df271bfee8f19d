export type EventType = "container" | "image" | "network" | "volume" | "daemon";

/** One message of `GET /events`, newest shape; `status`, `id` and `from` are added below API 1.52. */
export interface EventMessage {
  Type: EventType;
  /** `create`, `start`, `exec_create: sh -c true`, … */
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  scope: "local";
  /** Unix seconds. */
  time: number;
  /** Unix nanoseconds. A decimal string here; written as a number on the wire. */
  timeNano: string;
}
