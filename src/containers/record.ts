import type { Digest } from "../base/mod.ts";
import type { Endpoint } from "../network/mod.ts";
import type { RuntimeChoice } from "../runtime/mod.ts";
import type {
  ContainerConfig,
  EndpointSettings,
  HostConfig,
  NetworkingConfig,
} from "../spec/mod.ts";
import type { ContainerLifeState } from "./state.ts";

/** A mount that was decided at create; the same at every start. */
export interface RecordedMount {
  readonly type: "bind" | "volume" | "tmpfs" | "image";
  /** Host directory or file of a bind, the image as it was asked for, "" otherwise. */
  readonly source: string;
  /** Name of a volume, "" otherwise. */
  readonly volumeName: string;
  /** Of a volume: the driver that was asked for, then the one that it has. Absent: `local`. */
  readonly volumeDriver?: string;
  /** Of a volume that is made for this container. */
  readonly volumeOptions?: Readonly<Record<string, string>>;
  readonly destination: string;
  /** As the user wrote it (`ro`, `rw,z`), for an inspect. */
  readonly mode: string;
  readonly readOnly: boolean;
  /** `""`, `private`, `rprivate`, `shared`, ... */
  readonly propagation: string;
  /** A volume takes what the image has at the destination when it is empty. */
  readonly copyUp: boolean;
  /** Options of a tmpfs (`size=64m`, `mode=1777`), empty otherwise. */
  readonly options: readonly string[];
  /** A bind does not carry the mounts beneath its source. */
  readonly nonRecursive: boolean;
  /**
   * Of a read-only mount: `none` leaves what is mounted beneath it alone, `forced` refuses where
   * that cannot be read-only too. Absent: read-only too where the kernel can, as Docker does.
   */
  readonly readOnlyRecursion?: "none" | "forced";
  /** Of a bind: its owner is seen as this user of the container, "" for the one that it runs as. */
  readonly matchUser?: string;
  /** What of a volume or an image is mounted; absent or "": all. */
  readonly subpath?: string;
  /** Of a volume that is made for this container. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Of type `image`: the tag may move on, the container keeps its image. */
  readonly image?: { readonly id: Digest; readonly chainId: Digest | null };
  /** Made for this container without a name: `rm -v` takes it away. */
  readonly anonymous: boolean;
  /** From `Tmpfs` or `Binds`, which an inspect shows differently from `Mounts`. */
  readonly origin: "binds" | "mounts" | "tmpfs" | "image" | "volumes-from";
}

/**
 * One row of the table `containers`: all that outlives the engine. What the kernel knows is asked
 * of the kernel, except for the handle and the endpoint, which say where to ask.
 */
export interface ContainerRecord {
  readonly version: 1;
  readonly id: string;
  /** Without slash. */
  readonly name: string;
  readonly createdAtNs: string;
  readonly imageId: Digest;
  readonly chainId: Digest | null;
  /** `linux/amd64` or what the image says. */
  readonly platform: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly networking: NetworkingConfig;
  /** By name, since a connect or disconnect: in place of what NetworkMode and `networking` say. */
  readonly networks?: Readonly<Record<string, EndpointSettings | null>>;
  readonly mounts: readonly RecordedMount[];
  readonly runtime: RuntimeChoice;
  readonly state: ContainerLifeState;
  /** Of the current or last run, `eth0` first; empty where it has no namespace of its own. */
  readonly endpoints: readonly Endpoint[];
  /** Counts starts; names the directory that conmon writes the exit code to. */
  readonly runNumber: number;
  /** Restarts by the policy since the last start by a person. */
  readonly restartCount: number;
  /** A person stopped it: `unless-stopped` then leaves it so after an engine restart. */
  readonly stoppedByUser: boolean;
  /** An update was recorded that the kernel may not know of yet. */
  readonly updating?: true;
}

/** One row of the table `execs`. */
export interface ExecRecord {
  readonly version: 1;
  readonly id: string;
  readonly containerId: string;
  readonly createdAtNs: string;
  readonly user: string;
  readonly privileged: boolean;
  readonly tty: boolean;
  readonly consoleSize: [number, number] | null;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly cmd: readonly string[];
  readonly state:
    | { readonly kind: "created" }
    | { readonly kind: "running"; readonly pid: number }
    | { readonly kind: "ended"; readonly exitCode: number; readonly pid: number };
}
