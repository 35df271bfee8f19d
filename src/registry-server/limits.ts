import { KiB, MiB, SECOND_MS } from "../base/mod.ts";

/** distribution-spec "Pushing Manifests": registries should take 4 MiB; more is refused with 413. */
export const MANIFEST_BYTES_MAX: number = 4 * MiB;
export const MANIFEST_MS_MAX: number = 60 * SECOND_MS; // 4 MiB within it is 70 KB/s

/** A sender that gives nothing for so long is gone. */
export const BODY_IDLE_MS: number = 30 * SECOND_MS;
/** Bytes that a sender must give in RATE_WINDOW_MS of waiting: 1 KiB/s is below any usable line. */
export const RATE_BYTES_MIN: number = 60 * KiB;
export const RATE_WINDOW_MS: number = 60 * SECOND_MS;

/** Upload sessions of all clients; each costs a folder and a descriptor while it receives. */
export const UPLOADS_MAX: number = 4096;
/** Bodies of blobs being received at a time: descriptors and 1 MiB buffers. */
export const RECEIVING_MAX: number = 512;
/** An upload that nobody has gone on with for so long is swept. */
export const UPLOAD_IDLE_MS: number = 24 * 3600 * SECOND_MS;

/** Descriptors of one manifest or index: more than any image has. */
export const DESCRIPTORS_MAX = 10_000;
export const MEDIA_TYPE_CHARACTERS_MAX = 255; // RFC 6838: 127 + 1 + 127

/** distribution-spec: repository names with the host are at most 255 characters in common clients. */
export const NAME_CHARACTERS_MAX = 255;
/** Tags of one repository: beyond it a list is of no use to anyone, and memory is. */
export const TAGS_MAX = 100_000;
/** Tags that one PUT of a manifest by digest may set (`?tag=`). */
export const TAG_PARAMETERS_MAX = 100;

/** Names of one answer of tags/list and _catalog. */
export const PAGE_MAX = 10_000;
/** A page of referrers stays below the 4 MiB that clients read. */
export const REFERRERS_PAGE_BYTES: number = 2 * MiB;
export const REFERRERS_PAGE_COUNT = 1000;

/** How long a cache keeps what nobody asks for: a month covers monthly builds. */
export const UNUSED_MS_DEFAULT: number = 31 * 24 * 3600 * SECOND_MS;
/** How often a server collects garbage by itself. */
export const COLLECT_MS_DEFAULT: number = 3600 * SECOND_MS;

/** What a refused body may still send before its connection is cut: clients read the answer late. */
export const DRAIN_BYTES_MAX: number = 8 * MiB;
export const DRAIN_MS_MAX: number = 5 * SECOND_MS;

/** What a push has seen stays for so long, referred to or not: longer than a slow push of one image. */
export const LEASE_MS_DEFAULT: number = 2 * 3600 * SECOND_MS;
