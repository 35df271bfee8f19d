export * from "./cgroup.ts";
export { type CgroupWarmth, createCgroupWarmth } from "./cgroup-warmth.ts";
export * from "./channel.ts";
export { ConnectionTracking, type TrackedPort } from "./conntrack.ts";
export * from "./descriptor.ts";
export * from "./file.ts";
export * from "./group-limits.ts";
export * from "./group-stats.ts";
export * from "./host-stats.ts";
export { mountIdMapped } from "./idmap.ts";
export * from "./kernel.ts";
export type { PathText } from "./libc.ts";
export { attachLoop } from "./loop.ts";
export * from "./mount.ts";
export * from "./mountinfo.ts";
export type { SharedLinkKind } from "./netlink/link.ts";
export * from "./netns.ts";
export type { DefaultRoutes, NamespaceEndpoint, ParentRequest } from "./netns-protocol.ts";
export {
  mountOverlay,
  type OverlayRequest,
  overlayHasLowerdirPlus,
  plainOverlayOptions,
  planOverlay,
} from "./overlay.ts";
export { holdPort } from "./port-socket.ts";
export * from "./process.ts";
export * from "./process-watch.ts";
export {
  directoryLimit,
  freeDirectoryLimit,
  hasProjectQuota,
  limitDirectory,
} from "./project-quota.ts";
export * from "./rlimit.ts";
export * from "./seqpacket.ts";
export { mountSlowly } from "./slow-mount.ts";
export * from "./socket.ts";
export * from "./statfs.ts";
export * from "./syscall-error.ts";
export * from "./sysctl.ts";
export * from "./systemd.ts";
export * from "./visit-network.ts";
export * from "./xattr.ts";
